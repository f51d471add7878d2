"""Sources of a published data set, tried in order.

Each source yields the uncompressed IDX files. These must have the pinned SHA-256, so it never
matters which source was used.
"""

import gzip
import hashlib
import importlib.metadata
import struct
import urllib.request
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http.client import HTTPException
from io import BytesIO
from pathlib import Path
from typing import IO, Any

import numpy as np

from samebits import text
from samebits.errors import SamebitsError

Files = dict[str, bytes]  # array name -> uncompressed IDX file

_LARGEST = 64 << 20  # bytes; the largest IDX file of these data sets has 47 040 016
_TIMEOUT = 10  # seconds without an answer until the next source is tried
_UNSIGNED_BYTES = bytes([0, 0, 8])  # how the header of an IDX file of them begins


@dataclass(frozen=True)
class Source:
    """A place to get a data set from. ``fetch`` raises OSError or ValueError with the reason."""

    kind: str
    where: str
    fetch: Callable[[], Files]


@dataclass(frozen=True)
class Refusal:
    """A source that failed, and why."""

    kind: str
    where: str
    why: str


def from_config(config: Mapping[str, Any]) -> list[Source]:
    """The sources of a ``data`` config, in the order in which they are tried."""
    files = config["files"]
    sources = [_download(url, files) for url in config["urls"]]
    if config["file"]:
        sources.insert(0, _folder("local file", Path(config["file"]), files))
    if config["package"]:
        sources.append(_package(config["package"], list(files)))
    if config["debian"]:
        sources.append(_folder("Debian package", Path(config["debian"]), files))
    return sources


def first_good(
    sources: list[Source], pins: Mapping[str, str], say: Callable[[str], None]
) -> tuple[dict[str, np.ndarray], Source, list[Refusal]]:
    """The arrays of the first source whose files have the pinned digests, and the refusals before.

    Raises SamebitsError that lists every source with the reason of its refusal.
    """
    refused: list[Refusal] = []
    for source in sources:
        try:
            files = source.fetch()
            _check(files, pins)
            return {name: decode(files[name]) for name in pins}, source, refused
        except (OSError, ValueError, EOFError, zlib.error, HTTPException) as error:
            refused.append(Refusal(source.kind, source.where, str(error) or repr(error)))
            say(f"{source.kind} {source.where}: {refused[-1].why}")
    lines = [f"  {r.kind} {r.where}: {r.why}" for r in refused]
    hint = "no source provided the data set; set data.file to a folder with the IDX files"
    raise SamebitsError("\n".join([hint, *lines]))


def _check(files: Files, pins: Mapping[str, str]) -> None:
    wrong = [
        f"{name}: expected SHA-256 {pin}, got {got}"
        for name, pin in pins.items()
        if (got := hashlib.sha256(files[name]).hexdigest()) != pin
    ]
    if wrong:
        raise ValueError("; ".join(wrong))


def _plain(file: IO[bytes]) -> bytes:
    """The uncompressed bytes of a file, gzipped or not.

    Raises ValueError if there are more than in any file of these data sets.
    """
    data = file.read(_LARGEST + 1)
    if data[:2] == b"\x1f\x8b":
        with gzip.GzipFile(fileobj=BytesIO(data)) as unpacked:
            data = unpacked.read(_LARGEST + 1)
    if len(data) > _LARGEST:
        raise ValueError(f"expected at most {_LARGEST} bytes, got more")
    return data


def _folder(kind: str, folder: Path, files: Mapping[str, str]) -> Source:
    def read(file: str) -> bytes:
        path = folder / file
        with open(path if path.is_file() else path.with_name(file + ".gz"), "rb") as opened:
            return _plain(opened)

    return Source(kind, str(folder), lambda: {name: read(file) for name, file in files.items()})


def _download(url: str, files: Mapping[str, str]) -> Source:
    def read(number: int, file: str) -> bytes:
        address = f"{url}{file}.gz"  # the schema allows https, http and file
        with urllib.request.urlopen(address, timeout=_TIMEOUT) as answer:  # noqa: S310
            size = answer.headers.get("Content-Length") or ""
            shown = f", {int(size) / 2**20:.1f} MiB" if size.isdigit() else ""
            text.say(f"download {number} of {len(files)}: {file}.gz{shown}")
            return _plain(answer)

    def fetch() -> Files:
        return {name: read(n, file) for n, (name, file) in enumerate(files.items(), 1)}

    return Source("download", url, fetch)


def _package(package: str, names: list[str]) -> Source:
    """CSV files of a registry package: one row per image, the label first.

    The package is not imported: its installation record lists its files.
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
    return {f"x_{part}": encode(rows[:, 1:].reshape(-1, 28, 28)), f"y_{part}": encode(rows[:, 0])}


# --- IDX: a big-endian header, then unsigned bytes in C order ------------------------------------
# Source: the description on the MNIST page of Y. LeCun, C. Cortes and C. Burges.


def decode(data: bytes) -> np.ndarray:
    """An IDX file of unsigned bytes as a uint8 array. Raises ValueError for anything else."""
    if len(data) < 4 or data[:3] != _UNSIGNED_BYTES:
        raise ValueError(f"expected an IDX header of unsigned bytes, got {data[:4].hex()}")
    start = 4 + 4 * data[3]
    if len(data) < start:
        raise ValueError(f"expected {start} bytes of header, got {len(data)}")
    shape = struct.unpack(f">{data[3]}I", data[4:start])
    elements = np.frombuffer(data, np.uint8, offset=start)
    if elements.size != int(np.prod(shape, dtype=np.int64)):
        raise ValueError(f"expected shape {list(shape)}, got {elements.size} elements")
    return elements.reshape(shape)


def encode(array: np.ndarray) -> bytes:
    """A uint8 array as an IDX file: the inverse of ``decode``."""
    head = bytes([*_UNSIGNED_BYTES, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape)
    return head + np.ascontiguousarray(array, np.uint8).tobytes()
