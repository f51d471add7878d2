"""Files that one run leaves for another."""

from typing import Any

import pytest

from factories import NO_FILES
from samebits.comparison.left import left

MADE = {"path": "models/best.npy", "sha256": None, "sought": False}


def record(**files: Any) -> dict[str, Any]:
    return {"files": NO_FILES | files, "program": None}


@pytest.mark.parametrize(
    "other",
    [
        {"read": [{"path": "models/best.npy", "sha256": "a" * 64}]},
        {"absent": ["models/best.npy"]},
        {"names": [{"path": "models", "sha256": "a" * 64}]},
        {"written": [MADE | {"sought": True}]},
        {"written": [MADE], "problem": "the kernel tells no calls"},
    ],
    ids=lambda other: next(iter(other)),
)
def test_what_a_run_wrote_and_another_sought_is_left(other: dict[str, Any]) -> None:
    assert left([record(written=[MADE]), record(**other)]) == ["models/best.npy"]
    assert left([record(**other), {"files": None}, record(written=[MADE])]) == ["models/best.npy"]


def test_what_is_only_written_or_only_read_is_not_left() -> None:
    assert left([record(written=[MADE]), record(written=[MADE])]) == []
    read = [{"path": "data.npy", "sha256": "a" * 64}]
    assert left([record(written=[MADE], read=read), record(absent=["models"])]) == []


def test_a_program_leaves_nothing_in_its_own_copy_of_the_project() -> None:
    paths = "best.npy", "/tmp/best.npy", "~/best.npy"  # noqa: S108
    made = record(written=[MADE | {"path": path, "sought": True} for path in paths])
    assert left([made | {"program": {"exit": 0}}]) == sorted(paths[1:])
    assert left([made]) == sorted(paths)
