"""Arrays as plain files, and their canonical digest.

A digest is taken over the array, never over its container: two files that hold the same array
in another order or byte order have the same digest.

Digest of one array: SHA-256 of the line ``samebits-array-1``, a line with the canonical JSON
``{"dtype":D,"shape":[...]}`` and the elements, little-endian, in C order. D is NumPy's
``dtype.str`` of the little-endian type (``<f4``, ``|u1``).
Digest of a set of named arrays: SHA-256 of the canonical JSON of
``{"arrays":[{"dtype","name","sha256","shape"}, ...],"format":"samebits-arrays-1"}``; order and
names count. docs/digests.md says it byte by byte.

Stored arrays are read as streams, in blocks and on all CPUs, so memory stays bounded.
"""

from __future__ import annotations

import hashlib
import mmap
import os
import re
import threading
import zipfile
import zlib
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, BinaryIO, Callable, Iterator, Sequence, Tuple

import numpy as np

from samebits.errors import SamebitsError, explain_os_error
from samebits.formats import canonical, files

INDEX = "index.json"
FORMAT = "samebits-arrays-1"
_BLOCK = 1 << 18  # bytes digested at a time: they fit into a core's cache, and memory is bounded
RELEASE = 1 << 26  # bytes of a memory-mapped array that are read before pages are given back
_KINDS = "biufc"  # bool, integers, floats, complex: never objects, which would need pickle
# All dtypes of these kinds, as files and indices name them.
_DTYPE = re.compile(r"\|[biu]1|<[iu][248]|<f(?:2|4|8|16)|<c(?:8|16|32)")
_DIMENSIONS = 64  # NumPy 2 allows no more
_MAX_HEADER = 10000  # bytes; NumPy's own limit
# The text as NumPy writes it; not whatever else Python would evaluate to the same.
_HEADER = re.compile(
    rb"\{'descr': '([<>=|][A-Za-z][0-9]{0,9})', 'fortran_order': (True|False), "
    rb"'shape': \((|[0-9]{1,19},|[0-9]{1,19}(?:, [0-9]{1,19}){1,63})\), \} *\n"
)
_SHA256 = re.compile("[0-9a-f]{64}")
_Shape = Tuple[int, ...]


@dataclass(frozen=True)
class ArrayEntry:
    """What is known of one stored array without reading it."""

    name: str
    dtype: str
    shape: _Shape
    sha256: str

    def as_json(self) -> dict[str, Any]:
        """The form in records: shape is a list."""
        return dict(asdict(self), shape=list(self.shape))


def release(array: np.ndarray) -> None:
    """Give back the pages of a memory-mapped array that were read so far; they stay cached.

    Nothing happens to other arrays. Python 3.7 cannot: there the system decides.
    """
    mapped: Any = getattr(array, "_mmap", None)
    if hasattr(mapped, "madvise"):
        mapped.madvise(mmap.MADV_DONTNEED)


# --- arrays in memory ------------------------------------------------------------------------


def _blocks(array: np.ndarray) -> Iterator[bytes | memoryview]:
    """The elements in C order, little-endian, in blocks, however they lie in memory."""
    if array.flags.c_contiguous and array.dtype.str[0] in "<|":
        return _views(array)
    return _copies(array)


def _views(array: np.ndarray) -> Iterator[memoryview]:
    """Of an array that lies in memory just as it is digested: nothing is copied."""
    data = np.asarray(array).reshape(-1).view(np.uint8).data
    for start in range(0, len(data), _BLOCK):
        yield data[start : start + _BLOCK]
        if start % RELEASE == 0:
            release(array)


def _copies(array: np.ndarray) -> Iterator[bytes]:
    step = max(1, _BLOCK // max(1, array.itemsize))
    blocks = np.nditer(
        array, flags=["external_loop", "buffered", "zerosize_ok"], order="C", buffersize=step
    )
    for block in map(np.asarray, blocks):  # type: np.ndarray
        yield block.astype(block.dtype.newbyteorder("<"), copy=False).tobytes()


def _begin(dtype: str, shape: Sequence[int]) -> Any:
    """The digest of what comes before the elements, to be updated with them."""
    head = {"dtype": dtype, "shape": list(shape)}
    return hashlib.sha256(b"samebits-array-1\n" + canonical.dumps(head))


def array_digest(array: np.ndarray) -> str:
    """SHA-256 (hex) of one array, as the module's docstring defines it."""
    if array.dtype.kind not in _KINDS:
        raise SamebitsError(
            f"expected an array of numbers, got dtype {array.dtype}; store numbers only"
        )
    sha = _begin(array.dtype.newbyteorder("<").str, array.shape)
    for block in _blocks(array):
        sha.update(block)
    return str(sha.hexdigest())


def entry_of(name: str, array: np.ndarray) -> ArrayEntry:
    """Name, dtype, shape and digest of an array."""
    dtype = array.dtype.newbyteorder("<").str
    return ArrayEntry(name, dtype, tuple(array.shape), array_digest(array))


# --- arrays as streams -----------------------------------------------------------------------


def entry_of_stream(name: str, file: BinaryIO) -> ArrayEntry:
    """Name, dtype, shape and digest of the array in a ``.npy`` stream, which is read to its end.

    Raises SamebitsError when it is not a whole ``.npy`` file of numbers, in C order and
    little-endian; OSError when it cannot be read.
    """
    try:
        dtype, shape = _read_header(file)
        sha = _begin(dtype, shape)
        _update(sha, file, _elements(shape) * int(dtype[2:]))
    except (EOFError, zipfile.BadZipFile, zlib.error) as error:  # the last two: out of an archive
        raise SamebitsError(f"expected a whole .npy file, got: {error}") from error
    return ArrayEntry(name, dtype, shape, sha.hexdigest())


def _read_header(file: BinaryIO) -> tuple[str, _Shape]:
    """Dtype and shape. The format's versions 1.0, 2.0 and 3.0 differ in the length of a length."""
    magic = _read(file, 8)
    if magic[:6] != b"\x93NUMPY" or magic[6:] not in (b"\1\0", b"\2\0", b"\3\0"):
        raise SamebitsError(f"expected a .npy file, got one that begins with {magic!r}")
    size = int.from_bytes(_read(file, 2 if magic[6] == 1 else 4), "little")
    if size > _MAX_HEADER:
        raise SamebitsError(f"expected a .npy header of at most {_MAX_HEADER} bytes, got {size}")
    return _parse_header(_read(file, size))


def _parse_header(header: bytes) -> tuple[str, _Shape]:
    found = _HEADER.fullmatch(header)
    if found is None:
        raise SamebitsError(
            f"expected a .npy header as NumPy writes it for numbers, got {header[:80]!r}"
        )
    dtype, fortran_order, shape = (group.decode("ascii") for group in found.groups())
    if fortran_order == "True" or dtype[0] == ">":
        raise SamebitsError(
            "expected elements in C order, little-endian, got {!r}; store in C order, "
            "little-endian".format(header.decode("ascii").strip())
        )
    if not _DTYPE.fullmatch(dtype):
        raise SamebitsError(f"expected an array of numbers, got dtype {dtype}; store numbers only")
    return dtype, tuple(int(size) for size in shape.split(",") if size)


def _read(file: BinaryIO, size: int) -> bytes:
    """This many bytes; a stream may give fewer at a time."""
    data = b""
    while len(data) < size:
        more = file.read(size - len(data))
        if not more:
            raise EOFError("an end within the header")
        data += more
    return data


def _update(sha: Any, file: Any, size: int) -> None:
    """Digest the rest of a stream, which must be this many bytes, in one reused block."""
    block, left = memoryview(bytearray(min(_BLOCK, size))), size
    while left:
        count = file.readinto(block[:left])
        if not count:
            raise EOFError(f"{size - left} of {size} bytes of elements")
        sha.update(block[:count])
        left -= count
    if file.read(1):
        raise EOFError(f"more than {size} bytes of elements")


def _elements(shape: Sequence[int]) -> int:
    """How many elements an array of this shape has: an integer that does not overflow."""
    count = 1
    for size in shape:
        count *= size
    return count


# --- sets of arrays --------------------------------------------------------------------------


def set_digest(entries: Sequence[ArrayEntry]) -> str:
    """SHA-256 (hex) of a set of named arrays."""
    return canonical.digest(_index(entries))


def _index(entries: Sequence[ArrayEntry]) -> dict[str, Any]:
    return {"format": FORMAT, "arrays": [entry.as_json() for entry in entries]}


def parse_index(content: Any) -> list[ArrayEntry]:
    """The entries of an index. Raises ValueError when the JSON is anything but an index."""
    if not isinstance(content, dict) or set(content) != {"arrays", "format"}:
        raise ValueError("not an object with arrays and format")
    if content["format"] != FORMAT:
        raise ValueError("format {!r}".format(content["format"]))
    if not isinstance(content["arrays"], list):
        raise ValueError("arrays: not a list")
    entries = [_parse_entry(position, a) for position, a in enumerate(content["arrays"])]
    _refuse_equal_names([entry.name for entry in entries])
    return entries


def _parse_entry(position: int, content: Any) -> ArrayEntry:
    where = f"arrays[{position}]"
    if not isinstance(content, dict) or set(content) != {"dtype", "name", "sha256", "shape"}:
        raise ValueError(f"{where}: not an object with dtype, name, sha256 and shape")
    name, dtype, shape, sha256 = (content[key] for key in ("name", "dtype", "shape", "sha256"))
    if not isinstance(name, str):
        raise ValueError(f"{where}: name: not a text")
    name.encode("utf-8")  # UnicodeEncodeError is a ValueError: half of a surrogate pair
    if not isinstance(dtype, str) or not _DTYPE.fullmatch(dtype):
        raise ValueError(f"{where}: dtype: not one of numbers")
    if not isinstance(shape, list) or len(shape) > _DIMENSIONS or not all(map(_is_size, shape)):
        raise ValueError(f"{where}: shape: not a list of sizes")
    if not isinstance(sha256, str) or not _SHA256.fullmatch(sha256):
        raise ValueError(f"{where}: sha256: not 64 hexadecimal digits")
    return ArrayEntry(name, dtype, tuple(shape), sha256)


def _is_size(value: Any) -> bool:
    return type(value) is int and 0 <= value < 2**63  # a bool is an int to Python


def _refuse_equal_names(names: Sequence[str]) -> None:
    twice = sorted(name for name, count in Counter(names).items() if count > 1)
    if twice:
        raise ValueError("the same name twice: {}".format(", ".join(twice)))


def check_set(
    entries: Sequence[ArrayEntry], open_array_stream: Callable[[int], BinaryIO]
) -> list[str]:
    """Digest the arrays of a set on all CPUs; returns what is not as the entries say, sorted.

    ``open_array_stream`` gives the ``.npy`` stream of a position. It is called by other threads,
    by one at a time, and may raise SamebitsError or OSError. One stream per CPU is open at once.
    """
    lock = threading.Lock()

    def problem(position: int) -> str | None:
        entry = entries[position]
        expected = _in_words(entry)
        try:
            with _opened(open_array_stream, position, lock) as stream:
                got = _in_words(entry_of_stream(entry.name, stream))
        except SamebitsError as error:
            got = str(error)
        except OSError as error:
            got = explain_os_error(error)
        if got == expected:
            return None
        return f"{_file(position)} ({entry.name}): expected {expected}, got {got}"

    # The largest first: begun last, it would keep one CPU busy while the others are idle.
    order = sorted(range(len(entries)), key=lambda i: _elements(entries[i].shape), reverse=True)
    with ThreadPoolExecutor(_cpus()) as pool:
        return sorted(filter(None, pool.map(problem, order)))


@contextmanager
def _opened(
    open_array_stream: Callable[[int], BinaryIO], position: int, lock: Any
) -> Iterator[BinaryIO]:
    """A stream; a ``zipfile.ZipFile`` counts its open ones and needs the lock for that."""
    with lock:
        stream = open_array_stream(position)
    try:
        yield stream
    finally:
        with lock:
            stream.close()


def _in_words(entry: ArrayEntry) -> str:
    return f"{entry.dtype} {list(entry.shape)} {entry.sha256}"


def _cpus() -> int:
    """How many CPUs this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


# --- arrays as files -------------------------------------------------------------------------


def _file(position: int) -> str:
    return f"{position:05d}.npy"


def array_path(folder: Path, position: int) -> Path:
    """Where the array at a position of the index lies. Names never become paths."""
    return Path(folder) / _file(position)


def _write(path: Path, array: np.ndarray) -> None:
    """One ``.npy`` file, in C order and little-endian, on the disk when this returns.

    NumPy's own writer leaves the reason out when the disk is full.
    """
    little = array.dtype.newbyteorder("<").str
    header = {"descr": little, "fortran_order": False, "shape": array.shape}
    with files.naming(path), open(str(path), "wb") as file:
        np.lib.format.write_array_header_1_0(file, header)
        for block in _blocks(array):
            file.write(block)
        file.flush()
        os.fsync(file.fileno())


def save_arrays(folder: Path, arrays: Sequence[tuple[str, np.ndarray]]) -> str:
    """Write named arrays as ``.npy`` files with an index; returns the set's digest."""
    Path(folder).mkdir(parents=True, exist_ok=True)
    entries = []
    for position, (name, array) in enumerate(arrays):
        array = np.asarray(array)
        entries.append(entry_of(name, array))
        _write(array_path(folder, position), array)
    return canonical.write_json(Path(folder) / INDEX, _index(entries))


def read_index(folder: Path) -> list[ArrayEntry]:
    """The entries of a folder of arrays. Raises SamebitsError when the index is not one."""
    path = Path(folder) / INDEX
    try:
        return parse_index(canonical.read_json(path))
    except ValueError as error:
        raise SamebitsError(
            f"{path}: expected an index of arrays ({FORMAT}), got: {error}"
        ) from error


def open_array(folder: Path, position: int) -> np.ndarray:
    """One array, memory-mapped read-only. Raises SamebitsError when the file is damaged."""
    path = array_path(folder, position)
    try:
        array: np.ndarray = np.load(str(path), mmap_mode="r", allow_pickle=False)
        return array
    except (ValueError, EOFError) as error:
        raise SamebitsError(f"{path}: expected a whole .npy file, got: {error}") from error


def open_arrays(folder: Path) -> dict[str, np.ndarray]:
    """All arrays of a folder by name, memory-mapped."""
    entries = read_index(folder)
    return {entry.name: open_array(folder, i) for i, entry in enumerate(entries)}


def check_arrays(folder: Path) -> str:
    """Digest the stored arrays again; returns the set's digest.

    Raises SamebitsError naming every array that is not what the index says.
    """
    entries = read_index(folder)

    def open_stream(position: int) -> BinaryIO:
        return open(str(array_path(folder, position)), "rb", buffering=0)

    problems = check_set(entries, open_stream)
    if problems:
        again = "{}; delete the folder to have it made again"
        where = [os.path.join(str(folder), problem) for problem in problems]
        raise SamebitsError("\n".join(map(again.format, where)))
    return set_digest(entries)
