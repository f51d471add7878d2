"""Whether the files that a certificate names are present and unchanged, in a folder or a bundle.

INPUTS      a report, and a folder or a bundle, either of which may come from anybody
OUTPUTS     ``ArtifactCheck``: what was checked, and everything that is wrong
GUARANTEES  nothing outside of the folder or the bundle is reached; every digest is taken again.
            In a folder, documents may be absent, since the certificate carries them, but the
            control's results and checkpoints may not; a bundle holds every file that the
            certificate names and no other: nothing unsigned is passed on with a signature
"""

import hashlib
import os
import stat
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Protocol

from samebits.errors import SamebitsError, explain_os_error
from samebits.experiment.protocol import CONTROL
from samebits.formats import arrays, bundle, canonical, states

_MOST_ENTRIES = 200_000  # a folder with more is another one: bundles have some 100,000 at most
_DEEPEST = 32  # names have four parts
_NO_FOLLOWING = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_INDEX = "/index.json"
_CERTIFICATE = "certificate.json"
_BLOCK = 1 << 20
_LARGEST_INDEX = 1 << 25  # bytes; as much as a certificate may have


class Artifacts(Protocol):
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


def opened(path: Path) -> AbstractContextManager[Artifacts]:
    """The files of a folder or a bundle. Raises SamebitsError with everything not to be trusted."""
    return _opened_folder(path) if path.is_dir() else bundle.opened(path)


@contextmanager
def _opened_folder(path: Path) -> Iterator[Artifacts]:
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


# --- checks ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class ArtifactCheck:
    """What was looked at, in words, and everything that is wrong with it."""

    said: str
    problems: tuple[str, ...]


def check(report: Mapping[str, Any], files: Artifacts, whole: bool) -> ArtifactCheck:
    """Check all files that the report names. ``whole``: all have to be there, and no others."""
    kept, damaged = _kept(report, files)
    problems = [*_missing_and_more(report, files, kept, damaged, whole), *damaged.values()]
    documents = [d for d in report["evidence"] if d["sha256"] is not None and d["name"] in files]
    for document in documents:
        problems += _document(document, files)
    present = {name.split("/")[1] for name in files.names() if name.startswith("train/")}
    sets, absent = 0, set[str]()
    for name, index in report["indices"].items():
        folder = name.removesuffix(_INDEX)
        run = folder.split("/")[1]
        if not whole and run != CONTROL and run not in present:
            absent.add(run)
            continue
        sets += 1
        problems += arrays_of(folder, index, files)
    if not sets and (report["indices"] or not documents):
        problems.append("there is nothing to check: none of the files that the certificate names")
    for folder, index in kept.items():
        problems += arrays_of(folder, index, files)
    said = f"{len(documents)} documents and {sets} sets of arrays are as their digests say"
    if kept:
        said += f", and so are the states after {len(kept)} epochs"
    if absent:
        said += f"; not here: {', '.join(sorted(absent))}"
    return ArtifactCheck(said, tuple(sorted(problems)))


def _missing_and_more(
    report: Mapping[str, Any],
    files: Artifacts,
    kept: Mapping[str, Any],
    damaged: Mapping[str, str],
    whole: bool,
) -> Iterator[str]:
    """Of a bundle; in a folder only among the checkpoints is one too many looked for."""
    documents = {d["name"] for d in report["evidence"] if d["sha256"] is not None}
    named = {_CERTIFICATE, *documents, *(folder + _INDEX for folder in kept)}
    for name, index in report["indices"].items():
        named |= set(paths(name.removesuffix(_INDEX), index))
    for folder, index in kept.items():
        named |= set(paths(folder, index))
    if whole:
        yield from (f"{name}: not there" for name in documents if name not in files)
    unknown = tuple(f"{folder}/" for folder in damaged)  # what they should hold, nobody knows
    for name in files.names():
        looked_for = whole or name.startswith(states.KEPT)
        if looked_for and name not in named and not name.startswith(unknown):
            yield f"{name}: not in the certificate"


def _kept(report: Mapping[str, Any], files: Artifacts) -> tuple[dict[str, Any], dict[str, str]]:
    """The indices of the control's checkpoints by folder; and why others cannot be believed."""
    found, damaged = dict[str, Any](), dict[str, str]()
    for folder, sha256 in states.kept(report).items():
        try:
            found[folder] = index_of(folder + _INDEX, sha256, files)
        except SamebitsError as error:
            damaged[folder] = str(error)
    return found, damaged


def index_of(name: str, sha256: str, files: Artifacts) -> Any:
    """The content of an index that has to have a digest. Raises SamebitsError for any other."""
    if name not in files:
        raise SamebitsError(f"{name}: not there")
    if files.size(name) > _LARGEST_INDEX:
        raise SamebitsError(f"{name}: expected {_LARGEST_INDEX >> 20} MiB at most, got more")
    with files.open(name) as file:
        data = file.read()
    got = hashlib.sha256(data).hexdigest()
    if got != sha256:
        raise SamebitsError(f"{name}: expected {sha256}, got {got}")
    try:
        content = canonical.loads(data)
        arrays.parse_index(content)
    except (ValueError, RecursionError) as error:
        raise SamebitsError(f"{name}: expected an index of arrays, got: {error}") from error
    return content


def check_data(report: Mapping[str, Any], files: Artifacts) -> ArtifactCheck:
    """Check the arrays of the data set, which no bundle holds."""
    load = report["records"]["load"]
    if load is None:
        return ArtifactCheck("", ("the certificate names no data",))
    problems = tuple(sorted(arrays_of("", {"arrays": load["arrays"]}, files)))
    return ArtifactCheck(
        f"{len(load['arrays'])} arrays of the data set are as their digests say", problems
    )


def _document(document: Mapping[str, Any], files: Artifacts) -> Iterator[str]:
    sha = hashlib.sha256()
    with files.open(document["name"]) as file:
        for block in iter(lambda: file.read(_BLOCK), b""):
            sha.update(block)
    if sha.hexdigest() != document["sha256"]:
        yield f"{document['name']}: expected {document['sha256']}, got {sha.hexdigest()}"


def arrays_of(folder: str, index: Mapping[str, Any], files: Artifacts) -> list[str]:
    """What is wrong with the arrays of an index; ``folder``: where they lie among the files."""
    names = paths(folder, index)
    missing = [f"{name}: not there" for name in names if name not in files]
    if missing:
        return missing
    try:
        entries = arrays.parse_index({"format": arrays.FORMAT, "arrays": index["arrays"]})
    except ValueError as error:
        return [f"{folder or 'data'}: {error}"]
    wrong = arrays.check_set(entries, lambda position: files.open(names[position]))
    return [f"{folder}/{problem}" if folder else problem for problem in wrong]


def paths(folder: str, index: Mapping[str, Any]) -> list[str]:
    """Where the arrays of an index lie, in its order."""
    names = [arrays.array_path(Path(), i).name for i in range(len(index["arrays"]))]
    return [f"{folder}/{name}" if folder else name for name in names]
