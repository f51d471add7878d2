"""Changes to a process that only the kernel can make: namespaces, mounts, address randomization.

Every function acts on the calling process and raises OSError when the kernel refuses; the
launcher calls them in the process that it starts, between fork and exec. As root a namespace is
made directly, otherwise below a user namespace in which the user is root until the end.
"""

import ctypes
import errno
import fcntl
import os
import re
import signal
import socket
import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

_C = ctypes.CDLL(None, use_errno=True)

# CLONE_NEW* of <sched.h>
_NEW_TIME, _NEW_MOUNTS, _NEW_NAMES, _NEW_USER = 0x80, 0x00020000, 0x04000000, 0x10000000
_NEW_NETWORK = 0x40000000
_BIND, _RECURSIVE, _PRIVATE = 0x1000, 0x4000, 0x40000  # MS_* of <sys/mount.h>
_READ_ONLY, _REMOUNT, _RELATIVE_TIMES = 0x1, 0x20, 0x200000
_KEPT = os.ST_NOSUID | os.ST_NODEV | os.ST_NOEXEC | os.ST_NOATIME | os.ST_NODIRATIME  # as MS_*
_SET_FLAGS, _UP = 0x8914, 0x1  # SIOCSIFFLAGS of <linux/sockios.h>, IFF_UP of <net/if.h>
_NO_RANDOMIZE = 0x0040000  # ADDR_NO_RANDOMIZE of <sys/personality.h>
_ASK = 0xFFFFFFFF  # personality(2): return the present one, change nothing
_SIGNAL_WITH_PARENT, _ADOPT = 1, 36  # PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER of <sys/prctl.h>

# Before Linux 5.11 a time namespace shifts the time since the start of the machine, not its date.
SHIFTS_START = [*map(int, re.findall(r"\d+", os.uname().release)[:2])] >= [5, 11]

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


@dataclass
class View:
    """What a process and its children see, and no other process does."""

    host_name: str = ""
    monotonic: int = 0  # seconds by which the clocks of durations are ahead
    root: int = 0  # a process below whose own root lies the root that is seen
    unchanged: list[Path] = field(default_factory=list)  # folders as that process sees them
    shown: list[tuple[Path, Path]] = field(default_factory=list)  # what is shown where, in order
    read_only: set[Path] = field(default_factory=set)  # of these places
    offline: bool = False  # no network but its own
    folder: Path = field(default_factory=Path.cwd)  # the working folder

    def enter(self) -> None:
        """See it from now on, as the same user."""
        user, mounts = ids(), bool(self.root or self.shown)
        if self.root:
            _join_root(self.root)
        wanted = mounts * _NEW_MOUNTS | bool(self.host_name) * _NEW_NAMES
        wanted |= self.offline * _NEW_NETWORK
        _unshare(wanted | bool(self.monotonic) * _NEW_TIME, user)
        if mounts:
            _mount(Path("none"), Path("/"), _RECURSIVE | _PRIVATE)
        for path in self.unchanged:  # from the working folder: the other process's root
            _mount(path.relative_to("/"), path, _BIND | _RECURSIVE)
        for source, target in self.shown:
            _show(source, target)
            if target in self.read_only:
                _make_read_only(target)
        if self.offline:
            _begin_network()
        if self.host_name:
            socket.sethostname(self.host_name)
        if self.monotonic:
            _shift(self.monotonic)
        os.chdir(self.folder)
        _restore_user(user)


def own_mounts() -> None:
    """Only this process and its children see the mounts that are made from now on."""
    _unshare(_NEW_MOUNTS, ids())
    _mount(Path("none"), Path("/"), _RECURSIVE | _PRIVATE)


def _join_root(process: int) -> None:
    """See the mounts of a process, what is mounted on its root as the root.

    The working folder becomes that process's own root.
    """
    root = os.open(f"/proc/{process}/root", os.O_PATH | os.O_DIRECTORY)
    own = Path("/proc", str(process), "ns")
    if not (own / "user").samefile("/proc/self/ns/user"):
        _join(own / "user")
    _join(own / "mnt")
    os.fchdir(root)
    os.close(root)


def _show(source: Path, target: Path) -> None:
    """Show a file or a folder, with all mounts below it, at a second place; a link as a link."""
    handles = [os.open(path, os.O_PATH | os.O_NOFOLLOW) for path in (source, target)]
    places = [Path("/proc/self/fd", str(handle)) for handle in handles]
    _mount(places[0], places[1], _BIND | _RECURSIVE)
    for handle in handles:
        os.close(handle)


def _make_read_only(place: Path) -> None:
    """Of a mount; what the system forbids of it stays forbidden, or the kernel refuses."""
    flags = os.statvfs(place).f_flag
    kept = flags & _KEPT | bool(flags & os.ST_RELATIME) * _RELATIVE_TIMES
    _mount(Path("none"), place, _BIND | _REMOUNT | _READ_ONLY | kept)


def _begin_network() -> None:
    """Of a new network the loopback, by which a process reaches itself and its children."""
    with socket.socket() as any_socket:
        fcntl.ioctl(any_socket, _SET_FLAGS, struct.pack("16sH14x", b"lo", _UP))


def _shift(seconds: int) -> None:
    """Set the clocks of durations ahead, in the new time namespace, and enter that."""
    this, clocks = Path("/proc/self"), ["monotonic", *["boottime"] * SHIFTS_START]
    (this / "timens_offsets").write_text("".join(f"{clock} {seconds} 0\n" for clock in clocks))
    _join(this / "ns" / "time_for_children")


def _restore_user(user: Ids) -> None:
    """Be the user again that one is outside, where a user namespace made one root."""
    if ids() != user:
        _checked(_C.unshare(_NEW_USER))
        _map(user, (0, 0))


def end_with_parent() -> None:
    """The kernel ends this process when the one that started it ends, whatever ended that."""
    _checked(_C.prctl(_SIGNAL_WITH_PARENT, int(signal.SIGTERM), 0, 0, 0))


def adopt() -> None:
    """What a child of this process has started is this process's own child when that has ended."""
    _checked(_C.prctl(_ADOPT, 1, 0, 0, 0))


def _unshare(kinds: int, user: Ids) -> None:
    """Leave the shared namespaces; where that takes a user namespace, the user is root there."""
    if _C.unshare(kinds):
        _checked(_C.unshare(kinds | _NEW_USER))
        _map((0, 0), user)


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
