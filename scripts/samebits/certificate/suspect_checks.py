"""Whether the layer attribution of a comparison fits the runs that it compares.

A verifier may have no atlas, so which kernels it lists is not checked; but the named layers and
kernels must be among those that the run's own record says were executed.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from samebits.comparison import attribution

Record = Mapping[str, Any]


def problems(control: Record, record: Record, run: Mapping[str, Any]) -> Iterator[str]:
    """What is wrong with the layer attribution of a compared run; nothing if it has none."""
    said = run.get("attribution")
    if said is None:
        return
    if control["surroundings"].get("cpu") == record["surroundings"].get("cpu"):
        yield "layers are named, but it ran on the control's CPU"
    if run["divergence"] is None:
        yield "layers are named, but it diverges nowhere"
        return
    version = (record.get("framework") or {}).get("tensorflow")
    if said["tensorflow"] != version:
        yield f"the layers are those of TensorFlow {said['tensorflow']}, it ran on {version}"
    if said["layers"] and run["divergence"]["step"] == 0:
        yield "layers are named, but it diverges before the first step"
        return
    if said["layers"] is not None:
        yield from _layers(said["layers"], attribution.executed(record), run["divergence"])


def _layers(layers: Any, executed: Any, divergence: Mapping[str, Any]) -> Iterator[str]:
    if executed is None:
        yield "layers are named, but the kernels that it executed are unknown"
        return
    entries = {entry["layer"]: entry for entry in executed}
    wrong = [said for layer in layers for said in _layer(layer, entries, divergence)]
    yield from wrong
    names = [layer["layer"] for layer in layers]
    if len(set(names)) != len(names):
        yield "a layer is named twice"
    elif not wrong and attribution.in_order(layers, executed, divergence["step"]) != layers:
        yield "the layers are not in order of divergence"


def _layer(
    layer: Mapping[str, Any], entries: Mapping[str, Any], divergence: Mapping[str, Any]
) -> Iterator[str]:
    entry, name = entries.get(layer["layer"]), layer["layer"]
    if entry is None:
        yield f"the layer {name} was not executed"
        return
    if layer["class"] != entry["class"]:
        yield f"the layer {name} is a {layer['class']}, executed was a {entry['class']}"
    for kernel in layer["kernels"]:
        if kernel not in entry["kernels"]:
            yield f"the layer {name} did not execute {kernel}"
    for kernel in layer.get("possible", ()):
        if kernel not in layer["kernels"]:
            yield f"the layer {name} does not name {kernel}, which is possible"
    if not _is_step(layer["step"], entry["tensors"], divergence):
        yield f"the layer {name} does not diverge at step {layer['step']}"


def _is_step(step: int | None, tensors: Any, divergence: Mapping[str, Any]) -> bool:
    """Whether a layer with these tensors can part at a step, as far as the comparison tells."""
    first = divergence["step"]
    if not set(tensors).isdisjoint(divergence["tensors"]):
        return bool(step == first)
    return step is None or (bool(tensors) and first is not None and step > first)
