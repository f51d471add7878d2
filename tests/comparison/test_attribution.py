"""Layer attribution: which layers, in which order, in words; and what no verifier accepts."""

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import atlases
import attacks
import factories
from samebits.certificate import comparison_checks, report
from samebits.comparison import attribution, runs
from samebits.comparison.divergence import FirstDivergence
from samebits.errors import SamebitsError
from samebits.formats import canonical
from samebits.verification.levels import DOES_NOT_HOLD, VERIFIED

RSQRT = "Rsqrt float32"
MATMUL = "_MklNativeFusedMatMul float32"
Json = Any


def layer(name: str, kind: str | None, tensors: list[str], *kernels: str) -> Json:
    return {"layer": name, "class": kind, "tensors": tensors, "kernels": list(kernels)}


MODEL = [
    layer("first", "Dense", ["first/kernel"], RSQRT, "Exp float32"),
    layer("second", "Dense", ["second/kernel", "second/bias"], RSQRT),
    layer("plain", "Dense", ["plain/kernel"], MATMUL),
    layer("act", "Activation", [], RSQRT),
    layer("optimizer", None, [], RSQRT),
    layer("loss, metrics, input", None, [], "Exp float32"),
]


def record(executed: Json, cpu: str = "other") -> Json:
    return {
        "primitives": atlases.PRIMITIVES,
        "observed": {"cpu": cpu},
        "framework": {"tensorflow": "2.21.0"},
        "config": factories.CONFIG,
        "model": {"executed": executed},
    }


def found(executed: Json = MODEL, *kernels: str, **steps: int | None) -> Json:
    first = FirstDivergence(
        {name.replace("_", "/"): step for name, step in steps.items()}, np.zeros(0)
    )
    return attribution.attribute(atlases.known(*(kernels or (RSQRT,))), record(executed), first)


# --- which, and in which order -----------------------------------------------------------------


def test_layers_come_in_the_order_in_which_they_part_then_in_forward_order() -> None:
    layers = found(first_kernel=9, second_kernel=None, second_bias=3)["layers"]
    named = [(one["layer"], one["step"]) for one in layers]
    assert named == [("second", 3), ("act", None), ("optimizer", None), ("first", 9)]


def test_what_is_in_no_layer_comes_last_of_equals() -> None:
    layers = found(MODEL, RSQRT, "Exp float32", first_kernel=1, second_kernel=1)["layers"]
    names = [one["layer"] for one in layers]
    assert names == ["first", "second", "act", "optimizer", "loss, metrics, input"]


def test_only_kernels_that_the_atlas_lists_are_named_with_class_and_step() -> None:
    (first, *_) = found(first_kernel=1)["layers"]
    assert first == {"layer": "first", "class": "Dense", "step": 1, "kernels": [RSQRT]}


def test_a_layer_that_never_parts_comes_after_those_that_do() -> None:
    layers = found(first_kernel=None, second_kernel=2)["layers"]
    assert [one["layer"] for one in layers] == ["second", "act", "optimizer", "first"]


def test_what_only_may_depend_on_the_cpu_is_said_to_and_comes_after_what_does() -> None:
    """A convolution beside which something else ran where it differed, and a shown optimizer."""
    known = atlases.known(RSQRT, possible=["Conv2D float32", "Grad float32"])
    model = [
        layer("conv", "Conv2D", ["conv/kernel"], "Conv2D float32", "Add float32"),
        layer("norm", "Norm", ["norm/gamma"], RSQRT, "Grad float32"),
        layer("optimizer", None, [], RSQRT),
    ]
    steps: dict[str, int | None] = {"conv/kernel": 1, "norm/gamma": 1}
    made = attribution.attribute(known, record(model), FirstDivergence(steps, np.zeros(0)))
    assert [one["layer"] for one in made["layers"]] == ["norm", "optimizer", "conv"]
    assert made["layers"][2]["possible"] == made["layers"][2]["kernels"] == ["Conv2D float32"]
    assert "possible" not in made["layers"][1]
    assert (
        "norm (Rsqrt float32, possibly Grad float32), optimizer (Rsqrt float32), "
        "conv (possibly Conv2D float32)."
    ) in attribution.sentence(made, record(model), 1, 9)
    run = {"divergence": {"step": 1, "tensors": list(steps)}, "attribution": made}
    assert problems(run, model) == []
    made["layers"][1]["possible"] = ["Add float32"]
    (problem,) = problems(run, model)
    assert problem.startswith("layer: optimizer: expected ")


def test_no_layer_is_named_where_a_run_differs_before_its_first_step() -> None:
    """Initial values differ then, and no kernel of the training made them."""
    made = found(first_kernel=0, second_kernel=4)
    assert made["layers"] == []
    sentence = attribution.sentence(made, record(MODEL), 0, 2)
    assert sentence.startswith("The runs differ before the first step")
    named = {"divergence": DIVERGENCE | {"step": 0}, "attribution": sound()["attribution"]}
    assert problems(named) == ["layers are named, but it diverges before the first step"]
    assert problems(named | {"attribution": made}) == []


def test_no_layer_is_named_where_the_atlas_has_no_such_tensorflow() -> None:
    older = atlases.known(RSQRT, tensorflow="2.1.0")
    said = attribution.attribute(older, record(MODEL), FirstDivergence({}, np.zeros(0)))
    none: Json = {"layers": None, "primitives": []}
    assert said == {"atlas": older.sha256, "tensorflow": "2.21.0"} | none


def test_no_layer_is_named_where_it_is_not_known_what_was_executed() -> None:
    assert found(None, first_kernel=1)["layers"] is None
    earlier = record(None)
    del earlier["model"]
    assert attribution.executed(earlier) is None


def test_what_is_no_atlas_is_refused(tmp_path: Path) -> None:
    canonical.write_json(tmp_path / "atlas.json", {"format": "another"})
    with pytest.raises(SamebitsError, match="not an atlas"):
        attribution.read_atlas(tmp_path / "atlas.json")


def test_what_is_pinned_decides_which_kernels_count() -> None:
    """A value that the atlas did not try counts as left free."""
    rows = [
        {"tensorflow": "2.21.0", "isa": isa, "onednn": True, "threads": None}
        | {"shown": [f"{isa} float32"], "possible": []}
        for isa in ("AVX2", None)
    ]
    atlas = attribution.Atlas([*rows, rows[0] | {"tensorflow": "2.8.0"}], "a" * 64)

    def listed(isa: str | None) -> Json:
        pins = {"isa": isa, "onednn": True, "intra_op_threads": 1}
        return atlas.kernels("2.21.0", pins)

    assert listed("AVX2") == {"AVX2 float32": True}
    assert listed(None) == listed("SSE41") == {"None float32": True}
    assert atlas.kernels("2.1.0", {}) is None


# --- what drawn shapes showed of primitives ------------------------------------------------------


def looked_up(**pins: Json) -> Json:
    atlas, of = attribution.Atlas([], "a" * 64, atlases.DRAWN), copy.deepcopy(record(MODEL))
    of["config"]["determinism"] |= pins
    rows = atlas.drawn(of)
    return rows and {row["implementation"]: row["shapes"] for row in rows}


def test_the_atlas_is_asked_for_the_implementations_that_a_run_made() -> None:
    """Neither for those that it did not make, nor for those that were never drawn."""
    assert looked_up() == {"brg:avx2": [], "gemm:jit": ["mb1"]}


def test_threads_and_replacements_decide_what_was_drawn() -> None:
    """Whatever the number, more than one thread counts as the four with which shapes were drawn."""
    assert looked_up(intra_op_threads=2) == looked_up(intra_op_threads=None)
    assert looked_up(intra_op_threads=2) == {"gemm:jit": ["mb1", "mb2"]}
    assert looked_up(replacements=["conv2d"]) == {"gemm:jit": []}


@pytest.mark.parametrize(
    "pins",
    [{"isa": None}, {"onednn": False}, {"op_determinism": False}, {"replacements": ["conv3d"]}],
)
def test_nothing_is_known_of_other_pins_than_those_of_the_drawn_shapes(pins: Json) -> None:
    assert looked_up(**pins) is None


def test_nothing_is_known_where_onednn_did_not_report_itself() -> None:
    atlas = attribution.Atlas([], "a" * 64, atlases.DRAWN)
    assert atlas.drawn(record(MODEL) | {"primitives": None}) is None


def test_a_run_that_differs_names_the_primitives_that_were_seen_to_depend_on_the_cpu() -> None:
    block = found(first_kernel=1)
    assert [row["implementation"] for row in block["primitives"]] == ["gemm:jit"]
    assert attribution.sentence(block, record(MODEL), 1, 2).endswith(
        " oneDNN made, too: convolution gemm:jit forward (other bits on another CPU in 1 of 10 "
        "drawn shapes)."
    )
    assert found(first_kernel=0)["primitives"] == []


# --- in words ----------------------------------------------------------------------------------


def said(executed: Json, layers: Json, most: int = 2) -> str:
    block = {"atlas": "a" * 64, "tensorflow": "2.21.0", "layers": layers, "primitives": []}
    return attribution.sentence(block, record(executed), 1, most)


def test_the_sentence_names_layers_and_kernels_and_how_many_more() -> None:
    layers = found(MODEL, RSQRT, "Exp float32", first_kernel=1, second_kernel=1)["layers"]
    assert said(MODEL, layers).endswith(
        "in order of divergence: first (Rsqrt float32, Exp float32), "
        "second (Rsqrt float32) and 3 more."
    )


def test_the_sentence_says_why_there_is_no_layer() -> None:
    assert "the cause is something else" in said(MODEL, [])
    assert "does not cover TensorFlow 2.21.0" in said(MODEL, None)
    assert "that the run executed are unknown" in said(None, None)


# --- in a comparison ---------------------------------------------------------------------------


def compared(folder: Path, change: Callable[[Json], None], known: Json) -> Json:
    """A replica with other bits, compared with its control: its part of the comparison."""
    trace = factories.trace()
    trace[2][1][5:] += 1  # fingerprints of dense/kernel

    def both(record: Json) -> None:
        record["model"] = {"executed": atlases.EXECUTED}
        change(record)

    space = factories.workspace(folder, trace=trace, change=both)
    return runs.compare(space.runs[0], space.runs[1:], known)["runs"][0]


def elsewhere(record: Json) -> None:
    record["observed"]["cpu"] = "Haswell"


def test_a_run_on_another_cpu_that_differs_has_its_layers_named(tmp_path: Path) -> None:
    run = compared(tmp_path, elsewhere, atlases.known(RSQRT, MATMUL))
    named = [(one["layer"], one["step"], one["kernels"]) for one in run["attribution"]["layers"]]
    expected = [("dense", 5, [MATMUL]), ("norm", None, [RSQRT]), ("optimizer", None, [RSQRT])]
    assert named == expected
    assert run["divergence"]["step"] == 5


def test_without_an_atlas_and_on_the_same_cpu_no_layer_is_named(tmp_path: Path) -> None:
    assert "attribution" not in compared(tmp_path / "a", elsewhere, None)
    assert "attribution" not in compared(tmp_path / "b", lambda record: None, atlases.known(RSQRT))


def test_a_run_on_another_cpu_with_the_same_bits_has_no_attribution(tmp_path: Path) -> None:
    space = factories.workspace(tmp_path, change=elsewhere)
    whole = runs.compare(space.runs[0], space.runs[1:], atlases.known(RSQRT))
    assert whole == runs.compare(space.runs[0], space.runs[1:])
    assert "attribution" not in whole["runs"][0]


# --- what can not be ---------------------------------------------------------------------------

DIVERGENCE = {"step": 5, "tensors": ["first/kernel"]}


def sound() -> Json:
    layers = found(first_kernel=5, second_kernel=7)
    return {"divergence": DIVERGENCE, "attribution": layers}


def problems(run: Json, executed: Json = MODEL, cpu: str = "other") -> list[str]:
    return list(
        comparison_checks.attribution_problems(record(MODEL, "here"), record(executed, cpu), run)
    )


def forged(change: Callable[[Json], Any]) -> list[str]:
    run = copy.deepcopy(sound())
    change(run["attribution"])
    return problems(run)


def test_a_sound_attribution_is_accepted() -> None:
    assert problems(sound()) == []
    assert problems({"divergence": DIVERGENCE}) == []
    assert forged(lambda said: said.update(layers=None)) == []


def test_layers_of_a_run_on_the_controls_cpu_are_refused() -> None:
    assert problems(sound(), cpu="here") == ["layers are named, but it ran on the control's CPU"]


def test_layers_of_a_run_that_diverges_nowhere_are_refused() -> None:
    assert problems(sound() | {"divergence": None}) == ["layers are named, but it diverges nowhere"]


def test_layers_are_refused_where_the_executed_kernels_are_unknown() -> None:
    (problem,) = problems(sound(), executed=None)
    assert "the kernels that it executed are unknown" in problem


FORGERIES: dict[str, tuple[Callable[[Json], Any], str]] = {
    "a layer": (
        lambda s: s["layers"][0].update(layer="made up"),
        "layer: made up: expected none, got",
    ),
    "a kernel": (lambda s: s["layers"][0]["kernels"].append(MATMUL), '"kernels":["Rsqrt float32"]'),
    "the class": (lambda s: s["layers"][0].update({"class": "Other"}), 'got {"class":"Other"'),
    "an early step": (lambda s: s["layers"][-1].update(step=4), "does not diverge at step 4"),
    "a late step": (lambda s: s["layers"][0].update(step=6), "does not diverge at step 6"),
    "a step of none": (lambda s: s["layers"][1].update(step=5), "does not diverge at step 5"),
    "the order": (lambda s: s["layers"].reverse(), "not in order of divergence"),
    "one twice": (lambda s: s["layers"].append(s["layers"][-1]), "named twice"),
    "TensorFlow": (lambda s: s.update(tensorflow="2.8.0"), "it ran on 2.21.0"),
}
QUOTES: dict[str, tuple[Callable[[Json], Any], str]] = {
    "a primitive": (
        lambda s: s["primitives"][0].update(implementation="sse41"),
        "the atlas is quoted for oneDNN primitives that it did not make",
    ),
    "a primitive twice": (lambda s: s["primitives"].append(s["primitives"][0]), "or twice"),
    "a sound primitive": (
        lambda s: s["primitives"][0].update(dependent=0),
        "the atlas is quoted for primitives that it does not say to depend on the CPU",
    ),
    "too many shapes": (lambda s: s["primitives"][0].update(dependent=11), "cannot say that of"),
    "no shape": (lambda s: s["primitives"][0].update(shapes=[]), "cannot say that of"),
}


@pytest.mark.parametrize("what", FORGERIES | QUOTES)
def test_an_attribution_that_contradicts_the_record_is_refused(what: str) -> None:
    change, expected = (FORGERIES | QUOTES)[what]
    assert any(expected in problem for problem in forged(change))


# --- in a certificate --------------------------------------------------------------------------


@pytest.fixture(scope="module")
def explained(tmp_path_factory: pytest.TempPathFactory) -> Json:
    return factories.certify(factories.explained(tmp_path_factory.mktemp("space")))


def test_a_certificate_that_depends_on_the_cpu_names_layers_and_kernels(explained: Json) -> None:
    said = explained["report"]
    assert "CPU" in said["scope"]["depends_on"]
    (reason,) = [reason for reason in said["reasons"] if "per the atlas" in reason]
    assert reason.endswith("norm (Rsqrt float32), optimizer (Rsqrt float32).")


@pytest.mark.parametrize("what", FORGERIES)
def test_a_signer_who_forges_an_attribution_is_refused(
    tmp_path: Path, explained: Json, what: str
) -> None:
    place, forged = attacks.Place(tmp_path), copy.deepcopy(explained["report"])
    assert place.verify(explained).code == VERIFIED
    (whole,) = [one for one in forged["comparisons"] if "attribution" in one["runs"][0]]
    FORGERIES[what][0](whole["runs"][0]["attribution"])
    (listed,) = [file for file in forged["evidence"] if file["name"] == "compare/cpu.json"]
    listed["sha256"] = canonical.digest(whole)
    made = factories.signed_again(explained, forged, factories.signer())
    assert place.code(made) == DOES_NOT_HOLD
    shown = report.rebuild(forged)
    assert shown["verdict"] == "INCONCLUSIVE"
    assert any("layer" in reason for reason in shown["reasons"])


def test_a_signer_who_quotes_the_atlas_for_what_no_run_made_is_refused(
    tmp_path: Path, explained: Json
) -> None:
    forged = copy.deepcopy(explained["report"])
    (whole,) = [one for one in forged["comparisons"] if one["control"] == "control"][:1]
    row = {"kind": "pooling", "implementation": "jit", "direction": "forward", "shapes": []}
    whole["primitives"] = [row | {"cases": 4, "dependent": 0}]
    (listed,) = [file for file in forged["evidence"] if file["name"].startswith("compare/repeat")]
    listed["sha256"] = canonical.digest(whole)
    made = factories.signed_again(explained, forged, factories.signer())
    assert attacks.Place(tmp_path).code(made) == DOES_NOT_HOLD
    assert any("the atlas is quoted for" in said for said in report.rebuild(forged)["reasons"])
