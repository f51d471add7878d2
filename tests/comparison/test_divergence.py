"""Faults planted in traces come back as their step and tensor; curves hide no spike."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import factories
from samebits.comparison.runs import compare

EXPERIMENT, DATASET = "e" * 64, "d" * 64
KERNEL, BIAS = "dense/kernel", "dense/bias"


def changed(*changes: tuple[str, Any]) -> factories.Arrays:
    """A trace in which one bit of these rows of these entries is flipped."""
    trace = dict(factories.trace())
    for name, rows in changes:
        array = trace[name]
        array.view(f"<u{array.itemsize}")[rows] ^= 1
    return list(trace.items())


def pair(folder: Path, control: dict[str, Any], replica: dict[str, Any]) -> dict[str, Any]:
    """The comparison of two runs."""
    runs = [
        factories.write_run(folder / name, EXPERIMENT, DATASET, **given)
        for name, given in (("control", control), ("replica", replica))
    ]
    return compare(runs[0], runs[1:])


def diverged(folder: Path, trace: factories.Arrays, **replica: Any) -> dict[str, Any]:
    """What is said of a replica with this trace, compared with the factories' control."""
    divergence = pair(folder, {}, {"trace": trace, **replica})["runs"][0]["divergence"]
    assert isinstance(divergence, dict)
    return divergence


# --- the first step ----------------------------------------------------------------------------


@pytest.mark.parametrize("step", [0, 1, 4, 5, 12])
@pytest.mark.parametrize("name", [KERNEL, BIAS])
def test_one_flipped_bit_comes_back_as_its_step_and_tensor(
    tmp_path: Path, step: int, name: str
) -> None:
    found = diverged(tmp_path, changed((f"fingerprint/{name}", step)))
    assert (found["every"], found["step"], found["tensors"]) == ("step", step, [name])
    assert found["epoch"] == {0: None, 1: 1, 4: 1, 5: 2, 12: 3}[step]
    assert found["after"] == (step - 1 if step else None)
    assert (found["loss_epoch"], found["batch_step"]) == (None, None)


AFTER = slice(1, None)
FIRST: dict[str, tuple[factories.Arrays, dict[str, Any]]] = {
    "other initial values": (
        factories.trace(seed=7),
        {"step": 0, "after": None, "epoch": None, "tensors": [KERNEL, BIAS], "batch_step": None},
    ),
    "data in another order": (
        changed(("batch", 0), *[(f"fingerprint/{name}", AFTER) for name in (KERNEL, BIAS)]),
        {"step": 1, "after": 0, "epoch": 1, "tensors": [KERNEL, BIAS], "batch_step": 1},
    ),
    "a batch that differs before the tensors": (
        changed(("batch", 2), (f"fingerprint/{BIAS}", 6)),
        {"step": 6, "after": 5, "tensors": [BIAS], "batch_step": 3},
    ),
    "rows that were lost": (
        [
            (name, rows[[0, 2, 7, 12]] if name == "step" or "print" in name else rows)
            for name, rows in changed((f"fingerprint/{KERNEL}", 7))
        ],
        {"step": 7, "after": 2, "epoch": 2, "tensors": [KERNEL]},
    ),
    "a tensor that differs before another": (
        changed((f"fingerprint/{KERNEL}", slice(9, None)), (f"fingerprint/{BIAS}", 8)),
        {"step": 8, "tensors": [BIAS]},
    ),
    "a tensor of one side alone": (
        [(name.replace(BIAS, "dense/offset"), a) for name, a in factories.trace()],
        {"step": None, "tensors": []},
    ),
}


@pytest.mark.parametrize("what", FIRST)
def test_where_traces_diverge_first(tmp_path: Path, what: str) -> None:
    trace, said = FIRST[what]
    found = diverged(tmp_path, trace)
    assert {key: found[key] for key in said} == said


def test_equal_traces_of_different_weights_have_no_step(tmp_path: Path) -> None:
    weights = factories.weights()
    weights[0][1][0, 0] += 1
    found = diverged(tmp_path, factories.trace(), weights=weights)
    assert (found["step"], found["epoch"], found["tensors"]) == (None, None, [])
    assert (found["loss_epoch"], found["batch_step"], found["curves"]) == (None, None, [])


def test_steps_that_one_trace_lacks_are_no_divergence(tmp_path: Path) -> None:
    longer = factories.trace()
    few = {"sample": 4, "batch": 7}  # of what; of the rest eight
    short = [
        (name, a[: few.get(name.partition("/")[0].partition(" ")[0], 8)]) for name, a in longer
    ]
    comparison = pair(tmp_path, {"trace": longer}, {"trace": short})
    run = comparison["runs"][0]
    kinds = {d["kind"] for d in run["artifacts"][-1]["differences"]}
    assert (run["identical"], kinds, run["divergence"]["step"]) == (False, {"shape"}, None)


def test_a_coarser_trace_is_compared_with_a_finer_one_at_common_steps(tmp_path: Path) -> None:
    epochs = [0, 4, 8, 12]
    fine = changed((f"fingerprint/{KERNEL}", slice(6, None)))
    coarse = [
        (
            n,
            a[:0]
            if n.startswith("batch")
            else a[[0, 2, 4, 6] if n.startswith("sample") else epochs],
        )
        for n, a in factories.trace()
    ]

    def every_epoch(record: dict[str, Any]) -> None:
        record["trace"] = record["trace"] | {"every": "epoch"}

    control = {"trace": coarse, "change": every_epoch}
    found = pair(tmp_path, control, {"trace": fine})["runs"][0]["divergence"]
    assert (found["every"], found["after"], found["step"], found["epoch"]) == ("epoch", 4, 8, 2)
    assert found["curves"][0]["steps"] == epochs


def test_only_the_rows_before_the_first_step_when_the_trace_is_off(tmp_path: Path) -> None:
    def off(seed: int) -> dict[str, Any]:
        def change(record: dict[str, Any]) -> None:
            record["trace"] = record["trace"] | {"every": "off"}

        trace = [(n, a[:0] if n.startswith("batch") else a[:1]) for n, a in factories.trace(seed)]
        return {"trace": trace, "change": change}

    found = pair(tmp_path, off(1), off(2))["runs"][0]["divergence"]
    assert (found["every"], found["step"], found["batch_step"]) == ("off", 0, None)


def test_a_trace_may_begin_with_the_first_step(tmp_path: Path) -> None:
    """Keras 2 builds a model without an input shape in its first step."""
    control, replica = (
        [(n, a if n.startswith("batch") else a[1:]) for n, a in factories.trace(seed)]
        for seed in (1, 2)
    )
    found = pair(tmp_path, {"trace": control}, {"trace": replica})["runs"][0]["divergence"]
    assert (found["step"], found["epoch"], found["tensors"]) == (1, 1, [KERNEL, BIAS])
    assert found["after"] is None


def test_the_epoch_of_a_step_follows_from_where_epochs_ended(tmp_path: Path) -> None:
    def change(record: dict[str, Any]) -> None:
        record["trace"]["epoch_ends"] = [2, 8]  # two fits, of other data each

    for step, epoch in ((2, 1), (3, 2), (9, None)):
        trace = changed((f"fingerprint/{KERNEL}", step))
        given: dict[str, Any] = {"change": change}
        found = pair(tmp_path / str(step), given, given | {"trace": trace})["runs"][0]["divergence"]
        assert (found["step"], found["epoch"]) == (step, epoch)


# --- how it grows ------------------------------------------------------------------------------


def losses(folder: Path, ours: list[float], theirs: list[float], **more: list[float]) -> Any:
    """What is said of two runs with these losses; one epoch is one step."""

    def change(record: dict[str, Any]) -> None:
        record["trace"]["epoch_ends"] = list(range(1, len(ours) + sum(map(len, more.values())) + 1))

    runs = ({"metrics": {"loss": each} | more, "change": change} for each in (ours, theirs))
    return pair(folder, *runs)["runs"][0]["divergence"]


def single(*values: float) -> list[float]:
    """As Keras has them: float32, written as float64."""
    return [float(np.float32(value)) for value in values]


def test_losses_are_compared_epoch_by_epoch(tmp_path: Path) -> None:
    ours, after = single(0.5, 0.25, 0.1, 0.1), float(np.nextafter(np.float32(0.1), np.float32(1)))
    found = losses(tmp_path, ours, [*ours[:2], after, math.nan])
    assert found["loss_epoch"] == 3
    assert found["loss_curve"] == {"steps": [1, 2, 3, 4], "ulp": [0, 0, 1, None]}
    found = losses(tmp_path / "double", [0.1, 0.2], [0.1, math.nextafter(0.2, 1)])
    assert found["loss_curve"]["ulp"] == [0, 1]


def test_losses_of_several_fits_follow_one_another(tmp_path: Path) -> None:
    more = {"loss (fit 10)": single(3), "loss (fit 2)": single(2), "val_loss (fit 2)": single(9)}
    ours, theirs = ({"loss (fit 1)": single(x)} | more for x in (1, 4))

    def change(record: dict[str, Any]) -> None:
        record["trace"]["epoch_ends"] = [4, 8, 12]

    runs = ({"metrics": each, "change": change} for each in (ours, theirs))
    found = pair(tmp_path, *runs)["runs"][0]["divergence"]
    assert (found["loss_epoch"], found["loss_curve"]["ulp"][1:]) == (1, [0, 0])


def test_the_same_nan_on_both_sides_is_no_distance(tmp_path: Path) -> None:
    found = losses(tmp_path, single(1, 2, math.nan), single(1, 3, math.nan))
    assert (found["loss_epoch"], found["loss_curve"]["ulp"][::2]) == (2, [0, 0])


@pytest.mark.parametrize("count", [199, 200, 201, 202, 5000])
def test_a_long_curve_is_thinned_and_hides_no_spike(tmp_path: Path, count: int) -> None:
    ours = np.ones(count, "<f4")
    theirs = ours.copy()
    bits = theirs.view("<u4")
    bits[99:] += 1  # the first difference
    bits[count * 3 // 4] += 999  # the spike
    theirs[count * 3 // 4 + 40] = math.inf
    curve = losses(tmp_path, ours.tolist(), theirs.tolist())["loss_curve"]
    points = dict(zip(curve["steps"], curve["ulp"], strict=True))
    assert len(points) == len(curve["steps"]) <= 200
    assert curve["steps"] == sorted(points)
    assert (points[100], points[count], max(p for p in points.values() if p)) == (1, 1, 1000)
    assert None in points.values()


def test_the_curve_of_a_tensor_is_its_largest_sampled_distance(tmp_path: Path) -> None:
    trace = dict(changed((f"fingerprint/{KERNEL}", slice(5, None))))
    bits = trace[f"sample/{KERNEL}"].view("<u4")
    bits[3, 2] += 5
    bits[3, 9] += 7
    trace[f"sample/{KERNEL}"][4, 1] = math.nan
    (curve,) = diverged(tmp_path, list(trace.items()))["curves"]
    assert (curve["name"], curve["steps"]) == (KERNEL, [0, 2, 4, 6, 8, 10, 12])
    assert curve["ulp"] == [0, 0, 0, 7, None, 0, 0]


def many_tensors(differ_at: dict[str, int]) -> tuple[factories.Arrays, factories.Arrays]:
    """A trace of 20 tensors, the later the smaller, that differ at these steps; their weights."""
    names = [f"layer{i:02}" for i in range(20)]
    trace: factories.Arrays = [("step", np.arange(13))]
    for name in names:
        rows = np.zeros(13, "<i4")
        rows[differ_at.get(name, 99) :] = 1
        trace.append((f"fingerprint/{name}", rows))
    trace += [("batch step", np.arange(1, 13)), ("batch", np.zeros(12, "<i4"))]
    trace.append(("sample step", np.array([0, 12])))
    trace += [(f"sample/{name}", np.zeros((2, 4), "<f4")) for name in names]
    return trace, [(name, np.zeros(40 - i, "<f4")) for i, name in enumerate(names)]


def test_curves_are_of_the_tensors_that_differ_first_and_then_of_the_largest(
    tmp_path: Path,
) -> None:
    late = {f"layer{i:02}": 9 for i in range(20)}
    control, weights = many_tensors({})
    replica, _ = many_tensors(late | {"layer19": 3, "layer18": 3, "layer02": 5})
    runs = ({"trace": trace, "weights": weights} for trace in (control, replica))
    found = pair(tmp_path, *runs)["runs"][0]["divergence"]
    assert found["tensors"] == ["layer18", "layer19"]
    expected = [f"layer{i:02}" for i in range(10)] + ["layer18", "layer19"]
    assert [curve["name"] for curve in found["curves"]] == expected


# --- the canary --------------------------------------------------------------------------------


def flipped_canary(*entries: tuple[int, Any]) -> factories.Arrays:
    """A canary equal to the control but for a flipped bit in these rows of these entries."""
    canary = factories.canary(seed=1)
    for entry, rows in entries:
        canary[entry][1][rows] ^= 1
    return canary


@pytest.mark.parametrize(
    ("canary", "differs", "first", "last"),
    [
        (factories.canary(), True, [KERNEL, BIAS], [KERNEL, BIAS]),
        (factories.canary(seed=1), False, [], []),
        (flipped_canary((1, 0)), False, [], []),  # training undid what was planted before it
        (flipped_canary((1, slice(0, 5))), False, [KERNEL], []),  # and here at the end
        (flipped_canary((1, 0), (2, slice(4, None))), False, [], [BIAS]),
        (flipped_canary((1, 1), (2, 5)), True, [KERNEL], [BIAS]),
    ],
)
def test_where_the_canary_differs(
    tmp_path: Path, canary: factories.Arrays, differs: bool, first: list[str], last: list[str]
) -> None:
    steps = [{"step": 1, "tensors": first}, {"step": 5, "tensors": last}]
    said = factories.CHANGED | {"run": "replica", "differs": differs, "steps": steps}
    assert pair(tmp_path, {}, {"canary": canary})["canary"] == said | {"tensor": KERNEL}


def test_a_canary_is_compared_where_the_control_has_rows(tmp_path: Path) -> None:
    control = [(n, a[[0, 5]]) for n, a in factories.trace()[:3]] + factories.trace()[3:]
    found = pair(tmp_path, {"trace": control}, {"canary": factories.canary()})["canary"]
    assert found["steps"] == [{"step": 5, "tensors": [KERNEL, BIAS]}] * 2


def test_the_control_may_carry_the_canary(tmp_path: Path) -> None:
    found = pair(tmp_path, {"canary": factories.canary()}, {})
    assert (found["canary"]["run"], found["identical"]) == ("control", True)


def test_a_canary_that_failed_is_none(tmp_path: Path) -> None:
    def change(record: dict[str, Any]) -> None:
        record["canary"] = factories.CHANGED | {
            "steps": 0,
            "digest": None,
            "failure": "OSError: full",
        }

    assert pair(tmp_path, {}, {"change": change})["canary"] is None
