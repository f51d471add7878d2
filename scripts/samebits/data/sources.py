"""Where a published data set may come from, in order. Whichever answers must decode to the pins.

Each source yields the four uncompressed IDX files; the pinned SHA-256 decides, so that it never
matters which source was used.
"""

import gzip
import hashlib
import importlib.metadata
import urllib.request
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http.client import HTTPException
from io import BytesIO
from pathlib import Path
from typing import IO, Any

import numpy as np

from samebits.data import idx
from samebits.errors import SamebitsError

Files = dict[str, bytes]  # array name -> uncompressed IDX file

_LARGEST = 64 << 20  # bytes; the largest IDX file of these data sets has 47 040 016
_TIMEOUT = 10  # seconds without an answer before the next source is tried


@dataclass(frozen=True)
class Source:
    """A place to get a data set from. ``fetch`` raises OSError or ValueError with the reason."""

    kind: str
    where: str
    fetch: Callable[[], Files]


@dataclass(frozen=True)
class Refusal:
    """A source that was tried and why it was not used."""

    kind: str
    where: str
    why: str


def of_config(config: Mapping[str, Any]) -> list[Source]:
    """The sources of a ``data`` config, in the order in which they are tried."""
    files = config["files"]
    sources = []
    if config["file"]:
        sources.append(_folder("local file", Path(config["file"]), files))
    sources += [Source("download", url, _downloader(url, files)) for url in config["urls"]]
    if config["package"]:
        sources.append(_package(config["package"], list(files)))
    if config["debian"]:
        sources.append(_folder("Debian package", Path(config["debian"]), files))
    return sources


def first_good(
    sources: list[Source], pins: Mapping[str, str], say: Callable[[str], None]
) -> tuple[dict[str, np.ndarray], Source, list[Refusal]]:
    """The arrays from the first source whose files have the pinned digests, and the refusals.

    Raises SamebitsError that lists every source and why it was refused.
    """
    refused: list[Refusal] = []
    for source in sources:
        try:
            files = source.fetch()
            _check(files, pins)
            return {name: idx.decode(files[name]) for name in pins}, source, refused
        except (OSError, ValueError, EOFError, zlib.error, HTTPException) as error:
            refused.append(Refusal(source.kind, source.where, str(error) or repr(error)))
            say(f"{source.kind} {source.where}: {refused[-1].why}")
    lines = [f"  {r.kind} {r.where}: {r.why}" for r in refused]
    raise SamebitsError(
        "no source gave the data set; set data.file to a folder with the IDX files\n"
        + "\n".join(lines)
    )


def _check(files: Files, pins: Mapping[str, str]) -> None:
    got = {name: hashlib.sha256(files[name]).hexdigest() for name in pins}
    wrong = [f"{n}: expected SHA-256 {pins[n]}, got {got[n]}" for n in pins if got[n] != pins[n]]
    if wrong:
        raise ValueError("; ".join(wrong))


def _bounded(file: IO[bytes] | gzip.GzipFile) -> bytes:
    """All bytes of a file, refused when larger than any file of these data sets can be."""
    data = file.read(_LARGEST + 1)
    if len(data) > _LARGEST:
        raise ValueError(f"expected at most {_LARGEST} bytes, got more")
    return data


def _plain(file: IO[bytes]) -> bytes:
    """The uncompressed bytes of a file that may be gzipped."""
    data = _bounded(file)
    if data[:2] != b"\x1f\x8b":
        return data
    with gzip.GzipFile(fileobj=BytesIO(data)) as unpacked:
        return _bounded(unpacked)


def _folder(kind: str, folder: Path, files: Mapping[str, str]) -> Source:
    def fetch() -> Files:
        found = {}
        for name, file in files.items():
            path = folder / file
            with open(path if path.is_file() else path.with_name(file + ".gz"), "rb") as opened:
                found[name] = _plain(opened)
        return found

    return Source(kind, str(folder), fetch)


def _downloader(url: str, files: Mapping[str, str]) -> Callable[[], Files]:
    def fetch() -> Files:
        found = {}
        for name, file in files.items():
            address = f"{url}{file}.gz"  # the schema allows https, http and file
            with urllib.request.urlopen(address, timeout=_TIMEOUT) as answer:  # noqa: S310
                found[name] = _plain(answer)
        return found

    return fetch


def _package(package: str, names: list[str]) -> Source:
    """CSV files of a registry package, one row per image, the label first.

    The package's own code is not imported: its files are found by its installation record.
    """

    def fetch() -> Files:
        try:
            paths = importlib.metadata.files(package) or []
        except importlib.metadata.PackageNotFoundError:
            raise ValueError("not installed in this environment") from None
        found: Files = {}
        for part in sorted({name.partition("_")[2] for name in names}):
            suffix = f"mnist_{part}.csv"
            table = next((p for p in paths if p.name == suffix), None)
            if table is None:
                raise ValueError(f"expected a file {suffix}, got none")
            found |= _decode_csv(Path(str(table.locate())), part)
        return found

    return Source("registry package", package, fetch)


def _decode_csv(path: Path, part: str) -> Files:
    with open(path, encoding="ascii") as file:
        file.readline()  # the names of the columns
        rows = np.loadtxt(file, delimiter=",", dtype=np.uint8)
    return {
        f"x_{part}": idx.encode(rows[:, 1:].reshape(-1, 28, 28)),
        f"y_{part}": idx.encode(rows[:, 0]),
    }
