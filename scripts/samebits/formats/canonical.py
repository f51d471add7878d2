"""One canonical JSON for everything that is digested, and files that are whole or absent.

The canonical form is UTF-8, keys sorted by code point, no insignificant white space, floats as
Python's shortest repr, no NaN or Infinity, one line feed at the end. The line feed is part of
the digested bytes, so ``sha256sum FILE`` prints the digest that the records name.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections import Counter
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, Iterator

from samebits.errors import SamebitsError


def dumps(value: Any) -> bytes:
    """The canonical bytes of a JSON value. Raises ValueError for NaN and infinities."""
    text = json.dumps(
        value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    )
    return (text + "\n").encode("utf-8")


def digest(value: Any) -> str:
    """SHA-256 (hex) of the canonical bytes."""
    return hashlib.sha256(dumps(value)).hexdigest()


def file_digest(path: Path) -> str:
    """SHA-256 (hex) of a file's bytes, read in blocks of 1 MiB."""
    sha = hashlib.sha256()
    with open(str(path), "rb") as file:
        for block in iter(lambda: file.read(1 << 20), b""):
            sha.update(block)
    return sha.hexdigest()


def _no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        count = Counter(name for name, _ in pairs)
        twice = sorted(name for name in count if count[name] > 1)
        raise ValueError("the same key twice: {}".format(", ".join(twice)))
    return result


def _no_constants(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


def _finite(text: str) -> float:
    value = float(text)
    if value in (float("inf"), float("-inf")):
        raise ValueError(f"{text[:20]} is too large")
    return value


def loads(data: bytes) -> Any:
    """Parse JSON strictly. What ``dumps`` could not write is refused with ValueError.

    That is: duplicate keys, NaN, infinities, numbers too large for a double, half a surrogate pair,
    a byte order mark. Nesting that is too deep raises RecursionError, as Python's parser does.
    """
    value = json.loads(
        data.decode("utf-8"),
        object_pairs_hook=_no_duplicates,
        parse_constant=_no_constants,
        parse_float=_finite,
    )
    if b"\\u" in data:
        dumps(value)  # only an escape can hold half a surrogate pair
    return value


def read_json(path: Path) -> Any:
    """Read a JSON file. Raises SamebitsError that names the file when it is not valid JSON."""
    try:
        return loads(Path(path).read_bytes())
    except (ValueError, RecursionError) as error:  # UnicodeDecodeError, JSONDecodeError, depth
        raise SamebitsError(
            f"{path}: expected valid JSON, got: {error}; delete it to have it made again"
        ) from error


def _sync_folder(folder: Path) -> None:
    handle = os.open(str(folder), os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Name the file in an OSError that does not: a full disk is met in a write, not in an open."""
    try:
        yield
    except OSError as error:
        error.filename = error.filename or str(path)
        raise


@contextmanager
def whole_file(path: Path) -> Iterator[BinaryIO]:
    """A file filled beside, synced and renamed to ``path`` in the end; else nothing stays."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, beside = tempfile.mkstemp(prefix="." + path.name + ".", dir=str(path.parent))
    try:
        with naming(path), os.fdopen(handle, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.chmod(beside, 0o666 & ~_umask())
        os.replace(beside, str(path))
    except BaseException:
        os.unlink(beside)
        raise
    _sync_folder(path.parent)


def write_bytes(path: Path, data: bytes) -> None:
    """Write a file so that it is there whole or not at all."""
    with whole_file(path) as file:
        file.write(data)


def _umask() -> int:
    """The process's umask; it can only be read by setting it."""
    mask = os.umask(0)
    os.umask(mask)
    return mask


def write_json(path: Path, value: Any) -> str:
    """Write the canonical bytes of ``value``; returns their digest."""
    data = dumps(value)
    write_bytes(path, data)
    return hashlib.sha256(data).hexdigest()


def write_json_if_changed(path: Path, value: Any) -> None:
    """Write only when the bytes differ, so that nothing downstream looks out of date."""
    data = dumps(value)
    if not has_bytes(path, data):
        write_bytes(path, data)


_RANDOM = "?" * 8  # what tempfile puts at the end of a name


def remove_halves(path: Path) -> None:
    """Remove what a killed process left of ``path``, whose name may be a pattern.

    Only where no other process may be writing it.
    """
    for half in Path(path).parent.glob("." + Path(path).name + "." + _RANDOM):
        if half.is_dir():
            shutil.rmtree(str(half))
        else:
            half.unlink()


def has_bytes(path: Path, data: bytes) -> bool:
    """Whether a file is there and holds exactly this."""
    return Path(path).is_file() and Path(path).read_bytes() == data


@contextmanager
def whole_folder(path: Path) -> Iterator[Path]:
    """A folder filled beside and renamed to ``path`` at the end; on an error nothing stays.

    What stood at ``path`` before is replaced.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = Path(tempfile.mkdtemp(prefix="." + path.name + ".", dir=str(path.parent)))
    try:
        yield beside
        beside.chmod(0o777 & ~_umask())
        if path.exists():
            shutil.rmtree(str(path))
        os.rename(str(beside), str(path))
    except BaseException:
        shutil.rmtree(str(beside), ignore_errors=True)
        raise
    _sync_folder(path.parent)
