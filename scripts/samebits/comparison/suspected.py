"""What a comparison says of suspects: their order, and the sentence for a reader."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

Layers = Sequence[Mapping[str, Any]]


def executed(record: Mapping[str, Any]) -> Any:
    """What a run's record says that its first batch executed; None where it is not known.

    Records of an earlier version do not say it, nor does a run that did not complete.
    """
    return (record.get("model") or {}).get("executed")


def in_order(layers: Layers, executed: Layers, first: int | None) -> list[dict[str, Any]]:
    """Suspects in the order of the divergence, those of one step in forward order.

    ``first``: the step at which the runs part. What trains nothing of its own counts as parting
    there. Of one step, what only may depend on the CPU comes after what does, and what is in no
    layer (optimizer, loss) after the layers.
    """
    position = {entry["layer"]: number for number, entry in enumerate(executed)}
    trains = {entry["layer"]: bool(entry["tensors"]) for entry in executed}

    def key(layer: Mapping[str, Any]) -> tuple[float, bool, bool, int]:
        step = layer["step"] if trains[layer["layer"]] else first
        late = math.inf if step is None else step
        return late, not _shown(layer), layer["class"] is None, position[layer["layer"]]

    return [dict(layer) for layer in sorted(layers, key=key)]


def _shown(layer: Mapping[str, Any]) -> list[str]:
    """The kernels of a suspect that the atlas shows to depend on the CPU."""
    return [kernel for kernel in layer["kernels"] if kernel not in layer.get("possible", ())]


def kernels(layer: Mapping[str, Any]) -> str:
    """Those of a suspect, in words."""
    return ", ".join([*_shown(layer), *(f"possibly {name}" for name in layer.get("possible", ()))])


def sentence(
    suspects: Mapping[str, Any], record: Mapping[str, Any], first: int | None, most: int
) -> str:
    """What the atlas says of a run that parts at a step (``first``; None: not known).

    Of more than ``most`` layers only how many there are.
    """
    layers = suspects["layers"]
    if layers is None and executed(record) is None:
        return "The atlas names no layer, since it is not known what the run executed."
    if layers is None:
        return f"The atlas names no layer: it has no TensorFlow {suspects['tensorflow']}."
    if first == 0:
        return (
            "It differs before the first step: the cause is in the initial values, which no kernel "
            "of the training has made."
        )
    if not layers:
        return (
            "The atlas lists none of the kernels that this model executed in its first batch as "
            "depending on the CPU: the cause is something that it does not list."
        )
    named = [f"{layer['layer']} ({kernels(layer)})" for layer in layers]
    more = f" and {len(named) - most} more" if len(named) > most else ""
    return (
        "What of this model depends on the CPU by the atlas, in the order of the divergence: "
        f"{', '.join(named[:most])}{more}."
    )
