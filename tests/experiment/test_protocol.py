"""The runs that an experiment asks for."""

import json
from typing import Any

import pytest

from pipeline import ROOT, configure
from samebits.experiment import pins, protocol, variations

FOUND: dict[str, Any] = {
    "identical": True, "status": {"control": "completed"}, "left": [], "runs": [],
}  # fmt: skip


def config(*wanted: str) -> dict[str, Any]:
    return configure({"overrides": " ".join(wanted)}, ROOT / "conf").config


def found(repeat: dict[str, Any] | None = None, **first: Any) -> protocol.Found:
    """The comparisons that decide; ``repeat``: what is unlike a repeat that is identical."""
    return {protocol.FIRST: FOUND | first, protocol.REPEAT: FOUND | (repeat or {})}


def names(
    config: dict[str, Any], repeat: dict[str, Any] | None = None, **first: Any
) -> dict[str, list[str]]:
    """Comparison -> its control and runs."""
    planned = protocol.plan(config, found(repeat, **first))
    return {c.name: [c.control.name, *(run.name for run in c.runs)] for c in planned}


def test_by_default_two_runs_are_made_and_the_second_differs_in_everything_cheap() -> None:
    assert names(config()) == {"replica": ["control", "replica"]}
    control, replica = protocol.runs(protocol.plan(config(), found()))
    assert (control.vary, control.unpin, control.canary) == ((), (), False)
    assert "time_zone" in replica.vary and "contention" not in replica.vary
    assert replica.canary


def test_the_protocol_for_clusters_is_the_default_and_another_node() -> None:
    _, varied = protocol.runs([protocol.first(config())])
    _, nodes = protocol.runs([protocol.first(config("protocol=nodes"))])
    assert nodes.vary == (*varied.vary, "node")
    assert "with-node" in names(config("protocol=nodes"), identical=False)["each"]


def test_twice_varies_nothing_where_the_hash_seed_is_pinned() -> None:
    _, replica = protocol.runs(protocol.plan(config("protocol=twice"), found()))
    assert replica.vary == ()


@pytest.mark.parametrize("option", ["twice", "varied"])
def test_a_hash_seed_that_is_not_pinned_is_always_varied(option: str) -> None:
    """Python draws it anew for each process: leaving it equal would hide a dependence."""
    wanted = config("determinism=none", f"protocol={option}")
    _, replica = protocol.runs(protocol.plan(wanted, found()))
    assert replica.vary.count("hash_seed") == 1


def test_a_pinned_hash_seed_is_unpinned_and_never_varied() -> None:
    planned = names(config("protocol=exhaustive"))["each"]
    assert "without-hash_seed" in planned
    assert "with-hash_seed" not in planned


@pytest.mark.parametrize("option", ["twice", "varied"])
def test_a_difference_is_explained_by_one_run_per_variation_once_a_repeat_is_identical(
    option: str,
) -> None:
    wanted = config(f"protocol={option}")
    differs = {protocol.FIRST: FOUND | {"identical": False}}
    assert protocol.pending(wanted, differs) == "repeat"
    assert [c.name for c in protocol.plan(wanted, differs)] == ["replica", "repeat"]
    planned = names(wanted, identical=False)
    assert planned["repeat"] == ["control", "repeat"]
    assert {"with-time_zone", "with-cpus", "with-clock"} < set(planned["each"])


DIFFERS = {"identical": False}
LEAVES = {"left": ["best.npy"]}


@pytest.mark.parametrize(
    ("option", "repeat", "first", "each"),
    [
        ("varied", DIFFERS, DIFFERS, None),  # the replica hid the home folder, and differs as well
        ("twice", DIFFERS, DIFFERS, ["with-home"]),
        ("varied", DIFFERS, DIFFERS | LEAVES, ["with-home", "repeat-2"]),
        ("varied", DIFFERS | LEAVES, DIFFERS, ["with-home", "repeat-2"]),
        ("varied", DIFFERS, LEAVES, ["repeat-2"]),
        ("varied protocol.explain=[]", DIFFERS, DIFFERS | LEAVES, ["repeat-2"]),
        ("exhaustive", DIFFERS, LEAVES, ["with-home", "repeat-2"]),
        ("exhaustive", DIFFERS, DIFFERS, None),
        ("varied", {}, LEAVES, None),
    ],
)
def test_where_a_repeat_differs_only_what_an_earlier_run_left_is_looked_for(
    option: str, repeat: dict[str, Any], first: dict[str, Any], each: list[str] | None
) -> None:
    planned = names(config(f"protocol={option}"), repeat, **first)
    assert planned == {
        "replica": ["control", "replica"],
        "repeat": ["control", "repeat"],
        **({"each": ["control", *each]} if each else {}),
    }


def test_a_difference_that_nobody_asks_to_explain_is_not_repeated() -> None:
    assert list(names(config("protocol.explain=[]"), identical=False)) == ["replica"]


@pytest.mark.parametrize("option", ["twice", "varied"])
def test_where_a_run_left_a_file_for_another_one_more_run_starts_when_both_have_ended(
    option: str,
) -> None:
    planned = names(config(f"protocol={option}"), left=["best.npy"])
    assert planned == {"replica": ["control", "replica"], "repeat": ["control", "repeat"]}


def test_a_protocol_that_tries_all_does_not_wait_for_a_repeat_where_nothing_differs() -> None:
    wanted = config("protocol=exhaustive")
    assert protocol.pending(wanted, {protocol.FIRST: FOUND}) == "each"
    assert protocol.pending(wanted, {protocol.FIRST: FOUND | LEAVES}) == "repeat"


def alone(status: str = "completed", /, **identical: bool) -> dict[str, Any]:
    """A comparison of runs with one change each (__ for - in names)."""
    runs = [{"run": name.replace("__", "-"), "identical": i} for name, i in identical.items()]
    return FOUND | {"runs": runs, "status": {run["run"]: status for run in runs}}


@pytest.mark.parametrize(
    ("comparison", "made", "again"),
    [
        ("each", alone(with__locale=True), None),
        ("each", alone(with__locale=False), ["control", "with-locale-2"]),
        ("each", alone("failed", with__locale=False), ["control", "with-locale-2"]),
        ("each", alone("not tried", with__locale=False), None),
        ("each", alone(without__isa=False), None),
        (
            "each",
            alone(with__locale=False, with__home=True, with__clock=False),
            ["control", "with-locale-2", "with-clock-2"],
        ),
        ("cpu", alone(cpu__Haswell=True, cpu__EPYC=True), None),
        (
            "cpu",
            alone(cpu__Haswell=True, cpu__EPYC=False),
            ["subset-control", "subset-control-2", "cpu-EPYC-2"],
        ),
        ("cpu", alone(cpu__Haswell=False, cpu__EPYC=False), ["subset-control", "subset-control-2"]),
    ],
)  # fmt: skip
def test_a_variation_is_tried_twice_where_bits_differ_under_it_and_nowhere_else(
    comparison: str, made: dict[str, Any], again: list[str] | None
) -> None:
    """A race may show there by luck. Of CPUs two that differ are two runs."""
    wanted = config("protocol=exhaustive")
    planned = protocol.plan(wanted, {protocol.FIRST: FOUND, comparison: made})
    names = {c.name: [c.control.name, *(run.name for run in c.runs)] for c in planned}
    assert names.get(f"{comparison}-2") == again
    runs = {run.name: run for run in protocol.runs(planned)}
    for name in runs:
        first = runs.get(name[: -len(protocol.SECOND)])
        assert not name.endswith(protocol.SECOND) or first is not None
        if first and name.endswith(protocol.SECOND):
            assert (runs[name].vary, runs[name].subset) == (first.vary, first.subset)
            assert not runs[name].canary


def test_a_comparison_waits_for_those_that_decide_what_it_compares() -> None:
    wanted = config("protocol=exhaustive")
    same: protocol.Found = {protocol.FIRST: FOUND}
    assert protocol.pending(wanted, same) == "each"
    assert protocol.pending(wanted, {**same, "each": alone()}) == "cpu"
    assert protocol.pending(wanted, {**same, "each": alone(), "cpu": alone()}) is None


def test_what_tensorflow_refuses_is_not_tried_further() -> None:
    refused = {"control": "unsupported", "replica": "unsupported"}
    planned = names(config("protocol=exhaustive"), identical=False, status=refused)
    assert list(planned) == ["replica"]


def test_exhaustive_tries_everything_alone_unpins_each_pin_and_emulates() -> None:
    planned = names(config("protocol=exhaustive"))
    assert set(planned) == {"replica", "repeat", "each", "cpu"}
    assert {"with-contention", "with-deployment", "without-isa"} < set(planned["each"])
    assert planned["cpu"] == ["subset-control", "cpu-Haswell", "cpu-Skylake-Client", "cpu-EPYC"]


def test_only_what_a_profile_pins_is_unpinned() -> None:
    assert pins.pinned(config("determinism=none")["determinism"]) == []
    assert "without-isa" not in names(config("determinism=tf28", "protocol=exhaustive"))["each"]


def test_emulated_runs_and_their_control_see_the_same_part_of_the_data() -> None:
    wanted = config("protocol=exhaustive", "protocol.cpu.samples=64")
    planned = next(c for c in protocol.plan(wanted, found()) if c.name == "cpu")
    assert planned.control.train_flags() == ["--samples", "64", "--epochs", "1"]
    assert planned.runs[0].launch_flags() == ["--vary", "cpu=Haswell"]
    assert {run.subset == planned.control.subset for run in planned.runs} == {True}


def test_no_cpu_is_emulated_where_the_training_needs_a_gpu() -> None:
    assert "cpu" not in names(config("protocol=exhaustive", "framework=tf2.21-gpu"))


def test_the_most_runs_there_can_be_contain_all_others() -> None:
    wanted = config("protocol=exhaustive")
    most = {run.name for run in protocol.runs(protocol.plan(wanted, None))}
    every = {f"with-{name}".replace("-", "__"): False for name in variations.TITLES}
    cpus = {"cpu__Haswell": False}
    for first in ({}, LEAVES, DIFFERS):
        for repeat in ({}, DIFFERS):
            made = {**found(repeat, **first), "each": alone(**every), "cpu": alone(**cpus)}
            planned = protocol.plan(wanted, made)
            assert {run.name for run in protocol.runs(planned)} <= most


def test_the_schema_knows_exactly_the_variations_that_are_defined() -> None:
    schema = json.loads((ROOT / "conf" / "schema.json").read_text())
    by_config = set(schema["$defs"]["variations"]["items"]["enum"]) | {"cpu"}
    assert by_config == set(variations.TITLES)


@pytest.mark.parametrize(
    ("option", "least", "more"),
    [("twice", 2, True), ("varied", 2, True), ("exhaustive", 20, True)],
)
def test_how_many_trainings_there_are_is_known_before(option: str, least: int, more: bool) -> None:
    fewest, most = protocol.trainings(config(f"protocol={option}"))
    assert fewest >= least
    assert (most > fewest) == more
