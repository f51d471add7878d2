"""Names of Keras' optimizers, losses, metrics and schedules, looked up before any job.

``keras_names.json`` lists what the ``get`` functions of each framework take; a test reads them off
the frameworks themselves. A name with a ">" is of a class that the user's code registers.
"""

import json
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from samebits.config import keys

_FILE = Path(__file__).with_name("keras_names.json")
_KINDS = {"optimizer": "optimizers", "loss": "losses", "metrics": "metrics"}


@cache
def known(tensorflow: str) -> dict[str, list[str]]:
    """The names of each kind with this version of TensorFlow; empty where they are not listed."""
    table: dict[str, dict[str, list[str]]] = json.loads(_FILE.read_text())
    return table.get(tensorflow, {})


def problems(resolved: Mapping[str, Any]) -> Iterator[str]:
    """Names in ``trainer`` that the framework's Keras does not have, each with the nearest ones."""
    tensorflow = resolved["framework"]["tensorflow"]
    names = known(tensorflow)
    for key, kind in _KINDS.items() if names else ():
        specs = resolved["trainer"][key]
        for spec in specs if isinstance(specs, list) else [specs]:
            for where, name, of in _named(f"trainer.{key}", kind, spec):
                if ">" not in name and not {name, name.lower()} & set(names[of]):
                    hint = keys.nearest(name, names[of])
                    yield f"{where}: the Keras of TensorFlow {tensorflow} has no {name}; {hint}"


def _named(where: str, kind: str, spec: Any) -> Iterator[tuple[str, str, str]]:
    """The names in a specification: its own, and those of schedules in its config."""
    if isinstance(spec, str):
        yield where, spec, kind
    elif isinstance(spec, Mapping):
        yield f"{where}.class_name", spec["class_name"], kind
        for key, value in (spec.get("config") or {}).items():
            if isinstance(value, Mapping) and "class_name" in value:
                yield f"{where}.config.{key}.class_name", value["class_name"], "schedules"
