"""Who may write an output: a lease on it, held by one process, whose job has a living owner.

A lease is a file that exists while its holder lives. On the same machine a lock on the file shows
whether it does, because the kernel releases the lock when the process ends. On another machine,
where a shared file system may not support locks, the file's date does: the holder renews it every
few seconds, and a holder that did not within a minute is taken for dead. If it still lives, it
finds out at its next renewal.

The owner of a job is the snakemake that submitted it, and holds a lease of its own. An owner that
is killed can leave running jobs and jobs that wait in a cluster's queue. The next owner refuses to
start while such a job runs, and a waiting one refuses to start when its turn comes.
"""

import atexit
import errno
import fcntl
import json
import os
import socket
import threading
import time
import uuid
from collections.abc import Callable, Mapping, MutableMapping
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from typing import IO, Any

from samebits.errors import SamebitsError
from samebits.text import say

OWNER = "SAMEBITS_OWNER"  # the lease of the snakemake that submitted a job
BEAT = 10.0  # seconds between two renewals
PATIENCE = 60.0  # seconds without one after which a holder on another machine is gone

_BOOT = Path("/proc/sys/kernel/random/boot_id")
_NO_LOCKS = (errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOLCK, errno.EINVAL)
# The schedulers' names for a job, and how one is ended.
_JOBS = {"SLURM_JOB_ID": "scancel", "PBS_JOBID": "qdel", "LSB_JOBID": "bkill", "JOB_ID": "qdel"}


class Lease(AbstractContextManager["Lease"]):
    """A lease in its holder's hands, until the ``with`` block or the process ends."""

    def __init__(self, path: Path, file: IO[bytes], content: bytes) -> None:
        """Made by ``take``."""
        self._path, self._file, self._content = path, file, content
        self._released = threading.Event()
        self._renewed = False

    @property
    def descriptor(self) -> int:
        """The lock: a process that inherits it holds the lease as well."""
        return self._file.fileno()

    def keep(self, lost: Callable[[], None]) -> None:
        """Renew it from now on; ``lost`` is called once when another process has it."""
        if not self._renewed:  # for a script that is started again it is renewed already
            self._renewed = True
            threading.Thread(target=self._renew, args=(lost,), daemon=True).start()

    def _renew(self, lost: Callable[[], None]) -> None:
        while not self._released.wait(BEAT):
            try:
                if self._path.read_bytes() != self._content:
                    return lost()
                os.utime(self._path)
            except FileNotFoundError:
                return lost()
            except OSError:
                continue  # the file system is away: try at the next beat

    def release(self, *_: Any) -> None:
        """Let the next one have it."""
        self._released.set()
        with suppress(OSError):
            if not self._file.closed and self._path.read_bytes() == self._content:
                self._path.unlink()
        self._file.close()

    __exit__ = release


def take(path: Path, environ: Mapping[str, str]) -> Lease:
    """Become the holder. Raises SamebitsError that names the current one."""
    path = path.absolute()  # the holder may change its folder
    path.parent.mkdir(parents=True, exist_ok=True)
    while True:
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o666)
        except FileExistsError:
            holder = look(path)
            if holder is not None:
                raise still_writing(path.name, holder) from None
            continue
        file = os.fdopen(descriptor, "rb+")
        _lock(file, wait=True)  # one that looks may have been first, and take it for left
        if not _is_still(file, path):
            file.close()
            continue
        content = json.dumps(_self(environ), sort_keys=True).encode()
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
        "owner": environ.get(OWNER),
    }


def look(path: Path) -> dict[str, Any] | None:
    """Who holds a lease, as it says itself, if it has by now; None where nobody does.

    One that a dead holder left is removed.
    """
    with suppress(FileNotFoundError), path.open("rb+") as file:
        free, holder = _lock(file), _read(file)
        here = free and holder.get("kernel") == _kernel()
        if free is False or (not here and _beats(path, holder)):
            return holder
        if _is_still(file, path):
            path.unlink()
    return None


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
    """A holder's own words about itself; empty when it has not written them yet."""
    try:
        return dict(json.loads(file.read()))
    except ValueError:
        return {}


def _beats(path: Path, holder: Mapping[str, Any]) -> bool:
    """Whether the holder renews its lease. Takes a while when it does not."""
    host = holder.get("host", "another machine")
    say(f"{path.name} on {host}: waiting up to {PATIENCE:.0f} s for its heartbeat")
    first, end = _date(path), time.monotonic() + PATIENCE
    while first is not None and _date(path) == first and time.monotonic() < end:
        time.sleep(min(1.0, PATIENCE / 10))
    return _date(path) not in (None, first)


def _date(path: Path) -> int | None:
    """When it was renewed last. Opened, because only that asks an NFS server again."""
    try:
        with path.open("rb") as file:
            return os.fstat(file.fileno()).st_mtime_ns
    except FileNotFoundError:
        return None


def _is_still(file: IO[bytes], path: Path) -> bool:
    """Whether the path still leads to this file, and not to a newer one."""
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except FileNotFoundError:
        return False


def _kernel() -> str:
    """Where locks can be relied upon: within one running kernel, whatever the host names."""
    return _BOOT.read_text().strip()


def still_writing(name: str, holder: Mapping[str, Any]) -> SamebitsError:
    """The error that names the current holder and how to stop it."""
    if not holder:
        return SamebitsError(f"{name}: another process just started writing it; try again")
    who, end = f"process {holder['pid']}", f"kill {holder['pid']}"
    if holder["job"]:
        who, end = f"job {holder['job']}", f"{holder['cancel']} {holder['job']}"
    return SamebitsError(
        f"{name}: {who} on {holder['host']} is still writing it; {end}, or wait until it has ended"
    )


# --- owners -----------------------------------------------------------------------------------


def become_owner(owners: Path, leases: Path, environ: MutableMapping[str, str]) -> None:
    """Own the jobs that are submitted from now on, and forget the owners that were killed.

    Raises SamebitsError when a job of a killed owner still runs: both would write the same files.
    """
    for path in sorted(owners.glob("*")):
        look(path)
    for path in sorted(filter(Path.is_file, leases.glob("**/*"))):
        holder = look(path)
        if holder is not None and not _lives(holder.get("owner")):
            raise still_writing(path.name, holder)
    path = owners / str(uuid.uuid4())
    own = take(path, environ)
    own.keep(lambda: None)
    atexit.register(own.release)
    environ[OWNER] = str(path)


def require_living_owner(environ: Mapping[str, str]) -> None:
    """Raise SamebitsError in a job whose owner was found dead: another job makes its output.

    Nothing is known where the scheduler does not hand on the variable.
    """
    if OWNER in environ and not _lives(environ[OWNER]):
        raise SamebitsError(
            "the snakemake that submitted this job has ended, and a later one took its place; "
            "this job is not needed any more"
        )


def _lives(owner: object) -> bool:
    return bool(owner) and Path(str(owner)).is_file()
