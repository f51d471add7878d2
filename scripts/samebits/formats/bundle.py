"""A certificate and its evidence as one zip file whose bytes are a function of its files.

Entries are stored, sorted by name, dated 1980-01-01, with mode 0644. A bundle may be hostile:
entries that are compressed, encrypted or no plain files, unsafe names, and bytes that belong to no
entry are refused when it is opened.
"""

from __future__ import annotations

import io
import shutil
import stat
import zipfile
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from itertools import islice, pairwise
from pathlib import Path
from typing import Any, BinaryIO

from samebits.errors import SamebitsError, all_problems
from samebits.formats import files

SOURCE = "source"  # the folder of a program's own files
_OWN, _CONTROL = "samebits", "control"
MAGIC = b"PK\x03\x04"  # of a header before data, with which every bundle begins

_DATE = (1980, 1, 1, 0, 0, 0)  # the first moment that zip can write
_MODE = stat.S_IFREG | 0o644
_UNIX = 3  # made on Unix: the mode counts
# A directory is held in memory, where it takes ten times its size: some 100,000 entries.
_LARGEST_DIRECTORY = 10_000_000
_HEADER, _LISTED, _LARGE = 30, 46, 20  # bytes before a file, and in the directory; of a large file
_END, _LARGE_END = 22, 98  # bytes after the directory
_LONGEST_NAME, _LONGEST_PART = 1024, 255  # fits below any folder: Linux has 4096 for a path
_COMPARED = (  # of an entry, when it is read
    "date_time", "create_system", "external_attr", "compress_type", "flag_bits", "comment",
    "compress_size", "header_offset",
)  # fmt: skip
_MOST_PROBLEMS = 1000  # shown of a hostile file; they are held in memory
_BLOCK = 1 << 20


class BundleError(SamebitsError):
    """A file that is not a bundle as ``write`` makes it, with all of its problems."""


# --- names ---------------------------------------------------------------------------------


def name_problems(names: Iterable[str]) -> Iterator[str]:
    """Why names are not fit to be unpacked anywhere; nothing when they are."""
    names = list(names)
    for name in names:
        for reason in _unfit(name):
            yield f"{quoted(name)}: {reason}"
    # "/" as the lowest character: what lies below a name follows it directly.
    folded = sorted((name.lower().replace("/", "\0"), name) for name in names)
    for (before, first), (after, second) in pairwise(folded):
        if before == after:
            yield f"{quoted(first)}: the same name as {quoted(second)}, to some file systems"
        elif after.startswith(before + "\0"):
            yield f"{quoted(first)}: a folder as well, of {quoted(second)}"


def _unfit(name: str) -> Iterator[str]:
    parts = name.split("/")
    if not (name.isascii() and name.isprintable()):
        yield "has other characters than printable ASCII"
    if "\\" in name or ":" in name:
        yield "has a backslash or a colon, as paths elsewhere have"
    if "" in parts:
        yield "is absolute, a folder or has an empty part"
    if any(part.endswith((".", " ")) for part in parts):
        yield "has a part that ends with a dot or a space, as '.' and '..' do"
    if len(name) > _LONGEST_NAME or max(map(len, parts)) > _LONGEST_PART:
        yield f"is longer than {_LONGEST_NAME} characters, or a part than {_LONGEST_PART}"


def sources(report: Mapping[str, Any]) -> dict[str, str]:
    """A program's own files that a bundle may hold: SHA-256 by name. Names that do not fit in a
    bundle are left out."""
    control = report["records"]["runs"].get(_CONTROL) or {}
    listed = control.get("source", ()) if control.get("program") else ()
    own = [m for m in listed if m["module"] != "__main__" and m["module"].split(".")[0] != _OWN]
    named = {f"{SOURCE}/{module['path']}": module["sha256"] for module in own}
    return {name: sha256 for name, sha256 in named.items() if not [*_unfit(name)]}


def quoted(name: str) -> str:
    """A name as a message can show it, whatever is in it."""
    return ascii(name if len(name) <= 100 else name[:99] + "…")


def refuse(subject: str, problems: Iterable[str]) -> None:
    """Raise BundleError when there are problems: all of them, or the first thousand."""
    found = list(islice(problems, _MOST_PROBLEMS))
    if found:
        raise BundleError(f"{subject}\n{all_problems(found)}")


# --- writing -------------------------------------------------------------------------------


def write(output: Path, members: Mapping[str, Path]) -> None:
    """Write files under their names as one bundle, atomically.

    Raises BundleError with every unfit name and every missing file.
    """
    refuse(f"{output}: expected files that fit into a bundle, got", _unwritable(members))
    with files.atomic_file(output) as file, zipfile.ZipFile(file, "w") as archive:
        for name in sorted(members):
            _append(archive, name, members[name])


def _unwritable(members: Mapping[str, Path]) -> Iterator[str]:
    if not members:
        yield "no file at all"
    if sum(_LISTED + len(name) for name in members) > _LARGEST_DIRECTORY:
        yield f"{len(members)} files, more than some 100,000"
    yield from name_problems(members)
    for name, path in members.items():
        if not path.is_file():
            yield f"{quoted(name)}: {path} does not exist or is not a file"


def _info(name: str, size: int) -> zipfile.ZipInfo:
    """An entry; by its size zipfile chooses the form of its numbers."""
    info = zipfile.ZipInfo(name, _DATE)
    info.create_system, info.external_attr, info.file_size = _UNIX, _MODE << 16, size
    return info


def _append(archive: zipfile.ZipFile, name: str, path: Path) -> None:
    size = path.stat().st_size
    info = _info(name, size)
    with path.open("rb") as source, archive.open(info, "w") as target:
        shutil.copyfileobj(source, target, _BLOCK)
    if info.file_size != size:
        raise BundleError(f"{path}: it changed while the bundle was written; try again")


# --- reading -------------------------------------------------------------------------------


class Artifacts(ABC):
    """Files of a folder or a bundle by name: relative, with '/', as ``name_problems`` has them."""

    def __init__(self, path: Path, names: Iterable[str]) -> None:
        """Of the place that has them."""
        self._path, self._names = path, set(names)

    def names(self) -> list[str]:
        """All names, sorted."""
        return sorted(self._names)

    def __contains__(self, name: object) -> bool:
        """Whether there is a file of this name."""
        return name in self._names

    def open(self, name: str) -> BinaryIO:
        """A new stream of a file's bytes, to be read forwards, in any thread."""
        if name not in self._names:
            raise BundleError(f"{self._path}: expected {quoted(name)} in it, got no such file")
        return self._stream(name)

    @abstractmethod
    def _stream(self, name: str) -> BinaryIO:
        """Open a file that is there."""


class Bundle(Artifacts):
    """An open bundle. Any number of threads may read it."""

    def __init__(self, path: Path, archive: zipfile.ZipFile) -> None:
        """Of an archive that stays open as long as the bundle."""
        super().__init__(path, archive.namelist())
        self._archive = archive

    def _stream(self, name: str) -> BinaryIO:
        """Forwards only; the last bytes come when the CRC is right."""
        where = f"{self._path}: {quoted(name)}"
        with _explained(where):
            return io.BufferedReader(_Stream(self._archive.open(name), where), _BLOCK)


class _Stream(io.RawIOBase):
    """A file in an archive, read in blocks; what zipfile says of damage becomes a BundleError."""

    def __init__(self, source: Any, where: str) -> None:
        self._source, self._where = source, where

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        with _explained(self._where):
            data = self._source.read(min(len(buffer), _BLOCK))
        buffer[: len(data)] = data
        return len(data)

    def close(self) -> None:
        self._source.close()
        super().close()


@contextmanager
def _explained(where: str) -> Iterator[None]:
    try:
        yield
    except (zipfile.BadZipFile, EOFError, NotImplementedError, ValueError, OSError) as error:
        raise BundleError(f"{where}: {error or 'it ends too early'}; get it again") from error


class _Bounded(io.FileIO):
    """A file for zipfile, which reads a directory at once, however long it claims to be."""

    def read(self, size: int | None = -1) -> bytes:
        if size and size > _LARGEST_DIRECTORY:
            raise zipfile.BadZipFile("a directory of more than some 100,000 entries")
        return super().read(size) or b""


@contextmanager
def opened(path: Path) -> Iterator[Bundle]:
    """Open a bundle that may come from anybody. Raises BundleError with all problems."""
    if not path.is_file():
        raise BundleError(f"{path}: expected a bundle, got no file; check the path")
    with _Bounded(path) as file:
        with _explained(f"{path}: not a bundle"):
            archive = zipfile.ZipFile(file)
        with archive:
            subject = f"{path}: expected a bundle; get it again from its source. Got"
            refuse(subject, _problems(archive, path))
            yield Bundle(path, archive)


def _problems(archive: zipfile.ZipFile, path: Path) -> Iterator[str]:
    """Every entry that ``write`` would not make, and bytes that belong to no file."""
    infos, end = archive.infolist(), 0
    if not infos:
        yield "no file at all"
    for info in infos:
        large = info.file_size * 1.05 > zipfile.ZIP64_LIMIT  # as zipfile decides
        expected = _info(info.orig_filename, info.file_size)
        expected.compress_size, expected.header_offset = info.file_size, end
        is_far = end > zipfile.ZIP64_LIMIT  # then the directory has a longer form of the offset
        for key in (*_COMPARED, *(() if large or is_far else ("extra",))):
            value, got = getattr(expected, key), getattr(info, key)
            if got != value:
                yield f"{quoted(info.orig_filename)}: expected {key} {value}, got {got}"
        end += _HEADER + len(info.orig_filename) + (_LARGE if large else 0) + info.file_size
    if archive.start_dir != end:
        yield f"a directory at byte {archive.start_dir}, not at {end}"
    is_large = len(infos) > zipfile.ZIP_FILECOUNT_LIMIT or end > zipfile.ZIP64_LIMIT
    end += sum(_LISTED + len(info.orig_filename) + len(info.extra) for info in infos)
    end += _LARGE_END if is_large else _END
    if path.stat().st_size != end:
        yield f"{path.stat().st_size} bytes in all, not {end}"
    if infos != sorted(infos, key=lambda info: info.orig_filename):
        yield "files that are not in the order of their names"
    yield from name_problems(info.orig_filename for info in infos)
