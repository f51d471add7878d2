"""Changes to a process that only the kernel can make: namespaces, mounts, address randomization.

Every function acts on the calling process and raises OSError when the kernel refuses; the
launcher calls them in the process that it starts, between fork and exec. As root a namespace is
made directly, otherwise below a user namespace.
"""

import ctypes
import errno
import os
import signal
import socket
from collections.abc import Callable
from pathlib import Path

_C = ctypes.CDLL(None, use_errno=True)

_NEW_MOUNTS, _NEW_NAMES, _NEW_USER = 0x00020000, 0x04000000, 0x10000000  # CLONE_NEW* of <sched.h>
_BIND, _RECURSIVE, _PRIVATE = 0x1000, 0x4000, 0x40000  # MS_* of <sys/mount.h>
_NO_RANDOMIZE = 0x0040000  # ADDR_NO_RANDOMIZE of <sys/personality.h>
_ASK = 0xFFFFFFFF  # personality(2): return the present one, change nothing
_SIGNAL_WITH_PARENT = 1  # PR_SET_PDEATHSIG of <sys/prctl.h>

Ids = tuple[int, int]


def attempt(action: Callable[[], None]) -> str:
    """Why the kernel refuses an action, tried in a process of its own; empty when it does not."""
    child = os.fork()
    if child == 0:
        code = 255
        try:
            action()
            code = 0
        except OSError as error:
            code = error.errno or code
        finally:
            os._exit(code)
    status = os.waitpid(child, 0)[1]
    code = os.WEXITSTATUS(status) if os.WIFEXITED(status) else 255
    if code == errno.ENOSPC:  # the limits of namespaces say it so
        return "no further namespaces"
    return os.strerror(code) if code else ""


def fix_addresses() -> None:
    """The next program of this process gets the same addresses at every start."""
    present = _checked(_C.personality(ctypes.c_ulong(_ASK)))
    _checked(_C.personality(ctypes.c_ulong(present | _NO_RANDOMIZE)))


def ids() -> Ids:
    """User and group that this process has to the file system."""
    return os.geteuid(), os.getegid()


def set_host_name(name: str) -> None:
    """A host name of this process's own, and of those that it starts."""
    user = ids()
    if not _unshare(_NEW_NAMES):
        _map(user, user)
    socket.sethostname(name)


def own_mounts() -> None:
    """Only this process and its children see the mounts that are made from now on."""
    user = ids()
    if not _unshare(_NEW_MOUNTS):
        _map((0, 0), user)  # as root there, or the next program could not mount
    _mount(Path("none"), Path("/"), _RECURSIVE | _PRIVATE)


def bind(source: Path, target: Path) -> None:
    """Show a folder, with all mounts below it, at a second place."""
    _mount(source, target, _BIND | _RECURSIVE)


def join_mounts(process: int) -> None:
    """See what a process sees that called ``own_mounts``; the working folder becomes the root."""
    own = Path("/proc", str(process), "ns")
    if not (own / "user").samefile("/proc/self/ns/user"):
        _join(own / "user")
    _join(own / "mnt")


def restore_user(user: Ids) -> None:
    """After ``join_mounts``: be the user again that one is outside, where that made one root."""
    if ids() != user:
        _checked(_C.unshare(_NEW_USER))
        _map(user, (0, 0))


def end_with_parent() -> None:
    """The kernel ends this process when the one that started it ends, whatever ended that."""
    _checked(_C.prctl(_SIGNAL_WITH_PARENT, int(signal.SIGTERM), 0, 0, 0))


def _unshare(kind: int) -> bool:
    """Leave the shared namespace; False when that took a user namespace, still to be mapped."""
    if _C.unshare(kind) == 0:
        return True
    _checked(_C.unshare(kind | _NEW_USER))
    return False


def _map(inside: Ids, outside: Ids) -> None:
    """Who this process is in its new user namespace."""
    this = Path("/proc/self")
    (this / "setgroups").write_text("deny")  # or the kernel lets only root map a group
    (this / "uid_map").write_text(f"{inside[0]} {outside[0]} 1")
    (this / "gid_map").write_text(f"{inside[1]} {outside[1]} 1")


def _mount(source: Path, target: Path, flags: int) -> None:
    _checked(_C.mount(bytes(source), bytes(target), None, ctypes.c_ulong(flags), None))


def _join(namespace: Path) -> None:
    handle = os.open(namespace, os.O_RDONLY)
    try:
        _checked(_C.setns(handle, 0))
    finally:
        os.close(handle)


def _checked(result: int) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result
