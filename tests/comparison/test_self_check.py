"""The self-check finds what it planted, and says so when the comparison is blind."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import factories
from samebits.comparison import difference, divergence, self_check
from samebits.comparison.runs import compare

EXPERIMENT, DATASET = "e" * 64, "d" * 64


def checked(folder: Path, **control: Any) -> Any:
    runs = [
        factories.write_run(folder / name, EXPERIMENT, DATASET, **control)
        for name in ("control", "replica")
    ]
    return compare(runs[0], runs[1:])["self_check"]


def found(folder: Path) -> dict[str, bool]:
    """Which artifacts' planted bits were found."""
    return {check["artifact"]: check["found"] for check in checked(folder)}


def test_a_planted_bit_is_found_in_weights_history_and_trace(tmp_path: Path) -> None:
    assert checked(tmp_path) == [
        {"artifact": "weights", "name": "dense/bias", "index": [2], "found": True},
        {"artifact": "history", "name": "accuracy", "index": [1], "found": True},
        {"artifact": "trace", "name": "dense/kernel", "index": [6], "found": True},
    ]


def test_runs_that_differ_change_nothing_of_the_self_check(tmp_path: Path) -> None:
    control = factories.write_run(tmp_path / "control", EXPERIMENT, DATASET)
    other = factories.write_run(
        tmp_path / "replica", EXPERIMENT, DATASET, trace=factories.trace(9), metrics={"loss": [0]}
    )
    assert all(check["found"] for check in compare(control, [other])["self_check"])


@pytest.mark.parametrize(
    "value",
    [
        np.full(3, np.nan, "<f4"),
        np.full((1, 2), -np.inf),
        np.zeros((), "<f8"),
        np.array([True, False]),
        np.array([255], "u1"),
        np.array([[1 + 2j]], "<c8"),
        np.asfortranarray(np.ones((2, 3), ">f2")),
    ],
)
def test_a_planted_bit_is_found_in_any_number(tmp_path: Path, value: Any) -> None:
    assert checked(tmp_path, weights=[("empty", np.zeros((0, 4))), ("w", value)])[0] == {
        "artifact": "weights",
        "name": "w",
        "index": [int(i) for i in np.unravel_index(value.size // 2, value.shape)],
        "found": True,
    }


def test_the_control_is_left_as_it_was(tmp_path: Path) -> None:
    checked(tmp_path)
    assert checked(tmp_path / "again")[0]["found"]
    assert compare(tmp_path / "control", [tmp_path / "replica"])["identical"]


def test_what_has_no_elements_is_not_checked(tmp_path: Path) -> None:
    trace = [(name, a) for name, a in factories.trace() if "/" not in name]
    nothing: Any = {"weights": [("w", np.zeros((0, 4), "<f4"))], "metrics": {}, "trace": trace}
    assert checked(tmp_path, **nothing) == []


def test_a_trace_without_rows_is_not_checked(tmp_path: Path) -> None:
    trace = [(name, array[:0]) for name, array in factories.trace()]
    assert [check["artifact"] for check in checked(tmp_path, trace=trace)] == ["weights", "history"]


# --- it fails when the comparison is blind -----------------------------------------------------


_DIFFERENCES, _BITS_DIFFER = difference.differences, difference._bits_differ


def coarse(left: Any, right: Any) -> Any:
    bits = [array.view(f"<u{array.itemsize}") | 1 for array in (left, right)]
    return _BITS_DIFFER(*bits)


def always(name: str, control: Any, replica: Any) -> dict[str, Any]:
    digests = [control.digest] * 2
    return {"artifact": name, "identical": True, "digests": digests, "differences": []}


def twice(control: Any, replica: Any) -> Iterator[dict[str, Any]]:
    for one in _DIFFERENCES(control, replica):
        yield from (one, one | {"name": "another"})


BLIND: dict[str, tuple[Any, str, Any]] = {
    "reports nothing": (difference, "differences", lambda control, replica: iter(())),
    "ignores the lowest bit": (difference, "_bits_differ", coarse),
    "says identical": (self_check, "compare_artifact", always),
    "reports more than was planted": (difference, "differences", twice),
}


@pytest.mark.parametrize("what", BLIND)
def test_a_comparison_that_is_blind_is_seen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    monkeypatch.setattr(*BLIND[what])
    assert found(tmp_path) == {"weights": False, "history": False, "trace": False}


def test_a_divergence_that_is_blind_or_wrong_is_seen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    exact = divergence._Aligned.first
    for number, wrong in enumerate((lambda step: None, lambda step: 0, lambda step: step + 1)):

        def first(self: Any, ours: str, theirs: str, wrong: Any = wrong) -> int | None:
            step = exact(self, ours, theirs)
            return None if step is None else wrong(step)

        monkeypatch.setattr(divergence._Aligned, "first", first)
        assert found(tmp_path / str(number)) == {"weights": True, "history": True, "trace": False}
