"""Layer attribution: which layers ran CPU-dependent kernels, when a run on another CPU differs.

The atlas lists the kernels whose bits depend on the CPU under the settings that an experiment pins:
shown to depend, or possibly depending. Of oneDNN's primitives it says in how many drawn shapes an
implementation had other bits on another CPU, since shapes choose the implementation.

Runs that differ before the first step have no such layer: their initial values differ, which no
kernel of the training made.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from samebits.comparison.divergence import FirstDivergence
from samebits.errors import SamebitsError
from samebits.formats import canonical, files
from samebits.text import few

ATLAS_FORMAT = "samebits-atlas-1"
# How the shapes were drawn (studies/atlas/run_drawn.py), beside threads and replacements.
_AS_DRAWN = {"onednn": True, "isa": "AVX2", "op_determinism": True}
_DRAWN = ("kind", "implementation", "direction", "cases", "dependent", "shapes")
_PINS = {"isa": "isa", "onednn": "onednn", "threads": "intra_op_threads"}

Record = Mapping[str, Any]
Layers = Sequence[Mapping[str, Any]]


@dataclass(frozen=True)
class Atlas:
    """The atlas's tables of CPU-dependent kernels and of primitives, and its file's SHA-256."""

    depends: Sequence[Mapping[str, Any]]
    sha256: str
    primitives: Sequence[Mapping[str, Any]] = ()

    def kernels(self, tensorflow: str, determinism: Mapping[str, Any]) -> dict[str, bool] | None:
        """CPU-dependent kernels, as ``Rsqrt float32``, and whether each is shown to depend.

        None when the atlas does not cover this TensorFlow. A pinned value that the atlas did not
        try counts as left free.
        """
        rows = [row for row in self.depends if row["tensorflow"] == tensorflow]
        if not rows:
            return None
        pins = {key: determinism[name] for key, name in _PINS.items()}
        for key in pins:
            if all(row[key] != pins[key] for row in rows):
                pins[key] = None
        row = next(row for row in rows if all(row[key] == pins[key] for key in pins))
        return dict.fromkeys(row["possible"], False) | dict.fromkeys(row["shown"], True)

    def drawn(self, record: Record) -> list[dict[str, Any]] | None:
        """What drawn shapes showed of each implementation that a run made, as JSON, sorted.

        None where it is not known what the run made, and where it was not pinned as the drawn
        shapes were. More than one thread counts as the several that were tried.
        """
        made, pins = record["primitives"], record["config"]["determinism"]
        if made is None or any(pins[name] != value for name, value in _AS_DRAWN.items()):
            return None
        ran = {implementation(primitive) for primitive in made["made"]}
        under = [row for row in self.primitives if _drawn_under(row, record)]
        rows = [{name: row[name] for name in _DRAWN} for row in under if implementation(row) in ran]
        return sorted(rows, key=implementation) if under else None


def read_atlas(path: Path) -> Atlas:
    """Raises SamebitsError when the file is not an atlas."""
    content = canonical.read_json(path)
    if not isinstance(content, dict) or content.get("format") != ATLAS_FORMAT:
        raise SamebitsError(f"{path}: not an atlas; run: make atlas")
    return Atlas(content["depends"], files.digest(path), content["primitives"])


def implementation(of: Mapping[str, Any]) -> tuple[str, ...]:
    """Which primitive it is, whatever its shape, in the words of oneDNN."""
    return of["kind"], of["implementation"], of["direction"]


def _drawn_under(row: Mapping[str, Any], record: Record) -> bool:
    pins = record["config"]["determinism"]
    return bool(
        row["tensorflow"] == record["framework"]["tensorflow"]
        and row["replacements"] == sorted(pins["replacements"] or [])
        and (row["threads"] > 1) == ((pins["intra_op_threads"] or 2) > 1)
    )


def on_another_cpu(control: Record, record: Record) -> bool:
    """Whether a run saw another CPU than its control."""
    return bool(control["observed"]["cpu"] != record["observed"]["cpu"])


def executed(record: Record) -> Any:
    """The kernels that the first batch of a run executed, by layer; None if unknown."""
    return (record.get("model") or {}).get("executed")


def attribute(atlas: Atlas, record: Record, first: FirstDivergence) -> dict[str, Any]:
    """The layers of a run that may explain its divergence from the control, as JSON."""
    version = record["framework"]["tensorflow"]
    dependent = atlas.kernels(version, record["config"]["determinism"])
    layers, ran = None, executed(record)
    if dependent is not None and ran is not None:
        steps = {layer["layer"]: _first_step(layer, first) for layer in ran}
        found = [] if first.step == 0 else dependent_layers(ran, dependent)
        layers = [layer | {"step": steps[layer["layer"]]} for layer in found]
        layers = in_order(layers, ran, first.step)
    rows = () if first.step == 0 else atlas.drawn(record) or ()
    found = [row for row in rows if row["dependent"]]
    return {"atlas": atlas.sha256, "tensorflow": version, "layers": layers, "primitives": found}


def dependent_layers(ran: Layers, dependent: Mapping[str, bool]) -> Iterator[dict[str, Any]]:
    """The layers that ran one of these kernels, but for the step. ``dependent``: it is shown."""
    for layer in ran:
        kernels = [kernel for kernel in layer["kernels"] if kernel in dependent]
        possible = [kernel for kernel in kernels if not dependent[kernel]]
        if kernels:
            named = {"layer": layer["layer"], "class": layer["class"], "kernels": kernels}
            yield named | ({"possible": possible} if possible else {})


def _first_step(layer: Mapping[str, Any], first: FirstDivergence) -> int | None:
    steps = [first.tensors.get(name) for name in layer["tensors"]]
    return min((step for step in steps if step is not None), default=None)


def in_order(layers: Layers, ran: Layers, first: int | None) -> list[dict[str, Any]]:
    """Layers in order of divergence, those of one step in forward order.

    ``first``: the step at which the runs diverge; a layer without trainable tensors counts as
    diverging there. Within a step, kernels that are shown to depend come before those that
    possibly do, and layers before the parts outside any layer (optimizer, loss).
    """
    position = {entry["layer"]: number for number, entry in enumerate(ran)}
    trains = {entry["layer"]: bool(entry["tensors"]) for entry in ran}

    def key(layer: Mapping[str, Any]) -> tuple[float, bool, bool, int]:
        step = layer["step"] if trains[layer["layer"]] else first
        late = math.inf if step is None else step
        return late, not _shown(layer), layer["class"] is None, position[layer["layer"]]

    return [dict(layer) for layer in sorted(layers, key=key)]


def _shown(layer: Mapping[str, Any]) -> list[str]:
    return [kernel for kernel in layer["kernels"] if kernel not in layer.get("possible", ())]


def kernels_text(layer: Mapping[str, Any]) -> str:
    """The CPU-dependent kernels of a layer, in words."""
    return ", ".join([*_shown(layer), *(f"possibly {name}" for name in layer.get("possible", ()))])


def sentence(attribution: Mapping[str, Any], record: Record, first: int | None, most: int) -> str:
    """What the atlas says about a run that diverges at a step (``first``; None: unknown).

    Names at most ``most`` layers and primitives, and counts the rest.
    """
    rows = attribution["primitives"]
    drawn = [
        f"{' '.join(implementation(row))} (other bits on another CPU in {row['dependent']:,} of "
        f"{row['cases']:,} drawn shapes)"
        for row in rows
    ]
    made = f" oneDNN made, too: {few(drawn, most)}." if rows else ""
    return _of_layers(attribution, record, first, most) + made


def _of_layers(attribution: Mapping[str, Any], record: Record, first: int | None, most: int) -> str:
    layers, version = attribution["layers"], attribution["tensorflow"]
    if layers is None and executed(record) is None:
        return "No layer can be named: the kernels that the run executed are unknown."
    if layers is None:
        return f"No layer can be named: the atlas does not cover TensorFlow {version}."
    if first == 0:
        return (
            "The runs differ before the first step: the cause is in the initial values, not in a "
            "kernel of the training."
        )
    if not layers:
        return (
            "This model executed no kernel in its first batch that the atlas lists as "
            "CPU-dependent: the cause is something else."
        )
    named = [f"{layer['layer']} ({kernels_text(layer)})" for layer in layers]
    more = f" and {len(named) - most} more" if len(named) > most else ""
    return (
        "The parts of the model that ran CPU-dependent kernels (per the atlas), in order of "
        f"divergence: {', '.join(named[:most])}{more}."
    )
