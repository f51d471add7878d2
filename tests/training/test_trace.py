"""The trace: fingerprints, the file of its rows, and what it says on every framework."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline import ROOT, Workspace, command, configure, skip_without
from samebits.formats import canonical
from samebits.training import batches, fingerprint
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
    rows = Rows(tmp_path)
    assert rows.columns().shape == (0, 0)
    rows.append(np.array([[0, -1, 2]]))
    rows.append(np.array([[1, 2**31 - 1, -(2**31)], [2, 5, 6]]))
    assert rows.columns().tolist() == [[0, 1, 2], [-1, 2**31 - 1, 5], [2, -(2**31), 6]]
    assert rows.columns(since=2).tolist() == [[2], [5], [6]]
    assert list(tmp_path.iterdir()) == []  # nothing stays when the process is killed


def test_rows_from_before_a_tensor_was_seen_have_its_first_value(tmp_path: Path) -> None:
    rows = Rows(tmp_path)
    rows.append(np.array([[0, 7], [1, 8]]))
    rows.append(np.array([[2, 9, 4], [3, 9, 5]]))
    assert rows.columns(0, [0, 7, 3]).tolist() == [[0, 1, 2, 3], [7, 8, 9, 9], [3, 3, 4, 5]]
    assert rows.columns(1, [0, 7, 3]).tolist() == [[1, 2, 3], [8, 9, 9], [3, 4, 5]]
    assert rows.columns(3, [0, 7, 3]).tolist() == [[3], [9], [5]]


X = np.random.RandomState(1).rand(5000, 3, 2).astype("<f4")
Y = np.random.RandomState(2).randint(0, 10, 5000)
DTYPES = [np.dtype("<f4"), np.dtype("<i8")]


def of_data(x: Any, y: Any) -> int:
    return batches.of_data((x, y), DTYPES)


def test_the_fingerprint_of_data_does_not_depend_on_the_order_of_its_samples() -> None:
    order = np.random.RandomState(3).permutation(len(X))
    assert of_data(X[order], Y[order]) == of_data(X, Y)
    assert of_data(X.astype("<f8"), Y.astype("|u1")) == of_data(X, Y)  # what Keras converts
    parts = [of_data(X[at : at + 100], Y[at : at + 100]) for at in range(0, len(X), 100)]
    assert batches.wrapped(sum(parts)) == of_data(X, Y)


def test_other_data_has_another_fingerprint() -> None:
    swapped, flipped, twice = Y.copy(), X.copy(), X.copy()
    first, second = 0, int(np.flatnonzero(Y[0] != Y)[0])
    swapped[[first, second]] = swapped[[second, first]]
    flipped.view("<u4")[4711, 2, 1] ^= 1
    twice[1] = twice[0]
    assert of_data(X, swapped) != of_data(X, Y)  # the same x and the same y, another pair
    assert of_data(flipped, Y) != of_data(X, Y)
    assert of_data(twice, Y) != of_data(X, Y)
    assert of_data(X[:-1], Y[:-1]) != of_data(X, Y)


def test_data_that_was_rounded_to_whole_numbers_is_other_data() -> None:
    assert batches.conversion_problem((X, Y), DTYPES) is None
    assert batches.conversion_problem((X.astype("<f8"), Y.astype("|u1")), DTYPES) is None
    said = batches.conversion_problem((X, Y), [np.dtype("<i4"), np.dtype("<i8")])
    assert said == "the steps receive x as int32, but the data has float32"


# ---- on every framework ----------------------------------------------------------------------


PROGRAM = ROOT / "tests/training/trace_program.py"
STEPS, PER_EPOCH = 16, 8  # of 240 samples
CASES = [
    ("tf2.21", "portable", "noisy"),
    ("tf2.1", "tf21", "noisy outputs"),
]
_KINDS = (
    "default fed_to_metric gan accumulating clipped scaled distilled outputs eager weighted by_hand"
    " inner ignoring loop on_batches twice unbuilt seeds_itself nan_since_step_four"
)
SLOW = [
    ("tf2.8", "tf28", "noisy gan"),
    ("tf2.21", "seeds", _KINDS + " compiled_by_xla"),
    ("tf2.21", "tf28", "noisy"),
    # Keras 2 itself cannot train on batches with several steps in an execution.
    ("tf2.8", "seeds", _KINDS.replace("on_batches ", "") + " compiled_by_xla"),
    ("tf2.1", "tf21", "default clipped outputs eager weighted loop on_batches twice unbuilt"),
]
NO_ROWS = {("tf2.1", "loop")}  # a loop of one's own is not followed there
# Whose steps Keras 2 compiles in one piece with XLA, and those that are no steps of Keras.
NO_GRAPH = {("tf2.8", "compiled_by_xla"), *NO_ROWS}
NOT_KERAS = {"loop", "on_batches"}


@pytest.fixture(
    scope="module",
    params=[*CASES, *(pytest.param(case, marks=pytest.mark.slow) for case in SLOW)],
    ids=lambda case: "-".join(case[:2]),
)
def trained(
    request: pytest.FixtureRequest, workspace: Workspace, tmp_path_factory: pytest.TempPathFactory
) -> Any:
    """The framework, and by model what its trainings told: plain, and with every kind of trace."""
    framework, profile, models = request.param
    skip_without("3.11" if framework == "tf2.21" else "3.7")
    folder = tmp_path_factory.mktemp("traced")
    given = {"framework": framework, "determinism": profile}
    experiment = configure(given, ROOT / "conf")
    canonical.write_json(folder / "config.json", experiment.config)
    command(
        workspace.python(f"train-{framework}"),
        PROGRAM, folder / "config.json", folder, *models.split(),
        cwd=folder, variables=dict(v.split("=", 1) for v in experiment.variables()),
    )  # fmt: skip
    told = map(json.loads, (folder / "results.jsonl").read_text().splitlines())
    return framework, {one["model"]: one["runs"] for one in told}


def test_a_trace_changes_no_bit_of_any_kind_of_step(trained: Any) -> None:
    _, told = trained
    for model, runs in told.items():
        for every, run in runs.items():
            if every not in ("canary", "one at once"):
                assert run["digests"] == runs["None"]["digests"], (model, every)


def test_there_is_a_row_per_step_and_it_is_what_numpy_says(trained: Any) -> None:
    framework, told = trained
    for model, runs in told.items():
        run = runs["step"]
        graph = (framework, model) not in NO_GRAPH
        assert run["trace"]["source"] == ("graph" if graph else "batch callback"), model
        if model not in NOT_KERAS and graph:
            steps = {"twice": 2 * STEPS}.get(model, STEPS)
            expected = list(range(steps + 1))
            if model == "accumulating":
                expected = expected[::3]
            assert run["rows"] == expected, model
            assert run["trace"]["epoch_ends"] == list(range(PER_EPOCH, steps + 1, PER_EPOCH)), model
        last = {} if (framework, model) in NO_ROWS else run["last"]
        assert {n: rows[-1] for n, rows in run["prints"].items()} == last, model
        if model == "noisy" and framework != "tf2.1":
            _says_after_each_execution_what_numpy_says(run)


def test_many_steps_per_execution_give_the_same_bits_and_rows(trained: Any) -> None:
    """Of the article's experiment: test_train.py."""
    framework, told = trained
    kept = 2 if framework == "tf2.8" else None  # its state beside weights and optimizer differs
    one, many = (next(iter(told.values()))[name] for name in ("one at once", "step"))
    assert len(one["seen"]) >= len(many["seen"]) > 0
    assert one["digests"][:kept] == many["digests"][:kept]
    assert one["prints"] == many["prints"]


def _says_after_each_execution_what_numpy_says(run: Any) -> None:
    ends = [3, 6, 8, 11, 14, 16]
    for name, rows in run["prints"].items():
        assert [rows[end] for end in ends] == [seen[name] for seen in run["seen"]]
        assert len(set(rows)) == len(rows)


def test_other_kinds_of_trace_have_rows_for_the_canary(trained: Any) -> None:
    framework, told = trained
    first = 1 if framework == "tf2.1" else 3
    runs = told.get("noisy", {})
    if runs:
        assert runs["off"]["rows"] == [0, first]
        assert runs["epoch"]["rows"] == [0, first, 8, 16]
        assert runs["step"]["snapshots"] == sorted(set(runs["step"]["snapshots"]))
        assert {runs[every]["snapshots"][-1] for every in ("step", "epoch")} == {16}
        assert all(1 <= shape[1] <= 256 for shape in runs["step"]["samples"])


def test_the_batches_of_an_epoch_are_the_data_set(trained: Any) -> None:
    framework, told = trained
    for model, runs in told.items():
        data = runs["step"]["data"]
        if (framework, model) in NO_GRAPH or model in NOT_KERAS:
            assert data["problem"], model
        else:
            epoch = {"samples": 240, "fingerprint": data["fingerprint"]}
            assert data["problem"] is None, model
            assert data["epochs"] == [epoch] * (4 if model == "twice" else 2), model
        assert "trace=off" in runs["off"]["data"]["problem"]


def test_what_no_update_depends_on_is_known(trained: Any) -> None:
    framework, told = trained
    for model, runs in told.items():
        used = {"ignoring": [], "gan": ["x"], "eager": None}.get(model, ["x", "y"])
        known = model not in NOT_KERAS and (framework, model) not in NO_GRAPH
        assert runs["step"]["data"]["used"] == (used if known else None), model


def test_the_canary_of_any_kind_of_step_differs(trained: Any) -> None:
    _, told = trained
    for model, runs in told.items():
        canary = runs["canary"]
        if model in NOT_KERAS:  # its loop is not left after its first step: it trains to its end
            continue
        assert canary["digest"], (model, canary)
        after = {step: differs for step, differs in canary["differ"].items() if step != "0"}
        assert after and all(after.values()), model


def test_all_histories_of_several_fits_are_kept(trained: Any) -> None:
    _, told = trained
    if "twice" in told:
        metrics = told["twice"]["step"]["history"]
        assert {"loss (fit 1)", "loss (fit 2)", "val_loss (fit 2)"} <= set(metrics)
        assert {len(values) for values in metrics.values()} == {2}


def test_the_step_with_the_first_nan_is_known(trained: Any) -> None:
    _, told = trained
    for model, runs in told.items():
        nan = set(map(tuple, filter(None, runs["step"]["nan"].values())))
        assert nan == ({(3, 4)} if model == "nan_since_step_four" else set()), model
