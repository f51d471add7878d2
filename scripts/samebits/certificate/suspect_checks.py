"""Whether the suspects in a comparison can be those of the runs that it compares.

Whoever checks a certificate may have no atlas, so which kernels it lists is not held against one:
but suspects have to be layers and kernels that the run's own record says were executed.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from samebits.comparison import suspected

Record = Mapping[str, Any]


def problems(control: Record, record: Record, run: Mapping[str, Any]) -> Iterator[str]:
    """What is wrong with the suspects of a compared run; nothing where it has none."""
    suspects = run.get("suspects")
    if suspects is None:
        return
    if control["surroundings"].get("cpu") == record["surroundings"].get("cpu"):
        yield "suspects are named, and its CPU is the control's"
    if run["divergence"] is None:
        yield "suspects are named, and it parts nowhere"
        return
    version = (record.get("framework") or {}).get("tensorflow")
    if suspects["tensorflow"] != version:
        yield f"the suspects are those of TensorFlow {suspects['tensorflow']}, it ran on {version}"
    if suspects["layers"] and run["divergence"]["step"] == 0:
        yield "suspects are named, and it parts before the first step"
        return
    if suspects["layers"] is not None:
        yield from _layers(suspects["layers"], suspected.executed(record), run["divergence"])


def _layers(layers: Any, executed: Any, divergence: Mapping[str, Any]) -> Iterator[str]:
    if executed is None:
        yield "suspects are named, and it is not known what was executed"
        return
    entries = {entry["layer"]: entry for entry in executed}
    wrong = [said for layer in layers for said in _layer(layer, entries, divergence)]
    yield from wrong
    names = [layer["layer"] for layer in layers]
    if len(set(names)) != len(names):
        yield "a suspect is named twice"
    elif not wrong and suspected.in_order(layers, executed, divergence["step"]) != layers:
        yield "the suspects are not in the order of the divergence"


def _layer(
    layer: Mapping[str, Any], entries: Mapping[str, Any], divergence: Mapping[str, Any]
) -> Iterator[str]:
    entry, name = entries.get(layer["layer"]), layer["layer"]
    if entry is None:
        yield f"the suspect {name} is no layer that was executed"
        return
    if layer["class"] != entry["class"]:
        yield f"the suspect {name} is a {layer['class']}, executed was a {entry['class']}"
    for kernel in layer["kernels"]:
        if kernel not in entry["kernels"]:
            yield f"the suspect {name} did not execute {kernel}"
    for kernel in layer.get("possible", ()):
        if kernel not in layer["kernels"]:
            yield f"the suspect {name} does not name {kernel}, which is possible"
    if not _is_step(layer["step"], entry["tensors"], divergence):
        yield f"the suspect {name} does not part at step {layer['step']}"


def _is_step(step: int | None, tensors: Any, divergence: Mapping[str, Any]) -> bool:
    """Whether a layer with these tensors can part at a step, as far as the comparison tells."""
    first = divergence["step"]
    if not set(tensors).isdisjoint(divergence["tensors"]):
        return bool(step == first)
    return step is None or (bool(tensors) and first is not None and step > first)
