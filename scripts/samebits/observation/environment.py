"""The observed environment of a process: one entry per variation.

It is the evidence for a variation: two runs differ in one when they observed different values.
Where a program has several ways to ask, each is asked, and the entry has a value for each; None:
this system has no answer. No value names a folder or the host. Runs on Python 3.7 to 3.13.
"""

from __future__ import annotations

import hashlib
import locale as locales
import os
import pwd
import sys
import time
from pathlib import Path
from typing import Any, Callable, Iterable, Mapping

from samebits.experiment.variations import KERNEL_FOLDERS, UNKNOWN
from samebits.formats import files
from samebits.observation import machine

# In the command line of the processes that keep the CPUs busy beside a run.
BUSY = "samebits-busy"

_HOUR = 3600
_NO_RANDOMIZE = 0x0040000  # ADDR_NO_RANDOMIZE of <sys/personality.h>
_CATEGORIES = ("LC_COLLATE", "LC_CTYPE", "LC_MESSAGES", "LC_MONETARY", "LC_NUMERIC", "LC_TIME")


def observe(source_path: Path) -> dict[str, Any]:
    """All values that this process sees, keys as in ``experiment.variations.TITLES``."""
    started_with = at_start()
    return {
        "time_zone": {"C library": _time_zone(), "/etc/localtime": _file("/etc/localtime")},
        "locale": _locale(started_with),
        "home": _home(),
        "folder": {
            "current folder": digest(str(Path.cwd())),
            "PWD": _digest_of(started_with.get("PWD")),
            "source folder": digest(str(source_path.resolve())),
        },
        "umask": f"{files.umask():03o}",
        "variables": len(started_with),
        "host_name": {
            "kernel": digest(os.uname().nodename),
            "/etc/hostname": _file("/etc/hostname"),
            "HOSTNAME": _digest_of(started_with.get("HOSTNAME")),
        },
        "aslr": aslr(),
        "cpus": _cpus(),
        "clock": {
            "date and time": _clock(),
            "monotonic clock": _durations("monotonic"),
            "start of the machine": _durations("boottime"),
        },
        "threads": None,  # known when the training has ended
        "contention": busy(),
        "directory_order": _directory_order(source_path),
        "hash_seed": started_with.get("PYTHONHASHSEED", "random"),
        "cpu": machine.describe_cpu(),
        "deployment": deployment(Path(sys.prefix)),
        "node": _node(started_with),
        "interrupt": interruption(None, 0),
    }


def interruption(checkpoints: Mapping[str, Any] | None, epochs: int) -> str:
    """After which epochs a run went on, by its record's part about checkpoints.

    After the last of its ``epochs`` nothing goes on.
    """
    resumed = [epoch for epoch in (checkpoints or {}).get("resumed", ()) if 0 < epoch < epochs]
    if not resumed:
        return "nothing resumed"
    return "resumed after epoch {}".format(", ".join(map(str, resumed)))


def at_start() -> dict[str, str]:
    """The variables at process start: Python itself sets more (PEP 538), and so may a program."""
    pairs = Path("/proc/self/environ").read_bytes().split(b"\0")
    named = (pair.decode("utf-8", "surrogateescape").partition("=") for pair in pairs if pair)
    return {name: value for name, _, value in named}


def digest(text: str) -> str:
    """Enough of a SHA-256 to tell two texts apart, and not the text."""
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()[:12]


def _digest_of(text: str | None) -> str | None:
    return None if text is None else digest(text)


def _file(name: str) -> str | None:
    """What a file of the system says; None where there is none."""
    path = Path(name)
    content = path.read_bytes().rstrip(b"\n") if path.is_file() else None
    return None if content is None else hashlib.sha256(content).hexdigest()[:12]


def _home() -> dict[str, str | None]:
    """The home folder by the variable, and by the system's list of users."""
    try:
        listed: str | None = digest(pwd.getpwuid(os.getuid()).pw_dir)
    except KeyError:
        listed = None
    return {"HOME": _digest_of(os.environ.get("HOME")), "list of users": listed}


def _cpus() -> dict[str, Any]:
    """The number of CPUs, counted in every usual way."""
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    system = Path("/sys/devices/system/cpu")
    return {
        "CPU affinity": len(os.sched_getaffinity(0)),
        "os.cpu_count": os.cpu_count(),
        "/proc/cpuinfo": sum(line.startswith("processor") for line in lines) or None,
        "/proc/stat": len([1 for line in _statistics() if line[:3] == "cpu" and line[3] != " "]),
        "/sys": len([1 for path in system.glob("cpu[0-9]*")]) or None,
    }


def _statistics() -> list[str]:
    return Path("/proc/stat").read_text(encoding="utf-8").splitlines()


def _time_zone() -> str:
    """Names and offsets: without the date, because the clock may be shifted, too."""
    winter, summer = time.tzname
    return f"{winter} UTC{-time.timezone / 3600:+.2f}, {summer} UTC{-time.altzone / 3600:+.2f}"


def locale(environ: Mapping[str, str]) -> str:
    """The C library's locale by the variables; a list where the categories differ."""
    usual = environ.get("LANG") or "C"
    found = {name: environ.get("LC_ALL") or environ.get(name) or usual for name in _CATEGORIES}
    if len(set(found.values())) == 1:
        return found[_CATEGORIES[0]]
    return ", ".join("{}={}".format(*item) for item in found.items())


_ANSWERS: Mapping[str, tuple[int, Callable[[], Any]]] = {
    "order of letters": (
        locales.LC_COLLATE, lambda: "".join(sorted("aBc", key=locales.strxfrm)),
    ),
    "decimal point": (locales.LC_NUMERIC, lambda: locales.localeconv()["decimal_point"]),
    "names of days": (locales.LC_TIME, lambda: locales.nl_langinfo(locales.DAY_1)),
}  # fmt: skip


def _locale(environ: Mapping[str, str]) -> dict[str, str]:
    """The locale by its name, and by what it changes: C and C.UTF-8 sort and format alike."""
    found = {"name": locale(environ)}
    for way, (category, answer) in _ANSWERS.items():
        before = locales.setlocale(category)
        try:
            locales.setlocale(category, "")
            found[way] = str(answer())
        except locales.Error:  # it is not installed
            found[way] = UNKNOWN
        finally:
            locales.setlocale(category, before)
    return found


def aslr() -> str:
    """Whether the system places this process's code and memory at random addresses: on or off."""
    try:
        system = Path("/proc/sys/kernel/randomize_va_space").read_text().strip()
        personality = int(Path("/proc/self/personality").read_text(), 16)
    except OSError:  # a kernel that does not say so
        return UNKNOWN
    return "off" if system == "0" or personality & _NO_RANDOMIZE else "on"


def _clock() -> str:
    """How far the clock is from the kernel's own, which a clock library does not change.

    In hours, so that two ordinary runs see the same.
    """
    booted = next((int(line.split()[1]) for line in _statistics() if line[:6] == "btime "), 0)
    now = booted + float(Path("/proc/uptime").read_text().split()[0])
    return _ahead(time.time() - now)


def _durations(clock: str) -> str | None:
    """How far a clock of durations is from the machine's, by the kernel's own account."""
    path = Path("/proc/self/timens_offsets")
    if not path.is_file():
        return None
    offsets = (line.split() for line in path.read_text().splitlines())
    return _ahead(sum(int(seconds) for name, seconds, _ in offsets if name == clock))


def _ahead(seconds: float) -> str:
    hours = round(seconds / _HOUR)
    return f"{hours:+d} hours" if hours else "not shifted"


def busy() -> int:
    """How many of the launcher's processes keep a CPU busy beside this one."""
    found = 0
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            command = (folder / "cmdline").read_bytes()
            status = (folder / "stat").read_bytes()
        except OSError:  # it ended, or is somebody else's
            continue
        parent = int(status.rpartition(b")")[2].split()[1])
        found += parent == os.getppid() and BUSY.encode() in command.split(b"\0")
    return found


def _directory_order(source_path: Path) -> dict[str, str]:
    """Whose order the entries of folders come in, by the file systems that they lie on."""
    own = {Path(sys.prefix).resolve(), Path(sys.base_prefix).resolve()}
    outer = [p for p in Path("/").iterdir() if p.is_dir() and not p.is_symlink()]
    known = [p for p in outer if p.name not in KERNEL_FOLDERS and p not in own]
    return {
        "working folder": _order([Path.cwd()]),
        "source folder": _order([source_path]),
        "other folders": _order(p for p in known if os.access(str(p), os.R_OK)),
    }


def _order(folders: Iterable[Path]) -> str:
    """Disorderfs where all of the folders are shown by it."""
    mounts = Path("/proc/self/mountinfo").read_bytes().decode("utf-8", "surrogateescape")
    lines = [line.split() for line in mounts.splitlines()]
    reversing = {f[2] for f in lines if f[f.index("-") + 1] == "fuse.disorderfs"}
    devices = [folder.stat().st_dev for folder in folders]
    shown = all(f"{os.major(device)}:{os.minor(device)}" in reversing for device in devices)
    return "disorderfs" if shown else "file system"


def _node(environ: Mapping[str, str]) -> str:
    """The node by Slurm's name for it, else by the running kernel: a host name may be varied."""
    kernel = Path("/proc/sys/kernel/random/boot_id")
    return digest(environ.get("SLURMD_NODENAME") or kernel.read_text().strip())


def deployment(prefix: Path) -> str:
    """The tool that made an environment: conda or uv."""
    return "conda" if (prefix / "conda-meta").is_dir() else "uv"
