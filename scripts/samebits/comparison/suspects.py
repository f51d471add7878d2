"""Which layers of a model the atlas suspects, where a run on another CPU has other bits.

A suspect is a layer that executed a kernel which the atlas lists: one whose results depend on the
CPU under all that the experiment pins, or may. Where a run parts before its first step no layer is
one: initial values differ, which no training has made.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from samebits import atlas, atlas_table
from samebits.comparison import suspected
from samebits.comparison.divergence import Parting
from samebits.formats import files

Record = Mapping[str, Any]


@dataclass(frozen=True)
class Atlas:
    """An atlas and the SHA-256 of its file, by which a comparison names it."""

    content: atlas_table.Atlas
    sha256: str


def read_atlas(path: Path) -> Atlas:
    """Raises SamebitsError when the file is no atlas."""
    return Atlas(atlas.read(path), files.digest(path))


def is_elsewhere(control: Record, record: Record) -> bool:
    """Whether a run saw another CPU than its control."""
    return bool(control["surroundings"]["cpu"] != record["surroundings"]["cpu"])


def suspects(known: Atlas, record: Record, parting: Parting) -> dict[str, Any]:
    """What the atlas says of a run that parts from its control, as JSON."""
    version = record["framework"]["tensorflow"]
    kernels = atlas.listed(known.content, version, record["config"]["determinism"])
    executed = suspected.executed(record)
    layers = None
    if kernels is not None and executed is not None:
        found = [] if parting.step == 0 else list(_layers(executed, kernels, parting))
        layers = suspected.in_order(found, executed, parting.step)
    return {"atlas": known.sha256, "tensorflow": version, "layers": layers}


def _layers(
    executed: Any, listed: Mapping[str, bool], parting: Parting
) -> Iterator[dict[str, Any]]:
    """Those with a listed kernel, in the order in which they were executed."""
    for layer in executed:
        kernels = [kernel for kernel in layer["kernels"] if kernel in listed]
        possible = [kernel for kernel in kernels if not listed[kernel]]
        if kernels:
            yield {
                "layer": layer["layer"],
                "class": layer["class"],
                "step": _first_step(layer["tensors"], parting),
                "kernels": kernels,
            } | ({"possible": possible} if possible else {})


def _first_step(tensors: Any, parting: Parting) -> int | None:
    steps = (parting.tensors.get(name) for name in tensors)
    return min((step for step in steps if step is not None), default=None)
