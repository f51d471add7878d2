"""Thousands of small arrays in a few files: those of one dtype one after the other.

An entry says name, dtype, shape and digest of each, in the order in which they lie. Runs on Python
3.7 to 3.13.
"""

from pathlib import Path
from typing import Any, Dict, Iterable, List, Sequence, Tuple

import numpy as np

from samebits import arrays
from samebits.arrays import ArrayEntry
from samebits.errors import SamebitsError

Named = Sequence[Tuple[str, np.ndarray]]


def save(folder: Path, named: Named) -> List[Dict[str, Any]]:
    """Write the arrays; returns their entries as JSON."""
    by_dtype = {}  # type: Dict[str, List[np.ndarray]]
    for _, array in named:
        dtype = array.dtype.newbyteorder("<").str
        by_dtype.setdefault(dtype, []).append(np.ravel(array))
    packed = [(dtype, np.concatenate(by_dtype[dtype])) for dtype in sorted(by_dtype)]
    arrays.save_arrays(folder, packed)
    return [arrays.entry_of(name, array).as_json() for name, array in named]


def load(folder: Path, entries: Iterable[Any]) -> Dict[str, np.ndarray]:
    """The arrays by name, memory-mapped. Raises SamebitsError when one is not as its entry says."""
    packed, ends = arrays.open_arrays(folder), {}  # type: Any, Dict[str, int]
    found = {}  # type: Dict[str, np.ndarray]
    for entry in (ArrayEntry(**dict(e, shape=tuple(e["shape"]))) for e in entries):
        begin = ends.get(entry.dtype, 0)
        ends[entry.dtype] = begin + int(np.prod(entry.shape, dtype=np.int64))
        array = packed[entry.dtype][begin : ends[entry.dtype]].reshape(entry.shape)
        if arrays.array_digest(array) != entry.sha256:
            raise SamebitsError(
                "{}: expected {} with digest {}, got another; delete the folder to have it made "
                "again".format(folder, entry.name, entry.sha256)
            )
        found[entry.name] = array
    return found
