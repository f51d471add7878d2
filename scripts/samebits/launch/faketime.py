"""libfaketime, so that a program which waits still does.

libfaketime 0.9.10 (Debian 12) fails every ``time.sleep`` of Python 3.11 and newer when the clock
that measures durations is left alone (its issue 426), and lets other waits hang when it is not.
So a library is tried before it is used, and where it fails a copy is, in which
``clock_nanosleep`` has another name and programs find the C library's. Runs on Python 3.7 to 3.13.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from contextlib import suppress
from typing import Iterator

SHIFT = "+400d"  # another year, month and day of the week
_SECONDS = 400 * 86400
_PROBE = (
    "import threading, time; time.sleep(0.01); threading.Event().wait(0.01); print(time.time())"
)
_SHARED = "/dev/shm"  # noqa: S108 - where the C library keeps shared memory and semaphores
_OWNER = re.compile(r"(?:faketime_shm|sem\.faketime_sem)_(\d+)$")
_LONGEST = 10  # seconds for a probe that takes 0.05
# Its end stays: the linker lets nanosleep share it.
_NAME, _HIDDEN = b"\0clock_nanosleep\0", b"\0CLOCK_nanosleep\0"


def variables(tool: str, folder: str) -> dict[str, str]:
    """The variables that shift the clock of a program; empty where none works.

    The folder is for a changed copy of the library and has to stay as long as the program runs.
    """
    for library in _libraries(tool, folder):
        # What measures durations and timeouts stays as it is.
        found = {"LD_PRELOAD": library, "FAKETIME": SHIFT, "FAKETIME_DONT_FAKE_MONOTONIC": "1"}
        if _works(found):
            return found
    return {}


def shared() -> set[str]:
    """What programs under libfaketime share with those that they start, by file name."""
    return set(os.listdir(_SHARED)) if os.path.isdir(_SHARED) else set()


def remove_shared(before: set[str]) -> None:
    """Remove what was not there before and whose program has ended; a signal leaves it behind."""
    for name in shared() - before:
        owner = _OWNER.match(name)
        if owner and not os.path.exists("/proc/" + owner.group(1)):
            with suppress(OSError):  # another launcher was faster
                os.unlink(os.path.join(_SHARED, name))


def _libraries(tool: str, folder: str) -> Iterator[str]:
    """The library that the tool uses (-m: for programs with threads), then the changed copy."""
    shown = [tool, "-m", "-f", SHIFT, "cat", "/proc/self/maps"]
    done = subprocess.run(shown, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=False)
    match = re.search(rb"/\S*libfaketime\S*", done.stdout)
    if match is None:
        return
    path = os.fsdecode(match.group())
    yield path
    copy = os.path.join(folder, "libfaketime.so")
    with open(path, "rb") as library, open(copy, "wb") as changed:
        changed.write(library.read().replace(_NAME, _HIDDEN, 1))
    yield copy


def _works(variables: dict[str, str]) -> bool:
    """Whether Python under these variables has another date, and can sleep and wait."""
    probe = [sys.executable, "-I", "-S", "-c", _PROBE]
    quiet = subprocess.DEVNULL
    try:
        said = subprocess.check_output(
            probe, env=dict(os.environ, **variables), stderr=quiet, timeout=_LONGEST
        )
    except subprocess.SubprocessError:
        return False
    return abs(float(said) - time.time() - _SECONDS) < 3600
