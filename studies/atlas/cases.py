"""The atlas of ops as typed rows and columns, from its JSON and nothing else.

A case is one op in one dtype, its value or its gradient. A condition is a CPU and the
settings of TensorFlow. The conditions of one TensorFlow are every CPU with every settings. Some
cases are available with oneDNN only, or run other kernels with it.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from samebits.errors import SamebitsError

FORMAT = "samebits-atlas-1"
NATIVE = "native"
VALUE, GRADIENT = "value", "gradient"
ONEDNN = {True: "oneDNN on", False: "oneDNN off"}

Battery = tuple[str, bool]  # of which TensorFlow, and whether with oneDNN


@dataclass(frozen=True)
class Settings:
    """The settings of TensorFlow."""

    isa: str | None  # the most that oneDNN may use; None is no cap
    onednn: bool
    threads: int

    @property
    def cap(self) -> str:
        """The cap, for people."""
        return self.isa or "no cap"

    @property
    def said(self) -> str:
        """All of them, for people."""
        threads = "1 thread" if self.threads == 1 else f"{self.threads} threads"
        return f"{self.cap}, oneDNN {'on' if self.onednn else 'off'}, {threads}"


PORTABLE = Settings("AVX2", True, 1)


@dataclass(frozen=True)
class Condition:
    """A column: where and how all cases were run once."""

    key: str  # by which a case names it
    cpu: str
    settings: Settings
    isa_in_force: str | None
    is_reference: bool  # the other native ones are compared with it


@dataclass(frozen=True)
class Difference:
    """How far a case is from its reference under one condition."""

    elements: int
    ulp: int | None  # the largest; None where a NaN or an infinity takes part


@dataclass(frozen=True, eq=False)  # a key by itself: its fields have no hash
class Case:
    """A row."""

    name: str
    group: str
    dtype: str
    output: str
    elements: int
    kernels: Mapping[Battery, tuple[str, ...]]  # none where it does not have the op
    different: Mapping[str, Difference]  # by the condition's key

    def differs(self, conditions: Sequence[Condition]) -> bool:
        """Whether it does so under any of them."""
        return any(condition.key in self.different for condition in conditions)


@dataclass(frozen=True)
class Framework:
    """One TensorFlow: its columns, and the rows that it has."""

    version: str
    wheel: str
    conditions: tuple[Condition, ...]  # settings after settings, each on every CPU
    cases: tuple[Case, ...]

    @cached_property
    def cpus(self) -> tuple[str, ...]:
        """All CPUs, the native one first."""
        return tuple(dict.fromkeys(condition.cpu for condition in self.conditions))

    @cached_property
    def emulated(self) -> tuple[str, ...]:
        """All CPUs but the native one."""
        return self.cpus[1:]

    @cached_property
    def settings(self) -> tuple[Settings, ...]:
        """All settings, the portable ones first."""
        return tuple(dict.fromkeys(condition.settings for condition in self.conditions))

    def at(self, cpu: str, settings: Settings) -> Condition:
        """One column."""
        return self._grid[cpu, settings]

    @cached_property
    def _grid(self) -> dict[tuple[str, Settings], Condition]:
        return {(condition.cpu, condition.settings): condition for condition in self.conditions}

    def elsewhere(self, settings: Settings) -> tuple[Condition, ...]:
        """The other CPUs' columns of some settings."""
        return tuple(self.at(cpu, settings) for cpu in self.emulated)

    def differing(self, *conditions: Condition) -> tuple[Case, ...]:
        """The cases that differ from their reference under any of some conditions."""
        return tuple(case for case in self.cases if case.differs(conditions))

    def compared(self, *conditions: Condition) -> tuple[Case, ...]:
        """The cases that were compared with their reference under any of some conditions."""
        return tuple(c for c in self.cases if any(self.has(c, under) for under in conditions))

    def has(self, case: Case, condition: Condition) -> bool:
        """Whether a case and its reference are available under a condition."""
        return all(battery in case.kernels for battery in self._batteries(condition))

    def ran(self, case: Case, *conditions: Condition) -> tuple[str, ...]:
        """The kernels that a case, or its reference, ran under some conditions; sorted."""
        batteries = {b for condition in conditions for b in self._batteries(condition)}
        return tuple(sorted({k for b in batteries for k in case.kernels.get(b, ())}))

    def _batteries(self, condition: Condition) -> set[Battery]:
        """That of a condition, and of its reference."""
        native = condition.cpu == NATIVE
        onednn = {condition.settings.onednn} | ({PORTABLE.onednn} if native else set())
        return {(self.version, on) for on in onednn}


@dataclass(frozen=True)
class Atlas:
    """All of it."""

    machine: Mapping[str, Any]
    emulator: str
    frameworks: tuple[Framework, ...]
    cases: tuple[Case, ...]

    @cached_property
    def groups(self) -> tuple[str, ...]:
        """The groups of ops, in the battery's order."""
        return tuple(dict.fromkeys(case.group for case in self.cases))

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The ops, in the battery's order."""
        return tuple(dict.fromkeys(case.name for case in self.cases))


def read(atlas: Mapping[str, Any]) -> Atlas:
    """The atlas of a JSON value. Raises SamebitsError when its parts are inconsistent."""
    if atlas.get("format") != FORMAT:
        raise SamebitsError(f"atlas: expected format {FORMAT}, got {atlas.get('format')}")
    cases = tuple(map(_case, atlas["ops"]))
    frameworks = tuple(_framework(f, atlas["conditions"], cases) for f in atlas["frameworks"])
    _require_alike(frameworks)
    _require_known(frameworks, cases)
    return Atlas(atlas["machine"], atlas["emulator"], frameworks, cases)


def newest_first(atlas: Atlas) -> Atlas:
    """The same with its TensorFlows in the order of a page."""

    def version(framework: Framework) -> tuple[int, ...]:
        return tuple(map(int, framework.version.split(".")))

    return replace(atlas, frameworks=tuple(sorted(atlas.frameworks, key=version, reverse=True)))


def _case(op: Mapping[str, Any]) -> Case:
    different = {key: Difference(**found) for key, found in op["different"].items()}
    return Case(**{**op, "kernels": _kernels(op["kernels"]), "different": different})


def _kernels(by_version: Mapping[str, Mapping[str, Any]]) -> dict[Battery, tuple[str, ...]]:
    onednn = {said: on for on, said in ONEDNN.items()}
    return {
        (version, onednn[said]): tuple(names)
        for version, kernels in by_version.items()
        for said, names in kernels.items()
    }


def _framework(
    framework: Mapping[str, Any], conditions: Sequence[Mapping[str, Any]], cases: Sequence[Case]
) -> Framework:
    version = framework["tensorflow"]
    listed = enumerate(conditions)
    found = [_condition(str(place), c) for place, c in listed if c["tensorflow"] == version]
    has = tuple(case for case in cases if any(of == version for of, _ in case.kernels))
    return Framework(version, framework["wheel"], tuple(_ordered(version, found)), has)


def _condition(key: str, condition: Mapping[str, Any]) -> Condition:
    settings = Settings(condition["isa"], condition["onednn"], condition["threads"])
    isa, reference = condition["isa_in_force"], condition["reference"]
    return Condition(key, condition["cpu"], settings, isa, reference is None)


def _ordered(version: str, found: Sequence[Condition]) -> Iterator[Condition]:
    """Every settings on every CPU, which all have to be there once."""
    cpus = sorted({c.cpu for c in found}, key=[NATIVE, *(c.cpu for c in found)].index)
    settings = sorted(
        {c.settings for c in found}, key=lambda s: (s.isa is None, not s.onednn, s.threads)
    )
    grid = {(c.settings, c.cpu): c for c in found}
    wanted = [(s, cpu) for s in settings for cpu in cpus]
    if len(found) != len(wanted) or set(grid) != set(wanted) or (PORTABLE, NATIVE) not in grid:
        raise SamebitsError(
            f"atlas: TensorFlow {version} lacks or repeats a condition; expected every CPU once "
            f"with every settings, {NATIVE} with {PORTABLE.said} among them; make it again"
        )
    return (grid[place] for place in wanted)


def _require_alike(frameworks: Sequence[Framework]) -> None:
    """The pages have one table for all TensorFlows."""
    columns = {tuple((c.cpu, c.settings) for c in f.conditions) for f in frameworks}
    if len(columns) != 1:
        raise SamebitsError(
            "atlas: not every TensorFlow was run under the same conditions; make it again"
        )


def _require_known(frameworks: Sequence[Framework], cases: Sequence[Case]) -> None:
    """No page shows a difference under an unknown condition, or without the op."""
    for case in cases:
        shown = {c.key for f in frameworks for c in f.conditions if f.has(case, c)}
        if strays := sorted(set(case.different) - shown):
            raise SamebitsError(
                f"atlas: {case.name} {case.dtype} {case.output} differs under conditions without "
                f"a result: {', '.join(strays)}; make it again"
            )
