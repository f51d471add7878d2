"""The pictures of the page, as plain geometry for inline SVG: curves, digests, the seal."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

WIDTH, HEIGHT = 400.0, 240.0
LEFT, RIGHT, TOP, BOTTOM = 46.0, 12.0, 16.0, 30.0
_MOST_DOTS = 30  # with more epochs the dots would hide the lines
_VALIDATION = "val_"  # Keras puts this before the name of a metric on validation data

Point = tuple[float, float]
History = Mapping[str, Sequence[float]]


@dataclass(frozen=True)
class Tick:
    """A place on an axis and what is written there."""

    at: float
    text: str


@dataclass(frozen=True)
class Gap:
    """An epoch whose value cannot be drawn."""

    x: float
    text: str
    epoch: int


@dataclass(frozen=True)
class Line:
    """One metric of one run. A value that is not finite breaks it into segments."""

    run: str
    part: str  # train or validation
    position: int  # the control, 0, is drawn wide and pale, the others dashed on top of it
    segments: tuple[str, ...]
    dots: tuple[Point, ...]
    gaps: tuple[Gap, ...]


@dataclass(frozen=True)
class Panel:
    """One metric on training and validation data, all runs."""

    title: str
    lines: tuple[Line, ...]
    across: tuple[Tick, ...]
    up: tuple[Tick, ...]


@dataclass(frozen=True)
class Scale:
    """Epochs and values to places in the picture."""

    epochs: int
    low: float
    high: float

    def x(self, epoch: int) -> float:
        """Where an epoch (from 0) is; a single one is in the middle."""
        share = epoch / (self.epochs - 1) if self.epochs > 1 else 0.5
        return round(LEFT + share * (WIDTH - LEFT - RIGHT), 2)

    def y(self, value: float) -> float:
        """Where a value is; halved, so that the widest range of floats does not overflow."""
        share = (value / 2 - self.low / 2) / (self.high / 2 - self.low / 2)
        return round(HEIGHT - BOTTOM - share * (HEIGHT - BOTTOM - TOP), 2)


def panels(histories: Mapping[str, History]) -> tuple[Panel, ...]:
    """One panel per metric, loss first."""
    metrics = {name.removeprefix(_VALIDATION) for history in histories.values() for name in history}
    return tuple(
        _panel(name, histories) for name in sorted(metrics, key=lambda m: (m != "loss", m))
    )


def _panel(metric: str, histories: Mapping[str, History]) -> Panel:
    drawn = [
        (run, part, history[prefix + metric])
        for run, history in histories.items()
        for part, prefix in (("train", ""), ("validation", _VALIDATION))
        if prefix + metric in history
    ]
    ticks, scale = _scale([values for _, _, values in drawn])
    positions = {run: position for position, run in enumerate(histories)}
    return Panel(
        metric,
        tuple(_line(run, part, positions[run], values, scale) for run, part, values in drawn),
        tuple(Tick(scale.x(epoch), str(epoch + 1)) for epoch in _epochs(scale.epochs)),
        tuple(Tick(scale.y(value), _short(value)) for value in ticks),
    )


def _scale(series: Sequence[Sequence[float]]) -> tuple[list[float], Scale]:
    """Round ticks that enclose all finite values."""
    finite = [value for values in series for value in values if math.isfinite(value)]
    low, high = (min(finite), max(finite)) if finite else (0.0, 1.0)
    margin = max(abs(low), abs(high), 1e-300) * 1e-6
    if high / 2 - low / 2 < margin:  # a flat line is in the middle
        low, high = low - margin * 1e5, high + margin * 1e5
    values = ticks(low, high)
    return values, Scale(max(map(len, series), default=1), values[0], values[-1])


def ticks(low: float, high: float) -> list[float]:
    """Round values, evenly apart, the first and last of which enclose both."""
    span = high / 5 - low / 5
    if not math.isfinite(span * 6) or span < 1e-290:
        return [low, high]
    size = 10.0 ** math.floor(math.log10(span))
    step = next(size * by for by in (1, 2, 5, 10) if size * by >= span)
    first, last = math.floor(low / step), math.ceil(high / step)
    return [step * i for i in range(first, last + 1)]


def _short(value: float) -> str:
    return f"{value:.4g}" if value else "0"


def _epochs(count: int) -> range:
    """At most nine epochs to be named, evenly apart."""
    return range(0, count, max(1, math.ceil(count / 9)))


def _line(run: str, part: str, position: int, values: Sequence[float], scale: Scale) -> Line:
    points = [
        (scale.x(i), scale.y(value)) if math.isfinite(value) else None
        for i, value in enumerate(values)
    ]
    gaps = tuple(
        Gap(scale.x(i), number(value), i + 1)
        for i, value in enumerate(values)
        if not math.isfinite(value)
    )
    dots = tuple(point for point in points if point) if len(values) <= _MOST_DOTS else ()
    return Line(run, part, position, tuple(segments(points)), dots, gaps)


def segments(points: Sequence[Point | None]) -> Iterator[str]:
    """The stretches of two and more points, as an SVG polyline has them."""
    segment: list[str] = []
    for point in [*points, None]:
        if point is not None:
            segment.append(f"{point[0]:g},{point[1]:g}")
            continue
        if len(segment) > 1:
            yield " ".join(segment)
        segment = []


def number(value: float) -> str:
    """A float with all its digits, for people."""
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "∞" if value > 0 else "-∞"
    return repr(value)


# --- digests ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class Bar:
    """One hexadecimal digit of a digest."""

    x: float
    height: float


def bars(digest: str | None) -> tuple[Bar, ...]:
    """A digest as 64 bars of 16 heights."""
    return tuple(Bar(10 * i + 2, 2 + 2 * int(digit, 16)) for i, digit in enumerate(digest or ""))


def rays(digest: str | None) -> tuple[tuple[float, float, float, float], ...]:
    """A digest as 64 rays around a seal: x1, y1, x2, y2 about the centre."""
    return tuple(_ray(i, int(digit, 16)) for i, digit in enumerate(digest or ""))


def _ray(position: int, digit: int) -> tuple[float, float, float, float]:
    angle = 2 * math.pi * position / 64 - math.pi / 2
    x, y = math.cos(angle), math.sin(angle)
    inner, outer = 46.0, 49.0 + 0.7 * digit
    return round(inner * x, 2), round(inner * y, 2), round(outer * x, 2), round(outer * y, 2)
