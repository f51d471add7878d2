"""Whether the comparison sees the smallest difference there can be, in this run's own data.

One bit of a copy is flipped, and the copy is compared with the original by the functions that
compare runs. It counts as found only when that element comes back and nothing else does. The
copy is a temporary file that is memory-mapped, so memory stays bounded whatever its size.
"""

import tempfile
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from samebits.comparison.difference import Array, Tensors, compare_artifact
from samebits.comparison.divergence import FINGERPRINT, STEP, Traced, divergence, tensor_names
from samebits.errors import SamebitsError
from samebits.formats import arrays
from samebits.formats.arrays import Tensor

_BLOCK = 1 << 24  # elements that are copied at a time


@dataclass(frozen=True)
class _Planted:
    """A copy in which the lowest bit of one element is flipped, and where that is."""

    copy: Tensors
    name: str
    index: list[int]


def self_check(control: Traced) -> list[dict[str, Any]]:
    """One planted bit per artifact that has an element, and whether it was found, as JSON."""
    checks = []
    for artifact, tensors in (("weights", control.weights), ("history", control.history)):
        planted = _in_smallest(tensors)
        if planted is not None:
            found = _finds(artifact, tensors, planted)
            checks.append(_check(artifact, planted.name, planted.index, found))
    for name in tensor_names(control.trace)[:1]:
        planted = _in(control.trace, control.trace.by_name[FINGERPRINT + name])
        if planted is not None:
            found = _finds("trace", control.trace, planted) and _finds_step(control, planted, name)
            checks.append(_check("trace", name, planted.index, found))
    return checks


def _check(artifact: str, name: str, index: list[int], found: bool) -> dict[str, Any]:
    return {"artifact": artifact, "name": name, "index": index, "found": found}


def _in_smallest(tensors: Tensors) -> _Planted | None:
    """A bit planted in the smallest array that has an element; None where there is none."""
    filled = [entry for entry in tensors.entries if entry.elements]
    return _in(tensors, min(filled, key=lambda entry: entry.elements)) if filled else None


def _in(tensors: Tensors, entry: Tensor) -> _Planted | None:
    """A bit planted in the middle of an array; None where it has no element."""
    if not entry.elements:
        return None
    middle = entry.elements // 2
    copy = _copy(tensors.open(entry.name), entry)
    copy.reshape(-1).view("u1")[middle * copy.itemsize] ^= 1  # little-endian: the lowest byte
    index = [int(i) for i in np.unravel_index(middle, entry.shape)]

    def opened(name: str) -> Array:
        return copy if name == entry.name else tensors.open(name)

    pairs = [(each, opened(each.name)) for each in tensors.entries]
    flipped = replace(tensors, digest=tensors.encode(pairs), open=opened)
    return _Planted(flipped, entry.name, index)


def _copy(array: Array, entry: Tensor) -> Array:
    with tempfile.TemporaryFile() as file:
        copy = np.memmap(file, entry.stored, "w+", shape=entry.shape)
    source, target = array.reshape(-1), copy.reshape(-1)
    for start in range(0, source.size, _BLOCK):
        target[start : start + _BLOCK] = source[start : start + _BLOCK]
        arrays.release(array)
        arrays.release(copy)
    return copy


def _finds(artifact: str, control: Tensors, planted: _Planted) -> bool:
    """Whether the comparison of this artifact reports that one element and nothing else."""
    try:
        compared = compare_artifact(artifact, control, planted.copy)
    except SamebitsError:  # the digests differ, and it finds no element that does
        return False
    found = [(d["name"], d["kind"], d["different"], d["first"]) for d in compared["differences"]]
    return not compared["identical"] and found == [(planted.name, "values", 1, planted.index)]


def _finds_step(control: Traced, planted: _Planted, name: str) -> bool:
    """Whether that step and tensor come back as the first divergence."""
    found = divergence(control, replace(control, trace=planted.copy))
    step = int(control.trace.open(STEP)[planted.index[0]])
    return (found["step"], found["tensors"]) == (step, [name])
