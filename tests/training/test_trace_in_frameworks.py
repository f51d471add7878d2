"""The trace on every framework: it changes no bit, and its rows are what NumPy says."""

import json
from pathlib import Path
from typing import Any

import pytest

from pipeline import ROOT, Workspace, command, skip_without
from samebits.config.experiment import configure
from samebits.formats import canonical

PROGRAM = ROOT / "tests/training/trace_program.py"
STEPS, PER_EPOCH = 16, 8
CASES = [
    ("tf2.21", "portable", "noisy", (7, 1, 100)),
    ("tf2.8", "tf28", "noisy", (7, 100)),
    ("tf2.1", "tf21", "noisy", (1,)),
]
SLOW = [
    ("tf2.21", "tf28", "noisy", (7,)),
    ("tf2.21", "seeds", "noisy", (100,)),
    ("tf2.21", "seeds", "compiled_by_xla", (7,)),
    ("tf2.8", "seeds", "noisy", (7, 1)),
]


@pytest.fixture(
    params=[*CASES, *(pytest.param(case, marks=pytest.mark.slow) for case in SLOW)],
    ids=lambda case: "-".join(map(str, case[:3])),
)
def trained(request: pytest.FixtureRequest, workspace: Workspace, tmp_path: Path) -> Any:
    """The case, and by ``trace:`` what its trainings told, in turn."""
    framework, profile, model, steps = request.param
    skip_without("3.11" if framework == "tf2.21" else "3.7")
    given = {"framework": framework, "determinism": profile}
    experiment = configure(given, ROOT / "conf")
    canonical.write_json(tmp_path / "config.json", experiment.config)
    command(
        workspace.python(f"train-{framework}"),
        PROGRAM, tmp_path / "config.json", model, tmp_path, *steps,
        cwd=tmp_path, variables=dict(v.split("=", 1) for v in experiment.variables()),
    )  # fmt: skip
    told = (tmp_path / "results.jsonl").read_text().splitlines()
    return request.param, [json.loads(line) for line in told]


def _unbuilt(case: Any) -> bool:
    """Whether the model is built within its first step, so that there is no row 0."""
    return bool(case[2] == "compiled_by_xla")


def test_the_trace(trained: Any) -> None:
    """One test for all, because the trainings of a framework take their time."""
    case, results = trained
    first = 1 if _unbuilt(case) else 0
    _changes_no_bit(results)
    _says_what_numpy_says(results)
    by_every = {r["every"]: r for r in results[:4]}
    assert by_every["step"]["rows"] == list(range(first, STEPS + 1))
    assert by_every["epoch"]["rows"] == [0, PER_EPOCH, STEPS][first:]
    assert by_every["off"]["rows"] == [0][first:]
    _tells_its_source(case, by_every)
    _samples_evenly(by_every, first)


def _changes_no_bit(results: Any) -> None:
    for result in results:
        reference = next(r for r in results if r["steps"] == result["steps"])
        assert result["digests"] == reference["digests"], (result["every"], result["steps"])
        assert result["trace"]["steps"] == STEPS if result["every"] else True


def _says_what_numpy_says(results: Any) -> None:
    for result in [r for r in results if r["every"] == "step"]:
        ends = [
            epoch * PER_EPOCH + min(step, PER_EPOCH)
            for epoch in range(2)
            for step in range(result["steps"], PER_EPOCH + result["steps"], result["steps"])
        ]
        prints = dict(zip(result["rows"], result["prints"], strict=True))
        assert [prints[end] for end in ends] == result["seen"]
        assert len({tuple(row) for row in result["prints"]}) == len(result["rows"])


def _tells_its_source(case: Any, by_every: Any) -> None:
    trace = by_every["step"]["trace"]
    followed = case[0] != "tf2.1"
    assert trace["source"] == ("train_step" if followed else "batch callback")
    assert trace["loss"] == ("mean so far" if _unbuilt(case) else "batch")
    assert by_every["epoch"]["trace"]["loss"] == "mean so far"
    losses = by_every["step"]["losses"][-STEPS:]
    mean = losses[-1] if _unbuilt(case) else sum(losses[PER_EPOCH:]) / PER_EPOCH
    assert mean == pytest.approx(by_every["epoch"]["losses"][-1], rel=0.05)


def _samples_evenly(by_every: Any, first: int) -> None:
    taken = by_every["step"]["snapshots"]
    assert taken == sorted(set(taken))
    assert taken[-1] == STEPS
    assert (taken[0] == 0) == (first == 0)
    assert by_every["off"]["snapshots"] == [0][first:]
    for shape in by_every["step"]["samples"]:
        assert shape[0] == len(taken)
        assert 1 <= shape[1] <= 256
