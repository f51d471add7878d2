"""A file that is there for as long as somebody does something that nobody else may do meanwhile.

Whether the one who made it still lives is known in two ways. On the same machine by a lock on the
file, which the kernel takes back with the process. From another machine, where a shared file
system may not know locks, by its date: the holder renews it every few seconds, and one that did
not within a minute is gone. A holder that was taken for gone finds that out at its next beat. Runs
on Python 3.7 to 3.13.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import socket
import threading
import time
import uuid
from contextlib import suppress
from pathlib import Path
from typing import IO, Any, Callable, Mapping, NamedTuple

from samebits.errors import SamebitsError
from samebits.text import say

HEAD = "SAMEBITS_HEAD"  # which snakemake a job belongs to (see heads)
BEAT = 10.0  # seconds between two renewals
PATIENCE = 60.0  # seconds without one after which a holder on another machine is gone

_BOOT = Path("/proc/sys/kernel/random/boot_id")
_NO_LOCKS = (errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOLCK, errno.EINVAL)
# The schedulers' names for a job, and how one is ended.
_JOBS = {"SLURM_JOB_ID": "scancel", "PBS_JOBID": "qdel", "LSB_JOBID": "bkill", "JOB_ID": "qdel"}


class Lease:
    """What the holder has. Released on leaving the ``with`` block, or when the process ends."""

    def __init__(self, path: Path, file: IO[bytes], content: bytes) -> None:
        """Made by ``take``."""
        self._path, self._file, self._content = path, file, content
        self._done = threading.Event()
        self._kept = False

    def __enter__(self) -> Lease:
        """Nothing more to do."""
        return self

    def __exit__(self, *_: Any) -> None:
        """Release it."""
        self.release()

    @property
    def descriptor(self) -> int:
        """The lock: a process that inherits it holds the lease as well."""
        return self._file.fileno()

    def keep(self, lost: Callable[[], None]) -> None:
        """Renew it from now on; ``lost`` is called once when somebody else has it."""
        if not self._kept:  # a process that is started again is kept already
            self._kept = True
            threading.Thread(target=self._keep, args=(lost,), daemon=True).start()

    def _keep(self, lost: Callable[[], None]) -> None:
        while not self._done.wait(BEAT):
            try:
                if not self._is_mine():
                    return lost()
                os.utime(str(self._path))
            except OSError:
                continue  # the file system is away; if it stays so, the next look tells

    def _is_mine(self) -> bool:
        try:
            return self._path.read_bytes() == self._content
        except FileNotFoundError:
            return False

    def release(self) -> None:
        """Let the next one have it."""
        self._done.set()
        with suppress(OSError):
            if not self._file.closed and self._is_mine():
                self._path.unlink()
        self._file.close()


def take(path: Path, environ: Mapping[str, str]) -> Lease:
    """Become the holder. Raises SamebitsError that names the one who lives."""
    path = Path(os.path.abspath(str(path)))  # the holder may change its folder
    path.parent.mkdir(parents=True, exist_ok=True)
    while True:
        try:
            descriptor = os.open(str(path), os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o666)
        except FileExistsError:
            found = look(path)
            if found.holder is not None:
                raise refusal(path.name, found.holder) from None
            continue
        file = os.fdopen(descriptor, "rb+")
        _lock(file, wait=True)  # one that looks may have been first, and take it for left
        if not _is_still(file, path):
            file.close()
            continue
        content = json.dumps(_self(environ), sort_keys=True).encode("utf-8")
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
        return Lease(path, file, content)


def job(environ: Mapping[str, str]) -> str | None:
    """The variable in which a scheduler names this job; None: there is none."""
    return next((name for name in _JOBS if environ.get(name)), None)


def _self(environ: Mapping[str, str]) -> dict[str, Any]:
    name = job(environ)
    return {
        "id": str(uuid.uuid4()),
        "kernel": _kernel(),
        "host": environ.get("SLURMD_NODENAME") or socket.gethostname(),
        "pid": os.getpid(),
        "job": environ[name] if name else None,
        "cancel": _JOBS[name] if name else None,
        "head": environ.get(HEAD),
    }


class Found(NamedTuple):
    """Who holds a lease, and whether a dead one had left it."""

    holder: dict[str, Any] | None  # None: nobody; empty: somebody who has not yet said who
    was_left: bool = False


def look(path: Path) -> Found:
    """Who holds a lease. One that a dead holder left is removed."""
    try:
        with open(str(path), "rb+") as file:
            return _examine(file, path)
    except FileNotFoundError:
        return Found(None)


def _examine(file: IO[bytes], path: Path) -> Found:
    free = _lock(file)
    holder = _read(file)
    here = free and holder.get("kernel") == _kernel()
    if free is False or (not here and _beats(path, holder)):
        return Found(holder)
    if not _is_still(file, path):
        return Found(None)
    path.unlink()
    return Found(None, was_left=True)


def _lock(file: IO[bytes], wait: bool = False) -> bool | None:
    """Whether the lock was free, and is taken now; None where files cannot be locked."""
    try:
        fcntl.flock(file.fileno(), fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except BlockingIOError:
        return False
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise
        return None
    return True


def _read(file: IO[bytes]) -> dict[str, Any]:
    """What a holder said of itself; empty when it has not come to that."""
    try:
        return dict(json.loads(file.read().decode("utf-8")))
    except ValueError:
        return {}


def _beats(path: Path, holder: Mapping[str, Any]) -> bool:
    """Whether the holder renews its lease. Takes a while when it does not."""
    name = "{} on {}".format(path.name, holder.get("host", "another machine"))
    say(f"{name}: looking for a sign of life, for {PATIENCE:.0f} s at most")
    first, end = _date(path), time.monotonic() + PATIENCE
    while first is not None and time.monotonic() < end:
        time.sleep(min(1.0, PATIENCE / 10))
        if _date(path) != first:
            return _date(path) is not None
    return False


def _date(path: Path) -> int | None:
    """When it was renewed last. Opened, because only that asks an NFS server again."""
    try:
        with open(str(path), "rb") as file:
            return os.fstat(file.fileno()).st_mtime_ns
    except FileNotFoundError:
        return None


def _is_still(file: IO[bytes], path: Path) -> bool:
    """Whether the path still leads to this file, and not to a newer one."""
    try:
        return os.path.samestat(os.fstat(file.fileno()), os.stat(str(path)))
    except FileNotFoundError:
        return False


def _kernel() -> str:
    """Where locks can be relied upon: within one running kernel, whatever the host names."""
    return _BOOT.read_text().strip()


def refusal(name: str, holder: Mapping[str, Any]) -> SamebitsError:
    """Who is still at it, and how to go on."""
    if not holder:
        return SamebitsError(f"{name}: somebody has just begun to write it; try again")
    who, end = "process {pid}", "kill {pid}"
    if holder["job"]:
        who, end = "job {job}", "{cancel} {job}"
    text = "{name}: " + who + " on {host} is still writing it; " + end
    return SamebitsError((text + ", or wait until it has ended").format(name=name, **holder))
