"""How far two arrays of the same dtype and shape are apart, bit for bit, in bounded memory.

ULP distance: the bits of a float are mapped to an unsigned integer that grows with the float
(all bits inverted for negative numbers, the sign bit set for the others); the distance is the
difference of two such integers. It counts the representable steps between two floats, across
zero as well, and since 0.0 and -0.0 are one step apart, different bits never have distance 0.
NaN and infinities have no distance: they are counted instead.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

_BLOCK = 1 << 20  # elements held at a time: 8 MiB of float64, whatever the array's size
_ULP_SIZES = (2, 4, 8)  # float16, float32, float64: there is an unsigned integer of that size

Array = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True)
class Element:
    """One element as a person and as a machine reads it."""

    value: str
    bits: str  # hexadecimal, most significant digit first


@dataclass(frozen=True)
class Measure:
    """The size of a difference. ``largest_…`` is None where no pair has such a distance."""

    different: int
    first: tuple[int, ...]
    control: Element
    replica: Element
    largest_absolute: int | float | None
    largest_ulp: int | None
    not_finite: int  # differing pairs in which a NaN or an infinity takes part


def ordered(values: Array) -> Array:
    """The bits of little-endian floats as unsigned integers that grow with the floats."""
    bits = values.view(f"<u{values.itemsize}")
    sign = bits.dtype.type(1 << (8 * values.itemsize - 1))
    return np.where(bits & sign, ~bits, bits | sign)


def ulp_distance(control: Array, replica: Array) -> Array:
    """Representable steps between floats of one dtype, element by element, as uint64."""
    return _distance(ordered(control), ordered(replica)).astype(np.uint64)


def measure(control: Array, replica: Array) -> Measure | None:
    """What differs between two arrays of one dtype and shape; None when every bit is equal."""
    different, first, start = 0, -1, 0
    worst = _Worst()
    for left, right in _blocks(control, replica):
        where = np.flatnonzero(_bits_differ(left, right))
        if where.size:
            first = start + int(where[0]) if first < 0 else first
            different += where.size
            worst.update(left[where], right[where])
        start += left.size
    if first < 0:
        return None
    index = tuple(int(i) for i in np.unravel_index(first, control.shape))
    pair = _element(control[index]), _element(replica[index])
    return Measure(different, index, *pair, worst.absolute, worst.ulp, worst.not_finite)


def _blocks(control: Array, replica: Array) -> Iterator[tuple[Array, Array]]:
    """Both arrays in C order, little-endian, block by block, however they lie in memory."""
    little = [array.dtype.newbyteorder("<") for array in (control, replica)]
    pairs = np.nditer(
        [control, replica],
        flags=["external_loop", "buffered", "zerosize_ok"],
        op_dtypes=little,
        order="C",
        casting="equiv",
        buffersize=_BLOCK,
    )
    yield from pairs


def _bits_differ(left: Array, right: Array) -> Array:
    size = left.itemsize
    word = min(size, 8)
    shape = (left.size, size // word)
    left, right = np.ascontiguousarray(left), np.ascontiguousarray(right)
    a, b = left.view(f"<u{word}").reshape(shape), right.view(f"<u{word}").reshape(shape)
    return np.asarray((a != b).any(axis=1))


def _distance(a: Array, b: Array) -> Array:
    """|a - b| of integers, exact: the difference of unsigned integers wraps to the right one."""
    wide = np.uint64 if a.dtype.kind == "u" else np.int64
    a, b = a.astype(wide), b.astype(wide)
    return np.where(a > b, a.view(np.uint64) - b.view(np.uint64), b.view(np.uint64) - a.view("u8"))


class _Worst:
    """The largest distances among the differing elements seen so far."""

    def __init__(self) -> None:
        self.absolute: int | float | None = None
        self.ulp: int | None = None
        self.not_finite = 0

    def update(self, left: Array, right: Array) -> None:
        """Take in pairs that differ."""
        if left.dtype.kind == "c":  # a complex number is two floats
            left, right = (a.view(f"<f{a.itemsize // 2}") for a in (left, right))
        if left.dtype.kind == "f":
            self._update_floats(left, right)
        elif left.dtype.kind == "b":
            self.absolute = 1
        else:
            self._update_absolute(int(_distance(left, right).max()))

    def _update_floats(self, left: Array, right: Array) -> None:
        finite = np.isfinite(left) & np.isfinite(right)
        self.not_finite += int(finite.size - finite.sum())
        left, right = left[finite], right[finite]
        if not left.size:
            return
        with np.errstate(over="ignore"):  # beyond float64 there is no number to write: left out
            gap = float(np.abs(left.astype(np.float64) - right.astype(np.float64)).max())
        if np.isfinite(gap):
            self._update_absolute(gap)
        if left.itemsize in _ULP_SIZES:
            self.ulp = max(self.ulp or 0, int(ulp_distance(left, right).max()))

    def _update_absolute(self, gap: int | float) -> None:
        self.absolute = gap if self.absolute is None else max(self.absolute, gap)


def _element(value: Any) -> Element:
    big = np.asarray(value).astype(value.dtype.newbyteorder(">"))
    return Element(value=str(value), bits=big.tobytes().hex())
