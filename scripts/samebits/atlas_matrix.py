"""The whole atlas as rows of cells, group by group. An equal cell is empty: most are."""

from collections.abc import Iterator, Sequence
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


@dataclass(frozen=True)
class Row:
    """One case. No cells: it is equal under every condition, or not available."""

    case: Case
    available: bool
    differs: int  # under how many conditions
    cells: tuple[Cell | None, ...]


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
    if framework.version not in case.kernels:
        return Row(case, False, 0, ())
    cells = tuple(_cells(case, framework.conditions))
    differs = sum(cell is not None for cell in cells)
    return Row(case, True, differs, cells if differs else ())


def _cells(case: Case, conditions: Sequence[Condition]) -> Iterator[Cell | None]:
    for condition in conditions:
        yield _cell(case, condition) if condition.key in case.different else None


def _cell(case: Case, condition: Condition) -> Cell:
    elements, ulp = case.different[condition.key].elements, case.different[condition.key].ulp
    style = _STYLES[condition.cpu == NATIVE, ulp is None or ulp > MUCH]
    shown = few(elements), "∞" if ulp is None else few(ulp)
    title = f"{elements:,} of {case.elements:,}, {distance(ulp)}"
    return Cell(style, None if shown == (str(elements), str(ulp)) else title, *shown)
