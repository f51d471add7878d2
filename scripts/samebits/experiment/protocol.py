"""The runs that an experiment asks for, and which control each is compared with.

A comparison has a control of its own: `replica` compares the first two runs, `repeat` one that
starts when both have ended, `each` one run per variation or unpinned pin, `cpu` the emulated ones,
which train on the first samples only; `each-2` and `cpu-2` compare the second run of a variation
under which bits differ, which tells a dependence from a race. Pure functions of a config and of
what was found so far.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from typing import Any, Iterator, Mapping

from samebits.experiment import pins

CONTROL, REPLICA, REPEAT, SUBSET_CONTROL = "control", "replica", "repeat", "subset-control"
FIRST = "replica"  # the comparison that decides whether the differences need an explanation
EACH, CPU = "each", "cpu"
DECISIVE = (FIRST, REPEAT, EACH, CPU)  # comparisons on whose results further ones depend
SECOND = "-2"  # at the end of a name: made once more
# Where an earlier run can leave something that a run under this variation does not find.
HIDES_LEFT = ("home",)
HASH_SEED = "hash_seed"
NODE = "node"


@dataclass(frozen=True)
class PlannedRun:
    """One training: what is changed in it on purpose. All empty: the experiment as it is."""

    name: str
    vary: tuple[str, ...] = ()  # NAME or NAME=VALUE, as launch.py takes them
    unpin: tuple[str, ...] = ()  # pins, as train.py takes them
    samples: int | None = None  # None: all of the data, all epochs
    epochs: int | None = None
    canary: bool = False

    @property
    def variations(self) -> tuple[str, ...]:
        """The names of what is varied, without values."""
        return tuple(variation.partition("=")[0] for variation in self.vary)

    @property
    def subset(self) -> dict[str, int] | None:
        """The part of the data, as the run records it."""
        if self.samples is None or self.epochs is None:
            return None
        return {"samples": self.samples, "epochs": self.epochs}

    def launch_flags(self) -> list[str]:
        """Flags for launch.py."""
        return [flag for variation in self.vary for flag in ("--vary", variation)]

    def train_flags(self) -> list[str]:
        """Flags for train.py."""
        flags = [flag for pin in self.unpin for flag in ("--unpin", pin)]
        if self.samples is not None:
            flags += ["--samples", str(self.samples), "--epochs", str(self.epochs)]
        return flags + (["--canary"] if self.canary else [])


@dataclass(frozen=True)
class PlannedComparison:
    """One file that compare.py writes: the control and the runs compared with it."""

    name: str
    control: PlannedRun
    runs: tuple[PlannedRun, ...]
    decides: bool = False  # which other comparisons are needed


Found = Mapping[str, Mapping[str, Any]]  # comparisons that were made, by name
# The first one where nothing differs and no run leaves a file.
ALIKE: Found = {
    FIRST: {"status": {CONTROL: "completed"}, "identical": True, "left": [], "runs": []}
}


def first(config: Mapping[str, Any]) -> PlannedComparison:
    """Control and replica, which every protocol has."""
    wanted = _free(config, config["protocol"]["replica"])
    if _hash_seed_is_free(config) and HASH_SEED not in wanted:
        wanted += (HASH_SEED,)  # Python itself draws it anew for every process
    replica = PlannedRun(REPLICA, vary=wanted, canary=True)
    return PlannedComparison(FIRST, PlannedRun(CONTROL), (replica,), decides=True)


def plan(config: Mapping[str, Any], found: Found | None) -> list[PlannedComparison]:
    """The comparisons that are known to be needed, given those that decide; None: all possible.

    Where runs differ or leave files, `repeat` comes first: if it differs too, no variation is the
    culprit, and only what an earlier run may have left is looked for. Where a run with one
    variation differs, a second one follows. An experiment that TensorFlow refuses to train needs no
    more runs.
    """
    if found is None:
        tried = [_each(*_alone(config, explain=True), _SECOND_REPEAT), *_emulated(config)]
        return [first(config), _repeat(decides=True), *tried, *_confirming(tried, None)]
    comparisons = [first(config)]
    if FIRST not in found or found[FIRST]["status"].get(CONTROL) != "completed":
        return comparisons
    differ, left = not found[FIRST]["identical"], bool(found[FIRST]["left"])
    alone = _alone(config, explain=differ)
    if alone or left:
        comparisons.append(_repeat(decides=differ or left))
        if comparisons[-1].decides and REPEAT not in found:
            return comparisons
        if comparisons[-1].decides and not found[REPEAT]["identical"]:
            alone = _left_behind(config, alone, left or bool(found[REPEAT]["left"]))
            return [*comparisons, _each(*alone)] if alone else comparisons
    tried = [*([_each(*alone, decides=True)] if alone else []), *_emulated(config)]
    return [*comparisons, *tried, *_confirming(tried, found)]


def pending(config: Mapping[str, Any], found: Found) -> str | None:
    """The comparison whose result decides what comes next; None: all are known."""
    decisive = (comparison.name for comparison in plan(config, found) if comparison.decides)
    return next((name for name in decisive if name not in found), None)


def trainings(config: Mapping[str, Any]) -> tuple[int, int]:
    """How many runs are made at least, and at most where bits differ or files are left."""
    differ = {FIRST: {**ALIKE[FIRST], "identical": False}, REPEAT: ALIKE[FIRST]}
    least, most = (plan(config, found) for found in (ALIKE, differ))
    again = _confirming(most[1:], None)
    return len(list(runs(least))), len(list(runs([*most, *again])))


_SECOND_REPEAT = PlannedRun(REPEAT + SECOND)


def _repeat(decides: bool) -> PlannedComparison:
    """A run as the control, which sees what the first two left."""
    return PlannedComparison(REPEAT, PlannedRun(CONTROL), (PlannedRun(REPEAT),), decides)


def _each(*wanted: PlannedRun, decides: bool = False) -> PlannedComparison:
    return PlannedComparison(EACH, PlannedRun(CONTROL), wanted, decides)


def _confirming(tried: list[PlannedComparison], found: Found | None) -> list[PlannedComparison]:
    """The second runs of variations under which bits differ; None: of all."""
    again = ((one, _again(one, found)) for one in tried)
    return [PlannedComparison(one.name + SECOND, one.control, runs) for one, runs in again if runs]


def _again(tried: PlannedComparison, found: Found | None) -> tuple[PlannedRun, ...]:
    """A race may show under any variation, by luck: it is no cause before two runs differ.

    Under several values of one variation, as of CPU, they may be two already. A control that no
    other run repeats is made once more, too.
    """
    differ = [run for run in tried.runs if run.vary]
    if found is not None:
        differ = [run for run in differ if _differs(found.get(tried.name, ALIKE[FIRST]), run.name)]
    count = Counter(run.variations for run in differ)
    once = [run for run in differ if found is None or count[run.variations] == 1]
    unrepeated = [tried.control] if differ and tried.control.subset else []
    return tuple(replace(run, name=run.name + SECOND) for run in (*unrepeated, *once))


def _differs(comparison: Mapping[str, Any], run: str) -> bool:
    """Whether a run was tried and has other bits, or none."""
    same = {one["run"]: one["identical"] for one in comparison["runs"]}
    return not same.get(run, True) and comparison["status"].get(run) != "not tried"


def _alone(config: Mapping[str, Any], explain: bool) -> list[PlannedRun]:
    """One run for each change."""
    protocol = config["protocol"]
    wanted = _free(config, [*protocol["alone"], *(protocol["explain"] if explain else ())])
    pinned = pins.pinned(config["determinism"]) if protocol["unpin"] else []
    varied = [PlannedRun(f"with-{name}", vary=(name,)) for name in dict.fromkeys(wanted)]
    return varied + [PlannedRun(f"without-{pin}", unpin=(pin,)) for pin in pinned]


def _left_behind(
    config: Mapping[str, Any], alone: list[PlannedRun], left: bool
) -> list[PlannedRun]:
    """Runs that tell what an earlier run left from chance.

    Those that hide it, unless the replica hid it already and no file is in question; and where one
    is, a second repeat: with the same file it must have the same bits as the first.
    """
    hidden = [name for name in HIDES_LEFT if left or name not in config["protocol"]["replica"]]
    hiding = [run for run in alone if run.variations and run.variations[0] in hidden]
    return [*hiding, *([_SECOND_REPEAT] if left else [])]


def _emulated(config: Mapping[str, Any]) -> list[PlannedComparison]:
    cpu = config["protocol"]["cpu"]
    if not cpu["models"] or config["framework"]["gpus"]:  # qemu-user has no GPU
        return []
    part = {"samples": cpu["samples"], "epochs": cpu["epochs"]}
    runs = (PlannedRun(f"cpu-{model}", vary=(f"cpu={model}",), **part) for model in cpu["models"])
    return [PlannedComparison(CPU, PlannedRun(SUBSET_CONTROL, **part), tuple(runs), decides=True)]


def _free(config: Mapping[str, Any], wanted: list[str]) -> tuple[str, ...]:
    """What is varied and not pinned: a pin is unpinned, not varied."""
    return tuple(v for v in wanted if v != HASH_SEED or _hash_seed_is_free(config))


def _hash_seed_is_free(config: Mapping[str, Any]) -> bool:
    return config["determinism"]["hash_seed"] is None


def runs(comparisons: list[PlannedComparison]) -> Iterator[PlannedRun]:
    """Every run once, in the order in which they are planned."""
    seen = set()
    for comparison in comparisons:
        for run in (comparison.control, *comparison.runs):
            if run.name not in seen:
                seen.add(run.name)
                yield run
