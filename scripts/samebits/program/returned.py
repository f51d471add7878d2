"""The digest of what a call returned, and what of it could not be compared.

Each part is digested with its type, and what holds parts by their digests, so that no two values
run into one: dtype, shape, the sign of a zero and the bits of a NaN all count. The items of a dict
or a set are taken in the order of their digests. What is neither a number, a text, a tensor nor
a container of them has no value of its own that could be compared, and is named.

Runs on Python 3.7 to 3.13, TensorFlow 2.1 to 2.21.
"""

from __future__ import annotations

import hashlib
import struct
import sys
from collections import deque
from typing import Any, Iterable, Sequence

import numpy as np

_MOST = 20  # parts that are named
_DEEPEST = 100  # a list may hold itself
_PLAIN: tuple[tuple[Any, Any], ...] = (
    ((bool, int, type(None)), lambda value: str(value and int(value)).encode()),
    (float, lambda value: struct.pack(">d", value)),
    (complex, lambda value: struct.pack(">dd", value.real, value.imag)),
    (str, lambda value: value.encode("utf-8", "surrogatepass")),
    ((bytes, bytearray), bytes),
)


class Returned:
    """All that calls of one kind returned, one value after the other."""

    def __init__(self) -> None:
        """Nothing yet."""
        self._sha = hashlib.sha256()
        self.uncompared: list[str] = []  # where it lies in the value, and of which type it is

    def add(self, value: Any) -> None:
        """Add what one of them returned."""
        self._sha.update(self._digest(value, ()))

    def digest(self) -> bytes:
        """Of all so far."""
        return self._sha.digest()

    def _digest(self, value: Any, where: tuple[Any, ...]) -> bytes:
        kind = type(value).__qualname__.encode()
        return hashlib.sha256(b"%d:%s" % (len(kind), kind) + self._content(value, where)).digest()

    def _content(self, value: Any, where: tuple[Any, ...]) -> bytes:
        if len(where) > _DEEPEST:
            return self._unknown(value, where[:1])
        if isinstance(value, (np.ndarray, np.generic)):
            return self._array(np.asanyarray(value), where)
        for kinds, encode in _PLAIN:
            if isinstance(value, kinds):
                return bytes(encode(value))
        if isinstance(value, dict):
            pairs = (self._pair(key, one, (*where, key)) for key, one in value.items())
            return b"".join(sorted(pairs))
        if isinstance(value, (set, frozenset)):
            return b"".join(sorted(self._digest(one, (*where, ...)) for one in value))
        parts = value if isinstance(value, (list, tuple, deque)) else _parts_of_tensor(value)
        return self._unknown(value, where) if parts is None else self._parts(parts, where)

    def _pair(self, key: Any, value: Any, where: tuple[Any, ...]) -> bytes:
        return self._digest(key, where) + self._digest(value, where)

    def _parts(self, values: Iterable[Any], where: tuple[Any, ...]) -> bytes:
        return b"".join(self._digest(one, (*where, at)) for at, one in enumerate(values))

    def _array(self, array: np.ndarray, where: tuple[Any, ...]) -> bytes:
        head = f"{array.dtype.str} {array.dtype.name} {array.shape} ".encode()
        if isinstance(array, np.ma.MaskedArray):
            return head + self._parts((array.data, np.ma.getmaskarray(array)), where)
        if array.dtype.names is not None:  # between its fields lies what was never written
            fields = ((name, array[name]) for name in array.dtype.names)
            return head + b"".join(self._pair(n, f, (*where, n)) for n, f in fields)
        if array.dtype.hasobject:
            return head + self._parts(array.reshape(-1), where)
        return head + array.tobytes()

    def _unknown(self, value: Any, where: tuple[Any, ...]) -> bytes:
        path = "".join(f"[{at!r}]" if isinstance(at, (str, int)) else "[…]" for at in where)
        named = f"{path} ({type(value).__qualname__})".lstrip()
        if named not in self.uncompared and len(self.uncompared) < _MOST:
            self.uncompared.append(named)
        return b""


def _parts_of_tensor(value: Any) -> Sequence[Any] | None:
    """What a variable or a tensor holds; None: it is none, or its elements are not known here."""
    tf, kind = sys.modules.get("tensorflow"), type(value)
    if tf is None:
        return None
    from tensorflow.python.framework.composite_tensor import CompositeTensor

    is_variable = hasattr(kind, "assign") and hasattr(kind, "numpy")
    if isinstance(value, CompositeTensor) and not is_variable:  # ragged, sparse
        parts: Sequence[Any] = tf.nest.flatten(value, expand_composites=True)
        return parts
    if not is_variable and not (tf.is_tensor(value) and hasattr(value, "numpy")):
        return None
    opaque = getattr(value.dtype, "name", None) in ("resource", "variant")
    return None if opaque else [value.numpy()]
