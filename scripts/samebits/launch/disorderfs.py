"""Folders whose entries come in reversed order, for one process and those that it starts alone.

disorderfs shows a folder over itself, in mounts of the process's own: no other process sees them,
and they are gone when the processes are.
"""

import os
import subprocess
import tempfile
import time
from collections.abc import Iterable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from samebits.launch import namespaces

_DEVICE = "/dev/fuse"
_SECONDS = 10.0  # that a mount may take; it takes 0.01
_OPTIONS = ("-q", "-f", "-o", "nonempty", "--pad-blocks=0", "--reverse-dirents=yes")


@dataclass
class Reversed:
    """The mounts, and the process (of disorderfs) that sees them and can be joined."""

    process: int = 0
    real: dict[Path, Path] = field(default_factory=dict)  # folder: a place that shows it unchanged


def topmost(folders: Iterable[Path]) -> list[Path]:
    """The folders that lie in no other one of them, by their real paths, sorted."""
    found = sorted({folder.resolve() for folder in folders})
    return [f for f in found if not any(f != other and f.is_relative_to(other) for other in found)]


def mount(tool: str, folders: list[Path], ends: ExitStack) -> Reversed:
    """Reverse these folders. Raises OSError with a reason in plain words and no path of a user."""
    if not os.access(_DEVICE, os.R_OK | os.W_OK):
        raise OSError("FUSE is not permitted here (no access to its device)")
    refused = namespaces.attempt(namespaces.own_mounts)
    if refused:
        raise OSError(f"mounts of its own are not permitted here ({refused})")
    # Inside of a reversed folder disorderfs would have to ask itself.
    beside = Path(tempfile.gettempdir()).resolve()
    if any(beside.is_relative_to(folder) for folder in folders):
        raise OSError("the folder for temporary files lies in the working folder")
    mounts = Reversed()
    for folder in folders:
        mounts.real[folder] = Path(tempfile.mkdtemp(prefix="samebits-"))
        ends.callback(mounts.real[folder].rmdir)
        daemon = _start(tool, folder, mounts)
        ends.callback(_end, daemon)
        _wait(daemon, len(mounts.real))
        mounts.process = mounts.process or daemon.pid
    return mounts


def _start(tool: str, folder: Path, mounts: Reversed) -> subprocess.Popen[bytes]:
    def prepare() -> None:
        namespaces.end_with_parent()
        if mounts.process:
            namespaces.join_mounts(mounts.process)
        else:
            namespaces.own_mounts()
        namespaces.bind(folder, mounts.real[folder])

    # In a user namespace an owner or group that it does not know makes a file read-only; so all
    # is shown as the user's, and disorderfs itself meets the real permissions.
    shown = ["-o", "uid=0,gid=0"] if os.geteuid() else []
    command = [tool, *_OPTIONS, *shown, str(mounts.real[folder]), str(folder)]
    quiet = subprocess.DEVNULL
    try:
        return subprocess.Popen(
            command, preexec_fn=prepare, start_new_session=True, stdout=quiet, stderr=quiet
        )
    except subprocess.SubprocessError as error:  # from prepare
        raise OSError("the folder cannot be shown at a second place") from error


def _wait(daemon: subprocess.Popen[bytes], expected: int) -> None:
    end = time.monotonic() + _SECONDS
    before = _mounted(os.getpid())
    while time.monotonic() < end and daemon.poll() is None:
        if _mounted(daemon.pid) >= before + expected:
            return
        time.sleep(0.01)
    raise OSError("disorderfs could not mount")


def _mounted(process: int) -> int:
    return Path(f"/proc/{process}/mountinfo").read_bytes().count(b" - fuse.disorderfs ")


def _end(daemon: subprocess.Popen[bytes]) -> None:
    daemon.terminate()
    try:
        daemon.wait(_SECONDS)
    except subprocess.TimeoutExpired:
        daemon.kill()
        daemon.wait()


def join(mounts: Reversed, user: namespaces.Ids, unchanged: Path, folder: Path) -> None:
    """See the reversed folders from a working folder; ``unchanged`` keeps its own order.

    Between fork and exec.
    """
    namespaces.join_mounts(mounts.process)
    for path, real in mounts.real.items():
        if unchanged != path and unchanged.is_relative_to(path):
            namespaces.bind(real / unchanged.relative_to(path), unchanged)
    os.chdir(folder)
    namespaces.restore_user(user)
