"""Thousands of small arrays in a few files: those of one dtype one after the other.

An entry says name, dtype, shape and digest of each, in the order in which they lie. Runs on Python
3.7 to 3.13.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any, Iterable, Mapping, Sequence, Tuple

import numpy as np

from samebits.errors import SamebitsError
from samebits.formats import arrays
from samebits.formats.arrays import ArrayEntry

Named = Sequence[Tuple[str, np.ndarray]]
_AGAIN = "delete the folder to have it made again"


def save(folder: Path, named: Named) -> list[dict[str, Any]]:
    """Write the arrays; returns their entries as JSON."""
    twice = sorted(name for name, count in Counter(name for name, _ in named).items() if count > 1)
    if twice:
        raise SamebitsError("expected every name once, got twice: {}".format(", ".join(twice)))
    by_dtype: dict[str, list[np.ndarray]] = {}
    for _, array in named:
        dtype = array.dtype.newbyteorder("<").str
        by_dtype.setdefault(dtype, []).append(np.ravel(array))
    packed = [(dtype, np.concatenate(by_dtype[dtype])) for dtype in sorted(by_dtype)]
    arrays.save_arrays(folder, packed)
    return [arrays.entry_of(name, array).as_json() for name, array in named]


def load(folder: Path, entries: Iterable[Any]) -> dict[str, np.ndarray]:
    """The arrays by name, memory-mapped. Raises SamebitsError when one is not as its entry says."""
    wanted = [ArrayEntry(**dict(entry, shape=tuple(entry["shape"]))) for entry in entries]
    packed = arrays.open_arrays(folder)
    ends: Counter[str] = Counter()
    _refuse_other_sizes(folder, packed, wanted)
    found: dict[str, np.ndarray] = {}
    for entry in wanted:
        begin = ends[entry.dtype]
        ends[entry.dtype] += _size(entry)
        array = packed[entry.dtype][begin : ends[entry.dtype]].reshape(entry.shape)
        if arrays.array_digest(array) != entry.sha256:
            raise SamebitsError(
                f"{folder}: expected {entry.name} with digest {entry.sha256}, got another; {_AGAIN}"
            )
        found[entry.name] = array
    return found


def _size(entry: ArrayEntry) -> int:
    return int(np.prod(entry.shape, dtype=np.int64))


def _refuse_other_sizes(
    folder: Path, packed: Mapping[str, np.ndarray], wanted: Sequence[ArrayEntry]
) -> None:
    """What is stored has to be what the entries name, and nothing else."""
    expected: Counter[str] = Counter()
    for entry in wanted:
        expected[entry.dtype] += _size(entry)
    for dtype in sorted(set(expected) | set(packed)):
        got = packed[dtype].size if dtype in packed else 0
        if got != expected[dtype]:
            raise SamebitsError(
                f"{folder}: expected {expected[dtype]} numbers of {dtype} in all, got {got}; {_AGAIN}"
            )
