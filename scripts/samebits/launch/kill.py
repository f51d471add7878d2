"""The variation that kills a run with SIGKILL at a random moment after its first checkpoint.

The moment is random on purpose: it must not matter. Two things are drawn: the checkpoint to wait
for and, since the length of an epoch is unknown, a wait in which every order of magnitude is
equally likely. The wait ends when the last epoch begins, after which nothing is resumed. A run that
was quicker is not killed, and its record shows that.
"""

import math
import random
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

PLANNED = "not yet"
_SHORTEST = 0.001  # seconds of a wait
_RANDOM = random.SystemRandom()


class Kill:
    """One kill of one process, which writes numbered folders into ``folder``, ``last`` at most."""

    def __init__(self, folder: Path, last: int) -> None:
        """Draw the moment."""
        self.done: list[int] = []  # after which epochs it was killed
        self._folder, self._last = folder, last
        self._awaited = _RANDOM.randint(1, max(1, last - 1))

    def watch(self, process: subprocess.Popen[bytes]) -> None:
        """From now on, in the background, until the process has ended."""
        threading.Thread(target=self._watch, args=(process,), daemon=True).start()

    def describe(self) -> str:
        """For the record: when the process was killed."""
        return f"killed once, after epoch {self.done[0]}" if self.done else PLANNED

    def _watch(self, process: subprocess.Popen[bytes]) -> None:
        started = time.monotonic()
        while self._newest() < self._awaited and process.poll() is None:
            _nap(started)
        longest = max(_SHORTEST, time.monotonic() - started)
        wait = math.exp(_RANDOM.uniform(math.log(_SHORTEST), math.log(longest)))
        end = time.monotonic() + wait
        while time.monotonic() < end and self._newest() < self._last - 1 and process.poll() is None:
            _nap(started, end)
        newest = self._newest()
        if process.poll() is None:
            self.done.append(newest)
            process.kill()

    def _newest(self) -> int:
        try:
            names = [path.name for path in self._folder.iterdir()]
        except FileNotFoundError:
            return 0
        return max([int(name) for name in names if name.isdigit()] or [0])


def _nap(started: float, end: float = math.inf) -> None:
    """Long enough to cost nothing, short beside the time that the process has run."""
    now = time.monotonic()
    time.sleep(max(0.0, min(1.0, 0.001 + (now - started) / 500, end - now)))


def value_after(flag: str, command: Sequence[str]) -> str:
    """The value of a flag in a command line; empty: none."""
    return next((command[i + 1] for i, word in enumerate(command[:-1]) if word == flag), "")


def last_epoch(config: Mapping[str, Any], command: Sequence[str]) -> int:
    """How many epochs a run trains."""
    return int(value_after("--epochs", command) or config["trainer"]["epochs"])
