"""Which samples the steps received: a fingerprint of each batch that does not depend on the order.

A sample's fingerprint is made of the bits of its x and its y together; that of a batch is the sum
of its samples', modulo 2**32. So the batches of an epoch add up to the fingerprint of the data,
whatever their order, and any other sample, or another pair of an x and a y, changes the sum. All is
integers. What the framework gives a step must have the bits of the data, but for the dtype to which
it converts them.

Runs on Python 3.7 to 3.13, TensorFlow 2.1 to 2.21.
"""

from __future__ import annotations

from typing import Any, Sequence

import numpy as np

from samebits.training import fingerprint

COLUMNS = 3  # the step, the fingerprint, the number of samples
_SHIFTS = ((15, -0x3C4B5D13), (13, 0x27D4EB2F), (16, 1))
_OF_SHAPES = ("Shape", "ShapeN", "Size", "Rank", "ZerosLike", "OnesLike", "VariableShape")
_BLOCK = 4096  # samples at a time


class Batches:
    """The rows of one model's steps."""

    def __init__(self, tf: Any, table: Any) -> None:
        """Rows go into a ``graph_trace.Table``."""
        self._tf, self.table = tf, table
        self.dtypes: list[Any] = []  # of x and y as a step received them
        self.problem: str | None = "no step was followed"
        self.used: set[str] | None = None  # of x and y; None: not known
        self._tensors: list[Any] = []

    def write(self, step: Any, data: Any) -> None:
        """Write the row of a step that begins, unless what it received has no such fingerprint."""
        tf = self._tf
        tensors = [part for part in tf.nest.flatten(data) if part is not None][:2]
        self.problem = next(filter(None, map(self._problem, tensors)), None)
        if not tensors:
            self.problem = "the steps receive no data"
        if self.problem is None:
            self._tensors = tensors
            self.dtypes = [np.dtype(tensor.dtype.as_numpy_dtype) for tensor in tensors]
            samples: Any = 0
            for tensor in tensors:
                samples = self._mixed(fingerprint.of_rows(tf, tensor) + samples)
            self.table.write(step, tf.stack([tf.reduce_sum(samples), tf.size(samples)]))

    def note_use(self, variables: Sequence[Any]) -> None:
        """Note which of x and y an update of these variables depends on, as the step's graph says.

        A step that uses a value may still multiply it by zero; one without a path does not use it.
        """
        tf = self._tf
        if tf.executing_eagerly() or self.problem is not None:
            return
        graph = tf.compat.v1.get_default_graph()
        handles = {graph.capture(getattr(v, "_value", v).handle).name for v in variables}
        found = {n for n, one in zip("xy", self._tensors) if _reaches(one, handles)}
        self.used = found | (self.used or set())

    def _problem(self, part: Any) -> str | None:
        tf = self._tf
        if not tf.is_tensor(part) or not hasattr(part, "shape") or not hasattr(part, "dtype"):
            return "the steps receive something other than tensors"
        if part.shape.rank in (None, 0) or None in tuple(part.shape[1:]):
            return "the steps receive samples without a fixed shape"
        if not (part.dtype.is_floating or part.dtype.is_integer or part.dtype.is_bool):
            return f"the steps receive samples of {part.dtype.name}"
        return None

    def _mixed(self, values: Any) -> Any:
        tf = self._tf
        for shift, factor in _SHIFTS:
            shifted = tf.bitwise.right_shift(values, tf.constant(shift, tf.int32))
            values = tf.bitwise.bitwise_xor(values, shifted) * tf.constant(factor, tf.int32)
        return values


def _reaches(tensor: Any, handles: set[str]) -> bool:
    """Whether an operation that may write one of these variables depends on a tensor's values."""
    left, seen = [tensor], set()
    while left:
        for op in left.pop().consumers():
            if op.name in seen or op.type in _OF_SHAPES:
                continue
            seen.add(op.name)
            if op.type != "ReadVariableOp":  # it may write what others read: moments, a sum
                written = [given for given in op.inputs if given.dtype.name == "resource"]
                if not handles.isdisjoint(given.name for given in written):
                    return True
                left += written
            left += op.outputs
    return False


def conversion_problem(data: Sequence[np.ndarray], dtypes: Sequence[Any]) -> str | None:
    """Why data in the dtypes that steps received is not what it was, or None."""
    for name, array, dtype in zip("xy", data, dtypes):
        if array.dtype.kind == "f" and dtype.kind in "iub":
            return f"the steps receive {name} as {dtype.name}, but the data has {array.dtype.name}"
    return None


def of_data(arrays: Sequence[np.ndarray], dtypes: Sequence[Any]) -> int:
    """The fingerprint of whole data, as a signed integer: the sum over its samples.

    ``arrays``: x and y; ``dtypes``: those that the steps received.
    """
    total = 0
    for start in range(0, len(arrays[0]), _BLOCK):
        samples = np.zeros((len(arrays[0][start : start + _BLOCK]), 1), np.int32)
        for array, dtype in zip(arrays, dtypes):
            block = np.asarray(array[start : start + _BLOCK]).astype(dtype)
            samples = _mixed_array(samples + fingerprint.of_rows_array(block))
        total += int(samples.sum(dtype=np.int64))
    return wrapped(total)


def _mixed_array(values: np.ndarray) -> np.ndarray:
    for shift, factor in _SHIFTS:
        values = (values ^ (values >> np.int32(shift))) * np.int32(factor)
    return values


def wrapped(total: int) -> int:
    """Modulo 2**32, as a signed integer."""
    return (total + 2**31) % 2**32 - 2**31
