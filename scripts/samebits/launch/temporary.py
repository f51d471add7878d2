"""Folders for temporary files that end with the process that made them, whatever ended that.

A folder is locked as long as its maker or a process that the maker started lives: the kernel gives
the lock up. The next start removes the folders that nobody holds.
"""

import fcntl
import os
import shutil
import tempfile
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from pathlib import Path

from samebits.experiment.variables import KERAS_HOME, TEMPORARY

HELD: list[int] = []  # descriptors that a script inherits, since it uses the folders
_PREFIX = "samebits-run-"
_SETTINGS = "keras.json"


def folder(ends: ExitStack, place: Path | None = None) -> Path:
    """A fresh folder, removed with all its contents at the end."""
    made = mount_point(ends, place)
    ends.callback(shutil.rmtree, made, ignore_errors=True)
    return made


def mount_point(ends: ExitStack, place: Path | None = None) -> Path:
    """A fresh folder, removed at the end if it is empty: never what a mount shows there."""
    while True:
        made = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=place))
        with suppress(FileNotFoundError):  # another start removed it: nobody held it yet
            held = os.open(made, os.O_RDONLY)
            fcntl.flock(held, fcntl.LOCK_EX)
            if made.exists():
                break
            os.close(held)
    HELD.append(held)
    ends.callback(_release, held, made)
    return made


def _release(held: int, made: Path) -> None:
    with suppress(OSError):  # not empty, or removed
        made.rmdir()
    HELD.remove(held)
    os.close(held)


def own_folders(shell: Mapping[str, str], ends: ExitStack, linked: bool = True) -> dict[str, str]:
    """The variables of a run's own folders: an empty one, and a Keras home without settings.

    ``linked``: what else lies in the user's Keras home (data sets, weights) was downloaded and is
    linked. A program gets an empty one: it may write there, and unpack.
    """
    both = folder(ends)
    keras, empty = both / "keras", both / "tmp"
    for made in (keras, empty):
        made.mkdir()
    home = Path(shell.get(KERAS_HOME) or Path(shell.get("HOME") or os.devnull, ".keras"))
    for entry in home.iterdir() if linked and home.is_dir() else ():
        if entry.name != _SETTINGS:
            (keras / entry.name).symlink_to(entry.absolute())
    return {KERAS_HOME: str(keras), TEMPORARY: str(empty)}


def remove_abandoned() -> None:
    """Remove the folders of processes that have ended; never what a mount shows elsewhere."""
    mounts = Path("/proc/self/mountinfo").read_text(errors="surrogateescape").splitlines()
    points = [line.split()[4] for line in mounts]
    for left in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        with suppress(OSError):  # another user's, or another start was faster
            _remove(left, points)


def _remove(left: Path, points: list[str]) -> None:
    held = os.open(left, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        mounted = any(f"{point}/".startswith(f"{left.resolve()}/") for point in points)
        if os.fstat(held).st_uid == os.geteuid() and not mounted:
            shutil.rmtree(left)
    finally:
        os.close(held)
