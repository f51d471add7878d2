"""A certificate and its evidence as one file: a plain zip whose bytes are a function of its files.

Entries are stored, sorted by name, dated 1980-01-01, with mode 0644; size and CRC stand before the
data; zip64 fields are there only for numbers that need them; nothing lies before, between or after.
These are the records of PKWARE's APPNOTE.TXT 6.3.10 (sections 4.3.7, 4.3.12, 4.3.14 to 4.3.16 and
4.5.3) with one way left to write each.

So a hostile bundle needs no list of tricks to be found: what zipfile understands of its directory
is laid out again, and a file that has other bytes around its data is refused.
"""

from __future__ import annotations

import io
import os
import stat
import struct
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import islice, pairwise
from pathlib import Path
from typing import Any, BinaryIO

from samebits.errors import SamebitsError, all_problems
from samebits.formats import files

MAGIC = b"PK\x03\x04"  # of a header before data, with which every bundle begins

_LOCAL = struct.Struct("<4s5H3I2H")
_CENTRAL = struct.Struct("<4s6H3I5H2I")
_END64 = struct.Struct("<4sQ2H2I4Q")
_LOCATOR64 = struct.Struct("<4sIQI")
_END = struct.Struct("<4s4H2IH")

_DATE, _TIME = (1 << 5) | 1, 0  # 1980-01-01 00:00, the first moment that zip can write
_MODE = stat.S_IFREG | 0o644
_UNIX = 3 << 8  # made on Unix: the mode counts
_VERSION, _VERSION64 = 20, 45  # of the format, needed to unpack
_FULL, _MANY = 0xFFFFFFFF, 0xFFFF  # fields with these values mean: see the zip64 record

# A directory is held in memory, where it takes ten times its size: some 100,000 entries. Thirty
# runs of a model of 500 tensors have as many, each with weights, optimizer, trace and samples.
_LARGEST_DIRECTORY = 10_000_000
_LONGEST_NAME, _LONGEST_PART = 1024, 255  # fits below any folder: Linux has 4096 for a path
_MOST_PROBLEMS = 1000  # shown of a hostile file; they are held in memory
_BLOCK = 1 << 20


class BundleError(SamebitsError):
    """A file that is not a bundle as ``write`` makes it, with all that is wrong with it."""


@dataclass(frozen=True)
class _Entry:
    name: str
    offset: int
    size: int
    crc: int

    @property
    def data(self) -> int:
        """Where its data begins."""
        return self.offset + len(_local(self))


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


def quoted(name: str) -> str:
    """A name as a message can show it, whatever is in it."""
    return ascii(name if len(name) <= 100 else name[:99] + "…")


def refuse(subject: str, problems: Iterable[str]) -> None:
    """Raise BundleError when there are problems: all of them, or the first thousand."""
    found = list(islice(problems, _MOST_PROBLEMS))
    if found:
        raise BundleError(f"{subject}\n{all_problems(found)}")


# --- layout --------------------------------------------------------------------------------


def _zip64(*values: int) -> tuple[list[int], bytes]:
    """Fields of 32 bits, and the extra field with those numbers that do not fit."""
    large = [value for value in values if value >= _FULL]
    extra = struct.pack(f"<2H{len(large)}Q", 1, 8 * len(large), *large) if large else b""
    return [min(value, _FULL) for value in values], extra


def _local(entry: _Entry) -> bytes:
    """The header before an entry's data."""
    sizes, extra = _zip64(entry.size, entry.size)
    version = _VERSION64 if extra else _VERSION
    name = entry.name.encode("ascii")
    header = _LOCAL.pack(
        MAGIC, version, 0, 0, _TIME, _DATE, entry.crc, *sizes, len(name), len(extra)
    )
    return header + name + extra


def _central(entry: _Entry) -> bytes:
    """An entry of the directory."""
    (*sizes, offset), extra = _zip64(entry.size, entry.size, entry.offset)
    version = _VERSION64 if extra else _VERSION
    name = entry.name.encode("ascii")
    header = _CENTRAL.pack(
        b"PK\x01\x02", _UNIX | version, version, 0, 0, _TIME, _DATE, entry.crc, *sizes,
        len(name), len(extra), 0, 0, 0, _MODE << 16, offset,
    )  # fmt: skip
    return header + name + extra


def _directory(entries: Sequence[_Entry], start: int) -> bytes:
    """Everything after the data, which ends at ``start``."""
    listed = b"".join(map(_central, entries))
    count, size = len(entries), len(listed)
    end64 = b""
    if count >= _MANY or size >= _FULL or start >= _FULL:
        fields = 0, 0, count, count, size, start
        end64 = _END64.pack(b"PK\x06\x06", 44, _UNIX | _VERSION64, _VERSION64, *fields)
        end64 += _LOCATOR64.pack(b"PK\x06\x07", 0, start + size, 1)
    count, size, start = min(count, _MANY), min(size, _FULL), min(start, _FULL)
    return listed + end64 + _END.pack(b"PK\x05\x06", 0, 0, count, count, size, start, 0)


# --- writing -------------------------------------------------------------------------------


def write(output: Path, members: Mapping[str, Path]) -> None:
    """Write files under their names as one bundle, whole or not at all.

    Raises BundleError with every name that is not fit and every file that is not there.
    """
    refuse(f"{output}: expected files that fit into a bundle, got", _unwritable(members))
    with files.atomic_file(output) as file:
        entries = [_append(file, name, members[name]) for name in sorted(members)]
        directory = _directory(entries, file.tell())
        if len(directory) > _LARGEST_DIRECTORY:
            raise BundleError(f"{output}: expected some 100,000 files at most, got {len(entries)}")
        file.write(directory)


def _unwritable(members: Mapping[str, Path]) -> Iterator[str]:
    if not members:
        yield "no file at all"
    yield from name_problems(members)
    for name, path in members.items():
        if not path.is_file():
            yield f"{quoted(name)}: {path} is not there, or is not a file"


def _append(file: BinaryIO, name: str, path: Path) -> _Entry:
    """Copy a file behind its header, which is written again when the CRC is known."""
    crc = 0
    with open(path, "rb") as source:
        entry = _Entry(name, file.tell(), os.fstat(source.fileno()).st_size, crc)
        file.write(_local(entry))
        for block in iter(lambda: source.read(_BLOCK), b""):
            crc = zlib.crc32(block, crc)
            file.write(block)
    end = entry.data + entry.size
    if file.tell() != end:
        raise BundleError(f"{path}: expected a file that nobody writes, got one that changed")
    entry = replace(entry, crc=crc)
    file.seek(entry.offset)
    file.write(_local(entry))
    file.seek(end)
    return entry


# --- reading -------------------------------------------------------------------------------


class Bundle:
    """An open bundle, checked but for the CRC of its data. Any number of threads may read it."""

    def __init__(self, path: Path, file: BinaryIO, entries: Iterable[_Entry]) -> None:
        """Of a file that stays open as long as the bundle."""
        self._path = path
        self._file = file
        self._entries = {entry.name: entry for entry in entries}

    def names(self) -> list[str]:
        """All names, sorted."""
        return sorted(self._entries)

    def __contains__(self, name: object) -> bool:
        """Whether there is a file of this name."""
        return name in self._entries

    def size(self, name: str) -> int:
        """The size of a file in bytes."""
        return self._entry(name).size

    def open(self, name: str) -> BinaryIO:
        """A stream of a file's bytes, forwards only; the last ones come when the CRC is right."""
        entry = self._entry(name)
        data = _Data(self._file, entry, f"{self._path}: {quoted(name)}")
        return io.BufferedReader(data, _BLOCK)

    def _entry(self, name: str) -> _Entry:
        if name not in self._entries:
            raise BundleError(f"{self._path}: expected {quoted(name)} in it, got no such file")
        return self._entries[name]


class _Data(io.RawIOBase):
    """The data of an entry. Reads name their position, so streams share one file without locks."""

    def __init__(self, file: BinaryIO, entry: _Entry, name: str) -> None:
        self._file = os.dup(file.fileno())  # outlives the bundle
        self._name = name
        self._position = entry.data
        self._end = entry.data + entry.size
        self._expected = entry.crc
        self._crc = 0
        self._check()

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        view = memoryview(buffer).cast("B")
        view = view[: min(len(view), self._end - self._position, _BLOCK)]
        size = os.preadv(self._file, [view], self._position)
        if len(view) and not size:
            raise BundleError(f"{self._name}: the file ended while it was read; get it again")
        self._crc = zlib.crc32(view[:size], self._crc)
        self._position += size
        self._check()
        return size

    def _check(self) -> None:
        if self._position == self._end and self._crc != self._expected:
            raise BundleError(
                f"{self._name}: expected CRC {self._expected:08x}, got {self._crc:08x}; the bundle "
                "is damaged, get it again"
            )

    def close(self) -> None:
        if not self.closed:
            os.close(self._file)
        super().close()


@contextmanager
def opened(path: Path) -> Iterator[Bundle]:
    """Open a bundle that may come from anybody. Raises BundleError with all that is wrong."""
    if not path.is_file():
        raise BundleError(f"{path}: expected a bundle, got no file; check the path")
    with _Bounded(path) as file:
        yield Bundle(path, file, _entries(path, file))


def _entries(path: Path, file: BinaryIO) -> list[_Entry]:
    subject = f"{path}: expected a bundle as samebits writes it; get it again from its source. Got"
    size = os.fstat(file.fileno()).st_size
    infos = _understood(subject, file)
    refuse(subject, _problems(infos, size))
    entries = [_Entry(i.orig_filename, i.header_offset, i.file_size, i.CRC) for i in infos]
    entries.sort(key=lambda entry: entry.name)
    refuse(subject, _unlike(entries, file))
    return entries


class _Bounded(io.FileIO):
    """A file for zipfile, which reads a directory at once, however long it claims to be."""

    def read(self, size: int | None = -1) -> bytes:
        if size and size > _LARGEST_DIRECTORY:
            raise zipfile.BadZipFile("a directory of more than some 100,000 entries")
        return super().read(size) or b""


def _understood(subject: str, file: BinaryIO) -> list[zipfile.ZipInfo]:
    try:
        with zipfile.ZipFile(file) as archive:
            return archive.infolist()
    except (zipfile.BadZipFile, NotImplementedError, ValueError, OSError, struct.error) as error:
        raise BundleError(f"{subject}\n{error}") from error


def _problems(infos: Sequence[zipfile.ZipInfo], size: int) -> Iterator[str]:
    """What the directory says that no bundle's says; with what is left, layout can be computed."""
    if not infos:
        yield "no file at all"
    for info in infos:
        name = quoted(info.orig_filename)
        if info.flag_bits & 1:
            yield f"{name}: is encrypted"
        if info.compress_type != zipfile.ZIP_STORED:
            yield f"{name}: is compressed (method {info.compress_type})"
        if info.external_attr != _MODE << 16:
            yield f"{name}: is not a plain file, but {stat.filemode(info.external_attr >> 16)}"
        if info.header_offset < 0 or info.header_offset + info.file_size > size:
            yield f"{name}: {info.file_size} bytes at {info.header_offset} of {size}"
    yield from name_problems(info.orig_filename for info in infos)


def _unlike(entries: Sequence[_Entry], file: BinaryIO) -> Iterator[str]:
    """Where a file has other bytes around its data than ``write`` would put there."""
    end, whole = 0, True
    for entry in entries:
        header = _local(entry)
        if entry.offset != end:
            yield f"{quoted(entry.name)}: is at byte {entry.offset}, not at {end}"
            whole = False
        elif os.pread(file.fileno(), len(header), end) != header:
            yield f"{quoted(entry.name)}: its header is not what the directory makes it"
        end = entry.data + entry.size
    if whole:
        directory = _directory(entries, end)
        if os.pread(file.fileno(), len(directory) + 1, end) != directory:
            yield "a directory in another form, or bytes behind it"
