"""A limit on how long a script may run: what hangs is ended, with all that it started, and told.

A script that is ended is asked first (SIGTERM), so that one with checkpoints leaves its last one
whole, and killed when it does not heed that. Runs on Python 3.7 to 3.13 with the standard library
alone, on Linux: who started whom is read from /proc.
"""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

GRACE = 30.0  # seconds between the request to end and the kill
_LAST_WORDS = 4096  # bytes at the end of a log in which its last line is looked for


class Process(NamedTuple):
    """One process: a number is given again, but not with the same start."""

    pid: int
    parent: int
    started: int  # clock ticks since the machine started


class TimeLimit:
    """The limit of one script, however often it is started. Without minutes there is none."""

    def __init__(self, minutes: float | None, log: Path) -> None:
        """Counting from now; ``log`` tells when something was heard last."""
        self._minutes, self._log = minutes, log
        self._end = time.monotonic() + 60 * (minutes or 0)
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None
        self.said = ""  # why the script was ended; empty: it was not

    def watch(self, process: subprocess.Popen[bytes]) -> None:
        """End this process when its time is over; ``over`` tells that it has ended by itself."""
        if self._minutes is not None:
            self._ended = threading.Event()
            self._thread = threading.Thread(target=self._watch, args=(process,), daemon=True)
            self._thread.start()

    def over(self) -> None:
        """The process has ended. Returns when all that it had started has, if it was ended."""
        self._ended.set()
        if self._thread is not None:
            self._thread.join()

    def _watch(self, process: subprocess.Popen[bytes]) -> None:
        if not self._ended.wait(max(0.0, self._end - time.monotonic())):
            self.said = self._explain()
            end_all(process.pid)

    def _explain(self) -> str:
        silent = max(0.0, time.time() - self._log.stat().st_mtime) / 60
        text = (
            "expected an end within {:.3g} min, got none, and ended it. The last that it said, "
            "{:.3g} min ago: {}. Where it is not hanging but slow, give it longer (snakemake "
            "--set-resources train:runtime=MINUTES); the same command goes on from its last "
            "checkpoint, without checkpoints it starts again"
        )
        return text.format(self._minutes, silent, last_line(self._log) or "nothing")


def last_line(log: Path) -> str:
    """The last line of a log that says something."""
    with open(str(log), "rb") as file:
        file.seek(max(0, file.seek(0, os.SEEK_END) - _LAST_WORDS))
        lines = file.read().decode("utf-8", "replace").splitlines()
    return next((line.strip() for line in reversed(lines) if line.strip()), "")


# --- ending -----------------------------------------------------------------------------------


def end_all(pid: int, grace: float = GRACE) -> None:
    """End a child of this process with all that it has started, and wait until they are gone."""
    asked = family(pid)
    _send(asked, signal.SIGTERM)
    if not _wait_for_end(asked, grace):
        asked = sorted({*asked, *family(pid)})  # it may have started more
        _send(asked, signal.SIGKILL)
        _wait_for_end(asked, grace)


def family(pid: int) -> list[Process]:
    """A process and all that it started, directly or not, as far as they are still related."""
    everyone = [found for found in map(_read, _pids()) if found is not None]
    children: dict[int, list[Process]] = {}
    for process in everyone:
        children.setdefault(process.parent, []).append(process)
    found = [process for process in everyone if process.pid == pid]
    for process in found:  # grows while it is gone through
        found += children.get(process.pid, [])
    return found


def _pids() -> set[int]:
    return {int(name) for name in os.listdir("/proc") if name.isdigit()}


def _read(pid: int) -> Process | None:
    """None: it has ended. The fields of proc(5); the name in parentheses may hold anything."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2]
    except OSError:
        return None
    state, parent, *rest = fields.split()
    return None if state in "ZX" else Process(pid, int(parent), int(rest[17]))


def _send(processes: list[Process], number: int) -> None:
    for process in processes:
        if _is_there(process):
            with suppress(ProcessLookupError):
                os.kill(process.pid, number)


def _is_there(process: Process) -> bool:
    found = _read(process.pid)
    return found is not None and found.started == process.started


def _wait_for_end(processes: list[Process], seconds: float) -> bool:
    end = time.monotonic() + seconds
    while any(map(_is_there, processes)):
        if time.monotonic() >= end:
            return False
        time.sleep(0.05)
    return True
