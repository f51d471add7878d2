"""Names of variables in a run's files."""

import pytest

from samebits.training import task


@pytest.mark.parametrize(
    ("names", "unique"),
    [
        (["a", "b", "a", "a"], ["a", "b", "a#2", "a#3"]),
        (["a", "a", "a#2"], ["a", "a#2", "a#2#2"]),
        (["a#2", "a", "a", "a"], ["a#2", "a", "a#3", "a#4"]),
    ],
)
def test_a_repeated_name_gets_a_count_that_no_other_name_has(
    names: list[str], unique: list[str]
) -> None:
    assert list(task.unique(names)) == unique
