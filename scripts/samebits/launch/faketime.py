"""libfaketime for a program that sleeps and waits.

libfaketime 0.9.10 (Debian 12) fails every ``time.sleep`` of Python 3.11 and newer when the clock
that measures durations is left alone (its issue 426), and lets other waits hang when it is not.
So a library is tried before it is used, and where it fails a copy is, in which
``clock_nanosleep`` has another name and programs find the C library's.
"""

import os
import re
import subprocess
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

# Another year, month, day of the week, hour and minute; libfaketime takes one unit.
SECONDS = 60 * (400 * 1440 + 451)
_SHIFT = f"+{SECONDS // 60}m"
_PROBE = "import threading as t, time; time.sleep(0.01); t.Event().wait(0.01); print(time.time())"
_SHARED = Path("/dev/shm")  # noqa: S108 - where the C library keeps shared memory and semaphores
_OWNER = re.compile(r"(?:faketime_shm|sem\.faketime_sem)_(\d+)$")
_LONGEST = 10  # seconds for a probe that takes 0.05
# Its end stays: the linker lets nanosleep share it.
_NAME, _HIDDEN = b"\0clock_nanosleep\0", b"\0CLOCK_nanosleep\0"


def variables(tool: str, python: Path, folder: Path) -> dict[str, str]:
    """The variables that shift the clock of an interpreter; empty where none works.

    The folder is for a changed copy of the library and has to stay as long as the program runs.
    """
    for library in _libraries(tool, folder):
        # The clock of durations and timeouts stays as it is.
        found = {"LD_PRELOAD": library, "FAKETIME": _SHIFT, "FAKETIME_DONT_FAKE_MONOTONIC": "1"}
        if _works(python, found):
            return found
    return {}


def shared() -> set[Path]:
    """The files that programs under libfaketime share with their children."""
    return set(_SHARED.iterdir()) if _SHARED.is_dir() else set()


def remove_shared(before: set[Path]) -> None:
    """Remove new files whose program has ended: one that a signal ends leaves them behind."""
    for path in shared() - before:
        owner = _OWNER.match(path.name)
        if owner and not Path("/proc", owner.group(1)).exists():
            with suppress(OSError):  # another launcher was faster
                path.unlink()


def _libraries(tool: str, folder: Path) -> Iterator[str]:
    """The library that the tool uses (-m: for programs with threads), then the changed copy."""
    shown = [tool, "-m", "-f", _SHIFT, "cat", "/proc/self/maps"]
    done = subprocess.run(shown, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=False)
    match = re.search(rb"/\S*libfaketime\S*", done.stdout)
    if match is None:
        return
    library = os.fsdecode(match.group())
    yield library
    copy = folder / "libfaketime.so"
    copy.write_bytes(Path(library).read_bytes().replace(_NAME, _HIDDEN, 1))
    yield str(copy)


def _works(python: Path, variables: dict[str, str]) -> bool:
    """Whether an interpreter under these variables has another date, and can sleep and wait."""
    probe = [str(python), "-I", "-S", "-c", _PROBE]
    environ, quiet = os.environ | variables, subprocess.DEVNULL
    try:
        date = subprocess.check_output(probe, env=environ, stderr=quiet, timeout=_LONGEST)
    except subprocess.SubprocessError:
        return False
    return abs(float(date) - time.time() - SECONDS) < 3600
