"""A folder of a run's own in which a program runs: a copy of its project, and its inputs.

INPUTS      the project's folder; the files and folders that are declared as inputs
OUTPUTS     the flag --workspace of the script that is started; SAMEBITS_ISOLATION, which tells it
            what of the following this machine allows
GUARANTEES  nothing that the program writes reaches the project or its inputs; where the kernel lets
            a process have mounts of its own, inputs are read-only and all runs see the folder at
            one path; where it lets a process have a network of its own, the run has none
"""

import json
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

from samebits.errors import SamebitsError
from samebits.experiment.variables import ISOLATION
from samebits.launch import namespaces, temporary
from samebits.launch.variations import WORKSPACE, Start
from samebits.observation.project import Project

_PLACE = Path("/tmp/samebits-project")  # noqa: S108 (where a mount of the run's own is seen)
_MOST_BYTES, _MOST_FILES = 200 << 20, 20_000  # fewer than Project lists
_SHOWN = 5  # of the largest files

Shown = tuple[Path, Path]  # what is shown where


def prepare(start: Start, folder: Path, inputs: Sequence[str]) -> None:
    """Give a start its workspace. Raises SamebitsError for a project that is too large."""
    named = [Path(name) for name in inputs]
    below = tuple(str(path) for path in named if not path.is_absolute())
    project, copy = Project(folder.resolve(), below), temporary.folder(start.ends) / "project"
    _require_small(project)
    outside = [*_copied(project, copy), *project.inputs]
    shown = [(copy, _PLACE), *(((project.folder / n).resolve(), _PLACE / n) for n in outside)]
    shown += [(path.resolve(), path.resolve()) for path in named if path.is_absolute()]
    for name in outside:
        _stand_in(project.folder / name, copy / name)
    refused = _see(start, shown)
    place = _PLACE
    if refused:
        place = copy
        for name in outside:
            _link(project.folder / name, copy / name)
    offline = namespaces.attempt(namespaces.View(offline=True).enter)
    start.view.offline = not offline
    start.command += [WORKSPACE, str(place)]
    start.environ[ISOLATION] = json.dumps(
        {
            "folder": _OTHERWISE.format("a folder", refused) if refused else str(_PLACE),
            "inputs": _OTHERWISE.format("links", refused) if refused else "read-only",
            "network": _OTHERWISE.format("the machine's", offline) if offline else "none",
        }
    )


_OTHERWISE = "{}: the kernel permits no other way ({})"


def _see(start: Start, shown: list[Shown]) -> str:
    """Show it these, all but the first read-only; why not, if the kernel refuses."""
    with_them = namespaces.View(shown=shown, read_only={target for _, target in shown[1:]})
    try:
        _PLACE.mkdir(exist_ok=True)
    except OSError as error:
        return str(error.strerror)
    refused = namespaces.attempt(with_them.enter)
    if not refused:
        start.view.shown += with_them.shown
        start.view.read_only |= with_them.read_only
    return refused


def _require_small(project: Project) -> None:
    sizes = {name: (project.folder / name).lstat().st_size for name in project.names}
    if sum(sizes.values()) <= _MOST_BYTES and len(sizes) <= _MOST_FILES:
        return
    largest = sorted(sizes, key=lambda name: -sizes[name])[:_SHOWN]
    listed = ", ".join(f"{name} ({sizes[name] / 2**20:.0f} MiB)" for name in largest)
    raise SamebitsError(
        f"{project.folder}: each run gets a copy of the project, of at most {_MOST_BYTES >> 20} MiB"
        f" and {_MOST_FILES:,} files, and this one has {sum(sizes.values()) / 2**20:.0f} MiB and "
        f"{len(sizes):,} files; declare data as inputs, which are not copied. The largest: {listed}"
    )


def _copied(project: Project, copy: Path) -> Iterator[str]:
    """Copy the project; yields what cannot be copied: links that lead out of it."""
    copy.mkdir()
    for name in project.names:
        source, target = project.folder / name, copy / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_symlink() and not source.resolve().is_relative_to(project.folder):
            yield name
        else:
            shutil.copy2(source, target, follow_symlinks=False)


def _stand_in(source: Path, target: Path) -> None:
    """Something to mount an input on."""
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.is_dir():
        target.mkdir(exist_ok=True)
    else:
        target.touch()


def _link(source: Path, target: Path) -> None:
    target.rmdir() if target.is_dir() else target.unlink()
    target.symlink_to(source.resolve())
