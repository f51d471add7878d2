"""A tensor's bits as one 32-bit integer: the same from NumPy and from a TensorFlow graph.

A tensor is seen as a matrix of 32-bit words whose columns are those of its last dimension; a
64-bit element is two words, a shorter one is a word of its own. The fingerprint is the sum of
all words, each times an odd number of its row and one of its column, modulo 2**32. It is all
integers, so the order of summation does not matter. An odd factor loses no bit, so any single
flipped bit changes the fingerprint. So does a swap of two elements, as a rule: of
those whose lowest bit that differs is bit m, one swap in 2**(31 - m) is missed.

The graph takes two matrix products of a large tensor, of which nothing of its size is written, and
one product of all small ones with their factors. Runs on Python 3.7 to 3.13, TensorFlow 2.1 to
2.21.
"""

from __future__ import annotations

from typing import Any, Sequence

import numpy as np

_SMALL = 4096  # elements of a tensor that the graph lays beside others
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


def of_tensors(tf: Any, tensors: Sequence[Any]) -> tuple[Any, Any]:
    """The sum of squares and the fingerprint of each of some tensors: float32 and int32, [tensors].

    The sum is not a number where one of the elements is not: an infinity leaves it infinite. Shapes
    are known. Small tensors of one dtype are laid end to end and taken at once: by itself each is
    some operations, which take longer than its elements do.
    """
    small: dict[Any, list[int]] = {}
    large = []
    for position, tensor in enumerate(tensors):
        if 0 < tensor.shape.num_elements() <= _SMALL and not tensor.dtype.is_complex:
            small.setdefault(tensor.dtype, []).append(position)
        else:
            large.append(position)
    found = [_of_small(tf, [tensors[at] for at in group]) for group in small.values()]
    if large:
        prints = tf.concat([_of_large(tf, tensors[at]) for at in large], 0)
        squares = tf.stack([_squares(tf, tensors[at]) for at in large])
        found.append((squares, tf.reshape(prints, [-1])))
    order = np.argsort([at for group in [*small.values(), large] for at in group])
    joined = [parts[0] if len(parts) == 1 else tf.concat(parts, 0) for parts in zip(*found)]
    if (np.diff(order) != 1).any():
        joined = [tf.gather(part, order) for part in joined]
    return joined[0], joined[1]


def _of_small(tf: Any, tensors: Sequence[Any]) -> tuple[Any, Any]:
    """The same of tensors of one dtype, by the operations of one."""
    dtype, sizes = tensors[0].dtype, [tensor.shape.num_elements() for tensor in tensors]
    flat = [one if one.shape.rank == 1 else tf.reshape(one, [-1]) for one in tensors]
    elements = flat[0] if len(flat) == 1 else tf.concat(flat, 0)
    pairs = [factors(tuple(tensor.shape), dtype.size) for tensor in tensors]
    weights = np.concatenate([(rows.T * columns.T).reshape(-1) for rows, columns in pairs])
    owners = np.repeat(np.arange(len(sizes), dtype=np.int32), sizes)
    words = _words(tf, elements)
    words = words if words.shape.rank == 1 else tf.reshape(words, [-1])
    of_words = np.repeat(owners, weights.size // owners.size)
    prints = tf.math.segment_sum(words * weights, of_words)
    if not dtype.is_floating:
        return tf.zeros([len(tensors)]), prints
    return tf.math.segment_sum(tf.square(tf.cast(elements, tf.float32)), owners), prints


def _of_large(tf: Any, tensor: Any) -> Any:
    """The fingerprint of a tensor, as an int32 tensor of shape [1, 1]."""
    rows, columns = factors(tuple(tensor.shape), tensor.dtype.size)
    matrix = tf.reshape(_words(tf, tensor), [rows.shape[1], columns.shape[0]])
    sums = matrix if rows.shape[1] == 1 else tf.matmul(rows, matrix)
    return tf.matmul(sums, columns)


def _squares(tf: Any, tensor: Any) -> Any:
    """The sum of its squares, a float32."""
    if tensor.dtype.is_complex:
        return _squares(tf, tf.math.real(tensor)) + _squares(tf, tf.math.imag(tensor))
    if not tensor.dtype.is_floating:
        return tf.constant(0.0)
    known = tensor.dtype in (tf.float16, tf.float32, tf.float64)
    return tf.cast(tf.nn.l2_loss(tensor if known else tf.cast(tensor, tf.float32)), tf.float32)


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
