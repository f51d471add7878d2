"""Files and folders that are complete or absent, and the digest of a file.

A file is written beside its place, synced to the disk and renamed, so that a killed process, a full
disk or a lost power supply leaves the old content or the new one, never a part.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Iterator


def digest(path: Path) -> str:
    """SHA-256 (hex) of a file's bytes, read in blocks of 1 MiB."""
    sha = hashlib.sha256()
    with path.open("rb") as file:
        for block in iter(lambda: file.read(1 << 20), b""):
            sha.update(block)
    return sha.hexdigest()


def umask() -> int:
    """The process's umask; it can only be read by setting it."""
    mask = os.umask(0)
    os.umask(mask)
    return mask


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
def atomic_file(path: Path) -> Iterator[BinaryIO]:
    """A file that is written beside, synced and renamed to ``path``; on an error nothing stays."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=str(path.parent))
    beside = Path(name)
    try:
        with naming(path), os.fdopen(handle, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        beside.chmod(0o666 & ~umask())
        beside.replace(path)
    except BaseException:
        beside.unlink()
        raise
    _sync_folder(path.parent)


def write_bytes(path: Path, data: bytes) -> None:
    """Write a file atomically."""
    with atomic_file(path) as file:
        file.write(data)


def remove_partial(path: Path) -> None:
    """Remove partial outputs of a killed process; the name of ``path`` may be a pattern.

    Only where no other process may be writing it.
    """
    for half in path.parent.glob(f".{path.name}.????????"):  # as tempfile names them
        if half.is_dir():
            shutil.rmtree(str(half))
        else:
            half.unlink()


@contextmanager
def atomic_folder(path: Path) -> Iterator[Path]:
    """A folder that is filled beside and renamed to ``path``; on an error nothing stays.

    An earlier folder at ``path`` is replaced.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = Path(tempfile.mkdtemp(prefix=f".{path.name}.", dir=str(path.parent)))
    try:
        yield beside
        beside.chmod(0o777 & ~umask())
        if path.exists():
            shutil.rmtree(str(path))
        beside.rename(path)
    except BaseException:
        shutil.rmtree(str(beside), ignore_errors=True)
        raise
    _sync_folder(path.parent)
