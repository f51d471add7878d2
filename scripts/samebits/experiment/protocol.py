"""The runs that an experiment asks for, and which control each is compared with.

A comparison has a control of its own: `replica` compares the first two runs, `each` one run per
variation or unpinned pin, `cpu` the emulated ones, which train on the first samples only. Pure
functions of a config.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Iterator, Mapping

from samebits.experiment import pins

CONTROL, REPLICA, REPEAT, SUBSET_CONTROL = "control", "replica", "repeat", "subset-control"
FIRST = "replica"  # the comparison that decides whether the differences need an explanation
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


def first(config: Mapping[str, Any]) -> PlannedComparison:
    """Control and replica, which every protocol has."""
    wanted = _free(config, config["protocol"]["replica"])
    if _hash_seed_is_free(config) and HASH_SEED not in wanted:
        wanted += (HASH_SEED,)  # Python itself draws it anew for every process
    replica = PlannedRun(REPLICA, vary=wanted, canary=True)
    return PlannedComparison(FIRST, PlannedRun(CONTROL), (replica,))


def plan(config: Mapping[str, Any], found: Mapping[str, Any] | None) -> list[PlannedComparison]:
    """All comparisons, given the first one's result; None: not known, so all that may be needed.

    An experiment that TensorFlow refuses to train needs no more runs.
    """
    comparisons = [first(config)]
    if found is not None and found["status"].get(CONTROL) != "completed":
        return comparisons
    explain, again = found is None or not found["identical"], found is None or found["left"]
    comparisons += _each(config, explain, bool(again))
    return comparisons + _emulated(config)


def trainings(config: Mapping[str, Any]) -> tuple[int, int]:
    """How many runs are made at least, and at most where bits differ or files are left."""
    same = {"status": {CONTROL: "completed"}, "identical": True, "left": []}
    least, most = (list(runs(plan(config, found))) for found in (same, None))
    return len(least), len(most)


def _each(config: Mapping[str, Any], explain: bool, again: bool) -> list[PlannedComparison]:
    """One run for each change, and one without any, which sees what the first two left."""
    protocol = config["protocol"]
    wanted = _free(config, [*protocol["alone"], *(protocol["explain"] if explain else ())])
    runs = [PlannedRun(f"with-{name}", vary=(name,)) for name in dict.fromkeys(wanted)]
    pinned = pins.pinned(config["determinism"]) if protocol["unpin"] else []
    runs += [PlannedRun(f"without-{pin}", unpin=(pin,)) for pin in pinned]
    if not runs and not again:
        return []
    return [PlannedComparison("each", PlannedRun(CONTROL), (PlannedRun(REPEAT), *runs))]


def _emulated(config: Mapping[str, Any]) -> list[PlannedComparison]:
    cpu = config["protocol"]["cpu"]
    if not cpu["models"] or config["framework"]["gpus"]:  # qemu-user has no GPU
        return []
    part = {"samples": cpu["samples"], "epochs": cpu["epochs"]}
    runs = (PlannedRun(f"cpu-{model}", vary=(f"cpu={model}",), **part) for model in cpu["models"])
    return [PlannedComparison("cpu", PlannedRun(SUBSET_CONTROL, **part), tuple(runs))]


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
