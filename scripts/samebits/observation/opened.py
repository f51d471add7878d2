"""The files that a training opens or looks for, by SHA-256: what a later run can find changed.

INPUTS      every system call that names a path, of this process, its threads and its children
OUTPUTS     the record's part ``files``: read and listed, each with its digest; names, as found in
            folders and links; absent; written
GUARANTEES  a file is digested before the program sees it, and again at the end; a file that the run
            itself writes is none of its inputs; files of the system, of the environment and of the
            pipeline itself are left out; the program sees the same as without

The kernel tells a watcher, a forked process, of each call and lets it continue (seccomp's user
notification, Linux 5.5 and later): this covers any library, in any language. Where the kernel
refuses that, Python's audit events cover files that Python itself opens, and ``problem`` says so.
Runs on Python 3.7 to 3.13.
"""

from __future__ import annotations

import ctypes
import fcntl
import hashlib
import importlib.util
import json
import os
import platform
import re
import select
import signal
import socket
import stat
import struct
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any, Container, Iterable, NoReturn

from samebits.errors import SamebitsError, all_problems
from samebits.formats import files
from samebits.observation import executed

_OPEN, _EXECUTE, _LOOK, _WRITE = "open", "execute", "look", "write"
_MAKE = "make"  # and fail where there is something
_LINK, _MARK = "link", "mark"  # ask where a link leads; change a date or an attribute
# x86_64: number of a call -> what it does, the argument that is a folder's descriptor, the path's.
_CALLS: dict[int, tuple[str, int | None, int]] = {
    **{2: (_OPEN, None, 0), 257: (_OPEN, 0, 1), 437: (_OPEN, 0, 1)},  # open, openat, openat2
    **{59: (_EXECUTE, None, 0), 322: (_EXECUTE, 0, 1)},  # execve, execveat
    **{4: (_LOOK, None, 0), 6: (_LOOK, None, 0), 262: (_LOOK, 0, 1)},  # stat, lstat, newfstatat
    **{332: (_LOOK, 0, 1), 21: (_LOOK, None, 0), 269: (_LOOK, 0, 1)},  # statx, access, faccessat
    **{439: (_LOOK, 0, 1)},  # faccessat2
    **{85: (_WRITE, None, 0), 76: (_OPEN, None, 0)},  # creat, truncate
    **{82: (_WRITE, None, 1), 264: (_WRITE, 2, 3), 316: (_WRITE, 2, 3)},  # rename, …at, …at2
    **{83: (_MAKE, None, 0), 258: (_MAKE, 0, 1)},  # mkdir, mkdirat
    **{86: (_MAKE, None, 1), 265: (_MAKE, 2, 3)},  # link, linkat
    **{88: (_MAKE, None, 1), 266: (_MAKE, 1, 2)},  # symlink, symlinkat
    **{87: (_WRITE, None, 0), 263: (_WRITE, 0, 1), 84: (_WRITE, None, 0)},  # unlink, …at, rmdir
    **{133: (_MAKE, None, 0), 259: (_MAKE, 0, 1)},  # mknod, mknodat
    **{89: (_LINK, None, 0), 267: (_LINK, 0, 1)},  # readlink, readlinkat
    **{191: (_LOOK, None, 0), 192: (_LOOK, None, 0)},  # getxattr, lgetxattr
    **{188: (_MARK, None, 0), 189: (_MARK, None, 0)},  # setxattr, lsetxattr
    **{132: (_MARK, None, 0), 235: (_MARK, None, 0)},  # utime, utimes
    **{261: (_MARK, 0, 1), 280: (_MARK, 0, 1)},  # futimesat, utimensat
}
# shmget, semget, msgget, mq_open: by a key or name, under which an earlier run may have left some.
_SHARED = (29, 64, 68, 240)
# The other path of these calls: what is renamed is gone.
_RENAMED = {82: (_WRITE, None, 0), 264: (_WRITE, 0, 1), 316: (_WRITE, 0, 1)}
# Python's audit events -> the same; of looking for a file there is none.
_EVENTS = {
    **dict.fromkeys(("open", "os.listdir", "os.scandir"), (_OPEN, 0)),
    **dict.fromkeys(("os.remove", "os.rmdir"), (_WRITE, 0)),
    **{"os.rename": (_WRITE, 1), "os.mkdir": (_MAKE, 0)},
    **dict.fromkeys(("os.link", "os.symlink"), (_MAKE, 1)),
}
_OPENAT2, _TRUNCATE, _FLAGS_OF = 437, 76, {2: 1, 257: 2}
_CALL = struct.Struct("QIIiIQ6Q")  # of <linux/seccomp.h>: seccomp_notif
_SECCOMP, _NO_NEW_PRIVILEGES, _PTRACER = 317, 38, 0x59616D61
# Of all threads, as fast as before (Linux up to 5.15 slows a filtered process down), with a
# listener, and errors told apart.
_FLAGS = 1 << 0 | 1 << 2 | 1 << 3 | 1 << 4
_RECEIVE, _SEND = 0xC0502100, 0xC0182101
_NOTIFY, _ALLOW = 0x7FC00000, 0x7FFF0000
_X86_64, _AT_FDCWD, _AT_EMPTY_PATH = 0xC000003E, -100, 0x1000
_PAGE = 4096
_WRITABLE = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC
_CHANGING = ("results", "logs", ".samebits", ".snakemake")  # folders whose entries change at once
_CACHE = "/__pycache__/"
_LIBRARY = re.compile(r"\.(so(\.\d+)*|pyc)$")  # looked for along a path, under many names


class Files:
    """What was opened, looked for and written so far, by absolute path."""

    def __init__(self, excluded: Iterable[Path]) -> None:
        """``excluded``: files and folders of the pipeline itself."""
        self._unlisted = tuple(str(Path.cwd() / name) for name in _CHANGING)
        own = (str(executed.as_named(path)) for path in excluded)
        self._excluded = tuple(end for path in own for end in (path, f"{path}/"))
        self._known: set[tuple[str, str, int]] = set()
        self._read: dict[str, str] = {}
        self._listed: dict[str, list[str]] = {}
        self._names: dict[str, str] = {}  # by the folder or link, as found first
        self._absent: set[str] = set()
        self._written: set[str] = set()
        self._sought: set[str] = set()  # looked for, or opened to be read
        self._opened: set[str] = set()  # to be read, with content of before the run
        self._replaced: set[str] = set()  # all content is the run's own
        self._marked: set[str] = set()  # with other dates or attributes, set by the run
        self.problem: str | None = None

    def see(self, action: str, path: str, flags: int) -> None:
        """A program is about to do something with a file; that may well fail."""
        if (action, path, flags) in self._known:
            return
        self._known.add((action, path, flags))
        if _CACHE in path:  # of a module, whose source is what counts; x.pyc.N is being written
            read = action == _OPEN and path.endswith(".pyc")
            path = importlib.util.source_from_cache(path) if read else ""
        own = path in self._excluded or path.startswith(self._excluded)
        if not executed.is_input(path) or own:
            return
        exists = os.path.lexists(path)
        if exists and (action == _MAKE or flags & os.O_EXCL):  # the call fails
            action, flags = _LOOK, 0
        reads = flags & os.O_ACCMODE != os.O_WRONLY and not flags & os.O_TRUNC
        looks = action in (_LOOK, _LINK) and path not in self._written
        if (action == _OPEN and reads) or looks:
            self._sought.add(path)
        if action == _MARK:
            self._marked.add(path)
        if action == _OPEN and reads and path not in self._replaced:
            self._opened.add(path)
        if path not in self._written:
            self._note(action, path, flags)
        made = flags & os.O_CREAT and not exists
        if action in (_WRITE, _MAKE) or made or flags & os.O_TRUNC:
            self._replaced.add(path)

    def _note(self, action: str, path: str, flags: int) -> None:
        try:
            if action == _LINK:
                if os.path.islink(path):  # noqa: PTH114
                    target = os.readlink(path)
                    self._names.setdefault(path, listing([target], path, ()))
                return
            mode = os.stat(path).st_mode  # noqa: PTH116 (of any path, as the program has it)
            if stat.S_ISDIR(mode) and action == _OPEN:
                self._list(path)
            elif stat.S_ISREG(mode) and not flags & os.O_TRUNC and path not in self._read:
                self._read[path] = files.digest(Path(path))
        except (FileNotFoundError, NotADirectoryError):
            if action != _EXECUTE and not _LIBRARY.search(path):
                self._absent.add(path)
        except PermissionError:
            pass  # the program's, too: it does not see the content either
        if action in (_WRITE, _MAKE, _MARK) or flags & _WRITABLE:
            self._written.add(path)

    def _list(self, folder: str) -> None:
        names = sorted(os.listdir(folder))  # noqa: PTH208
        self._names.setdefault(folder, listing(names, folder, self._written))
        if not folder.startswith(self._unlisted):
            self._listed.setdefault(folder, names)

    def report(self) -> dict[str, Any]:
        """What was seen, by absolute path, as JSON.

        What was opened for writing and has the same content at the end was not written, unless no
        one read it: of what was written, the digest is of the content that the run had read. What
        it has removed is told if it had read it.
        """
        now, had = {path: _digest(path) for path in self._read}, self._opened - self._marked
        before = {path: self._read[path] for path in had if path in self._read}
        kept = before.keys() | self._read.keys() - self._written
        same = {path for path in kept if now[path] == self._read[path]}
        there = {path for path in self._written if os.path.lexists(path)}
        written = (there | self._written & before.keys()) - same
        absent = self._absent - self._written
        return {
            "read": {path: self._read[path] for path in same},
            "listed": {
                path: listing(names, path, self._written) for path, names in self._listed.items()
            },
            "names": self._names,
            "absent": [path for path in absent if os.path.dirname(path) not in absent],  # noqa: PTH120
            "written": {path: (before.get(path), self._is_sought(path)) for path in written},
            "changed": sorted(path for path in set(now) - same if not self._own(path)),
            "problem": self.problem,
        }

    def _own(self, path: str) -> bool:
        """Whether the run itself wrote, removed or renamed a file or a folder that it is in."""
        return not self._written.isdisjoint({path, *map(str, Path(path).parents)})

    def _is_sought(self, path: str) -> bool:
        """Whether what an earlier run wrote there can matter; that a folder exists does not."""
        listed = os.path.dirname(path) in self._names  # noqa: PTH120
        folder = os.path.isdir(path) and not os.path.islink(path)  # noqa: PTH112, PTH114
        return (path in self._sought or listed) and not folder


def _digest(path: str) -> str | None:
    return files.digest(Path(path)) if os.path.isfile(path) else None  # noqa: PTH113


def listing(names: Iterable[str], folder: str, written: Container[str]) -> str:
    """The digest of the names in a folder, without those that the run itself made."""
    left = sorted(name for name in names if os.path.join(folder, name) not in written)  # noqa: PTH118
    return hashlib.sha256("\0".join(left).encode("utf-8", "surrogateescape")).hexdigest()


# ---- the kernel's notifications -----------------------------------------------------------------


class Watch:
    """A watcher process, started before there are threads, which ``begin`` gives the calls to."""

    def __init__(self, excluded: Iterable[Path]) -> None:
        """Fork the watcher."""
        self._here: Files | None = None  # where the kernel refuses a watcher
        self._files = Files(excluded)
        self._control, theirs = socket.socketpair()
        self._pid = os.fork()
        if self._pid == 0:
            self._control.close()
            _watch(theirs, self._files)
        theirs.close()

    def begin(self) -> None:
        """Watch this process, all its threads, and all children to come."""
        libc, code = ctypes.CDLL(None, use_errno=True), _filter()
        program = ctypes.create_string_buffer(code)
        pointer = struct.pack("HxxxxxxQ", len(code) // 8, ctypes.addressof(program))
        libc.prctl(_PTRACER, self._pid, 0, 0, 0)  # for the security module that asks for it
        libc.prctl(_NO_NEW_PRIVILEGES, 1, 0, 0, 0)
        known = platform.machine() == "x86_64"
        listener = libc.syscall(_SECCOMP, 1, _FLAGS, pointer) if known else -1
        if listener < 0:
            why = (
                os.strerror(ctypes.get_errno()) if known else f"not known for {platform.machine()}"
            )
            self._by_audit(why)
            return
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, struct.pack("i", listener))]
        self._control.sendmsg([b"."], rights)
        self._control.recv(1)
        os.close(listener)

    def _by_audit(self, why: str) -> None:
        self._here = self._files
        found = "Python's own calls are" if hasattr(sys, "addaudithook") else "nothing is"
        self._files.problem = (
            f"the kernel lets no process watch another's calls ({why}): {found} seen"
        )
        if sys.version_info >= (3, 8):
            sys.addaudithook(self._hear)

    def _hear(self, event: str, arguments: tuple[Any, ...]) -> None:
        action, argument = _EVENTS.get(event, ("", 0))
        if action and not isinstance(arguments[argument], int):
            path = os.fsdecode(arguments[argument] or ".")
            flags = arguments[2] if event == "open" else 0
            self._files.see(action, str(executed.as_named(path)), flags)

    def report(self, source_path: Path) -> dict[str, Any]:
        """The part ``files`` of the record. Raises SamebitsError that names what was changed."""
        found = self._here.report() if self._here else self._asked()
        changed = found.pop("changed")
        if changed:
            lines = [f"{path}: was changed while this run used it" for path in changed]
            raise SamebitsError(f"{all_problems(lines)}\nstart the same command again")
        modules = executed.files()
        for kind in ("read", "listed", "names", "written"):
            pairs = found[kind].items()
            names = {executed.named(p, source_path): s for p, s in pairs if p not in modules}
            found[kind] = [self._entry(path, names[path]) for path in sorted(names)]
        found["absent"] = sorted(executed.named(path, source_path) for path in found["absent"])
        return found

    @staticmethod
    def _entry(path: str, value: Any) -> dict[str, Any]:
        if isinstance(value, str):
            return {"path": path, "sha256": value}
        return {"path": path, "sha256": value[0], "sought": value[1]}

    def _asked(self) -> dict[str, Any]:
        self._control.sendall(b"?")
        (size,) = struct.unpack("Q", self._control.recv(8, socket.MSG_WAITALL))
        found: dict[str, Any] = json.loads(self._control.recv(size, socket.MSG_WAITALL))
        return found


def _filter() -> bytes:
    """The program that the kernel runs at each call."""
    load, equal, bits, leave = 0x20, 0x15, 0x45, 0x06
    calls = sorted([*_CALLS, *_SHARED])
    lines = [(load, 0, 0, 4), (equal, 1, 0, _X86_64), (leave, 0, 0, _ALLOW), (load, 0, 0, 0)]
    lines += [(equal, 0, 3, 262), (load, 0, 0, 40), (bits, 0, len(calls) + 2, _AT_EMPTY_PATH)]
    lines += [(leave, 0, 0, _ALLOW)]
    lines += [(equal, len(calls) - n, 0, call) for n, call in enumerate(calls)]
    lines += [(leave, 0, 0, _ALLOW), (leave, 0, 0, _NOTIFY)]
    return b"".join(struct.pack("HBBI", *line) for line in lines)


def _watch(control: socket.socket, seen: Files) -> NoReturn:
    """In the watcher: answer each call, note it; ends with the watched processes."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    try:
        message, rights, _, _ = control.recvmsg(1, socket.CMSG_SPACE(4))
        if message:
            listener = struct.unpack("i", rights[0][2])[0]
            control.send(b".")
            _serve(control, listener, seen)
    finally:
        os._exit(0)  # calls of a process that is watched fail from now on: nothing goes unseen


def _serve(control: socket.socket, listener: int, seen: Files) -> None:
    """Until no process is left that is watched."""
    poll = select.poll()
    poll.register(listener, select.POLLIN)
    poll.register(control, select.POLLIN)
    while True:
        for descriptor, event in poll.poll():
            if descriptor == listener and event & select.POLLIN:
                _answer(listener, seen)
            elif descriptor == listener or not control.recv(1):
                return
            else:
                said = json.dumps(seen.report()).encode()
                control.sendall(struct.pack("Q", len(said)) + said)


def _answer(listener: int, seen: Files) -> None:
    """Note one call and let it continue."""
    call = bytearray(_CALL.size)
    with suppress(OSError):  # its process was ended, or a signal came first
        fcntl.ioctl(listener, _RECEIVE, call)
        identity, pid, _, number, _, _, *arguments = _CALL.unpack(call)
        if number in _SHARED and arguments[0]:
            seen.problem = "it uses memory that processes share by a key, whose content is not seen"
        try:
            for table in (_CALLS, _RENAMED):
                action, folder, argument = table.get(number, (_LOOK, None, 0))
                path = _path(pid, arguments, folder, argument) if number in table else ""
                if path:
                    seen.see(action, path, _flags(pid, number, arguments))
        except Exception as error:  # told in the record; the program goes on
            seen.problem = f"not all calls were seen: {type(error).__name__}: {error}"
        fcntl.ioctl(listener, _SEND, struct.pack("QqiI", identity, 0, 0, 1))


def _path(pid: int, arguments: list[int], folder: int | None, argument: int) -> str:
    """The absolute path that a call names; empty: none."""
    address = arguments[argument]
    if not address:  # of the folder's descriptor itself
        return ""
    data = _memory(pid, address, _PAGE - address % _PAGE)  # the next page may not be there
    if b"\0" not in data:
        data += _memory(pid, address + len(data), _PAGE)
    name, at = os.fsdecode(data.partition(b"\0")[0]), _AT_FDCWD
    if not name or name.startswith("/"):
        return name and os.path.normpath(name)
    if folder is not None:
        at = ctypes.c_int(arguments[folder] & 0xFFFFFFFF).value
    base = os.readlink(f"/proc/{pid}/cwd" if at == _AT_FDCWD else f"/proc/{pid}/fd/{at}")
    return os.path.normpath(f"{base}/{name}")


def _memory(pid: int, address: int, size: int) -> bytes:
    with open(f"/proc/{pid}/mem", "rb", buffering=0) as memory:
        memory.seek(address)
        return memory.read(size) or b""


def _flags(pid: int, number: int, arguments: list[int]) -> int:
    """How a call opens a file."""
    if number == _OPENAT2:
        return int(struct.unpack("Q", _memory(pid, arguments[2], 8))[0])
    if number == _TRUNCATE:
        return os.O_WRONLY
    return arguments[_FLAGS_OF[number]] & 0xFFFFFFFF if number in _FLAGS_OF else 0
