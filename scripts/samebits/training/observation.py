"""The observed environment of a process: one entry per variation.

It is the evidence for a variation: two runs differ in one when they observed different values.
No value names a folder or the host. Runs on Python 3.7 to 3.13.
"""

from __future__ import annotations

import hashlib
import os
import sys
import time
from pathlib import Path
from typing import Any, Mapping

from samebits.experiment.variations import UNKNOWN
from samebits.formats import files
from samebits.training import machine

# In the command line of the processes that keep the CPUs busy beside a run.
BUSY = "samebits-busy"

_DAY = 86400
_NO_RANDOMIZE = 0x0040000  # ADDR_NO_RANDOMIZE of <sys/personality.h>
_CATEGORIES = ("LC_COLLATE", "LC_CTYPE", "LC_MESSAGES", "LC_MONETARY", "LC_NUMERIC", "LC_TIME")


def observe(source_path: Path) -> dict[str, Any]:
    """All values that this process sees, keys as in ``experiment.variations.TITLES``."""
    started_with = at_start()
    return {
        "time_zone": _time_zone(),
        "locale": locale(started_with),
        "home": digest(os.path.expanduser("~")),  # noqa: PTH111 (Path raises where there is none)
        "folder": digest(str(Path.cwd())),
        "umask": f"{files.umask():03o}",
        "variables": len(started_with),
        "host_name": digest(os.uname().nodename),
        "aslr": aslr(),
        "cpus": len(os.sched_getaffinity(0)),
        "clock": _clock(),
        "contention": _busy(),
        "directory_order": _directory_order(source_path),
        "hash_seed": started_with.get("PYTHONHASHSEED", "random"),
        "cpu": machine.describe_cpu(),
        "deployment": deployment(Path(sys.prefix)),
        "node": _node(started_with),
        "interrupt": interruption(None),
    }


def interruption(checkpoints: Mapping[str, Any] | None) -> str:
    """Where a run was continued, by its record's part about checkpoints."""
    resumed = (checkpoints or {}).get("resumed")
    if not resumed:
        return "not interrupted"
    return "resumed after epoch {}".format(", ".join(map(str, resumed)))


def at_start() -> dict[str, str]:
    """The variables at process start: Python itself sets more (PEP 538), and so may a program."""
    pairs = Path("/proc/self/environ").read_bytes().split(b"\0")
    named = (pair.decode("utf-8", "surrogateescape").partition("=") for pair in pairs if pair)
    return {name: value for name, _, value in named}


def digest(text: str) -> str:
    """Enough of a SHA-256 to tell two texts apart, and not the text."""
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()[:12]


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

    In days, so that two ordinary runs see the same.
    """
    lines = Path("/proc/stat").read_text().splitlines()
    booted = next((int(line.split()[1]) for line in lines if line.startswith("btime ")), 0)
    now = booted + float(Path("/proc/uptime").read_text().split()[0])
    days = round((time.time() - now) / _DAY)
    return f"{days:+d} days" if days else "not shifted"


def _busy() -> int:
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


def _directory_order(source_path: Path) -> str:
    """Whose order the entries of the source path come in, by the file system it lies on."""
    device = source_path.stat().st_dev
    number = f"{os.major(device)}:{os.minor(device)}"
    mounts = Path("/proc/self/mountinfo").read_bytes().decode("utf-8", "surrogateescape")
    for fields in (line.split() for line in mounts.splitlines()):
        if fields[2] == number and fields[fields.index("-") + 1] == "fuse.disorderfs":
            return "disorderfs"
    return "file system"


def _node(environ: Mapping[str, str]) -> str:
    """The node by Slurm's name for it, else by the running kernel: a host name may be varied."""
    kernel = Path("/proc/sys/kernel/random/boot_id")
    return digest(environ.get("SLURMD_NODENAME") or kernel.read_text().strip())


def deployment(prefix: Path) -> str:
    """The tool that made an environment: conda or uv."""
    return "conda" if (prefix / "conda-meta").is_dir() else "uv"
