"""Names of modules, and of variables in a run's files; how many of their numbers say anything."""

from pathlib import Path

import numpy as np
import pytest

from refusals import refused
from samebits.training import record, task


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


def test_neither_nan_nor_infinity_counts_as_a_number_that_was_trained() -> None:
    trained = [np.array([np.nan, np.inf, -np.inf, 1, 0]), np.array(3), np.ones(0)]
    assert record.nan([], trained, None)["numbers"] == 3  # type: ignore[arg-type]


def test_a_users_module_named_like_a_library_is_refused_before_training(tmp_path: Path) -> None:
    (tmp_path / "attr.py").write_text("def network(): ...\n")
    with refused("attr is also the name of a library", "rename your module"):
        task.build(None, {"_target_": "attr.network"}, tmp_path)
