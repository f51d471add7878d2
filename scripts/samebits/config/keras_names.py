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
_RATE = "learning_rate"


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
            yield from _schedule_problems(f"trainer.{key}", spec)
            for where, name, of in _named(f"trainer.{key}", kind, spec):
                if ">" not in name and not {name, name.lower()} & set(names[of]):
                    hint = keys.nearest(name, names[of])
                    yield f"{where}: the Keras of TensorFlow {tensorflow} has no {name}; {hint}"


# Keys of a config that name an object of Keras, too, and the kind that it is of.
_INNER = {_RATE: "schedules", "inner_optimizer": "optimizers"}


def _named(where: str, kind: str, spec: Any) -> Iterator[tuple[str, str, str]]:
    """The names in a specification: its own, and those of objects in its config."""
    if isinstance(spec, str):
        yield where, spec, kind
    elif isinstance(spec, Mapping) and isinstance(spec.get("class_name"), str):
        yield f"{where}.class_name", spec["class_name"], kind
        config = spec.get("config") or {}
        for key in _INNER.keys() & config.keys():
            yield from _named(f"{where}.config.{key}", _INNER[key], config[key])


def _schedule_problems(where: str, spec: Any) -> Iterator[str]:
    """A learning rate that Keras takes for no number, and that says of no schedule what it is."""
    config = (spec.get("config") or {}) if isinstance(spec, Mapping) else {}
    rate = config.get(_RATE, 0)
    if not isinstance(rate, int | float) and "class_name" not in (rate or ()):
        yield (
            f"{where}.config.{_RATE}: expected a number, or a schedule as "
            f"{{class_name: NAME, config: {{…}}}}; got {keys.shown(rate)}"
        )
