"""The trace: fingerprints, the file of its rows, and what it says on every framework."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline import ROOT, Workspace, command, configure, skip_without
from samebits.errors import SamebitsError
from samebits.formats import canonical
from samebits.training import fingerprint
from samebits.training.trace import Rows

SHAPES: list[tuple[int, ...]] = [(), (1,), (5,), (7, 3), (1, 9), (3, 3, 2, 4)]


def tensor(shape: tuple[int, ...], dtype: str = "<f4") -> Any:
    return np.asarray(np.random.RandomState(0).standard_normal(shape)).astype(dtype)


@pytest.mark.parametrize("dtype", ["<f2", "<f4", "<f8", "<i8", "|i1"])
@pytest.mark.parametrize("shape", SHAPES)
def test_any_flipped_bit_changes_the_fingerprint(shape: tuple[int, ...], dtype: str) -> None:
    array = tensor(shape, dtype)
    before = fingerprint.of_array(array)
    for bit in range(8 * array.nbytes):
        flipped = np.frombuffer(array.tobytes(), np.uint8).copy()
        flipped[bit // 8] ^= 1 << bit % 8
        assert fingerprint.of_array(flipped.view(dtype).reshape(shape)) != before


@pytest.mark.parametrize("shape", SHAPES[2:])
def test_a_swap_of_two_elements_changes_the_fingerprint(shape: tuple[int, ...]) -> None:
    flat = tensor(shape).reshape(-1)
    before = fingerprint.of_array(flat.reshape(shape))
    for first in range(flat.size):
        for second in range(first):
            swapped = flat.copy()
            swapped[[first, second]] = swapped[[second, first]]
            assert fingerprint.of_array(swapped.reshape(shape)) != before


def test_the_sum_is_as_the_module_defines_it() -> None:
    array = tensor((4, 3))
    rows, columns = fingerprint.factors(array.shape, array.itemsize)
    weights = rows.reshape(-1, 1).astype(object) * columns.reshape(1, -1).astype(object)
    total = int((weights * array.view("<i4").astype(object)).sum())
    assert fingerprint.of_array(array) % 2**32 == total % 2**32
    assert all(int(weight) % 2 == 1 for weight in weights.reshape(-1))


def test_an_empty_tensor_has_a_fingerprint() -> None:
    assert fingerprint.of_array(np.zeros((0, 4), np.float32)) == 0
    assert fingerprint.of_array(np.zeros((4, 0), np.float32)) == 0


def test_an_array_that_does_not_lie_in_one_piece_has_the_same_fingerprint() -> None:
    array = tensor((6, 4))
    assert fingerprint.of_array(array[::2]) == fingerprint.of_array(array[::2].copy())


def test_rows_come_back_column_by_column(tmp_path: Path) -> None:
    rows = Rows(tmp_path, capacity=10)
    assert rows.column(1).size == 0
    rows.append(np.array([[0, -1, 2]]))
    rows.append(np.array([[1, 2**31 - 1, -(2**31)], [2, 5, 6]]))
    columns = [rows.column(i).tolist() for i in range(3)]
    assert columns == [[0, 1, 2], [-1, 2**31 - 1, 5], [2, -(2**31), 6]]
    assert list(tmp_path.iterdir()) == []  # nothing stays when the process is killed


def test_more_rows_than_the_training_has_steps_are_refused(tmp_path: Path) -> None:
    rows = Rows(tmp_path, capacity=1)
    with pytest.raises(SamebitsError, match="expected 1 rows, got more"):
        rows.append(np.zeros((2, 3), np.int32))


# ---- on every framework ----------------------------------------------------------------------


PROGRAM = ROOT / "tests/training/trace_program.py"
STEPS, PER_EPOCH = 16, 8
CASES = [
    ("tf2.21", "portable", "noisy", (7, 100)),
    ("tf2.8", "tf28", "noisy", (7,)),
    ("tf2.1", "tf21", "noisy", (1,)),
]
SLOW = [
    ("tf2.21", "tf28", "noisy", (7, 1)),
    ("tf2.21", "seeds", "noisy", (100,)),
    ("tf2.21", "seeds", "compiled_by_xla", (7,)),
    ("tf2.8", "seeds", "noisy", (7, 1, 100)),
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
