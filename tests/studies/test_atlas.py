"""The atlas from hand-made probes: what is equal, what differs and how far, what is refused."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import atlas_factory
from atlas import cases, collect, kernels
from atlas_factory import elsewhere, op, place
from probe_factory import EMULATED, NATIVE, NEW, Values, label, machine, probe
from samebits.comparison import attribution
from samebits.errors import SamebitsError
from samebits.formats import canonical

RSQRT, ADD = label("rsqrt"), label("add")
PORTABLE: dict[str, Any] = {"isa": "AVX2", "onednn": True, "intra_op_threads": 1}


def floats(*values: float) -> Any:
    return np.array(values, np.float32)


def later(array: Any, *steps: int) -> Any:
    """Each float as many steps of its dtype later; for numbers above zero."""
    bits = array.view(f"i{array.itemsize}") + np.array(steps, f"i{array.itemsize}")
    return bits.view(array.dtype)


ONE = floats(1, 2, 3)
SAME = {RSQRT: ONE, ADD: ONE}


def pair(folder: Path, native: Values, emulated: Values, **changed: Any) -> dict[str, Any]:
    """The atlas of a native probe and one on Haswell, by one thread with the portable settings."""
    probes = [
        probe(folder / "native", {1: native}, **changed),
        probe(folder / "haswell", {1: emulated}, "Haswell", **changed),
    ]
    return collect.collect(probes, "an emulator")


def different(made: Mapping[str, Any], name: str = "rsqrt") -> Any:
    """What is said of the value of an op in float32, or in the only dtype that it has."""
    (found,) = [row["different"] for row in made["ops"] if row["name"] == name]
    return found


# --- how far ------------------------------------------------------------------------------------


def test_equal_results_are_equal(tmp_path: Path) -> None:
    made = pair(tmp_path, SAME, SAME)
    assert different(made) == different(made, "add") == {}
    assert [row["elements"] for row in made["ops"]] == [3, 3]
    assert made["emulator"] == "an emulator"
    assert made["machine"]["cpu"] == "AMD EPYC"


def test_a_difference_is_noted_where_it_is_and_nowhere_else(tmp_path: Path) -> None:
    made = pair(tmp_path, SAME, {RSQRT: later(ONE, 0, 1, 7), ADD: ONE})
    assert different(made) == {"1": {"elements": 2, "ulp": 7}}
    assert different(made, "add") == {}
    assert [c["cpu"] for c in made["conditions"]] == ["native", "Haswell"]
    assert [c["reference"] for c in made["conditions"]] == [None, 0]


def test_the_sign_of_zero_is_a_difference(tmp_path: Path) -> None:
    made = pair(tmp_path, {RSQRT: floats(0.0)}, {RSQRT: floats(-0.0)})
    assert different(made) == {"1": {"elements": 1, "ulp": 1}}


def test_all_sets_of_shapes_are_one_row(tmp_path: Path) -> None:
    other = label("rsqrt", variant=1)
    native = {RSQRT: ONE, other: np.ones((2, 3), np.float32)}
    emulated = {RSQRT: later(ONE, 0, 0, 2), other: later(native[other], *[5] * 3)}
    made = pair(tmp_path, native, emulated)
    assert different(made) == {"1": {"elements": 7, "ulp": 5}}
    assert made["ops"][0]["elements"] == 9


@pytest.mark.parametrize(
    ("native", "emulated", "ulp"),
    [
        ([1.0, 2.0], [1.0078125, 2.0], 1),  # the next bfloat16
        ([1.0, 2.0], [1.0234375, 2.0], 3),
        ([0.0, 2.0], [-0.0, 2.0], 1),
        ([2.0**-126, 2.0], [-(2.0**-126), 2.0], 257),  # 128 steps to zero, one over it, and back
    ],
)
def test_a_bfloat16_is_counted_in_its_own_steps(
    tmp_path: Path, native: list[float], emulated: list[float], ulp: int
) -> None:
    name = label("rsqrt", "bfloat16")
    made = pair(tmp_path, {name: floats(*native)}, {name: floats(*emulated)})
    assert different(made) == {"1": {"elements": 1, "ulp": ulp}}


def test_a_float64_is_counted_in_its_own_steps(tmp_path: Path) -> None:
    name, one = label("rsqrt", "float64"), np.array([1.0, 2.0])
    made = pair(tmp_path, {name: one}, {name: later(one, 3, 0)})
    assert different(made) == {"1": {"elements": 1, "ulp": 3}}


@pytest.mark.parametrize("odd", [np.nan, np.inf, -np.inf])
def test_where_one_is_not_a_number_there_is_no_distance(tmp_path: Path, odd: float) -> None:
    made = pair(tmp_path, {RSQRT: ONE}, {RSQRT: floats(1, odd, later(ONE, 0, 0, 9)[2])})
    assert different(made) == {"1": {"elements": 2, "ulp": None}}


def test_a_distance_that_is_not_known_is_not_passed_over(tmp_path: Path) -> None:
    other = label("rsqrt", variant=1)
    native, emulated = {RSQRT: ONE, other: ONE}, {RSQRT: later(ONE, 1, 0, 0), other: ONE * np.nan}
    assert different(pair(tmp_path, native, emulated)) == {"1": {"elements": 4, "ulp": None}}


def test_the_same_nan_is_equal_and_another_one_is_not(tmp_path: Path) -> None:
    nan = floats(np.nan)
    assert different(pair(tmp_path / "a", {RSQRT: nan}, {RSQRT: nan})) == {}
    other = later(nan, 1)
    found = different(pair(tmp_path / "b", {RSQRT: nan}, {RSQRT: other}))
    assert found == {"1": {"elements": 1, "ulp": None}}


def test_kernels_are_those_of_every_probe(tmp_path: Path) -> None:
    probes = [
        probe(tmp_path / "n", {1: SAME}, kernels={ADD: ["Add float32"]}),
        probe(tmp_path / "h", {1: SAME}, "Haswell", kernels={ADD: ["AddV2 float32"]}),
    ]
    rows = {row["name"]: row["kernels"][NEW] for row in collect.collect(probes, "")["ops"]}
    assert rows["rsqrt"] == {"oneDNN on": ["Rsqrt float32"]}
    assert rows["add"] == {"oneDNN on": ["Add float32", "AddV2 float32"]}


# --- against what -------------------------------------------------------------------------------


def test_what_is_emulated_is_compared_with_the_native_one_with_its_settings(tmp_path: Path) -> None:
    """The native one with two threads differs, and the emulated one in the same way."""
    of = {1: SAME, 2: {RSQRT: later(ONE, 4, 4, 4), ADD: ONE}}
    probes = [probe(tmp_path / "h", of, "Haswell"), probe(tmp_path / "n", of)]
    made = collect.collect(probes, "")
    where = [(c["cpu"], c["threads"], c["reference"]) for c in made["conditions"]]
    assert where == [("native", 1, None), ("native", 2, 0), ("Haswell", 1, 0), ("Haswell", 2, 1)]
    assert different(made) == {"1": {"elements": 3, "ulp": 4}}


SETTINGS: dict[str, dict[str, Any]] = {
    "uncapped": {"isa": None},
    "without oneDNN": {"onednn": False, "battery": "c" * 64},
}


@pytest.mark.parametrize("changed", SETTINGS.values(), ids=SETTINGS)
def test_a_native_one_is_compared_with_the_portable_one(
    tmp_path: Path, changed: dict[str, Any]
) -> None:
    moved = {RSQRT: later(ONE, 0, 0, 1), ADD: ONE}
    probes = [probe(tmp_path / "a", {1: SAME}), probe(tmp_path / "b", {1: moved}, **changed)]
    made = collect.collect(probes, "")
    assert [c["reference"] for c in made["conditions"]] == [None, 0]
    assert different(made) == {"1": {"elements": 1, "ulp": 1}}


def test_another_tensorflow_is_compared_with_its_own(tmp_path: Path) -> None:
    moved, old = {RSQRT: later(ONE, 1, 1, 1), ADD: ONE}, of("2.8.0")
    probes = [
        probe(tmp_path / "a", {1: SAME}),
        probe(tmp_path / "b", {1: SAME}, "Haswell"),
        probe(tmp_path / "c", {1: moved}, **old),
        probe(tmp_path / "d", {1: moved}, "Haswell", **old),
    ]
    made = collect.collect(probes, "")
    assert [f["tensorflow"] for f in made["frameworks"]] == ["2.8.0", NEW]
    assert [c["reference"] for c in made["conditions"]] == [None, 0, None, 2]
    assert different(made) == {}


def of(version: str) -> dict[str, Any]:
    """Another TensorFlow."""
    wheel = canonical.digest(version)
    return {"framework": {"tensorflow": version, "wheel": {"sha256": wheel}}, "battery": wheel}


WITHOUT: dict[str, Any] = {"onednn": False, "battery": "c" * 64}


def test_what_only_one_battery_has_is_compared_where_it_is(tmp_path: Path) -> None:
    """Else a difference under the portable settings would be lost, where oneDNN is what has it."""
    probes = [
        probe(tmp_path / "a", {1: SAME}),
        probe(tmp_path / "b", {1: {RSQRT: ONE, ADD: later(ONE, 1, 1, 1)}}, "Haswell"),
        probe(tmp_path / "c", {1: {RSQRT: ONE}}, **WITHOUT),
        probe(tmp_path / "d", {1: {RSQRT: later(ONE, 0, 0, 1)}}, "Haswell", **WITHOUT),
    ]
    made = collect.collect(probes, "")
    rows = {row["name"]: sorted(row["kernels"][NEW]) for row in made["ops"]}
    assert rows == {"rsqrt": ["oneDNN off", "oneDNN on"], "add": ["oneDNN on"]}
    places = [(c["cpu"], c["onednn"]) for c in made["conditions"]]
    assert places == [("native", True), ("native", False), ("Haswell", True), ("Haswell", False)]
    assert different(made, "add") == {"2": {"elements": 3, "ulp": 1}}
    assert different(made) == {"3": {"elements": 1, "ulp": 1}}


def test_kernels_are_told_by_whether_onednn_is_on(tmp_path: Path) -> None:
    probes = [
        probe(tmp_path / "n", {1: SAME}, kernels={ADD: ["Swish float32"]}),
        probe(tmp_path / "o", {1: SAME}, kernels={ADD: ["Sigmoid float32"]}, **WITHOUT),
    ]
    rows = {row["name"]: row["kernels"][NEW] for row in collect.collect(probes, "")["ops"]}
    assert rows["add"] == {"oneDNN on": ["Swish float32"], "oneDNN off": ["Sigmoid float32"]}


# --- what is refused ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changed", "missing"),
    [
        ({"isa": None}, "AVX2, oneDNN on, 1 thread"),
        ({"onednn": False}, "AVX2, oneDNN on, 1 thread"),
    ],
)
def test_a_portable_reference_that_is_missing_is_an_error(
    tmp_path: Path, changed: dict[str, Any], missing: str
) -> None:
    with pytest.raises(SamebitsError, match=rf"a native probe .* {missing}, got none"):
        collect.collect([probe(tmp_path / "n", {1: SAME}, **changed)], "")


def test_a_native_reference_that_is_missing_is_an_error(tmp_path: Path) -> None:
    probes = [
        probe(tmp_path / "n", {1: SAME}),
        probe(tmp_path / "h", {1: SAME, 2: SAME}, "Haswell"),
    ]
    with pytest.raises(SamebitsError, match=r"h: expected a native .* 2 threads, got none"):
        collect.collect(probes, "")


@pytest.mark.parametrize("lacking", ["native", "emulated"])
def test_a_result_that_one_probe_of_a_battery_lacks_is_an_error(
    tmp_path: Path, lacking: str
) -> None:
    fewer = {RSQRT: ONE}
    probes = [
        probe(tmp_path / "n", {1: fewer if lacking == "native" else SAME}),
        probe(tmp_path / "h", {1: fewer if lacking == "emulated" else SAME}, "Haswell"),
    ]
    with pytest.raises(SamebitsError, match=r"h and .* have not the same results: add/float32/0/v"):
        collect.collect(probes, "")


def test_a_condition_that_one_cpu_lacks_is_an_error(tmp_path: Path) -> None:
    probes = [
        probe(tmp_path / "n", {1: SAME, 2: SAME}),
        probe(tmp_path / "h", {1: SAME}, "Haswell"),
    ]
    with pytest.raises(SamebitsError, match="expected every CPU once with every settings"):
        collect.collect(probes, "")


def test_a_condition_that_is_there_twice_is_an_error(tmp_path: Path) -> None:
    probes = [probe(tmp_path / name, {1: SAME}) for name in "ab"]
    with pytest.raises(SamebitsError, match="expected every CPU once with every settings"):
        collect.collect(probes, "")


FAULTS: dict[str, tuple[dict[str, Any], str]] = {
    "native although emulated": (machine(NATIVE), "expected the CPU Haswell, got AMD EPYC"),
    "another one emulated": (machine(EMULATED["EPYC"]), "expected the CPU that"),
    "another format": ({"format": "samebits-probe-0"}, "got 'samebits-probe-0'; make it again"),
    "another battery": ({"battery": "c" * 64}, "expected the battery that"),
    "another wheel": (
        {"framework": {"tensorflow": NEW, "wheel": {"sha256": "c" * 64}}},
        "expected the wheel that",
    ),
}


@pytest.mark.parametrize(("changed", "said"), FAULTS.values(), ids=FAULTS)
def test_a_probe_that_is_not_what_it_has_to_be_is_an_error(
    tmp_path: Path, changed: dict[str, Any], said: str
) -> None:
    probes = [
        probe(tmp_path / "n", {1: SAME}),
        probe(tmp_path / "h", {1: SAME}, "Haswell"),
        probe(tmp_path / "o", {2: SAME}, "Haswell", **changed),
    ]
    with pytest.raises(SamebitsError, match=said):
        collect.collect(probes, "")


def test_one_cpu_by_two_names_is_an_error(tmp_path: Path) -> None:
    probes = [
        probe(tmp_path / "n", {1: SAME}),
        probe(tmp_path / "h", {1: SAME}, "Haswell"),
        probe(tmp_path / "e", {1: SAME}, "EPYC", **machine(EMULATED["Haswell"])),
    ]
    with pytest.raises(SamebitsError, match=r"e: expected the name for its CPU that .* Haswell"):
        collect.collect(probes, "")


def test_an_emulated_probe_that_says_native_is_an_error(tmp_path: Path) -> None:
    folder = probe(tmp_path / "n", {1: SAME}, **machine(EMULATED["EPYC"]))
    with pytest.raises(SamebitsError, match="expected the CPU native, got AMD EPYC Processor"):
        collect.collect([folder], "")


def test_native_probes_of_two_machines_are_an_error(tmp_path: Path) -> None:
    """Bits that two machines have different would be taken for those of a setting."""
    other = machine("Intel Xeon (features 00000000)")
    probes = [
        probe(tmp_path / "a", {1: SAME}),
        probe(tmp_path / "b", {1: SAME}, isa=None, **other),
    ]
    with pytest.raises(SamebitsError, match=r"expected the CPU that .*, AMD EPYC .*, got Intel"):
        collect.collect(probes, "")


def _flip(folder: Path) -> None:
    file = folder / "1.npz"
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)


def _claim_equal(folder: Path) -> None:
    """Its digest is made that of the native probe; its arrays stay."""
    content, native = (canonical.read_json(folder.parent / p / "probe.json") for p in ("h", "n"))
    canonical.write_json(folder / "probe.json", content | {"conditions": native["conditions"]})


@pytest.mark.parametrize("damage", [_flip, _claim_equal])
@pytest.mark.parametrize("moved", [ONE, later(ONE, 0, 1, 0)], ids=["equal", "different"])
def test_arrays_are_compared_with_their_digest_also_where_they_are_equal(
    tmp_path: Path, damage: Callable[[Path], None], moved: Any
) -> None:
    probes = [
        probe(tmp_path / "n", {1: SAME}),
        probe(tmp_path / "h", {1: {RSQRT: moved, ADD: floats(9)}}, "Haswell"),
    ]
    damage(probes[1])
    with pytest.raises(SamebitsError, match=r"/h/1\.npz: changed since it was probed"):
        collect.collect(probes, "")


@pytest.mark.parametrize("other", [floats(1, 2), ONE.astype(np.float64), ONE.reshape(3, 1)])
def test_results_of_another_shape_or_dtype_are_an_error(tmp_path: Path, other: Any) -> None:
    with pytest.raises(SamebitsError, match=r"rsqrt/.*: expected <f4 \[3\] as in its reference"):
        pair(tmp_path, {RSQRT: ONE}, {RSQRT: other})


# --- looking up ---------------------------------------------------------------------------------


def looked_up(made: dict[str, Any], tensorflow: str, **profile: Any) -> dict[str, bool] | None:
    """What the product finds in the table ``depends`` under the portable profile, changed."""
    depends = kernels.depends(cases.read(made))
    return attribution.Atlas(depends, "a" * 64).kernels(tensorflow, PORTABLE | profile)


def listed(made: dict[str, Any], tensorflow: str = NEW, **profile: Any) -> list[str] | None:
    """The same without whether they are shown."""
    found = looked_up(made, tensorflow, **profile)
    return None if found is None else sorted(found)


def test_kernels_that_differ_on_another_cpu_are_listed() -> None:
    made = atlas_factory.atlas(
        op("rsqrt", "Rsqrt float32", different=elsewhere(NEW, 51, 2)), op("abs", "Abs float32")
    )
    assert listed(made) == ["Rsqrt float32"]


def test_where_two_kernels_may_be_the_cause_both_are_listed_and_what_is_cleared_is_not() -> None:
    """Else a model that runs one of them would be told that the cause is something else."""
    differs = elsewhere(NEW, 51, 2)
    filtered = op("conv", "Filter float32", "Input float32", "Add float32", different=differs)
    made = atlas_factory.atlas(filtered, op("add", "Add float32"))
    assert listed(made) == ["Filter float32", "Input float32"]
    cleared = atlas_factory.atlas(
        op("conv", "Filter float32", "Add float32", different=differs),
        op("small", "Filter float32"),
        op("add", "Add float32"),
    )
    assert listed(cleared) == ["Add float32", "Filter float32"]


def test_kernels_that_did_not_run_under_the_settings_are_neither_cleared_nor_accused() -> None:
    """oneDNN has a fused one where two others run without it."""
    fused = op(
        "silu", "Swish float32",
        different=elsewhere(NEW, 51, 2), without=["Mul float32", "Sigmoid float32"],
    )  # fmt: skip
    made = atlas_factory.atlas(fused, op("multiply", "Mul float32"))
    assert listed(made) == ["Swish float32"]
    other = op("other", "Swish float32", "Odd float32", different=elsewhere(NEW, 9, 1))
    equal = op("equal", "Sigmoid float32", without=["Odd float32"])
    assert listed(atlas_factory.atlas(other, equal)) == ["Odd float32", "Swish float32"]


def test_more_freedom_lists_no_fewer_kernels() -> None:
    """What differs without oneDNN shows nothing of what differs with it."""
    differs = elsewhere(NEW, 51, 2)
    made = atlas_factory.atlas(
        op("conv", "Filter float32", "Input float32", different=differs),
        op("filter", "Filter float32", different=elsewhere(NEW, 1, 1, onednn=False)),
        op("input", "Input float32"),
    )
    assert looked_up(made, NEW) == {"Filter float32": False, "Input float32": False}
    assert looked_up(made, NEW, onednn=None) == {"Filter float32": True, "Input float32": False}


def test_a_setting_that_swaps_kernels_lists_those_on_both_sides() -> None:
    only = {place(NEW, onednn=False): (51, 1)}
    fused = op("silu", "Swish float32", different=only, without=["Sigmoid float32"])
    made = atlas_factory.atlas(fused)
    assert listed(made, onednn=None) == ["Sigmoid float32", "Swish float32"]


def test_of_an_unknown_tensorflow_nothing_is_known() -> None:
    assert listed(atlas_factory.atlas(), "2.9.0") is None


@pytest.mark.parametrize(
    ("where", "pinned", "free"),
    [
        ({"isa": None}, {"isa": "AVX2"}, {"isa": None}),
        ({"onednn": False}, {"onednn": True}, {"onednn": None}),
        ({"threads": 4}, {"intra_op_threads": 2}, {"intra_op_threads": None}),
    ],
    ids=["isa", "onednn", "threads"],
)
def test_what_a_profile_pins_narrows_and_what_it_leaves_free_counts(
    where: dict[str, Any], pinned: dict[str, Any], free: dict[str, Any]
) -> None:
    only = {place(NEW, "Haswell", **where): (51, 1)}
    made = atlas_factory.atlas(op("rsqrt", "Rsqrt float32", different=only))
    assert listed(made, **pinned) == []
    assert listed(made, **free) == ["Rsqrt float32"]


def test_a_pin_that_was_not_tried_leaves_all_that_were() -> None:
    only = {place(NEW, "EPYC", threads=4): (51, 1)}
    made = atlas_factory.atlas(op("rsqrt", "Rsqrt float32", different=only))
    assert listed(made, intra_op_threads=3) == ["Rsqrt float32"]


def test_what_another_setting_changes_counts_only_where_the_settings_are_free() -> None:
    """Two threads give other sums than one, on every CPU the same."""
    only = {place(NEW, "native", threads=2): (51, 1)}
    made = atlas_factory.atlas(op("sum", "Sum float32", different=only))
    assert listed(made, intra_op_threads=2) == []
    assert listed(made, intra_op_threads=None) == ["Sum float32"]


def test_a_difference_of_another_tensorflow_does_not_count() -> None:
    made = atlas_factory.atlas(
        op("rsqrt", "Rsqrt float32", different=elsewhere("2.8.0", 51, 2)),
    )
    assert listed(made) == []
    assert listed(made, "2.8.0") == ["Rsqrt float32"]
