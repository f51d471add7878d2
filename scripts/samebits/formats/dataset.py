"""A data set as ``.npy`` files, to be memory-mapped, and an index that names it.

The index lists name, dtype, shape and the file's SHA-256 of every array; the SHA-256 of the index,
which is canonical JSON, is the digest of the data set. The bytes of an ``.npy`` file are a function
of the array: NumPy pads a header as its version likes, so the header is written here.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Mapping

import numpy as np

from samebits.errors import SamebitsError, all_problems
from samebits.formats import canonical, files

FORMAT = "samebits-data-1"
INDEX = "index.json"
_NAME = re.compile("[A-Za-z0-9_]+")
_BLOCK = 1 << 24  # bytes that are written at a time


def file_name(name: str) -> str:
    """The file of an array. Raises SamebitsError for a name that is not a plain word."""
    if not _NAME.fullmatch(name):
        raise SamebitsError(f"{name!r} cannot name an array; use letters, digits and _")
    return f"{name}.npy"


def index(arrays: list[dict[str, Any]]) -> dict[str, Any]:
    """The content of the index, whose canonical form has the digest of the data set."""
    return {"format": FORMAT, "arrays": arrays}


def write(folder: Path, arrays: Mapping[str, np.ndarray]) -> list[dict[str, Any]]:
    """Write the arrays and their index into a folder; returns the entries of the index."""
    entries = [_write(folder, name, arrays[name]) for name in sorted(arrays)]
    canonical.write_json(folder / INDEX, index(entries))
    return entries


def _write(folder: Path, name: str, array: np.ndarray) -> dict[str, Any]:
    dtype = array.dtype.newbyteorder("<")
    text = f"{{'descr': {dtype.str!r}, 'fortran_order': False, 'shape': {array.shape!r}, }}"
    text += " " * (-(len(text) + 11) % 64) + "\n"
    path, step = folder / file_name(name), max(1, _BLOCK // max(1, array[:1].nbytes))
    with files.atomic_file(path) as file:
        file.write(b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text.encode("ascii"))
        for start in range(0, len(array), step):
            file.write(array[start : start + step].astype(dtype, copy=False).tobytes())
    sha256, shape = files.digest(path), list(array.shape)
    return {"name": name, "dtype": dtype.str, "shape": shape, "sha256": sha256}


def read(folder: Path) -> dict[str, np.ndarray]:
    """All arrays by name, memory-mapped. Raises SamebitsError for a file that is not one."""
    found = {}
    for entry in _entries(folder):
        path = folder / file_name(entry["name"])
        try:
            found[entry["name"]] = np.load(str(path), mmap_mode="r", allow_pickle=False)
        except (ValueError, EOFError) as error:
            raise SamebitsError(f"{path}: not an .npy file: {error}") from error
    return found


def check(folder: Path) -> str:
    """Take the digests again; returns that of the data set.

    Raises SamebitsError that names every array whose file has another one than the index says.
    """
    problems = []
    for entry in _entries(folder):
        path = folder / file_name(entry["name"])
        got = files.digest(path)
        if got != entry["sha256"]:
            problems.append(f"{path}: expected SHA-256 {entry['sha256']}, got {got}")
    if problems:
        raise SamebitsError(all_problems(problems) + "\ndelete the folder to have it made again")
    return files.digest(folder / INDEX)


def _entries(folder: Path) -> list[Any]:
    path = folder / INDEX
    found = canonical.read_json(path)
    if not isinstance(found, dict) or found.get("format") != FORMAT:
        raise SamebitsError(f"{path}: expected an index of format {FORMAT}, got another file")
    return list(found["arrays"])
