"""A limit on how long a script may run. One that exceeds it is stopped with all that it started.

A script is asked to end first (SIGTERM), so that one with checkpoints completes its last one, and
killed when it does not.
"""

import signal
import subprocess
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

import psutil

from samebits.launch.logs import last_line

GRACE = 30.0  # seconds between the request to end and the kill


class TimeLimit:
    """The limit of one script, however often it is started. Without minutes there is none."""

    def __init__(self, minutes: float | None, log: Path) -> None:
        """Counting from now; ``log``: where the script's output goes."""
        self._minutes, self._log = minutes, log
        self._end = time.monotonic() + 60 * (minutes or 0)
        self.exceeded = ""  # why the script was stopped; empty: it was not

    def wait(self, process: subprocess.Popen[bytes]) -> int:
        """Wait for the end of a process and return its exit code; stop it when its time is over."""
        left = None if self._minutes is None else max(0.0, self._end - time.monotonic())
        try:
            return process.wait(left)
        except subprocess.TimeoutExpired:
            self.exceeded = self._explain()
            stop(process.pid)
            return process.wait()

    def _explain(self) -> str:
        silent = max(0.0, time.time() - self._log.stat().st_mtime) / 60
        return (
            f"exceeded its time limit of {self._minutes:.3g} min. Its last output, {silent:.3g} "
            f"min ago: {last_line(self._log)}. If it is slow rather than hanging, give "
            "it longer (--set-resources train:runtime=MINUTES); the same command "
            "resumes from the last checkpoint, or starts over without checkpoints"
        )


def stop_others(kept: Iterable[int]) -> None:
    """End all children of this process but some."""
    for child in psutil.Process().children():
        if child.pid not in kept:
            stop(child.pid)


def stop(pid: int, grace: float = GRACE) -> None:
    """End a child of this process with all that it has started, and wait until they are gone."""
    living = [psutil.Process(pid)]
    for number in (signal.SIGTERM, signal.SIGKILL):
        # Before the kill once more: it may have started more.
        living = list(dict.fromkeys(living + [c for process in living for c in _started(process)]))
        for process in living:
            with suppress(psutil.NoSuchProcess):
                process.send_signal(number)
        living = psutil.wait_procs(living, grace)[1]


def _started(process: psutil.Process) -> list[psutil.Process]:
    """All that a process started, directly or not, as far as they are still related."""
    with suppress(psutil.NoSuchProcess):
        return process.children(recursive=True)
    return []
