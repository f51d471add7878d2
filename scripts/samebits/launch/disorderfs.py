"""Folders whose entries come in reversed order, for one process and those that it starts alone.

disorderfs shows the root over itself, in mounts of the process's own: no other process sees them,
and they are gone when the processes are. One file system shows all, so that a file can be moved
wherever it can be moved without. disorderfs itself keeps the real root, below the mount.
"""

import os
import subprocess
import time
from contextlib import ExitStack
from pathlib import Path

from samebits.launch import namespaces

_DEVICE = "/dev/fuse"
_SECONDS = 10.0  # that a mount may take; it takes 0.01
_OPTIONS = ("-q", "-f", "-o", "nonempty", "--pad-blocks=0", "--reverse-dirents=yes")


def mount(tool: str, ends: ExitStack) -> int:
    """Reverse all folders; returns the process (of disorderfs) that sees the mount and its root.

    Raises OSError with a reason in plain words and no path of a user.
    """
    if not os.access(_DEVICE, os.R_OK | os.W_OK):
        raise OSError("FUSE is not permitted here (no access to its device)")
    refused = namespaces.attempt(namespaces.own_mounts)
    if refused:
        raise OSError(f"mounts of its own are not permitted here ({refused})")
    daemon = _start(tool)
    ends.callback(_end, daemon)
    _wait(daemon)
    return daemon.pid


def _start(tool: str) -> subprocess.Popen[bytes]:
    def prepare() -> None:
        namespaces.end_with_parent()
        namespaces.own_mounts()

    # In a user namespace an owner or group that it does not know makes a file read-only; so all
    # is shown as the user's, and disorderfs itself meets the real permissions.
    shown = ["-o", "uid=0,gid=0"] if os.geteuid() else []
    quiet = subprocess.DEVNULL
    return subprocess.Popen(
        [tool, *_OPTIONS, *shown, "/", "/"],
        preexec_fn=prepare, start_new_session=True, stdout=quiet, stderr=quiet,
    )  # fmt: skip


def _wait(daemon: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + _SECONDS
    before = _mounted(os.getpid())
    while time.monotonic() < end and daemon.poll() is None:
        if _mounted(daemon.pid) > before:
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
