"""Charts and the badge as numbers: templates/charts.html.j2 and badge.svg.j2 draw them as SVG.

No charting library draws them, because the charts belong to the page: they take its fonts and
colors, light, dark or printed; they have a title and a description for screen readers; they load
nothing; and the same certificate gives the same bytes.
"""

import math
import string
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from samebits.certificate.types import Certificate, Curve, Divergence
from samebits.pages import templates
from samebits.text import plain

BADGE = templates.FOLDER / "badge.svg.j2"
# One frame for all charts; lines end at RIGHT, and the labels of lines lie beyond it.
WIDTH, HEIGHT = 400.0, 262.0
LEFT, RIGHT, TOP, BASE = 50.0, 370.0, 34.0, 228.0
LOSS = "loss"
VALIDATION = "val_"  # Keras puts this before the name of a metric on validation data
_MOST_DOTS = 30  # with more epochs the dots would hide the lines
_MOST_TENSORS = 12
_MOST_TICKS = 6
_LOWEST_TOP = 4  # as a power of two: a difference of 1 ULP has to look small
_EQUAL = -2.0  # as a power of two: where equal bits lie, on the baseline
_LABEL_SPACE = 10.5  # between two labels at line ends
KEY = (8.0, 7.0), (20.0, 7.0), (32.0, 7.0)  # points in the list beside a chart
_SUPERSCRIPT = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")

Point = tuple[float, float]
History = Mapping[str, Sequence[float]]
Values = Sequence[tuple[float, float]]


@dataclass(frozen=True)
class Axis:
    """Values to places in the picture."""

    low: float
    high: float
    start: float
    end: float

    def at(self, value: float) -> float:
        """Where a value is; halved, so that the widest range of floats does not overflow."""
        share = 0.5  # without a range, everything is in the middle
        if self.high > self.low:
            share = (value / 2 - self.low / 2) / (self.high / 2 - self.low / 2)
        return round(self.start + share * (self.end - self.start), 2)


@dataclass(frozen=True)
class Tick:
    """A place on an axis, or of a value that cannot be drawn, and the text that stands there."""

    at: float
    text: str


@dataclass(frozen=True)
class Line:
    """One line, or its points alone. A value that is not finite is a gap between two segments."""

    name: str  # of a run or a tensor
    kind: str  # train or validation; the letter of a tensor, or loss
    position: int  # among the runs (0 is the control) or the tensors
    segments: Sequence[str]  # each as the points of an SVG polyline
    dots: Sequence[Point]
    gaps: Sequence[Tick]
    label: Point | None  # where its name goes; None: nothing of it can be drawn
    last: int | None = None  # the difference at the end, in ULP


@dataclass(frozen=True)
class Chart:
    """Lines or points between two axes.

    ``mark``: where the first difference is; it lies after ``since``, where the runs are equal.
    """

    title: str
    across: Sequence[Tick]
    up: Sequence[Tick]
    lines: Sequence[Line] = ()
    mark: float | None = None
    since: float | None = None


def number(value: float) -> str:
    """A float with all its digits, for people."""
    if math.isfinite(value):
        return repr(value)
    return "NaN" if math.isnan(value) else "∞" if value > 0 else "-∞"


# --- curves of metrics ---------------------------------------------------------------------------


def metrics(histories: Mapping[str, History]) -> list[str]:
    """The names of all metrics, the loss first; on validation data they have the same."""
    found = {name.removeprefix(VALIDATION) for history in histories.values() for name in history}
    return sorted(found, key=lambda name: (name != LOSS, name))


def curves(histories: Mapping[str, History]) -> list[Chart]:
    """One chart per metric by epoch, on training and validation data."""
    return [_metric(name, histories) for name in metrics(histories)]


def _metric(metric: str, histories: Mapping[str, History]) -> Chart:
    found = [
        (run, kind, position, list(enumerate(history[prefix + metric], 1)))
        for position, (run, history) in enumerate(histories.items())
        for kind, prefix in (("train", ""), ("validation", VALIDATION))
        if prefix + metric in history
    ]
    finite = [value for *_, values in found for _, value in values if math.isfinite(value)]
    heights = ticks(*_range(min(finite, default=0.0), max(finite, default=1.0)))
    epochs = max(len(values) for *_, values in found)
    across, up = Axis(1, epochs, LEFT, RIGHT), Axis(heights[0], heights[-1], BASE, TOP)
    named = range(1, epochs + 1, math.ceil(epochs / 9) or 1)
    below = [Tick(across.at(epoch), str(epoch)) for epoch in named]
    beside = [Tick(up.at(height), f"{height:.4g}" if height else "0") for height in heights]
    return Chart(metric, below, beside, [_line(*one, (across, up), _MOST_DOTS) for one in found])


def _range(low: float, high: float) -> tuple[float, float]:
    """A range that is wide enough to draw: a flat line is in the middle of it."""
    margin = max(abs(low), abs(high), 1e-300) * 1e-6
    wide = high / 2 - low / 2 >= margin
    return (low, high) if wide else (low - margin * 1e5, high + margin * 1e5)


def ticks(low: float, high: float) -> list[float]:
    """Round values at equal distances, the first and last of which enclose both."""
    span = high / 5 - low / 5
    if not math.isfinite(span * 6) or span < 1e-290:
        return [low, high]
    size = 10.0 ** math.floor(math.log10(span))
    step = next(size * by for by in (1, 2, 5, 10) if size * by >= span)
    return [step * i for i in range(math.floor(low / step), math.ceil(high / step) + 1)]


def _line(
    name: str, kind: str, position: int, values: Values, axes: tuple[Axis, Axis], most_dots: int = 0
) -> Line:
    """A line through values. Beyond ``most_dots``, only isolated points are dots."""
    across, up = axes
    points = [(across.at(x), up.at(y)) if math.isfinite(y) else None for x, y in values]
    segments = list(_segments(points))
    drawn = [" ".join(f"{x:g},{y:g}" for x, y in segment) for segment in segments if segment[1:]]
    alone = [segment[0] for segment in segments if len(segment) == 1]
    dots = alone if len(points) > most_dots else [point for point in points if point]
    gaps = [Tick(across.at(x), number(y)) for x, y in values if not math.isfinite(y)]
    return Line(name, kind, position, drawn, dots, gaps, segments[-1][-1] if segments else None)


def _segments(points: Iterable[Point | None]) -> Iterator[list[Point]]:
    segment: list[Point] = []
    for point in [*points, None]:
        if point:
            segment.append(point)
        elif segment:
            yield segment
            segment = []


# --- how the difference of two runs grows --------------------------------------------------------


def growth(divergence: Divergence) -> Chart:
    """The largest ULP distance of each tensor at the steps that were sampled: points, since
    nothing is known between them. The loss is the first, then tensors in forward order.

    Heights are powers of two. Equal bits, 0 ULP, lie on the baseline, two powers below 1 ULP.
    """
    found = [divergence["loss_curve"], *divergence["curves"][:_MOST_TENSORS]]
    first, highest = divergence["step"], max(ulp or 0 for c in found for ulp in [1, *c["ulp"]])
    last = max([first or 0, *(step for curve in found for step in curve["steps"])])
    top = max(_LOWEST_TOP, (highest - 1).bit_length())
    named = range(0, top + 1, math.ceil((top + 1) / _MOST_TICKS))
    across, up = Axis(0, last, LEFT, RIGHT), Axis(_EQUAL, top, BASE, TOP)
    lines = [
        _line(curve.get("name", LOSS), kind, i, _powers(curve), (across, up), len(curve["steps"]))
        for i, (kind, curve) in enumerate(zip([LOSS, *string.ascii_uppercase], found, strict=False))
    ]
    labeled = zip(lines, _apart(lines), found, strict=True)
    steps = [step for step in map(round, ticks(0, last)) if step <= last]
    below = [Tick(across.at(step), f"{step:,}") for step in steps]
    beside = [Tick(BASE, "equal"), *(Tick(up.at(p), _power(p)) for p in named)]
    drawn = [replace(line, label=at, last=[None, *c["ulp"]][-1]) for line, at, c in labeled]
    mark = None if first is None else across.at(first)
    since = None if first is None else across.at(divergence["after"] or 0)
    return Chart("growth", below, beside, drawn, mark=mark, since=since)


def marks(line: Line, dots: Sequence[Point] | None = None) -> str:
    """The points of a line, or some in its style, as an SVG path: upright strokes or, with the
    caps of the style sheet, round or square points.
    """
    up, stroke = (2.6, "v5.2") if line.position % 4 == 1 else (0.0, "h0")
    return "".join(f"M{x:g},{y - up:g}{stroke}" for x, y in (dots or line.dots))


def _powers(curve: Curve) -> list[tuple[int, float]]:
    """A curve's steps and differences as powers of two; one without a size (NaN) is NaN."""
    heights = (math.nan if u is None else math.log2(u) if u else _EQUAL for u in curve["ulp"])
    return list(zip(curve["steps"], heights, strict=False))


def _apart(lines: Sequence[Line]) -> list[Point | None]:
    """Labels that would cover each other are moved down, and up where there is no room left."""
    order = sorted((line.label[1], i) for i, line in enumerate(lines) if line.label)
    heights, lowest = [height for height, _ in order], -math.inf
    for i, height in enumerate(heights):
        heights[i] = lowest = max(height, lowest + _LABEL_SPACE)
    highest = BASE + _LABEL_SPACE
    for i in reversed(range(len(heights))):
        heights[i] = highest = min(heights[i], highest - _LABEL_SPACE)
    moved = {i: round(height, 2) for (_, i), height in zip(order, heights, strict=True)}
    return [(line.label[0], moved[i]) if line.label else None for i, line in enumerate(lines)]


def _power(exponent: int) -> str:
    """A power of two as a person reads it best."""
    value = 2**exponent
    return f"{value:,}" if value <= 1 << 16 else f"2{str(exponent).translate(_SUPERSCRIPT)}"


# --- badge ------------------------------------------------------------------------------------


def badge(certificate: Certificate) -> str:
    """A small SVG with the verdict, the number of runs, the date, and UNSIGNED where nobody signed.

    It looks the same on light and on dark and loads nothing. It proves nothing: the certificate
    can be verified, the badge cannot.
    """
    template = templates.template(BADGE, {"length_px": length_px, "plain": plain})
    return template.render(certificate=certificate, report=certificate["report"])


def length_px(text: str) -> float:
    """About how long a text of Verdana is at 11 px; the SVG stretches the text to this length."""
    return round(sum(7.5 if c.isupper() else 3.7 if c in " ·-I" else 6.6 for c in text), 1)
