"""How far two arrays, or two sets of named arrays, are apart, bit for bit, in bounded memory.

ULP distance: the bits of a float are mapped to an unsigned integer that grows with the float
(all bits inverted for negative numbers, the sign bit set for the others); the distance is the
difference of two such integers. It counts the representable steps between two floats, across
zero as well, and since 0.0 and -0.0 are one step apart, different bits never have distance 0.
NaN and infinities have no distance: they are counted instead.
"""

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from samebits.errors import SamebitsError
from samebits.formats import arrays
from samebits.formats.arrays import Tensor

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


def has_ulp(tensor: Tensor | Array) -> bool:
    """Whether elements of this dtype have a ULP distance."""
    dtype = tensor.stored if isinstance(tensor, Tensor) else tensor.dtype
    return dtype.kind == "f" and dtype.itemsize in _ULP_SIZES


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
    done = 0
    for left, right in pairs:
        yield left, right
        done += left.nbytes
        if done >= arrays.RELEASE:  # what was read stays cached, and is no longer counted as used
            arrays.release(control)
            arrays.release(replica)
            done = 0


def _bits_differ(left: Array, right: Array) -> Array:
    """Which elements of two flat arrays differ in any bit."""
    size = left.itemsize
    word = min(size, 8)
    shape = (left.size, size // word)
    left, right = np.ascontiguousarray(left), np.ascontiguousarray(right)
    a, b = left.view(f"<u{word}").reshape(shape), right.view(f"<u{word}").reshape(shape)
    return np.asarray((a != b).any(axis=1))


def _finite(left: Array, right: Array) -> tuple[Array, Array]:
    """The pairs in which no NaN and no infinity takes part."""
    finite = np.isfinite(left) & np.isfinite(right)
    return left[finite], right[finite]


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
        differing = left.size
        left, right = _finite(left, right)
        self.not_finite += differing - left.size
        if not left.size:
            return
        with np.errstate(over="ignore"):  # beyond float64 there is no number to write: left out
            gap = float(np.abs(left.astype(np.float64) - right.astype(np.float64)).max())
        if np.isfinite(gap):
            self._update_absolute(gap)
        if has_ulp(left):
            self.ulp = max(self.ulp or 0, int(ulp_distance(left, right).max()))

    def _update_absolute(self, gap: int | float) -> None:
        self.absolute = gap if self.absolute is None else max(self.absolute, gap)


def _element(value: Any) -> Element:
    big = np.asarray(value).astype(value.dtype.newbyteorder(">"))
    return Element(value=str(value), bits=big.tobytes().hex())


# --- files of named arrays ------------------------------------------------------------------


@dataclass(frozen=True)
class Tensors:
    """Named arrays of one file; an array is opened only when it has to be measured."""

    digest: str  # of the file
    entries: tuple[Tensor, ...]  # in forward order
    open: Callable[[str], Array]
    encode: Callable[[list[tuple[Tensor, Array]]], str] = arrays.digest  # of other elements

    @property
    def by_name(self) -> dict[str, Tensor]:
        """What is known of each array."""
        return {entry.name: entry for entry in self.entries}


def compare_artifact(name: str, control: Tensors | None, replica: Tensors | None) -> dict[str, Any]:
    """One artifact of two runs. Absent (a run that did not complete) is never identical.

    Raises SamebitsError when the digests differ and nothing else does: a file was changed.
    """
    digests = [tensors.digest if tensors else None for tensors in (control, replica)]
    identical, found = False, list[dict[str, Any]]()
    if control is not None and replica is not None:
        identical = digests[0] == digests[1] and control.entries == replica.entries
        found = [] if identical else list(differences(control, replica))
        if bool(found) == identical:
            raise SamebitsError(
                f"{name}: the digests differ, the contents do not; something writes to the runs' "
                "folders: stop it and compare again"
            )
    return {"artifact": name, "identical": identical, "digests": digests, "differences": found}


def differences(control: Tensors, replica: Tensors) -> Iterator[dict[str, Any]]:
    """Every tensor that differs: in the control's order, then those that only the replica has."""
    ours, theirs = control.by_name, replica.by_name
    for entry in control.entries:
        if entry.name not in theirs:
            yield _difference(entry, "missing", control="present", replica="absent")
        else:
            yield from _compare_tensor(control, entry, replica, theirs[entry.name])
    yield from _order(control, replica)
    for entry in replica.entries:
        if entry.name not in ours:
            yield _difference(entry, "extra", control="absent", replica="present")


def _compare_tensor(
    control: Tensors, left: Tensor, replica: Tensors, right: Tensor
) -> Iterator[dict[str, Any]]:
    if left.dtype != right.dtype:
        yield _difference(left, "dtype", control=left.dtype, replica=right.dtype)
    elif left.shape != right.shape:
        shapes = [str(list(entry.shape)) for entry in (left, right)]
        yield _difference(left, "shape", control=shapes[0], replica=shapes[1])
    else:
        found = measure(control.open(left.name), replica.open(left.name))
        if found is not None:
            yield _values(left, found)


def _order(control: Tensors, replica: Tensors) -> Iterator[dict[str, Any]]:
    """Tensors that both have, but in another order: only these are counted for a position."""
    ours, theirs = control.by_name, replica.by_name
    positions = {name: at for at, name in enumerate(name for name in theirs if name in ours)}
    for position, name in enumerate(name for name in ours if name in theirs):
        if positions[name] != position:
            places = f"position {position}", f"position {positions[name]}"
            yield _difference(ours[name], "order", control=places[0], replica=places[1])


def _difference(entry: Tensor, kind: str, control: Any, replica: Any) -> dict[str, Any]:
    unmeasured = ("different", "first", "largest_absolute", "largest_ulp", "not_finite")
    found = {"kind": kind, "elements": entry.elements, "control": control, "replica": replica}
    return {**entry.as_json(), **found, **dict.fromkeys(unmeasured)}


def _values(entry: Tensor, found: Measure) -> dict[str, Any]:
    return _difference(entry, "values", asdict(found.control), asdict(found.replica)) | {
        "different": found.different,
        "first": list(found.first),
        "largest_absolute": found.largest_absolute,
        "largest_ulp": found.largest_ulp,
        "not_finite": found.not_finite,
    }
