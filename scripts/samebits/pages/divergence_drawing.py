"""How the difference of two runs grows, and where it ends, as geometry for inline SVG.

Differences are ULP distances. They range over powers of two, so heights are logarithms, and equal
bits (0 ULP), which have none, have a place of their own: the baseline.
"""

import math
import string
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any

from samebits.pages.drawing import Point, Tick, segments, ticks

WIDTH, HEIGHT = 400.0, 262.0
LEFT, RIGHT, TOP, BOTTOM = 50.0, 30.0, 34.0, 34.0
BASE = HEIGHT - BOTTOM
LOSS = "loss"
# With the letter at its end, what tells the lines apart where there is no colour.
_DASHES = ("none", "7 4", "2.5 3", "10 3 2.5 3")
_MOST_CURVES = 12
_LABEL_SPACE = 10.5  # between two letters at line ends
_LOWEST_TOP = 4  # as a power of two: a difference of 1 ULP is to look small
_STEP = 17.0  # from the baseline to 1 ULP
_MOST_TICKS = 6
_EQUAL, _GAP = 24.0, 12.0  # the column of equal elements, and what is free beside it
_WIDEST = 28.0  # column of the others
_SUPERSCRIPT = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")


@dataclass(frozen=True)
class Curve:
    """One tensor, or the loss. A difference without a size (NaN, infinity) is a gap."""

    letter: str  # at the line's end and in the legend
    name: str
    share: int  # of the way through the model, in percent: its colour
    dash: str
    segments: tuple[str, ...]
    dots: tuple[Point, ...]  # what stands alone between two gaps
    label: Point | None  # None: nothing of it can be drawn
    last: int | None  # the difference at the end


@dataclass(frozen=True)
class Growth:
    """Differences over the steps of a training. ``mark`` is where the first one is."""

    tensors: tuple[Curve, ...]
    loss: Curve
    across: tuple[Tick, ...]
    up: tuple[Tick, ...]
    mark: float | None

    @property
    def curves(self) -> tuple[Curve, ...]:
        """All lines; the loss is drawn below the others."""
        return self.loss, *self.tensors


@dataclass(frozen=True)
class Column:
    """How many elements have a difference of some size."""

    x: float
    y: float
    width: float
    height: float
    text: str
    count: int


@dataclass(frozen=True)
class Histogram:
    """Elements by the size of their difference; the first column is the equal ones."""

    columns: tuple[Column, ...]
    across: tuple[Tick, ...]
    up: tuple[Tick, ...]

    @property
    def total(self) -> int:
        """All elements that are counted."""
        return sum(column.count for column in self.columns)


@dataclass(frozen=True)
class _Scale:
    last_step: int
    top: int  # the highest power of two

    def x(self, step: int) -> float:
        """Where a step is; when there is only the start, it is in the middle."""
        share = step / self.last_step if self.last_step else 0.5
        return round(LEFT + share * (WIDTH - LEFT - RIGHT), 2)

    def y(self, ulp: int) -> float:
        """Where a difference is: equal bits on the baseline, 1 ULP a step above, then doublings."""
        if ulp == 0:
            return BASE
        return round(BASE - _STEP - math.log2(ulp) / self.top * (BASE - _STEP - TOP), 2)


# --- growth ----------------------------------------------------------------------------------


def growth(divergence: Mapping[str, Any]) -> Growth:
    """The picture of a comparison's divergence."""
    found = [divergence["loss_curve"], *divergence["curves"][:_MOST_CURVES]]
    scale = _scale(found, divergence["step"])
    points = [_points(content, scale) for content in found]
    labels = _apart([next(filter(None, reversed(line)), None) for line in points])
    loss, *tensors = (
        _curve(position, content, line, label, len(found) - 1)
        for position, (content, line, label) in enumerate(zip(found, points, labels, strict=True))
    )
    up = (scale.y(0), "equal"), *((scale.y(1 << p), _power(p)) for p in _powers(scale.top))
    steps = sorted({round(step) for step in ticks(0, scale.last_step) if step <= scale.last_step})
    return Growth(
        tuple(tensors),
        loss,
        tuple(Tick(scale.x(step), f"{step:,}") for step in steps),
        tuple(Tick(*tick) for tick in up),
        None if divergence["step"] is None else scale.x(divergence["step"]),
    )


def _scale(curves: Iterable[Mapping[str, Any]], first: int | None) -> _Scale:
    steps, highest = [first or 0], 1
    for curve in curves:
        steps += curve["steps"]
        highest = max(highest, *(ulp or 0 for ulp in curve["ulp"]), 1)
    return _Scale(max(steps), max(_LOWEST_TOP, (highest - 1).bit_length()))


def _points(content: Mapping[str, Any], scale: _Scale) -> list[Point | None]:
    return [
        None if ulp is None else (scale.x(step), scale.y(ulp))
        for step, ulp in zip(content["steps"], content["ulp"], strict=False)
    ]


def _curve(
    position: int,
    content: Mapping[str, Any],
    points: Sequence[Point | None],
    label: Point | None,
    tensors: int,
) -> Curve:
    """The loss is at position 0, then the tensors in forward order."""
    return Curve(
        letter=string.ascii_uppercase[position - 1] if position else LOSS,
        name=content.get("name", LOSS),
        share=100 * max(0, position - 1) // max(1, tensors - 1),
        dash=_DASHES[(position - 1) % len(_DASHES)] if position else "none",
        segments=tuple(segments(points)),
        dots=tuple(_alone(points)),
        label=label,
        last=content["ulp"][-1] if content["ulp"] else None,
    )


def _alone(points: Sequence[Point | None]) -> Iterator[Point]:
    """Points that no line goes through."""
    around = [None, *points, None]
    for before, point, after in zip(around, points, around[2:], strict=False):
        if point is not None and before is None and after is None:
            yield point


def _apart(labels: Sequence[Point | None]) -> list[Point | None]:
    """Letters that would cover each other are moved down, and up where there is no room left."""
    order = sorted((label[1], i) for i, label in enumerate(labels) if label)
    heights = [height for height, _ in order]
    for i in range(1, len(heights)):
        heights[i] = max(heights[i], heights[i - 1] + _LABEL_SPACE)
    room = BASE
    for i in reversed(range(len(heights))):
        heights[i] = min(heights[i], room)
        room = heights[i] - _LABEL_SPACE
    moved = {i: round(height, 2) for (_, i), height in zip(order, heights, strict=True)}
    return [(label[0], moved[i]) if label else None for i, label in enumerate(labels)]


def _powers(top: int) -> range:
    """Few enough powers of two to be named, from 0 on."""
    return range(0, top + 1, math.ceil((top + 1) / _MOST_TICKS))


def _power(exponent: int) -> str:
    """A power of two as a person reads it best."""
    return f"{1 << exponent:,}" if exponent <= 16 else "2" + _raised(exponent)


def _ten(exponent: int) -> str:
    return f"{10**exponent:,}" if exponent <= 4 else "10" + _raised(exponent)


def _raised(exponent: int) -> str:
    return str(exponent).translate(_SUPERSCRIPT)


# --- histogram -------------------------------------------------------------------------------


def histogram(histograms: Iterable[Mapping[str, Any]]) -> Histogram:
    """The elements of all tensors together; heights are powers of ten, so that one shows."""
    counts = [sum(c) for c in zip_longest(*(h["counts"] for h in histograms), fillvalue=0)] or [0]
    top = max(1, math.ceil(math.log10(max(*counts, 1))))
    width = min(_WIDEST, (WIDTH - LEFT - RIGHT - _EQUAL - _GAP) / max(1, len(counts) - 1))
    columns = [_column(position, count, width, top) for position, count in enumerate(counts)]
    named = [0, *(1 + power for power in _powers(len(counts) - 2))] if counts[1:] else [0]
    return Histogram(
        tuple(columns),
        tuple(
            Tick(columns[i].x + columns[i].width / 2, _power(i - 1) if i else "equal")
            for i in named
        ),
        tuple(Tick(_level(10**p, top), _ten(p)) for p in range(0, top + 1, -(-top // 6))),
    )


def _column(position: int, count: int, width: float, top: int) -> Column:
    """Equal elements stand apart from the others."""
    x, y = LEFT + _EQUAL + _GAP + (position - 1) * width, _level(count, top)
    if position == 0:
        x, width = LEFT, _EQUAL
    x, width, height = round(x + 0.1 * width, 2), round(0.8 * width, 2), round(BASE - y, 2)
    return Column(x, y, width, height, _between(position), count)


def _level(count: int, top: int) -> float:
    height = 1 + math.log10(count) if count else 0.0
    return round(BASE - height / (top + 1) * (BASE - TOP), 2)


def _between(position: int) -> str:
    """The differences that a column counts, in words."""
    if position == 0:
        return "equal"
    low, high = 1 << (position - 1), (1 << position) - 1
    return f"{low:,} ULP" if low == high else f"{low:,} to {high:,} ULP"
