"""Which primitives oneDNN made in this process, by its own word: what computes, in which shapes.

Told to, it prints a line for each primitive when it is made, none when it runs again; before the
first one, the instruction set and the number of threads in force. The lines are in the log, which
is this process's standard output; the launcher takes them out when the process has ended.

Nothing is known where no primitive was made, of a process without a log, and of TensorFlow 2.1 and
2.8, whose oneDNN cannot report this alone. How often one is made says nothing: each thread of
TensorFlow's asks anew. What a process that this one has started makes is not told apart, if it
writes into the same log.

Runs on Python 3.7 to 3.13, TensorFlow 2.1 to 2.21.
"""

from __future__ import annotations

import ctypes
import os
import re
import stat
from typing import Any, Iterable

_VARIABLE = "ONEDNN_VERBOSE"
_INFO = re.compile(r"onednn_verbose,v1,info,cpu,(?:runtime:\w+,nthr:(\d+)|isa:(.+))")
_MADE = re.compile(r"onednn_verbose,v1,primitive,create:\w+,cpu,(.+)")
_MOST = 1000  # primitives that are listed


class Report:
    """What oneDNN prints from now on, unless the user has it print something else."""

    def __init__(self) -> None:
        """To be made before its first primitive. The variable is hidden from Python."""
        self._log = os.dup(1)  # a program may close that, or put another in its place
        begin = os.fstat(self._log)
        self._begin = begin.st_size
        self._asked = stat.S_ISREG(begin.st_mode) and _VARIABLE not in os.environ
        if self._asked:
            ctypes.CDLL(None).setenv(_VARIABLE.encode(), b"profile_create", 1)

    def describe(self) -> dict[str, Any] | None:
        """The record's part; None: nothing is known."""
        if not self._asked:
            return None
        ctypes.CDLL(None).unsetenv(_VARIABLE.encode())  # it has been read
        with open(f"/proc/self/fd/{self._log}", encoding="utf-8", errors="replace") as log:
            log.seek(self._begin)
            return of_lines(log)


def of_lines(lines: Iterable[str]) -> dict[str, Any] | None:
    """The same from the lines of a log: each primitive once, sorted; ``more`` are left out."""
    threads, isa, made = 0, None, set()
    for line in lines:
        info, found = _INFO.search(line), _MADE.search(line)
        if info:
            threads, isa = int(info.group(1) or threads), info.group(2) or isa
        if found:
            kind, implementation, direction, *_, shape, _ = found.group(1).split(",")
            made.add((kind, implementation, direction, shape))
    if isa is None:
        return None
    names = ("kind", "implementation", "direction", "shape")
    listed = [dict(zip(names, one)) for one in sorted(made)[:_MOST]]
    return {"isa": isa, "threads": threads, "made": listed, "more": len(made) - len(listed)}
