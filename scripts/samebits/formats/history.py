"""A training history as JSON that reads back to exactly the same bits.

Finite floats are JSON numbers: Python writes the shortest text that reads back to the same
IEEE 754 double, the sign of zero included. NaN and infinities, which JSON lacks, are written as
``{"float64": "7ff8000000000000"}``, the 64 bits in hexadecimal, so a NaN keeps its payload.
"""

from __future__ import annotations

import math
import struct
from pathlib import Path
from typing import Any, Dict, List, Mapping

import numpy as np

from samebits.errors import SamebitsError
from samebits.formats import canonical

FORMAT = "samebits-history-1"
History = Dict[str, List[float]]


def _encode(value: float) -> Any:
    if math.isfinite(value):
        return value
    return {"float64": struct.pack(">d", value).hex()}


def _decode(value: Any) -> float:
    if isinstance(value, dict):
        return float(struct.unpack(">d", bytes.fromhex(value["float64"]))[0])
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(f"{value!r} is not a number")
    return float(value)


def numbers(logs: Mapping[str, Any]) -> dict[str, float]:
    """The metrics of one epoch as float64; one that is an array becomes several: ``f1[0]``, ….

    Raises SamebitsError for a metric that is no number.
    """
    found = {}
    for name, value in logs.items():
        try:
            array = np.asarray("none" if value is None else value, np.float64)
        except (TypeError, ValueError):
            raise SamebitsError(
                f"metric {name}: expected a number or an array of numbers, got {value!r:.80}; "
                "have the model's train_step return numbers"
            ) from None
        for index, number in np.ndenumerate(array):
            found[name + (str(list(index)) if index else "")] = float(number)
    return found


def to_json(history: Mapping[str, Any]) -> dict[str, Any]:
    """Keras' ``History.history``: one list of floats (float64) per metric, in epochs."""
    metrics: dict[str, list[Any]] = {}
    for name, values in history.items():
        epochs = [numbers({str(name): value}) for value in values]
        for key in dict.fromkeys(key for epoch in epochs for key in epoch) or [str(name)]:
            metrics[key] = [_encode(epoch[key]) for epoch in epochs if key in epoch]
    return {"format": FORMAT, "metrics": metrics}


def from_json(content: Any) -> History:
    """The inverse of ``to_json``. Raises ValueError, TypeError or KeyError when it is not one."""
    if content["format"] != FORMAT:
        raise ValueError("expected format {}, got {}".format(FORMAT, content["format"]))
    return {name: [_decode(v) for v in values] for name, values in content["metrics"].items()}


def read(path: Path) -> History:
    """Read a history file. Raises SamebitsError that names the file."""
    try:
        content = canonical.read_json(path)
        values = from_json(content)
        if canonical.dumps(to_json(values)) != canonical.dumps(content):
            raise ValueError("numbers in another form than to_json writes")
        return values
    except (KeyError, TypeError, ValueError, struct.error) as error:
        raise SamebitsError(f"{path}: expected a {FORMAT} file, got: {error}") from error
