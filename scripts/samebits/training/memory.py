"""Training data that stays on the disk: memory-mapped, and handed to TensorFlow without a copy.

``fit`` gives Keras arrays, Keras makes tensors of them, and TensorFlow copies an array before it
makes a tensor that could share its memory: with ``array.copy()``
(tensorflow/python/framework/constant_op.py, ``convert_to_eager_tensor``). An array that is its own
copy is shared then. Nothing else changes: the same steps on the same values have the same bits.
Where TensorFlow copies by other means, or an array does not begin at a multiple of 64 bytes, as a
validation split of odd rows may not, it takes memory, and that is all.

The mapping is private: a kernel that wrote into it would change neither the file nor any other
process. Runs on Python 3.7 to 3.13.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from samebits.formats import files

_ROWS = 4096  # scaled at a time: the float64 of NumPy's division needs 8 bytes per value
_BLOCK = 1 << 24  # bytes of float64 at a time, where rows are large
IN_MEMORY = 1 << 28  # bytes up to which scaled data is kept in memory: it is the quicker


class _Mapped(np.ndarray):
    """A read-only array in a mapped file, and every view of it."""

    def copy(self, order: Any = "C") -> _Mapped:
        """The array itself while it is read-only, else a copy."""
        return super().copy(order) if self.flags.writeable else self


def shared(array: np.ndarray) -> np.ndarray:
    """An array in a file, mapped for itself alone, that TensorFlow need not copy."""
    if not isinstance(array, np.memmap) or not array.flags.c_contiguous or not array.size:
        return array
    file, offset = str(array.filename), int(array.offset)
    private: np.ndarray = np.memmap(file, array.dtype, "c", offset, array.shape)
    return _read_only(private)


def scaled(x: np.ndarray, scale: float, folder: Path) -> np.ndarray:
    """``x / scale`` as Keras would see it: divided by NumPy's rules, then rounded to float32.

    Keras rounds float64 input to float32 itself; doing it in blocks saves the memory. A scale of
    1 leaves ``x`` as it is, whatever its dtype. A result of more than ``IN_MEMORY`` bytes goes to a
    file without a name below ``folder``.
    """
    if scale == 1.0:
        return x
    result = _empty(x.shape, folder)
    rows = max(1, min(_ROWS, _BLOCK // max(1, 8 * int(np.prod(x.shape[1:], dtype=np.int64)))))
    for start in range(0, len(x), rows):
        result[start : start + rows] = x[start : start + rows] / scale
    return _read_only(result) if isinstance(result, np.memmap) else result


def _empty(shape: tuple[int, ...], folder: Path) -> np.ndarray:
    size = 4 * int(np.prod(shape, dtype=np.int64))
    if size <= IN_MEMORY:
        return np.empty(shape, np.float32)
    with files.naming(folder), tempfile.TemporaryFile(dir=str(folder)) as file:
        os.posix_fallocate(file.fileno(), 0, size)  # writing to a full disk would end the process
        mapped: Any = file  # its own wrapper, which NumPy's types do not know
        return np.memmap(mapped, np.float32, "r+", shape=shape)


def _read_only(array: np.ndarray) -> np.ndarray:
    view = array.view(_Mapped)
    view.flags.writeable = False
    return view
