"""The whole atlas as rows of cells, group by group. An equal cell is empty: most are."""

from collections.abc import Iterator
from dataclasses import dataclass

from samebits.atlas_counts import distance, few
from samebits.atlas_table import NATIVE, Atlas, Case, Condition, Framework

MUCH = 4  # ULP; what is further apart is drawn darker
# Native or not, far apart or not: the cell's class. The page has thousands, so these are short.
_STYLES = {(False, False): "d", (False, True): "f", (True, False): "n", (True, True): "g"}


@dataclass(frozen=True)
class Cell:
    """One case under one condition, where it differs."""

    style: str
    title: str | None  # all digits, where the others are cut
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
