"""Files from the network, each fetched once and kept by its digest.

INPUTS      an address, and the digest that a config or a program pins for it
OUTPUTS     FOLDER/<SHA-256>: the bytes; FOLDER/index.json: the SHA-256 of each address
GUARANTEES  an address is fetched by http or https, after redirects too, within bounds of size and
            time, and by one process at a time; the file has the pinned digest, or else the one of
            the first time; nothing is half-written
"""

import fcntl
import hashlib
import shutil
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from http.client import HTTPException
from pathlib import Path
from typing import BinaryIO

from samebits.errors import SamebitsError
from samebits.formats import canonical, files
from samebits.text import quoted, say

FOLDER, INDEX = "downloads", "index.json"
_LARGEST = 16 << 30  # bytes of one file
_LONGEST = 3600.0  # seconds for one file
_SILENCE = 60  # seconds without a byte
_BLOCK = 1 << 20
_SHA256_LENGTH = 64
_HANDLERS = (  # no file:, no ftp:, whatever a server redirects to
    *(urllib.request.ProxyHandler, urllib.request.HTTPHandler, urllib.request.HTTPSHandler),
    *(urllib.request.HTTPRedirectHandler, urllib.request.HTTPDefaultErrorHandler),
    *(urllib.request.HTTPErrorProcessor, urllib.request.UnknownHandler),
)


@dataclass(frozen=True)
class Download:
    """A file that was fetched."""

    path: Path
    sha256: str
    pinned: bool  # by the config or the program; otherwise only the first time says what it is


class Store:
    """The folder of all downloads, which any number of processes may use at once."""

    def __init__(self, folder: Path) -> None:
        """``folder``: made when it is needed."""
        self.folder = folder

    def get(self, url: str, pin: str | None = None) -> Download:
        """The file of an address. ``pin``: its SHA-256 or MD5 (hex).

        Raises SamebitsError that says why there is none, and what to write into ``inputs``.
        """
        with self.alone(url):
            return self.kept(url, pin) or self.add(url, partial(_download, url), pin)

    @contextmanager
    def alone(self, what: str) -> Iterator[None]:
        """Wait until no other process works on an address, or on another thing with a name."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with open(self.folder / f".{_name(what)}.lock", "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def kept(self, url: str, pin: str | None = None) -> Download | None:
        """The file of an address, if it is here. A damaged one is removed, to be fetched again."""
        known = pin if pin and len(pin) == _SHA256_LENGTH else self._index().get(url, "")
        path = self.folder / known
        if not known or not path.is_file():
            return None
        if files.digest(path) != known:
            path.unlink()
            return None
        return Download(path, known, bool(pin)) if _has(path, pin or known) else None

    def add(self, url: str, fill: Callable[[BinaryIO], None], pin: str | None = None) -> Download:
        """Keep what ``fill`` writes as the file of an address. To be called within ``alone``."""
        part = self.folder / f"{_name(url)}.part"
        files.remove_partial(part)
        known = self._index().get(url)
        try:
            with files.atomic_file(part) as file:
                fill(file)
        except (OSError, ValueError, HTTPException) as error:
            raise SamebitsError(
                f"{url} cannot be fetched: {error or repr(error)}; expected "
                f"{_kind(pin or known)}; if you have the file: {as_input(url, path='FILE')}"
            ) from None
        got = files.digest(part)
        if not _has(part, pin or known or got):
            part.unlink()
            raise SamebitsError(self._other(url, pin, known, got))
        part.replace(self.folder / got)
        with self.alone(INDEX):
            canonical.write_json(self.folder / INDEX, self._index() | {url: got})
        return Download(self.folder / got, got, bool(pin))

    def _other(self, url: str, pin: str | None, known: str | None, got: str) -> str:
        first = f"the file of the first time, in {self.folder / INDEX}"
        hint = f"remove the line from {self.folder / INDEX}" if not pin else as_input(url, got)
        return (
            f"{url}: expected {_kind(pin or known)} ({'pinned' if pin else first}), got {got}; "
            f"if the change is intended: {hint}"
        )

    def _index(self) -> dict[str, str]:
        path = self.folder / INDEX
        return dict(canonical.read_json(path)) if path.is_file() else {}


def tell_first(url: str, found: Download) -> None:
    """Tell the user that nothing but the first time says which bytes an address has."""
    say(
        f"{url}: SHA-256 {found.sha256}, as fetched: neither the program nor the config pins it; "
        f"to pin it: {as_input(url, found.sha256)}"
    )


def as_input(url: str, sha256: str = "", path: str = "") -> str:
    """The words of a command line that pin an address, or serve a local file in its place."""
    rest = f"path: {path}" if path else f"sha256: {sha256}"
    return quoted(f"inputs=[{{url: '{url}', {rest}}}]")


def _name(what: str) -> str:
    return hashlib.sha256(what.encode("utf-8", "surrogateescape")).hexdigest()[:16]


def _kind(pin: str | None) -> str:
    kind = "SHA-256" if pin and len(pin) == _SHA256_LENGTH else "MD5"
    return f"{kind} {pin}" if pin else "any file, since nothing pins it"


def _has(path: Path, pin: str) -> bool:
    """Whether a file has a digest, SHA-256 or MD5 by its length."""
    if len(pin) == _SHA256_LENGTH:
        return files.digest(path) == pin
    with path.open("rb") as file:
        return (
            hashlib.file_digest(file, partial(hashlib.md5, usedforsecurity=False)).hexdigest()
            == pin
        )


def _download(url: str, file: BinaryIO) -> None:
    """Write what an address answers. Raises OSError, ValueError or HTTPException."""
    if not url.startswith(("http://", "https://")):
        raise ValueError("only http: and https: are fetched")
    opener, ends, so_far = urllib.request.OpenerDirector(), time.monotonic() + _LONGEST, 0
    for handler in _HANDLERS:
        opener.add_handler(handler())
    with opener.open(url, timeout=_SILENCE) as answer:
        size = answer.headers.get("Content-Length") or ""
        say(f"download {url}{f', {int(size) / 2**20:.1f} MiB' if size.isdigit() else ''}")
        for block in iter(partial(answer.read, _BLOCK), b""):
            so_far += file.write(block)
            if so_far > _LARGEST or time.monotonic() > ends:
                raise ValueError(f"not complete after {so_far} bytes and {_LONGEST:.0f} s at most")
    if size.isdigit() and so_far != int(size):  # a connection that was cut ends like a file
        raise ValueError(f"expected {size} bytes, got {so_far}")


def copy(path: Path, file: BinaryIO) -> None:
    """Write what another file holds."""
    with path.open("rb") as source:
        shutil.copyfileobj(source, file, _BLOCK)
