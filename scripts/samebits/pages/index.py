"""The index of a sweep as one HTML page, from the rows that certificates gave and nothing else."""

import hashlib
import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Template

from samebits.certificate import certificate
from samebits.formats import names
from samebits.pages import index_rows, index_table, templates, wording
from samebits.pages.index_rows import VALIDATION, Row, Spread

TEMPLATE = Path(__file__).parent / "templates" / "index.html.j2"
STYLE = Path(__file__).with_name("style.css")  # all pages look alike

# Verdict: its style and its sign, as on a certificate, the best first.
_FACES = {
    names.REPRODUCIBLE: ("good", "✓"),
    names.WITHIN_TOLERANCE: ("near", "≈"),
    names.NOT_REPRODUCIBLE: ("bad", "≠"),
    names.UNSUPPORTED: ("unsupported", "–"),
    names.INCONCLUSIVE: ("open", "?"),
}
WIDTH, HEIGHT, EDGE = 240.0, 24.0, 6.0  # of the picture of one spread


@dataclass(frozen=True)
class Strip:
    """The values of one spread on a line, all spreads on the same scale."""

    dots: tuple[float, ...]
    middle: float


def render(rows: Sequence[Row], name: str, file: str, table: bytes) -> str:
    """The page. ``file``: what the table is called, the bytes of which are ``table``."""
    metrics = index_rows.telling(rows)
    spreads = index_rows.spreads(rows, metrics[-1]) if metrics else {}
    return _template().render(
        style=STYLE.name,
        name=name,
        rows=rows,
        labels=[list(_labels(row)) for row in rows],
        faces=_FACES,
        metrics=metrics,
        title=title,
        counts=list(_counts(rows)),
        unsigned=sum(row.signature == certificate.UNSIGNED for row in rows),
        spreads=list(_drawn([*spreads.values()])),
        frame={"width": WIDTH, "height": HEIGHT},
        seconds=sum(row.seconds for row in rows),
        runs=sum(row.runs for row in rows),
        file=file,
        digest=hashlib.sha256(table).hexdigest(),
    )


@cache
def _template() -> Template:
    filters = {"shown": shown, "spent": spent, "where": wording.where}
    return templates.template(TEMPLATE, filters)


def title(metric: str) -> str:
    """A metric's name for people."""
    plain = metric.removeprefix(VALIDATION).replace("_", " ")
    return f"validation {plain}" if metric.startswith(VALIDATION) else plain


def shown(value: float | None) -> str:
    """A metric with few digits; the table has all of them."""
    if value is None:
        return "–"
    if math.isnan(value):
        return "NaN"
    return f"{value:.4f}" if math.isfinite(value) else ("∞" if value > 0 else "-∞")


def spent(seconds: float) -> str:
    """A time for people."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    if seconds < 3600:
        return f"{int(seconds) // 60} min {int(seconds) % 60} s"
    return f"{int(seconds) // 3600} h {int(seconds) % 3600 // 60} min"


def counted(rows: Sequence[Row]) -> str:
    """How often each verdict was come to, in one line."""
    said = ", ".join(f"{count:,} {verdict}" for verdict, count in _counts(rows))
    unsigned = sum(row.signature == certificate.UNSIGNED for row in rows)
    return said + (f"; {unsigned:,} UNSIGNED" if unsigned else "")


def _counts(rows: Sequence[Row]) -> Iterator[tuple[str, int]]:
    found = Counter(row.verdict for row in rows)
    return ((verdict, found[verdict]) for verdict in _FACES if found[verdict])


def _labels(row: Row) -> Iterator[str]:
    """What a combination is called: its values, or its name where the config does not have all."""
    if row.swept and all(f"{key}=" in row.name for key in row.swept):
        yield from _pairs(row.swept)
    else:
        yield row.name


def _pairs(swept: Mapping[str, Any]) -> Iterator[str]:
    return (f"{key}={index_table.cell(value) or 'null'}" for key, value in swept.items())


def _drawn(spreads: Sequence[Spread]) -> Iterator[tuple[dict[str, Any], Strip | None]]:
    numbers = [number for spread in spreads for number in spread.numbers]
    for spread in spreads:
        said = {"labels": list(_pairs(spread.swept)) or ["all"], "spread": spread}
        yield said, _strip(spread, min(numbers), max(numbers)) if spread.values else None


def _strip(spread: Spread, low: float, high: float) -> Strip:
    def x(value: float) -> float:
        share = (value / 2 - low / 2) / (high / 2 - low / 2) if high > low else 0.5
        return round(EDGE + share * (WIDTH - 2 * EDGE), 2)

    return Strip(tuple(map(x, spread.numbers)), x(spread.middle))
