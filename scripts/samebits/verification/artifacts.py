"""The files of a certificate's evidence by name, whether they lie in a folder or in a bundle.

Both may come from anybody: nothing outside is reached through them, and names are the same in both.
"""

import os
import stat
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import BinaryIO, Protocol

from samebits.errors import SamebitsError, explain_os_error
from samebits.formats import bundle

_MOST_ENTRIES = 200_000  # a folder with more is another one: bundles have some 100,000 at most
_DEEPEST = 32  # names have four parts
_NO_FOLLOWING = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


class Artefacts(Protocol):
    """Files by name: relative, with '/', as ``bundle.name_problems`` has them."""

    def names(self) -> list[str]:
        """All names, sorted."""

    def __contains__(self, name: object) -> bool:
        """Whether there is a file of this name."""

    def size(self, name: str) -> int:
        """The size of a file in bytes."""

    def open(self, name: str) -> BinaryIO:
        """A new stream of a file's bytes, to be read forwards, in any thread."""


def is_bundle(path: Path) -> bool:
    """Whether a file begins as a bundle does, whatever its name."""
    if not path.is_file():
        return False
    with open(path, "rb") as file:
        return file.read(len(bundle.MAGIC)) == bundle.MAGIC


def opened(path: Path) -> AbstractContextManager[Artefacts]:
    """The files of a folder or a bundle. Raises SamebitsError with everything not to be trusted."""
    return _opened_folder(path) if path.is_dir() else bundle.opened(path)


@contextmanager
def _opened_folder(path: Path) -> Iterator[Artefacts]:
    handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield _Folder(path, handle)
    finally:
        os.close(handle)


class _Folder:
    """A folder as it was when it was opened."""

    def __init__(self, path: Path, handle: int) -> None:
        self._path = path
        self._handle = handle
        self._sizes: dict[str, int] = {}
        problems = list(self._walk())
        problems += bundle.name_problems(self._sizes)
        bundle.refuse(f"{path}: expected a folder of plain files, got", sorted(problems))

    def names(self) -> list[str]:
        return sorted(self._sizes)

    def __contains__(self, name: object) -> bool:
        return name in self._sizes

    def size(self, name: str) -> int:
        if name not in self._sizes:
            raise SamebitsError(
                f"{self._path}: expected {bundle.quoted(name)} in it, got no such file"
            )
        return self._sizes[name]

    def open(self, name: str) -> BinaryIO:
        self.size(name)
        handle = self._open(name, 0)
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            os.close(handle)
            raise SamebitsError(f"{self._path / name}: expected a plain file, got something else")
        return open(handle, "rb")

    def _open(self, name: str, flags: int) -> int:
        """Open component by component, so that none is a link, whoever exchanges one meanwhile."""
        handle = os.dup(self._handle)
        *folders, last = name.split("/")
        try:
            for part in folders:
                handle = _step(handle, part, os.O_DIRECTORY)
            return _step(handle, last, flags)
        except OSError as error:
            error.filename = str(self._path / name)
            raise SamebitsError(explain_os_error(error)) from error

    def _walk(self) -> Iterator[str]:
        """Note the sizes of all files; yield what is neither a file nor a folder."""
        waiting, seen = ["."], 0
        while waiting:
            prefix = waiting.pop()
            for entry in self._listed(prefix):
                name = entry.name if prefix == "." else f"{prefix}/{entry.name}"
                seen += 1
                if seen > _MOST_ENTRIES:
                    yield f"more than {_MOST_ENTRIES} entries; is it the right folder?"
                    return
                if entry.is_file(follow_symlinks=False):
                    self._sizes[name] = entry.stat(follow_symlinks=False).st_size
                elif entry.is_dir(follow_symlinks=False) and name.count("/") < _DEEPEST:
                    waiting.append(name)
                else:
                    yield f"{bundle.quoted(name)}: is a link, a special file or too deep"

    def _listed(self, folder: str) -> Iterator[os.DirEntry[str]]:
        handle = self._open(folder, os.O_DIRECTORY)
        try:
            with os.scandir(handle) as entries:
                yield from entries
        finally:
            os.close(handle)


def _step(folder: int, part: str, flags: int) -> int:
    """Open what lies in an open folder, and close the folder."""
    try:
        return os.open(part, _NO_FOLLOWING | flags, dir_fd=folder)
    finally:
        os.close(folder)
