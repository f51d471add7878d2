"""Of all the wheels of a release, the one that an installer takes on Linux x86_64."""

from typing import Any

import pytest

from samebits.environments import resolve


def wheel(name: str) -> dict[str, Any]:
    return {"url": f"somewhere/{name}", "hashes": {"sha256": name}}


def best(names: list[str], python: str, *known: str) -> str | None:
    tags = resolve._tags(python)
    found = resolve._best([wheel(name) for name in names], tags, set(known))
    return str(found["hashes"]["sha256"]) if found else None


PURE = "x-1-py3-none-any.whl"
ABI3 = "x-1-cp37-abi3-manylinux_2_17_x86_64.manylinux2014_x86_64.whl"
EXACT = "x-1-cp311-cp311-manylinux_2_28_x86_64.whl"
OLD = "x-1-cp37-cp37m-manylinux2010_x86_64.whl"
OTHERS = [
    "x-1-cp311-cp311-manylinux_2_28_aarch64.whl",
    "x-1-cp311-cp311-win_amd64.whl",
    "x-1-cp311-cp311-musllinux_1_2_x86_64.whl",
    "x-1-cp312-cp312-manylinux_2_28_x86_64.whl",
    "x-1-cp311-cp311-manylinux_2_39_x86_64.whl",
]


@pytest.mark.parametrize(
    ("names", "python", "expected"),
    [
        ([PURE, ABI3, EXACT, *OTHERS], "3.11", EXACT),
        ([PURE, ABI3, *OTHERS], "3.11", ABI3),
        ([PURE, *OTHERS], "3.11", PURE),
        (OTHERS, "3.11", None),
        ([PURE, ABI3, OLD, EXACT], "3.7", OLD),
    ],
)
def test_the_most_specific_wheel_that_fits_is_chosen(
    names: list[str], python: str, expected: str | None
) -> None:
    assert best(names, python) == expected
    assert best(names[::-1], python) == expected


def test_a_wheel_that_is_locked_stays_when_a_better_one_appears() -> None:
    assert best([PURE, EXACT], "3.11", PURE) == PURE


def test_a_locked_wheel_of_another_platform_does_not_stay() -> None:
    assert best([PURE, *OTHERS], "3.11", OTHERS[0]) == PURE
