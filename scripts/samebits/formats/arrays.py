"""Named arrays in one file, in the safetensors layout, written and read with NumPy alone.

A file is eight bytes (the length of the header, little-endian), the header in JSON, and the
elements of one tensor after the other, little-endian and in C order. The order is the one of the
safetensors library: by dtype, then by name. So a file's bytes, and their SHA-256, are a function of
names, dtypes, shapes and elements. A file that is not exactly what this module writes is refused:
its header is encoded again and compared.

bfloat16 is read as 16-bit integers. complex128, which the layout lacks, is stored as pairs of
float64 in one more dimension. Memory stays bounded: elements are written in blocks and read
memory-mapped.
"""

from __future__ import annotations

import functools
import hashlib
import json
import mmap
import operator
import os
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import Any, Callable, Iterable, Iterator, Mapping, NamedTuple, Sequence, Tuple

import numpy as np

from samebits.errors import SamebitsError
from samebits.formats import files

SUFFIX = ".safetensors"
RELEASE = 1 << 26  # bytes of a memory-mapped array that are read before pages are given back
_BLOCK = 1 << 20  # bytes that are written, or digested, at a time
_LARGEST_HEADER = 1 << 25  # bytes
_STORED = {  # how the elements lie in a file; in the library's order
    "U64": "<u8", "I64": "<i8", "F64": "<f8", "C64": "<c8", "F32": "<f4", "U32": "<u4",
    "I32": "<i4", "BF16": "<u2", "F16": "<f2", "U16": "<u2", "I16": "<i2", "I8": "|i1",
    "U8": "|u1", "BOOL": "|b1",
}  # fmt: skip
_ORDER = list(_STORED)
_NAMES = {np.dtype(_STORED[dtype]).name: dtype for dtype in _ORDER if dtype != "BF16"}
_NAMES["bfloat16"] = "BF16"

Named = Iterable[Tuple[str, np.ndarray]]


class Tensor(NamedTuple):
    """The description of one array: all but its elements."""

    name: str
    dtype: str  # as safetensors names it: F32, BF16, …
    shape: tuple[int, ...]

    @property
    def elements(self) -> int:
        """How many elements: an integer that does not overflow."""
        return functools.reduce(operator.mul, self.shape, 1)

    @property
    def stored(self) -> Any:
        """NumPy's dtype of the elements as they lie in a file."""
        return np.dtype(_STORED[self.dtype])

    @property
    def size(self) -> int:
        """How many bytes the elements take in a file."""
        return self.elements * int(self.stored.itemsize)

    def as_json(self) -> dict[str, Any]:
        """The form in records: shape is a list."""
        return {"name": self.name, "dtype": self.dtype, "shape": list(self.shape)}


Pairs = Sequence[Tuple[Tensor, np.ndarray]]


def from_json(content: Any) -> tuple[Tensor, ...]:
    """The inverse of ``as_json``, for a list. Raises KeyError or TypeError when it is not one."""
    return tuple(Tensor(t["name"], t["dtype"], tuple(t["shape"])) for t in content)


def release(array: np.ndarray) -> None:
    """Give back the pages of a memory-mapped array that were read so far; they stay cached.

    Nothing happens to other arrays. Python 3.7 cannot: there the system decides.
    """
    mapped: Any = getattr(array, "_mmap", None)
    if hasattr(mapped, "madvise"):
        mapped.madvise(mmap.MADV_DONTNEED)


# --- writing ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class Stored:
    """The SHA-256 of a file of arrays, and what it holds in the order in which it was given."""

    sha256: str
    tensors: tuple[Tensor, ...]

    def as_json(self) -> list[dict[str, Any]]:
        """The list in a record: the forward order of the tensors, which the file lacks."""
        return [tensor.as_json() for tensor in self.tensors]


def write(path: Path, named: Named) -> Stored:
    """Write a file of arrays; it is on the disk when this returns."""
    pairs = described(named)
    with files.naming(path), path.open("wb") as file:
        sha256 = digest(pairs, file.write)
        file.flush()
        os.fsync(file.fileno())
    return Stored(sha256, tuple(tensor for tensor, _ in pairs))


def digest(pairs: Pairs, receive: Callable[[Any], Any] = lambda block: None) -> str:
    """The SHA-256 of a file of arrays, without writing it; ``receive`` gets each block of it."""
    sha = hashlib.sha256()
    for block in _encoded(pairs):
        sha.update(block)
        receive(block)
    return sha.hexdigest()


def described(named: Named) -> Pairs:
    """The arrays as they are stored, each with its description."""
    return [_pair(name, np.asanyarray(array)) for name, array in named]


def require_storable(name: str, dtype: str) -> None:
    """Raise SamebitsError for a dtype, by its name, that a file cannot hold."""
    known = {*_NAMES, "complex128"}
    if dtype not in known:
        raise SamebitsError(
            f"{name}: cannot store dtype {dtype}; use one of {', '.join(sorted(known))}"
        )


def _pair(name: str, array: np.ndarray) -> tuple[Tensor, np.ndarray]:
    if array.dtype.name == "complex128":
        array = np.stack([array.real, array.imag], axis=-1)
    require_storable(name, array.dtype.name)
    return Tensor(name, _NAMES[array.dtype.name], tuple(array.shape)), array


def _encoded(pairs: Pairs) -> Iterator[bytes | memoryview]:
    """The bytes of a file, in blocks."""
    in_order = sorted(pairs, key=lambda pair: _place(pair[0]))
    yield _header([tensor for tensor, _ in in_order])
    for _, array in in_order:
        yield from _blocks(array)


def _place(tensor: Tensor) -> tuple[int, str]:
    return _ORDER.index(tensor.dtype), tensor.name


def _header(tensors: Sequence[Tensor]) -> bytes:
    """The bytes before the elements. Raises ValueError when two tensors have one name."""
    content: dict[str, Any] = {}
    end = 0
    for tensor in tensors:
        begin, end = end, end + tensor.size
        described = {"dtype": tensor.dtype, "shape": tensor.shape, "data_offsets": [begin, end]}
        content[tensor.name] = described
    if len(content) != len(tensors):
        raise ValueError("two tensors have one name")
    text = json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode("utf-8")
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text


def _blocks(array: np.ndarray) -> Iterator[memoryview]:
    """The elements in C order, little-endian; an array that lies so already is not copied."""
    if array.dtype.byteorder == ">":
        array = array.astype(array.dtype.newbyteorder("<"))
    data = np.ascontiguousarray(array).reshape(-1).view(np.uint8).data
    for start in range(0, len(data), _BLOCK):
        yield data[start : start + _BLOCK]
        if start % RELEASE == 0:
            release(array)


# --- reading ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class ArrayFile:
    """A file of arrays whose header was read and checked; elements are read when opened."""

    path: Path
    tensors: tuple[Tensor, ...]
    offsets: Mapping[str, int]

    def open(self, name: str) -> np.ndarray:
        """One array, memory-mapped read-only. Raises SamebitsError for an impossible shape."""
        (tensor,) = (tensor for tensor in self.tensors if tensor.name == name)
        try:
            if not tensor.elements:  # nothing to map
                return np.zeros(tensor.shape, tensor.stored)
            where = self.offsets[name]
            return np.memmap(str(self.path), tensor.stored, "r", where, tensor.shape)
        except (ValueError, OverflowError) as error:
            raise SamebitsError(f"{self.path}: {name}: cannot be an array: {error}") from error


def read(path: Path) -> ArrayFile:
    """Read the header of a file. Raises SamebitsError unless ``write`` would write it so."""
    try:
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            head = file.read(8)
            length = int.from_bytes(head, "little")
            if length > min(_LARGEST_HEADER, size):
                raise ValueError(f"{length} bytes of header")
            head += file.read(length)
        tensors = _parse(head[8:])
        if _header(tensors) != head:
            raise ValueError("another header than its content gives")
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise SamebitsError(f"{path}: not a safetensors file of this format: {error}") from error
    *offsets, end = accumulate([len(head), *(tensor.size for tensor in tensors)])
    if end != size:
        raise SamebitsError(f"{path}: expected {end} bytes, got {size}")
    return ArrayFile(path, tensors, {t.name: offset for t, offset in zip(tensors, offsets)})


def _parse(header: bytes) -> tuple[Tensor, ...]:
    """The tensors of a header, in the order of a file; more is checked by encoding them again."""
    tensors = from_json(dict(said, name=name) for name, said in json.loads(header).items())
    for tensor in tensors:
        if not all(type(size) is int and size >= 0 for size in tensor.shape):
            raise ValueError(f"{tensor.name!r}: a shape of other than sizes")
        _ORDER.index(tensor.dtype)
    return tuple(sorted(tensors, key=_place))


def restored(array: np.ndarray, like: np.ndarray) -> np.ndarray:
    """A copy of a stored array in the dtype of ``like``, where the layout has another for it."""
    copy = np.array(array)
    if like.dtype.name in ("bfloat16", "complex128"):
        copy = copy.view(like.dtype).reshape(like.shape)
    return copy


def open_arrays(path: Path) -> dict[str, np.ndarray]:
    """All arrays of a file by name, memory-mapped."""
    found = read(path)
    return {tensor.name: found.open(tensor.name) for tensor in found.tensors}
