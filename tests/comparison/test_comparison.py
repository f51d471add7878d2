"""Every planted difference is found, and damage is not taken for a difference."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import factories
from samebits.comparison import difference
from samebits.comparison.difference import measure, ulp_distance
from samebits.comparison.runs import compare
from samebits.errors import SamebitsError
from samebits.formats import arrays, canonical, files, names

EXPERIMENT, DATASET = "e" * 64, "d" * 64


def runs(folder: Path, **replica: Any) -> tuple[Path, Path]:
    """A control and a replica that differs as told."""
    control = factories.write_run(folder / "control", EXPERIMENT, DATASET)
    return control, factories.write_run(folder / "replica", EXPERIMENT, DATASET, **replica)


def compared(folder: Path, **replica: Any) -> dict[str, Any]:
    control, other = runs(folder, **replica)
    return compare(control, [other])


def found(comparison: Any, artifact: str) -> list[dict[str, Any]]:
    """The differences in one artifact, after checking that it alone differs."""
    (run,) = comparison["runs"]
    differing = [a for a in run["artifacts"] if not a["identical"]]
    assert [a["artifact"] for a in differing] == [artifact]
    assert not run["identical"]
    assert not comparison["identical"]
    assert differing[0]["digests"][0] != differing[0]["digests"][1]
    return list(differing[0]["differences"])


def flipped(tensors: factories.Arrays, position: int, index: Any) -> factories.Arrays:
    """The tensors with the lowest bit of one element flipped."""
    array = tensors[position][1]
    array.view(f"<u{array.itemsize}")[index] ^= 1
    return tensors


def test_equal_runs_are_identical_in_all_artifacts(tmp_path: Path) -> None:
    comparison = compared(tmp_path)
    assert comparison["identical"]
    artifacts = comparison["runs"][0]["artifacts"]
    assert [a["artifact"] for a in artifacts] == list(names.ARTIFACTS)
    assert all(a["identical"] and a["digests"][0] == a["digests"][1] for a in artifacts)
    assert comparison["runs"][0]["divergence"] is None
    assert comparison["canary"] is None


def bias(*bits: int) -> factories.Arrays:
    """The weights with these bits as bias."""
    return [factories.weights()[0], ("dense/bias", np.array(bits, "<u4").view("<f4"))]


def flipped_loss() -> dict[str, list[float]]:
    loss = factories.HISTORY["loss"]
    return factories.HISTORY | {"loss": [*loss[:2], math.nextafter(loss[2], 1)]}


def value(one: Any) -> tuple[str, str]:
    return one["control"]["value"], one["replica"]["value"]


KERNEL, (NAME, VALUES) = factories.weights()
# What is planted in which artifact, and what is said of it.
PLANTED: dict[str, tuple[str, Any, dict[Any, Any]]] = {
    "a bit of the weights": (
        "weights", flipped(factories.weights(), 0, (2, 1)),
        {"name": "dense/kernel", "kind": "values", "elements": 24, "different": 1, "first": [2, 1],
         "largest_ulp": 1},
    ),
    "a bit of the optimizer": (
        "optimizer", flipped(factories.optimizer(), 0, ()),
        {"name": "iteration", "largest_absolute": 1, "largest_ulp": None, value: ("4500", "4501")},
    ),
    "a generator's state": (
        "state", flipped(factories.state(), 1, 0), {"name": "generator/state", "first": [0]},
    ),
    "a prediction": (
        "predictions", flipped(factories.predictions(), 0, (1, 2)),
        {"name": "predict/0", "first": [1, 2], "largest_ulp": 1},
    ),
    "a bit of the history": (
        "history", flipped_loss(), {"name": "loss", "first": [2], "largest_ulp": 1},
    ),
    "a bit of the trace": (
        "trace", flipped(factories.trace(), 2, 7), {"name": "fingerprint/dense/bias", "first": [7]},
    ),
    "negative zero": (
        "weights", bias(0, 0x80000000, 0, 0),
        {"largest_absolute": 0, "largest_ulp": 1, value: ("0.0", "-0.0")},
    ),
    "a missing tensor": (
        "weights", [KERNEL], {"name": "dense/bias", "kind": "missing"},
    ),
    "another dtype of equal bytes": (
        "weights", [KERNEL, (NAME, VALUES.view("<i4"))],
        {"kind": "dtype", "control": "F32", "replica": "I32"},
    ),
    "another shape of equal bytes": (
        "weights", [KERNEL, (NAME, VALUES[None])],
        {"kind": "shape", "control": "[4]", "replica": "[1, 4]"},
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", PLANTED)
def test_a_planted_difference_is_found_and_described(tmp_path: Path, what: str) -> None:
    artifact, planted, said = PLANTED[what]
    given = {"metrics" if artifact == "history" else artifact: planted}
    (one,) = found(compared(tmp_path, **given), artifact)
    assert {key: key(one) if callable(key) else one[key] for key in said} == said
    if isinstance(one["control"], dict):
        assert one["control"]["bits"] != one["replica"]["bits"]


def test_a_nan_equals_the_same_nan_and_differs_from_another(tmp_path: Path) -> None:
    nan, other = bias(0x7FC00000, 0, 0, 0), bias(0x7FC00001, 0, 0, 0)
    control = factories.write_run(tmp_path / "control", EXPERIMENT, DATASET, weights=nan)
    same = factories.write_run(tmp_path / "same", EXPERIMENT, DATASET, weights=nan)
    different = factories.write_run(tmp_path / "other", EXPERIMENT, DATASET, weights=other)
    comparison = compare(control, [same, different])
    assert [run["identical"] for run in comparison["runs"]] == [True, False]
    assert not comparison["identical"]
    (one,) = comparison["runs"][1]["artifacts"][1]["differences"]
    assert (one["largest_absolute"], one["largest_ulp"], one["not_finite"]) == (None, None, 1)


def test_a_renamed_tensor_is_found_on_both_sides(tmp_path: Path) -> None:
    weights = [KERNEL, ("dense/offset", VALUES)]
    differences = found(compared(tmp_path, weights=weights), "weights")
    said = [(one["name"], one["kind"]) for one in differences]
    assert said == [("dense/bias", "missing"), ("dense/offset", "extra")]


def test_another_order_of_equal_tensors_is_found(tmp_path: Path) -> None:
    """The file is the same; the lists in the records are not."""
    (run,) = compared(tmp_path, weights=factories.weights()[::-1])["runs"]
    weights = run["artifacts"][1]
    assert (run["identical"], weights["identical"]) == (False, False)
    assert weights["digests"][0] == weights["digests"][1]
    assert [(d["name"], d["kind"]) for d in weights["differences"]] == [
        ("dense/kernel", "order"),
        ("dense/bias", "order"),
    ]


def test_all_differences_are_reported_in_the_order_of_the_model(tmp_path: Path) -> None:
    weights = flipped(flipped(factories.weights(), 1, 0), 0, (5, 3))
    differences = found(compared(tmp_path, weights=weights), "weights")
    assert [d["name"] for d in differences] == ["dense/kernel", "dense/bias"]


def test_how_arrays_are_stored_does_not_count(tmp_path: Path) -> None:
    kernel, rest = factories.weights()
    weights = [(kernel[0], np.asfortranarray(kernel[1].astype(">f4"))), rest]
    assert compared(tmp_path, weights=weights)["identical"]


def test_an_unsupported_run_is_never_identical(tmp_path: Path) -> None:
    control = factories.write_unsupported_run(tmp_path / "control", EXPERIMENT, DATASET)
    replica = factories.write_unsupported_run(tmp_path / "replica", EXPERIMENT, DATASET)
    comparison = compare(control, [replica])
    assert not comparison["identical"]
    assert comparison["status"] == {"control": "unsupported", "replica": "unsupported"}
    assert all(a["digests"] == [None, None] for a in comparison["runs"][0]["artifacts"])


@pytest.mark.parametrize("status", ["failed", "not tried"])
def test_a_run_without_a_result_has_nothing_to_compare(tmp_path: Path, status: str) -> None:
    control = factories.write_run(tmp_path / "control", EXPERIMENT, DATASET)
    other = factories.write_run_without_result(tmp_path / "other", EXPERIMENT, DATASET, status)
    comparison = compare(control, [other])
    assert comparison["status"] == {"control": "completed", "other": status}
    (run,) = comparison["runs"]
    assert (run["identical"], run["divergence"]) == (False, None)
    assert all(a["digests"][1] is None and not a["differences"] for a in run["artifacts"])


def test_a_control_without_a_result_has_no_self_check_and_no_canary(tmp_path: Path) -> None:
    control = factories.write_unsupported_run(tmp_path / "control", EXPERIMENT, DATASET)
    replica = tmp_path / "replica"
    factories.write_run(replica, EXPERIMENT, DATASET, canary=factories.canary())
    comparison = compare(control, [replica])
    assert (comparison["self_check"], comparison["canary"]) == ([], None)


# --- damage is an error ----------------------------------------------------------------------


def flip_last_bit(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)


def cut_off(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def changed(**parts: Any) -> Callable[[Path], None]:
    """A record with other parts, as if the training had written it so."""
    return lambda path: factories.edit(path, lambda record: record.update(parts))


DAMAGE: dict[str, tuple[str, Callable[[Path], Any]]] = {
    "a flipped bit in the weights": ("weights.safetensors", flip_last_bit),
    "a cut-off file": ("optimizer.safetensors", cut_off),
    "an empty file": ("weights.safetensors", lambda path: path.write_bytes(b"")),
    "a file that is gone": ("weights.safetensors", Path.unlink),
    "a flipped bit in the trace": ("trace.safetensors", flip_last_bit),
    "a trace that is gone": ("trace.safetensors", Path.unlink),
    "a flipped bit in the canary": ("canary.safetensors", flip_last_bit),
    "a canary that is gone": ("canary.safetensors", Path.unlink),
    "a history that is gone": ("history.json", Path.unlink),
    "a trace of an unknown resolution": ("record.json", changed(trace={"every": "hour"})),
    "no record": ("record.json", Path.unlink),
    "a record of another format": ("record.json", changed(format="other")),
    "a record without digests": ("record.json", changed(digests={})),
    "a record without tensors": ("record.json", changed(tensors={})),
    "a record without an embedded digest": (
        "record.json",
        lambda path: canonical.write_json(path, {"format": "samebits-train-1"}),
    ),
    "a record that was changed": (
        "record.json",
        lambda path: canonical.write_json(path, canonical.read_json(path) | {"dataset": "0" * 64}),
    ),
}


@pytest.mark.parametrize("damage", DAMAGE)
@pytest.mark.parametrize("which", [0, 1], ids=["control", "replica"])
def test_damage_is_an_error_that_names_the_file(tmp_path: Path, damage: str, which: Any) -> None:
    pair = [
        factories.write_run(tmp_path / name, EXPERIMENT, DATASET, canary=factories.canary())
        for name in ("control", "replica")
    ]
    path, harm = DAMAGE[damage]
    harm(pair[which] / path)
    with pytest.raises((SamebitsError, FileNotFoundError)) as error:
        compare(pair[0], [pair[1]])
    assert str(pair[which]) in str(error.value)


def other_history(run: Path) -> None:
    content = canonical.read_json(run / "history.json")
    content["metrics"]["loss"][0] += 1
    canonical.write_json(run / "history.json", content)


def other_canary(run: Path) -> None:
    arrays.write(run / "canary.safetensors", factories.canary(seed=3))


def other_weights(run: Path) -> None:
    arrays.write(run / "weights.safetensors", factories.differing())


@pytest.mark.parametrize(
    ("replace", "file"),
    [(other_history, "history"), (other_canary, "canary"), (other_weights, "weights")],
)
def test_a_sound_file_that_is_not_the_recorded_one_is_an_error(
    tmp_path: Path, replace: Callable[[Path], None], file: str
) -> None:
    control, replica = runs(tmp_path, canary=factories.canary())
    replace(replica)
    with pytest.raises(SamebitsError, match=rf"{file}\.\w+: expected SHA-256 .* got"):
        compare(control, [replica])


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ("step", "expected a trace with 'step', got one without"),
        ("sample step", "expected a trace with 'sample step', got one without"),
        ("fingerprint/dense/bias", r"'fingerprint/dense/bias' with as many rows as 'step'"),
        ("sample/dense/bias", r"'sample/dense/bias' with as many rows as 'sample step'"),
    ],
)
def test_a_trace_without_a_row_per_step_is_an_error(tmp_path: Path, entry: str, said: str) -> None:
    whole = dict(factories.trace())
    if entry.endswith("step"):
        del whole[entry]
    else:
        whole[entry] = whole[entry][:-1]
    control, replica = runs(tmp_path, trace=list(whole.items()))
    with pytest.raises(SamebitsError, match=said):
        compare(control, [replica])


@pytest.mark.parametrize(
    "listed",
    [
        lambda tensors: tensors[:1],
        lambda tensors: [*tensors, {"name": "more", "dtype": "F32", "shape": []}],
        lambda tensors: [dict(tensors[0], dtype="F64"), *tensors[1:]],
        lambda tensors: [dict(tensors[0], shape=[24]), *tensors[1:]],
    ],
)
def test_a_list_of_other_tensors_than_the_file_holds_is_an_error(
    tmp_path: Path, listed: Callable[[Any], Any]
) -> None:
    control, replica = runs(tmp_path)
    tensors = canonical.read_json(replica / "record.json")["tensors"]
    tensors["weights"] = listed(tensors["weights"])
    factories.edit(replica / "record.json", lambda record: record.update(tensors=tensors))
    with pytest.raises(SamebitsError, match="its tensors are not those that"):
        compare(control, [replica])


def test_a_file_with_the_recorded_digest_that_is_none_is_an_error(tmp_path: Path) -> None:
    control, replica = runs(tmp_path)
    (replica / "weights.safetensors").write_bytes(b"{}")
    digests = canonical.read_json(replica / "record.json")["digests"]
    digests["weights"] = files.digest(replica / "weights.safetensors")
    factories.edit(replica / "record.json", lambda record: record.update(digests=digests))
    with pytest.raises(SamebitsError, match="not a safetensors file of this format"):
        compare(control, [replica])


def test_all_damage_is_reported_at_once(tmp_path: Path) -> None:
    control, replica = runs(tmp_path)
    flip_last_bit(control / "weights.safetensors")
    (replica / "history.json").unlink()
    with pytest.raises(SamebitsError) as error:
        compare(control, [replica])
    assert "weights.safetensors" in str(error.value)
    assert "history.json" in str(error.value)


# --- runs that cannot be compared ------------------------------------------------------------


def test_the_same_folder_twice_is_refused_by_any_path(tmp_path: Path) -> None:
    control, _ = runs(tmp_path)
    with pytest.raises(SamebitsError, match="the same folder twice"):
        compare(control, [tmp_path / "replica" / ".." / "control"])


def test_two_runs_of_one_name_are_refused(tmp_path: Path) -> None:
    control, _ = runs(tmp_path)
    copy = factories.write_run(tmp_path / "copy" / "control", EXPERIMENT, DATASET)
    with pytest.raises(SamebitsError, match="two runs are both named"):
        compare(control, [copy])


@pytest.mark.parametrize("what", ["experiment", "dataset"])
def test_runs_of_another_experiment_or_data_set_are_refused(tmp_path: Path, what: str) -> None:
    control, replica = runs(tmp_path, change=lambda record: record.update({what: "0" * 64}))
    with pytest.raises(SamebitsError, match=f"expected a run of {what}"):
        compare(control, [replica])


def test_a_run_of_a_part_of_the_data_is_refused(tmp_path: Path) -> None:
    part = {"subset": {"samples": 640, "epochs": 1}}
    control, replica = runs(tmp_path, change=lambda record: record.update(part))
    with pytest.raises(
        SamebitsError, match=r"of subset None .*, got \{'epochs': 1, 'samples': 640\}"
    ):
        compare(control, [replica])


def test_runs_of_the_same_part_of_the_data_are_compared(tmp_path: Path) -> None:
    def part(record: dict[str, Any]) -> None:
        record["subset"] = {"samples": 640, "epochs": 1}

    folders = [
        factories.write_run(tmp_path / name, EXPERIMENT, DATASET, change=part)
        for name in ("subset-control", "cpu-Haswell")
    ]
    assert compare(folders[0], folders[1:])["identical"]


# --- the measure -----------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["<f2", "<f4", "<f8"])
def test_different_bits_are_at_least_one_ulp_apart_and_equal_bits_none(dtype: Any) -> None:
    @given(*[st.integers(0, 2 ** (8 * np.dtype(dtype).itemsize) - 1)] * 2)
    def check(left: Any, right: Any) -> None:
        a, b = (np.array([v], dtype.replace("f", "u")).view(dtype) for v in (left, right))
        assert (ulp_distance(a, b)[0] == 0) == (left == right)
        assert ulp_distance(a, b)[0] == ulp_distance(b, a)[0]

    check()


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_the_next_float_is_one_ulp_away_and_distances_add_up(dtype: Any) -> None:
    width: Any = np.finfo(dtype).bits
    lowest = np.array([np.finfo(dtype).min], dtype)

    @given(st.floats(width=width, allow_nan=False, allow_infinity=False))
    def check(value: Any) -> None:
        here = np.array([value], dtype)
        if here[0] == np.finfo(dtype).max:
            return  # has no next one
        above = np.nextafter(here, dtype(np.inf))
        if here[0] == 0 or above[0] == 0:
            return  # two zeros: tested by name below
        assert ulp_distance(here, above)[0] == 1
        assert ulp_distance(lowest, above)[0] == ulp_distance(lowest, here)[0] + 1

    check()


def test_the_distance_counts_steps_across_zero() -> None:
    tiny = np.float32(1e-45)  # the smallest positive float32
    assert ulp_distance(np.array([-tiny]), np.array([tiny]))[0] == 3  # -tiny, -0.0, 0.0, tiny


def test_the_whole_range_of_float64_does_not_overflow() -> None:
    high = np.array([np.finfo(np.float64).max])
    found = measure(-high, high)
    assert found is not None
    assert found.largest_ulp == 2 * int(high.view(np.uint64)[0]) + 1
    assert found.largest_absolute is None  # beyond what a float64 holds


@pytest.mark.parametrize(
    ("left", "right", "distance"),
    [
        (np.array([255, 0], "u1"), np.array([0, 0], "u1"), 255),
        (np.array([-(2**63)]), np.array([2**63 - 1]), 2**64 - 1),
        (np.array([2**64 - 1], "u8"), np.array([0], "u8"), 2**64 - 1),
        (np.array([True, False]), np.array([True, True]), 1),
    ],
)
def test_integers_are_measured_exactly(left: Any, right: Any, distance: int) -> None:
    found = measure(left, right)
    assert found is not None
    assert (found.largest_absolute, found.largest_ulp) == (distance, None)


def test_the_largest_distance_is_found_beside_values_that_are_not_finite() -> None:
    left, right = np.array([1.0, np.nan, np.inf, 5.0]), np.array([2.0, 1.0, 1.0, 9.0])
    found = measure(left, right)
    assert found is not None
    assert (found.different, found.not_finite, found.largest_absolute) == (4, 2, 4.0)


def test_a_difference_far_behind_is_found_block_by_block(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(difference, "_BLOCK", 7)
    left = np.arange(1000, dtype="<f4").reshape(10, 10, 10)
    right = left.copy()
    right[9, 8, 7] += 1
    right[9, 9, 9] += 4
    found = measure(np.asfortranarray(left), right)
    assert found is not None
    assert (found.different, found.first, found.largest_absolute) == (2, (9, 8, 7), 4.0)


def test_complex_numbers_are_measured_by_their_parts() -> None:
    found = measure(np.array([1 + 2j]), np.array([1 + 5j]))
    assert found is not None
    assert (found.different, found.largest_absolute) == (1, 3.0)
