"""A tensor's bits as one 32-bit integer: the same from NumPy and from a TensorFlow graph.

A tensor is seen as a matrix of 32-bit words whose columns are those of its last dimension; a
64-bit element is two words, a shorter one is a word of its own. The fingerprint is the sum of
all words, each times an odd number of its row and one of its column, modulo 2**32. It is all
integers, so the order of summation does not matter. An odd factor loses no bit, so any single
flipped bit changes the fingerprint. So does a swap of two elements, as a rule: of
those whose lowest bit that differs is bit m, one swap in 2**(31 - m) is missed.

The graph takes two matrix products per tensor: nothing of the tensor's size is written. Runs on
Python 3.7 to 3.13, TensorFlow 2.1 to 2.21.
"""

from __future__ import annotations

from typing import Any, Sequence

import numpy as np

_ROWS, _COLUMNS = 0x9E3779B1, 0x7FEB352D  # any two odd numbers: rows and columns differ in theirs


def _odd(count: int, start: int) -> np.ndarray:
    """Odd numbers that look random: positions through the finalizer of MurmurHash3."""
    bits = np.arange(1, count + 1, dtype=np.uint32) * np.uint32(start)
    for shift, factor in ((16, 0x85EBCA6B), (13, 0xC2B2AE35)):
        bits ^= bits >> np.uint32(shift)
        bits *= np.uint32(factor)
    bits ^= bits >> np.uint32(16)
    return (bits | np.uint32(1)).view(np.int32)


def factors(shape: Sequence[int], bytes_per_element: int) -> tuple[np.ndarray, np.ndarray]:
    """The odd numbers of the rows, [1, rows], and of the columns, [columns, 1].

    The factor of an only row is 1: it is left out in the graph.
    """
    rows = int(np.prod(shape[:-1], dtype=np.int64))
    columns = (int(shape[-1]) if len(shape) else 1) * max(1, bytes_per_element // 4)
    of_rows = _odd(rows, _ROWS) if rows > 1 else np.ones(rows, np.int32)
    return of_rows[None, :], _odd(columns, _COLUMNS)[:, None]


def of_array(array: np.ndarray) -> int:
    """The fingerprint of a NumPy array, as a signed integer."""
    rows, columns = factors(array.shape, array.itemsize)
    words = np.ascontiguousarray(array).view(f"i{min(4, array.itemsize)}")
    matrix = words.astype(np.int32, copy=False).reshape(rows.shape[1], columns.shape[0])
    return int((rows @ matrix @ columns)[0, 0])


def of_tensor(tf: Any, tensor: Any) -> Any:
    """The fingerprint of a tensor whose shape is known, as an int32 tensor of shape [1, 1]."""
    rows, columns = factors(tuple(tensor.shape), tensor.dtype.size)
    matrix = tf.reshape(_words(tf, tensor), [rows.shape[1], columns.shape[0]])
    sums = matrix if rows.shape[1] == 1 else tf.matmul(rows, matrix)
    return tf.matmul(sums, columns)


def _words(tf: Any, tensor: Any) -> Any:
    """Its bits as int32; of an element of 64 bits two, in one more dimension."""
    if tensor.dtype.is_bool:
        tensor = tf.cast(tensor, tf.int8)
    return tf.cast(
        tf.bitcast(tensor, {1: tf.int8, 2: tf.int16}.get(tensor.dtype.size, tf.int32)), tf.int32
    )


def of_rows(tf: Any, tensor: Any) -> Any:
    """A fingerprint of each row of a tensor, int32 [rows, 1]; their number may be unknown."""
    inner = int(np.prod(tensor.shape[1:], dtype=np.int64))
    _, columns = factors((1, inner), tensor.dtype.size)
    return tf.matmul(tf.reshape(_words(tf, tensor), [-1, columns.shape[0]]), columns)


def of_rows_array(array: np.ndarray) -> np.ndarray:
    """A fingerprint of each row of a NumPy array, int32 [rows, 1]."""
    inner = int(np.prod(array.shape[1:], dtype=np.int64))
    _, columns = factors((1, inner), array.itemsize)
    words = (
        np.ascontiguousarray(array).reshape(len(array), inner).view(f"i{min(4, array.itemsize)}")
    )
    found: np.ndarray = words.astype(np.int32, copy=False) @ columns
    return found


def has_nan(tf: Any, tensor: Any) -> Any:
    """1 where an element of a tensor is not a number, else 0; as an int32."""
    if not (tensor.dtype.is_floating or tensor.dtype.is_complex):
        return tf.constant(0, tf.int32)
    if tensor.dtype.is_complex:
        tensor = tf.math.real(tensor) + tf.math.imag(tensor)
    return tf.cast(tf.reduce_any(tf.math.is_nan(tensor)), tf.int32)
