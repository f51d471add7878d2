"""The index of a sweep as a table: CSV as RFC 4180 has it, the same bytes for the same rows."""

import csv
import io
import json
from collections.abc import Sequence
from typing import Any

from samebits.pages import index_rows
from samebits.pages.index_rows import Row, Spread

COMBINATION, VERDICT, SIGNATURE = "combination", "verdict", "signature"
_DIVERGENCE = ("run", "step", "epoch")


def render(rows: Sequence[Row], keys: Sequence[str]) -> bytes:
    """One line per certificate, in their order. ``keys``: those that were swept."""
    metrics, telling = index_rows.metrics(rows), index_rows.telling(rows)
    spreads = index_rows.spreads(rows, telling[-1]) if telling else {}
    text = io.StringIO(newline="")
    writer = csv.writer(text)  # its default, lines ending in CR LF, is RFC 4180
    writer.writerow(
        [COMBINATION, *keys, VERDICT, SIGNATURE]
        + [f"last {name}" for name in metrics]
        + [f"{what} over seeds" for what in ("number", "least", "median", "most")]
        + [f"divergence {what}" for what in (*_DIVERGENCE, "tensors")]
        + ["depends on", "runs", "seconds", "experiment sha256", "certificate"]
        + ["certificate sha256"]
    )
    for row in rows:
        writer.writerow(_line(row, keys, metrics, spreads.get(row.group or "")))
    return text.getvalue().encode("utf-8")


def _line(
    row: Row, keys: Sequence[str], metrics: Sequence[str], spread: Spread | None
) -> list[Any]:
    parted = row.parted or {}
    return [
        row.name,
        *(cell(row.swept[key]) if key in row.swept else "" for key in keys),
        row.verdict,
        row.signature,
        *(repr(row.metrics[name]) if name in row.metrics else "" for name in metrics),
        *_over_seeds(spread),
        *(cell(parted.get(what)) for what in _DIVERGENCE),
        " ".join(parted.get("tensors", ())),
        ", ".join(row.depends_on),
        row.runs,
        f"{row.seconds:.3f}",
        row.digest,
        row.certificate,
        row.sha256,
    ]


def _over_seeds(spread: Spread | None) -> list[str]:
    """Of the last metric that the page shows, as it shows it."""
    if spread is None or not spread.values:
        return [""] * 4
    numbers = spread.numbers
    return [str(len(numbers)), repr(numbers[0]), repr(spread.middle), repr(numbers[-1])]


def cell(value: Any) -> str:
    """A value of a config: text as it is, nothing for null, JSON for the rest."""
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
