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
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from samebits.errors import SamebitsError, explain_os_error
from samebits.experiment.protocol import CONTROL
from samebits.formats import bundle, dataset, states
from samebits.formats.arrays import SUFFIX
from samebits.formats.bundle import Artifacts
from samebits.formats.names import CERTIFICATE_FILE

_MOST_ENTRIES = 200_000  # a folder with more is another one: bundles have some 100,000 at most
_DEEPEST = 32  # names have four parts
_NO_FOLLOWING = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


def is_bundle(path: Path) -> bool:
    """Whether a file begins as a bundle does, whatever its name."""
    if not path.is_file():
        return False
    with open(path, "rb") as file:
        return file.read(len(bundle.MAGIC)) == bundle.MAGIC


def opened(path: Path) -> AbstractContextManager[Artifacts]:
    """The files of a folder or a bundle. Raises SamebitsError with everything not to be trusted."""
    return nullcontext(_Folder(path)) if path.is_dir() else bundle.opened(path)


class _Folder(Artifacts):
    """A folder of plain files, as it was when it was opened."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, ())
        self._real = path.resolve()
        problems = [*self._walk(), *bundle.name_problems(self._names)]
        bundle.refuse(f"{path}: expected a folder of plain files, got", sorted(problems))

    def _stream(self, name: str) -> BinaryIO:
        """Whoever exchanged a folder for a link since is not followed either."""
        path = self._real / name
        try:
            handle = os.open(path, _NO_FOLLOWING)
        except OSError as error:
            raise SamebitsError(explain_os_error(error)) from error
        if path.resolve() != path or not stat.S_ISREG(os.fstat(handle).st_mode):
            os.close(handle)
            raise SamebitsError(f"{self._path / name}: expected a plain file, got something else")
        return open(handle, "rb")

    def _walk(self) -> Iterator[str]:
        """Note the names of all files; yield what is neither a file nor a folder."""
        seen = 0
        for above, folders, files in os.walk(self._real, onerror=_refuse):
            seen += len(folders) + len(files)
            if seen > _MOST_ENTRIES:
                yield f"more than {_MOST_ENTRIES} entries; is it the right folder?"
                return
            for path in (Path(above, entry) for entry in (*folders, *files)):
                name, mode = path.relative_to(self._real).as_posix(), path.lstat().st_mode
                if stat.S_ISREG(mode):
                    self._names.add(name)
                elif not stat.S_ISDIR(mode) or name.count("/") >= _DEEPEST:
                    yield f"{bundle.quoted(name)}: is a link, a special file or too deep"
            if Path(above).relative_to(self._real).as_posix().count("/") >= _DEEPEST:
                folders.clear()


def _refuse(error: OSError) -> None:
    raise SamebitsError(explain_os_error(error)) from error


# --- checks ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class ArtifactCheck:
    """What was looked at, in words, and everything that is wrong with it."""

    summary: str
    problems: tuple[str, ...]


def check(report: Mapping[str, Any], files: Artifacts, whole: bool) -> ArtifactCheck:
    """Check all files that the report names. ``whole``: all must be there, and no other file."""
    documents = {d["name"]: d["sha256"] for d in report["evidence"] if d["sha256"] is not None}
    arrays = {name: documents.pop(name) for name in list(documents) if name.endswith(SUFFIX)}
    kept, source = states.kept(report), bundle.sources(report)
    present = {name.split("/")[1] for name in files.names() if name.startswith("train/")}
    runs = {name: name.split("/")[1] for name in arrays}
    wanted = {n for n, run in runs.items() if whole or run == CONTROL or run in present}
    there = {name for name in documents if whole or name in files}
    named = documents | arrays | kept | source  # the last may be left out
    there |= {name for name in source if whole and name in files}
    problems = _wrong({name: named[name] for name in sorted({*there, *wanted, *kept})}, files)
    for name in files.names():  # in a folder, only among the checkpoints
        looked_for = whole or name.startswith(states.FOLDER)
        if looked_for and name not in named and name != CERTIFICATE_FILE:
            problems.append(f"{name}: not in the certificate")
    if not wanted and (arrays or not there):
        problems.append("nothing to check: none of the certificate's files is here")
    message = f"{len(there)} documents and {len(wanted)} array files match their digests"
    if kept:
        message += f", and so do the states after {len(kept) // len(states.PARTS)} epochs"
    if absent := {runs[name] for name in arrays if name not in wanted}:
        message += f"; not here: {', '.join(sorted(absent))}"
    return ArtifactCheck(message, tuple(sorted(problems)))


def check_data(report: Mapping[str, Any], files: Artifacts) -> ArtifactCheck:
    """Check the files of the data set, or the list of a program's inputs."""
    load = report["records"]["load"]
    if load is None:
        return ArtifactCheck("", ("the certificate names no data",))
    if "inputs" in load:
        problems = tuple(_wrong({"inputs.json": load["digest"]}, files))
        count = len(load["inputs"])
        return ArtifactCheck(f"the list of {count:,} inputs matches its digest", problems)
    named = {dataset.file_name(array["name"]): array["sha256"] for array in load["arrays"]}
    problems = tuple(_wrong(named | {dataset.INDEX: load["digest"]}, files))
    return ArtifactCheck(f"{len(named)} arrays of the data set match their digests", problems)


def _wrong(named: Mapping[str, str], files: Artifacts) -> list[str]:
    """What is wrong with these files, sorted; they are digested on all CPUs."""

    def problem(name: str) -> str | None:
        if name not in files:
            return f"{name}: missing"
        try:
            with files.open(name) as file:
                got = hashlib.file_digest(file, "sha256").hexdigest()  # type: ignore[arg-type]
        except SamebitsError as error:
            return str(error)
        return None if got == named[name] else f"{name}: expected {named[name]}, got {got}"

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return sorted(filter(None, pool.map(problem, named)))
