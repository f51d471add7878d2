"""The files of a project: what a run of a program gets a copy of, and what it cannot see.

INPUTS      the project's folder; git, where that is a repository
OUTPUTS     names of files relative to it
GUARANTEES  of a repository the files that are tracked, or new and not ignored; of another folder
            all files; never what the pipeline or an environment has there
"""

from __future__ import annotations

import os
from itertools import islice
from pathlib import Path
from typing import Iterator

from samebits.errors import SamebitsError
from samebits.formats import canonical
from samebits.observation.checkout import git

MOST = 100_000  # files: a project with more is a home folder, say
_OWN = ("results", "logs", ".samebits", ".snakemake")  # the pipeline's, at the top
_DATA = "data"  # whose folders are the pipeline's where they have a record
_NOWHERE = (".git", "__pycache__")
_ENVIRONMENTS = ("pyvenv.cfg", "conda-meta")


class Project:
    """A project as a program's run sees it."""

    def __init__(self, folder: Path, inputs: tuple[str, ...] = ()) -> None:
        """``inputs``: declared files and folders, which are seen whatever git says."""
        self.folder = folder
        self.inputs = tuple(part for name in inputs for part in spread(folder, name))
        self.names = sorted(islice(filter(self._is_copied, _names(folder)), MOST))
        self._known = {str(above) for name in self.names for above in Path(name).parents}
        self._known |= {str(above) for name in self.inputs for above in Path(name).parents}
        self._known.update(self.names)

    def _is_copied(self, name: str) -> bool:
        path = self.folder / name
        plain = path.is_symlink() or path.is_file()  # no pipe, of which no copy ends
        return plain and not is_below(name, self.inputs)

    def sees(self, name: str) -> bool:
        """Whether a run has something by this name, relative to the project."""
        known = name in self._known or is_below(name, self.inputs)
        return known and (self.folder / name).exists()

    def listing(self, name: str) -> list[str]:
        """The entries of a folder that a run has."""
        inside = os.listdir(self.folder / name)  # noqa: PTH208 (names)
        return [entry for entry in inside if self.sees(os.path.normpath(f"{name}/{entry}"))]


def is_below(name: str, folders: tuple[str, ...]) -> bool:
    """Whether a name is one of these, or lies below one."""
    return any(name == folder or name.startswith(f"{folder}/") for folder in folders)


def spread(project: Path, name: str) -> list[str]:
    """An input by its name, or, where the pipeline keeps folders in it, all else that is in it."""
    known: dict[str, bool] = {}
    path = project / name
    if Path(name).is_absolute() or not path.is_dir():
        return [name]
    below = {os.path.normpath(f"{name}/{one}") for one in os.listdir(path)}  # noqa: PTH208 (names)
    kept = sorted(one for one in below if not _skips(project, one, known))
    return [name] if len(kept) == len(below) else [p for one in kept for p in spread(project, one)]


def _names(folder: Path) -> Iterator[str]:
    try:
        listed = git(folder, "ls-files", "-z", "--cached", "--others", "--exclude-standard")
    except SamebitsError:  # no repository
        yield from _walked(folder)
        return
    left_out: dict[str, bool] = {}
    for name in dict.fromkeys(filter(None, listed.split("\0"))):
        above = [str(parent) for parent in Path(name).parents]
        if (folder / name).is_file() and not any(_skips(folder, a, left_out) for a in above):
            yield name


def _walked(folder: Path) -> Iterator[str]:
    left_out: dict[str, bool] = {}
    for above, folders, files in os.walk(str(folder)):
        place = os.path.relpath(above, str(folder))
        below = {one: os.path.normpath(f"{place}/{one}") for one in folders}
        folders[:] = [one for one in folders if not _skips(folder, below[one], left_out)]
        links = [one for one in folders if os.path.islink(f"{above}/{one}")]  # noqa: PTH114
        yield from (os.path.normpath(f"{place}/{name}") for name in (*files, *links))


def _skips(project: Path, name: str, known: dict[str, bool]) -> bool:
    """Whether a folder is the pipeline's, an environment, or what git or Python keep there."""
    if name not in known:
        path, parts = project / name, Path(name).parts
        known[name] = path.is_dir() and (
            parts[:1] in [(own,) for own in _OWN]
            or not set(parts).isdisjoint(_NOWHERE)
            or any((path / mark).exists() for mark in _ENVIRONMENTS)
            or (parts[:1] == (_DATA,) and len(parts) == 2 and _is_loaded(path))
        )
    return known[name]


def _is_loaded(folder: Path) -> bool:
    """Whether the pipeline keeps its data there."""
    if folder.name == "downloads":  # its locks are there before its index
        return any(folder.glob(".????????????????.lock"))
    if not (folder / "record.json").is_file():
        return False
    try:
        record = canonical.read_json(folder / "record.json")
    except SamebitsError:
        return False
    return isinstance(record, dict) and str(record.get("format")).startswith("samebits-")
