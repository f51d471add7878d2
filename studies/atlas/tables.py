"""Tables of the atlas's pages: how many cases a setting changes, and the matrix as rows of cells.

An equal cell is empty: most are.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from atlas.cases import NATIVE, PORTABLE, Atlas, Case, Condition, Framework, Settings
from atlas.kernels import found

_GREAT = ((10**9, "G"), (10**6, "M"), (10**3, "k"))


@dataclass(frozen=True)
class Change:
    """One setting that is not the portable one."""

    what: str
    settings: Settings


def changes(atlas: Atlas) -> Iterator[Change]:
    """Every settings that differ from the portable ones in one respect."""
    for settings in atlas.frameworks[0].settings:
        if settings == replace(PORTABLE, isa=settings.isa) != PORTABLE:
            yield Change(f"{settings.cap} on instruction sets", settings)
        if settings == replace(PORTABLE, onednn=settings.onednn) != PORTABLE:
            yield Change("oneDNN off", settings)
        if settings == replace(PORTABLE, threads=settings.threads) != PORTABLE:
            yield Change(f"{settings.threads} threads", settings)


def changed(framework: Framework, settings: Settings) -> tuple[Case, ...]:
    """What these settings alone change on the native CPU."""
    return framework.differing(framework.at(NATIVE, settings))


def totals(atlas: Atlas, framework: Framework) -> Mapping[str, int]:
    """Every number of cases that the pages count or count something among."""
    off, known = replace(PORTABLE, onednn=False), found(framework)
    return {
        "in the battery": len(atlas.cases),
        "that this TensorFlow has": len(framework.cases),
        "compared between CPUs, oneDNN on": len(framework.compared(*framework.elsewhere(PORTABLE))),
        "compared between CPUs, oneDNN off": len(framework.compared(*framework.elsewhere(off))),
        "compared between oneDNN on and off": len(framework.compared(framework.at(NATIVE, off))),
        "with other bits anywhere": len(framework.differing(*framework.conditions)),
        "with other bits on another CPU, portable settings": known.reached,
        "of these, explained by one or more kernels": known.reached - len(known.unexplained),
        "of these, not explained": len(known.unexplained),
    }


def by_group(cases: Sequence[Case]) -> Mapping[str, int]:
    """How many there are in each group, in the battery's order."""
    return Counter(case.group for case in cases)


def in_force(atlas: Atlas, settings: Settings) -> str:
    """The instruction set that oneDNN reports; each, where CPUs or TensorFlows differ."""
    said: dict[str, list[str]] = {}
    for cpu in atlas.frameworks[0].cpus:
        used = {f.version: _used(f.at(cpu, settings)) for f in atlas.frameworks}
        alike = len(set(used.values())) == 1
        for version, instructions in used.items():
            said.setdefault(instructions, []).append(cpu if alike else f"{cpu} {version}")
    if len(said) == 1:
        return next(iter(said))
    return "; ".join(f"{used} ({', '.join(dict.fromkeys(at))})" for used, at in said.items())


def _used(condition: Condition) -> str:
    return condition.isa_in_force or ("not told" if condition.settings.onednn else "not in use")


def few(number: int) -> str:
    """A number in at most four characters: 12,900 is 12k."""
    if number >= 10**12:
        return f"{number:.0e}".replace("e+", "e")
    for size, unit in _GREAT:
        if number >= max(size, 10**4):
            whole, tenth = number // size, number * 10 // size % 10
            return f"{whole}.{tenth}{unit}" if whole < 10 else f"{whole}{unit}"  # 1.2M, 12M
    return str(number)


def distance(ulp: int | None) -> str:
    """The largest distance, for people."""
    return "NaN or ∞" if ulp is None else f"{ulp:,} ULP"


# --- the matrix ---------------------------------------------------------------------------------

MUCH = 4  # ULP; larger distances are drawn darker
# Native or not, far apart or not: the cell's class. The page has thousands, so these are short.
_STYLES = {(False, False): "d", (False, True): "f", (True, False): "n", (True, True): "g"}


@dataclass(frozen=True)
class Cell:
    """One case under one condition, where it differs."""

    style: str
    title: str | None  # all digits, where the cell shows fewer
    elements: str
    ulp: str


LACKING = Cell("x", "not available, here or in its reference", "–", "")


@dataclass(frozen=True)
class Row:
    """One case."""

    case: Case
    kernels: tuple[str, ...]  # under any condition
    differs: int  # under how many conditions
    cells: tuple[Cell | None, ...]

    @property
    def available(self) -> bool:
        """Whether it is under any condition."""
        return any(cell is not LACKING for cell in self.cells)

    @property
    def equal(self) -> bool:
        """Whether it is available and equal under every condition."""
        return not any(self.cells)


@dataclass(frozen=True)
class Block:
    """One group of ops."""

    group: str
    rows: tuple[Row, ...]

    @property
    def available(self) -> int:
        """How many cases this TensorFlow has."""
        return sum(row.available for row in self.rows)

    @property
    def differing(self) -> int:
        """How many differ under some condition."""
        return sum(row.differs > 0 for row in self.rows)


def blocks(atlas: Atlas, framework: Framework) -> Iterator[Block]:
    """The rows of one TensorFlow."""
    for group in atlas.groups:
        rows = (_row(case, framework) for case in atlas.cases if case.group == group)
        yield Block(group, tuple(rows))


def _row(case: Case, framework: Framework) -> Row:
    cells = tuple(_cells(case, framework))
    kernels = framework.ran(case, *framework.conditions)
    return Row(case, kernels, sum(cell not in (None, LACKING) for cell in cells), cells)


def _cells(case: Case, framework: Framework) -> Iterator[Cell | None]:
    for condition in framework.conditions:
        if condition.key in case.different:
            yield _cell(case, condition)
        else:
            yield None if framework.has(case, condition) else LACKING


def _cell(case: Case, condition: Condition) -> Cell:
    elements, ulp = case.different[condition.key].elements, case.different[condition.key].ulp
    style = _STYLES[condition.cpu == NATIVE, ulp is None or ulp > MUCH]
    shown = few(elements), "∞" if ulp is None else few(ulp)
    title = f"{elements:,} of {case.elements:,}, {distance(ulp)}"
    return Cell(style, None if shown == (str(elements), str(ulp)) else title, *shown)
