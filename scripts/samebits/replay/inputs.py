"""What a run executed and opened, by its record, compared with the files that are here now.

INPUTS      a run's record, which may be hostile; the folder of the user's source
OUTPUTS     every difference, with the name of the file
GUARANTEES  only plain files are read, and none of the system's own
"""

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from samebits.formats import files
from samebits.observation import executed, opened
from samebits.observation.project import Project

_LONGEST = 4096  # of a path


@dataclass(frozen=True)
class Difference:
    """One file that is not as a run had it."""

    path: Path
    what: str  # happened to it since, in words
    expected: str | None = None  # SHA-256; None: it was not there, or is a folder
    own: bool = False  # it is named by its place in the user's source


def place(name: str, source_path: Path) -> Path | None:
    """The absolute path of a file by its name in a record; None: it is none that may be read."""
    expanded = os.path.expanduser(name) if name.split("/")[0] == "~" else name  # noqa: PTH111 (any text)
    path = executed.as_named(source_path / expanded) if len(name) < _LONGEST else None
    return path if path and "\0" not in name and executed.is_input(str(path)) else None


def digest(path: Path | None) -> str | None:
    """SHA-256 of a plain file; None where there is none that can be read."""
    try:
        return files.digest(path) if path and path.is_file() else None
    except OSError:
        return None


def differences(record: Mapping[str, Any], source_path: Path) -> Iterator[Difference]:
    """Everything of the user's that a run executed, read, listed, or looked for in vain."""
    project = _project(record, source_path)
    found = record.get("files") or {"read": [], "listed": [], "absent": [], "written": []}
    modules = [m for m in record.get("source", ()) if not executed.is_own(m["module"])]
    for entry in (*modules, *found["read"]):
        path = place(entry["path"], source_path)
        got = digest(path)
        if got != entry["sha256"]:
            yield _difference(entry, path, "is missing" if got is None else "has changed")
    written = {place(entry["path"], source_path) for entry in found["written"]}
    for entry in found["listed"]:
        path = place(entry["path"], source_path)
        if path and _listing(entry["path"], path, project, written) != entry["sha256"]:
            yield _difference({**entry, "sha256": None}, path, "has other entries")
    for name in found["absent"]:
        path = place(name, source_path)
        if path and (project.sees(name) if project and is_own(name) else os.path.lexists(path)):
            yield _difference({"path": name, "sha256": None}, path, "now exists")


def _project(record: Mapping[str, Any], source_path: Path) -> Project | None:
    """Of a program, whose runs see of their source what ``Project`` lists; None: of a model."""
    program = (record.get("config") or {}).get("program")
    if program is None:
        return None
    below = (name for name in program["inputs"] if is_own(name) and ".." not in Path(name).parts)
    return Project(source_path.resolve(), tuple(below))


def is_own(name: object) -> bool:
    """Whether it is a name below the user's source."""
    return isinstance(name, str) and not name.startswith(("/", "~"))


def _listing(
    name: str, path: Path, project: Project | None, written: set[Path | None]
) -> str | None:
    try:
        seen = project if is_own(name) else None
        entries = seen.listing(name) if seen else os.listdir(path)  # noqa: PTH208
        return opened.listing(entries, str(path), set(map(str, written)))
    except OSError:
        return None


def _difference(entry: Mapping[str, Any], path: Path | None, what: str) -> Difference:
    own = is_own(entry["path"])
    return Difference(path or Path(entry["path"]), what, entry["sha256"], own)
