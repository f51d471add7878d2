"""The index of a sweep as a table: CSV as RFC 4180 has it, the same bytes for the same rows."""

import csv
import io
import json
from collections.abc import Sequence
from typing import Any

from samebits import index_rows
from samebits.index_rows import Row

COMBINATION, VERDICT, SIGNATURE = "combination", "verdict", "signature"
_DIVERGENCE = ("run", "step", "epoch")


def render(rows: Sequence[Row], keys: Sequence[str]) -> bytes:
    """One line per certificate, in their order. ``keys``: those that were swept."""
    metrics = index_rows.metrics(rows)
    text = io.StringIO(newline="")
    writer = csv.writer(text)  # its default, lines ending in CR LF, is RFC 4180
    writer.writerow(
        [COMBINATION, *keys, VERDICT, SIGNATURE]
        + [f"last {name}" for name in metrics]
        + [f"divergence {what}" for what in (*_DIVERGENCE, "tensors")]
        + ["depends on", "runs", "seconds", "experiment sha256", "certificate"]
        + ["certificate sha256"]
    )
    for row in rows:
        writer.writerow(_line(row, keys, metrics))
    return text.getvalue().encode("utf-8")


def _line(row: Row, keys: Sequence[str], metrics: Sequence[str]) -> list[Any]:
    parted = row.parted or {}
    return [
        row.name,
        *(cell(row.swept[key]) if key in row.swept else "" for key in keys),
        row.verdict,
        row.signature,
        *(repr(row.metrics[name]) if name in row.metrics else "" for name in metrics),
        *(cell(parted.get(what)) for what in _DIVERGENCE),
        " ".join(parted.get("tensors", ())),
        ", ".join(row.depends_on),
        row.runs,
        f"{row.seconds:.3f}",
        row.digest,
        row.certificate,
        row.sha256,
    ]


def cell(value: Any) -> str:
    """A value of a config: text as it is, nothing for null, JSON for the rest."""
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
