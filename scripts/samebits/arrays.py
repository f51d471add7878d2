"""Arrays as plain files, and their canonical digest.

A digest is taken over the array, never over its container: two files that hold the same array
in another order or byte order have the same digest.

Digest of one array: SHA-256 of the line ``samebits-array-1``, a line with the canonical JSON
``{"dtype":D,"shape":[...]}`` and the elements, little-endian, in C order. D is NumPy's
``dtype.str`` of the little-endian type (``<f4``, ``|u1``).
Digest of a set of named arrays: SHA-256 of the canonical JSON of
``{"arrays":[{"dtype","name","sha256","shape"}, ...],"format":"samebits-arrays-1"}``; order and
names count.
"""

import hashlib
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Dict, Iterator, List, Sequence, Tuple

import numpy as np

from samebits import canonical
from samebits.errors import SamebitsError

INDEX = "index.json"
FORMAT = "samebits-arrays-1"
_BLOCK = 1 << 24  # bytes digested at a time, so that memory stays bounded whatever the size
_KINDS = "biufc"  # bool, integers, floats, complex: never objects, which would need pickle


@dataclass(frozen=True)
class ArrayEntry:
    """What is known of one stored array without reading it."""

    name: str
    dtype: str
    shape: Tuple[int, ...]
    sha256: str

    def as_json(self) -> Dict[str, Any]:
        """The form in records: shape is a list."""
        return dict(asdict(self), shape=list(self.shape))


def _blocks(array: np.ndarray) -> Iterator[bytes]:
    """The elements in C order, little-endian, in blocks, however they lie in memory."""
    step = max(1, _BLOCK // max(1, array.itemsize))
    blocks = np.nditer(
        array, flags=["external_loop", "buffered", "zerosize_ok"], order="C", buffersize=step
    )
    for block in map(np.asarray, blocks):  # type: np.ndarray
        yield block.astype(block.dtype.newbyteorder("<"), copy=False).tobytes()


def array_digest(array: np.ndarray) -> str:
    """SHA-256 (hex) of one array, as the module's docstring defines it."""
    if array.dtype.kind not in _KINDS:
        raise SamebitsError(
            "expected an array of numbers, got dtype {}; store numbers only".format(array.dtype)
        )
    head = {"dtype": array.dtype.newbyteorder("<").str, "shape": list(array.shape)}
    sha = hashlib.sha256(b"samebits-array-1\n" + canonical.dumps(head))
    for block in _blocks(array):
        sha.update(block)
    return sha.hexdigest()


def entry_of(name: str, array: np.ndarray) -> ArrayEntry:
    """Name, dtype, shape and digest of an array."""
    dtype = array.dtype.newbyteorder("<").str
    return ArrayEntry(name, dtype, tuple(array.shape), array_digest(array))


def set_digest(entries: Sequence[ArrayEntry]) -> str:
    """SHA-256 (hex) of a set of named arrays."""
    return canonical.digest(_index(entries))


def _index(entries: Sequence[ArrayEntry]) -> Dict[str, Any]:
    return {"format": FORMAT, "arrays": [entry.as_json() for entry in entries]}


def array_path(folder: Path, position: int) -> Path:
    """Where the array at a position of the index lies. Names never become paths."""
    return Path(folder) / "{:05d}.npy".format(position)


def _write(path: Path, array: np.ndarray) -> None:
    """One ``.npy`` file, in C order and little-endian, on the disk when this returns.

    NumPy's own writer leaves the reason out when the disk is full.
    """
    little = array.dtype.newbyteorder("<").str
    header = {"descr": little, "fortran_order": False, "shape": array.shape}
    with canonical.naming(path), open(str(path), "wb") as file:
        np.lib.format.write_array_header_1_0(file, header)
        for block in _blocks(array):
            file.write(block)
        file.flush()
        os.fsync(file.fileno())


def save_arrays(folder: Path, arrays: Sequence[Tuple[str, np.ndarray]]) -> str:
    """Write named arrays as ``.npy`` files with an index; returns the set's digest."""
    Path(folder).mkdir(parents=True, exist_ok=True)
    entries = []
    for position, (name, array) in enumerate(arrays):
        array = np.asarray(array)
        entries.append(entry_of(name, array))
        _write(array_path(folder, position), array)
    return canonical.write_json(Path(folder) / INDEX, _index(entries))


def _refuse_equal_names(names: Sequence[str]) -> None:
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ValueError("the same name twice: {}".format(", ".join(twice)))


def read_index(folder: Path) -> List[ArrayEntry]:
    """The entries of a folder of arrays. Raises SamebitsError when the index is not one."""
    path = Path(folder) / INDEX
    try:
        content = canonical.read_json(path)
        if content["format"] != FORMAT:
            raise ValueError("format {!r}".format(content["format"]))
        entries = [
            ArrayEntry(str(a["name"]), str(a["dtype"]), tuple(a["shape"]), str(a["sha256"]))
            for a in content["arrays"]
        ]
        _refuse_equal_names([entry.name for entry in entries])
        return entries
    except (KeyError, TypeError, ValueError) as error:
        raise SamebitsError(
            "{}: expected an index of arrays ({}), got: {}".format(path, FORMAT, error)
        ) from error


def open_array(folder: Path, position: int) -> np.ndarray:
    """One array, memory-mapped read-only. Raises SamebitsError when the file is damaged."""
    path = array_path(folder, position)
    try:
        array = np.load(str(path), mmap_mode="r", allow_pickle=False)  # type: np.ndarray
        return array
    except (ValueError, EOFError) as error:
        raise SamebitsError(
            "{}: expected a whole .npy file, got: {}".format(path, error)
        ) from error


def open_arrays(folder: Path) -> Dict[str, np.ndarray]:
    """All arrays of a folder by name, memory-mapped."""
    entries = read_index(folder)
    return {entry.name: open_array(folder, i) for i, entry in enumerate(entries)}


def check_arrays(folder: Path) -> str:
    """Digest the stored arrays again; returns the set's digest.

    Raises SamebitsError naming every array that is not what the index says.
    """
    entries = read_index(folder)
    wrong = []
    for position, entry in enumerate(entries):
        got = entry_of(entry.name, open_array(folder, position))
        if got != entry:
            wrong.append(
                "{} ({}): expected {} {} {}, got {} {} {}; delete the folder to have it made "
                "again".format(
                    array_path(folder, position), entry.name,
                    entry.dtype, list(entry.shape), entry.sha256,
                    got.dtype, list(got.shape), got.sha256,
                )
            )  # fmt: skip
    if wrong:
        raise SamebitsError("\n".join(wrong))
    return set_digest(entries)
