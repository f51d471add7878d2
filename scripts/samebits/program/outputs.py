"""The files that a program wrote below its working folder, and what of them can be compared.

Arrays are compared one by one where a file holds them (.npy, .npz, checkpoints and the variables of
a SavedModel), else bytes. Of a .keras file it is each part, without the date in it. Formats that
hold dates, times or the order of threads, and unknown ones, are listed and not compared, unless
the config's ``outputs`` names them: then bytes are. Of a link it is where it leads, if that lies
below the working folder.

Runs on Python 3.7 to 3.13, TensorFlow 2.1 to 2.21.
"""

from __future__ import annotations

import fnmatch
import hashlib
import io
import json
import os
import re
import sys
import zipfile
from pathlib import Path
from typing import Any, Dict, Iterable, Iterator, Sequence, Tuple

import numpy as np

from samebits.errors import SamebitsError
from samebits.formats import arrays, files
from samebits.program.returned import Returned
from samebits.training import task

STDOUT = "stdout"
BYTES, ARRAYS, TARGET = "bytes", "arrays", "target"
_SAME_BYTES = (".h5", ".hdf5", ".safetensors", ".csv", ".json", ".png")
_CHECKPOINT, _DATA = ".index", ".data-00000-of-00001"
_EXPORTED = re.compile(r"_all_variables/\d+/")
_GRAPH = "_CHECKPOINTABLE_OBJECT_GRAPH"  # of a checkpoint: which object each variable is of
_DATES = ("date_saved",)
_ADDRESS = "shared_object_id"  # of an object that a model has twice

_Stamp = Tuple[int, int, int]
Stamps = Dict[str, _Stamp]


def stamps(folder: Path) -> Stamps:
    """Every file and link below a folder: inode, size and time of its last change."""
    return {
        os.path.relpath(path, str(folder)): (found.st_ino, found.st_size, found.st_mtime_ns)
        for path, found in _files(str(folder))
    }


def _files(folder: str) -> Iterator[tuple[str, os.stat_result]]:
    for entry in sorted(os.scandir(folder), key=lambda one: one.name):
        if entry.is_dir(follow_symlinks=False):
            yield from _files(entry.path)
        elif entry.is_file(follow_symlinks=False) or entry.is_symlink():
            yield entry.path, entry.stat(follow_symlinks=False)


class Stdout:
    """The digest of what Python writes to standard output."""

    def __init__(self) -> None:
        """From now on."""
        self._sha, write = hashlib.sha256(), sys.stdout.write

        def noted(text: str) -> int:
            self._sha.update(text.encode("utf-8", "surrogatepass"))
            return write(text)

        sys.stdout.write = noted  # type: ignore[method-assign]

    def digest(self) -> np.ndarray:
        """So far, uint8 [32]."""
        return np.frombuffer(self._sha.digest(), np.uint8)


def written(
    before: Stamps, folder: Path, chosen: Sequence[str] | None, stdout: Stdout | None = None
) -> tuple[list[dict[str, Any]], task.Named]:
    """The record's list of what was written since, and what is compared.

    ``chosen``: patterns of paths; None: all of the formats that can be compared.
    """
    entries: list[dict[str, Any]] = []
    compared: task.Named = []
    now = stamps(folder)
    for path in sorted(path for path in now if now[path] != before.get(path)):
        wanted = chosen is None or any(fnmatch.fnmatch(path, pattern) for pattern in chosen)
        if (folder / path).is_symlink():
            target = _target(path, folder)
            below = not target.startswith(os.pardir)
            digest, kind = hashlib.sha256(os.fsencode(target)).hexdigest(), TARGET
            parts = [("", _digest(os.fsencode(target)))] if wanted and (below or chosen) else []
        else:
            parts = list(_parts(folder / path, chosen is not None)) if wanted else []
            kind = ARRAYS if [name for name, _ in parts] not in ([], [""]) else BYTES
            digest = files.digest(folder / path)
        compared += [(f"file {path}{'/' * bool(n)}{n}", array) for n, array in parts]
        entries.append(_entry(path, digest, bool(parts), kind))
    if stdout is not None:
        compared.append((f"file {STDOUT}", stdout.digest()))
        entries.append(_entry(STDOUT, stdout.digest().tobytes().hex(), True, BYTES))
    return entries, compared


def _target(path: str, folder: Path) -> str:
    """Where a link leads, from the working folder, which is not the same in every run."""
    link = folder / path
    return os.path.relpath(str(link.parent / os.readlink(str(link))), str(folder))


def _entry(path: str, sha256: str, compared: bool, kind: str) -> dict[str, Any]:
    return {"path": path, "sha256": sha256, "compared": compared, "as": kind}


def _parts(path: Path, named: bool) -> Iterator[tuple[str, np.ndarray]]:
    """What of a file is compared, by name; ``named``: the user names it."""
    suffix = path.suffix.lower()
    if suffix in (".npy", ".npz"):
        yield from _storable(path)
    elif suffix == ".keras" and zipfile.is_zipfile(str(path)):
        with zipfile.ZipFile(str(path)) as archive:
            for name in sorted(archive.namelist()):
                yield name, _digest(_undated(name, archive.read(name)))
    elif suffix == _CHECKPOINT and path.with_suffix(_DATA).is_file():
        yield from _variables(path)
    elif suffix in _SAME_BYTES or named:
        yield "", _digest(path.read_bytes())


def _storable(path: Path) -> list[tuple[str, np.ndarray]]:
    """The arrays of a NumPy file; its bytes where it holds something else."""
    data = path.read_bytes()
    try:
        found: Any = np.load(io.BytesIO(data), allow_pickle=False)
        pairs = [("array", found)] if path.suffix == ".npy" else [(n, found[n]) for n in found]
        arrays.described(pairs)
    except (ValueError, SamebitsError):  # objects and texts
        return [("", _digest(data))]
    return pairs


def _variables(path: Path) -> Iterator[tuple[str, np.ndarray]]:
    """The variables of a checkpoint of TensorFlow's."""
    import tensorflow as tf

    reader = tf.train.load_checkpoint(str(path.with_suffix("")))
    names = [name for name in reader.get_variable_to_dtype_map() if name != _GRAPH]
    return _numbered((name, _stored(np.asarray(reader.get_tensor(name)))) for name in sorted(names))


def _numbered(pairs: Iterable[tuple[str, np.ndarray]]) -> Iterator[tuple[str, np.ndarray]]:
    """Variables of an export, which Keras numbers in the order of a set of addresses, by value."""
    exported = []
    for name, array in pairs:
        if _EXPORTED.match(name):
            exported.append((name, array))
        else:
            yield name, array
    arrays_of = sorted((a for _, a in exported), key=lambda a: (str(a.dtype), a.shape, a.tobytes()))
    yield from zip([name for name, _ in exported], arrays_of)


def _stored(array: np.ndarray) -> np.ndarray:
    """An array as it is, or, where a file of arrays has no place for its dtype, its digest."""
    try:
        arrays.described([("", array)])
    except SamebitsError:  # texts
        kept = Returned()
        kept.add(array)
        return np.frombuffer(kept.digest(), np.uint8)
    return array


def _undated(name: str, data: bytes) -> bytes:
    """A part of a .keras file without dates, and without the addresses of objects in memory."""
    if not name.endswith(".json"):
        return data
    numbers: dict[Any, int] = {}

    def kept(node: dict[str, Any]) -> dict[str, Any]:
        plain = {key: value for key, value in node.items() if key not in _DATES}
        if _ADDRESS in plain:
            plain[_ADDRESS] = numbers.setdefault(plain[_ADDRESS], len(numbers))
        return plain

    return json.dumps(json.loads(data, object_hook=kept), sort_keys=True).encode()


def _digest(data: bytes) -> np.ndarray:
    return np.frombuffer(hashlib.sha256(data).digest(), np.uint8)
