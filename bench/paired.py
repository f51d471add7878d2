"""What all measurements share: figures, runs in turn, what a command costs, the command line.

A measurement is a program of its own, `bench/NAME.py [--pairs N] [--folder DIR] [--json FILE]`. It
hands its figures to ``main`` one by one as they are there. What is compared runs in turn, so
that a drift of the machine's speed hits all sides; ratios are taken round by round. A figure is
the median of its rounds, with the least and the most of them.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeVar

import psutil

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "scripts"), str(ROOT / "tests")]

from samebits.formats import canonical  # noqa: E402

RATIO = "×"
_SAMPLE_SECONDS = 0.5  # between two looks at the memory of a process tree, which cost CPU
_DIGITS = 6  # of a figure in JSON
T = TypeVar("T")


@dataclass(frozen=True)
class Line:
    """One figure, or why there is none."""

    what: str
    unit: str
    median: float | None = None
    least: float | None = None
    most: float | None = None
    pairs: int = 0
    goal: float | None = None  # the median is to be at most that
    reason: str | None = None  # why it was not measured

    @property
    def met(self) -> bool | None:
        """Whether the goal is met; None where there is no goal or no figure."""
        known = self.goal is not None and self.median is not None
        return self.median <= self.goal if known else None  # type: ignore[operator]


def figure(what: str, unit: str, values: Sequence[float], goal: float | None = None) -> Line:
    """The median of some rounds, and how far they are apart."""
    least, median, most = (
        float(f"{function(values):.{_DIGITS}g}") for function in (min, statistics.median, max)
    )
    return Line(what, unit, median, least, most, len(values), goal)


def ratio(what: str, of: Sequence[float], to: Sequence[float], goal: float | None = None) -> Line:
    """How many times as much, round by round."""
    return figure(what, RATIO, [a / b for a, b in zip(of, to, strict=True)], goal)


def skipped(what: str, reason: str, unit: str = RATIO, goal: float | None = None) -> Line:
    """A figure that cannot be had here."""
    return Line(what, unit, goal=goal, reason=reason)


def in_turn(
    runs: Mapping[str, Callable[[], T]], rounds: int, warm: bool = False
) -> dict[str, list[T]]:
    """What each of the runs returned in each round; the order turns round from round to round.

    ``warm``: with a first round that is not counted, after which files are in the page cache.
    """
    found: dict[str, list[T]] = {name: [] for name in runs}
    for number in range(-1 if warm else 0, rounds):
        for name in list(runs)[:: -1 if number % 2 else 1]:
            result = runs[name]()
            if number >= 0:
                found[name].append(result)
    return found


def attributes(results: Mapping[str, Sequence[Any]], name: str) -> dict[str, list[float]]:
    """One attribute of all that ``in_turn`` found."""
    return {run: [getattr(each, name) for each in found] for run, found in results.items()}


# --- what a command costs ------------------------------------------------------------------------


@dataclass(frozen=True)
class Cost:
    """One run: wall and CPU seconds, and the peak of the process tree's memory in MiB."""

    wall: float
    cpu: float
    memory: float


def _memory(root: psutil.Process) -> int:
    """Bytes of memory of a process and those below it that no other process shares."""
    total = 0
    for process in [root, *root.children(recursive=True)]:
        try:
            total += process.memory_full_info().uss
        except psutil.Error:
            continue  # it ended between the listing and the look
    return total


def measure(command: Sequence[object], **options: Any) -> Cost:
    """Run a command to its end. Raises CalledProcessError with its output when it fails."""
    before, started, peak = os.times(), time.monotonic(), [0]
    with tempfile.TemporaryFile() as output:
        line = [str(word) for word in command]
        child = subprocess.Popen(line, stdout=output, stderr=subprocess.STDOUT, **options)
        done = threading.Event()

        def watch() -> None:
            while not done.wait(_SAMPLE_SECONDS):
                try:
                    peak[0] = max(peak[0], _memory(psutil.Process(child.pid)))
                except psutil.Error:
                    return

        watcher = threading.Thread(target=watch)
        watcher.start()
        code = child.wait()
        wall = time.monotonic() - started
        done.set()
        watcher.join()
        after = os.times()
        output.seek(0)
        if code:
            raise subprocess.CalledProcessError(code, line, output.read())
    cpu = sum(after[2:4]) - sum(before[2:4])
    return Cost(wall, cpu, peak[0] / 2**20)


# --- the command line ----------------------------------------------------------------------------


def shown(line: Line) -> str:
    """One line of the table on a terminal."""
    if line.median is None:
        return f"  {line.what:<66} {line.reason}"
    spread = f"{digits(line.least)}–{digits(line.most)}"
    goal = "" if line.goal is None else f"  goal ≤ {digits(line.goal)}: {verdict(line)}"
    said = f"{digits(line.median):>8} {line.unit:<5} {spread:>15} {line.pairs:>3}{goal}"
    return f"  {line.what:<66} {said}"


def digits(value: float | None) -> str:
    """A figure with two places, or with three digits, or with all of those before the point."""
    if value is None:
        return "–"
    return f"{value:,.{2 if abs(value) < 10 else 1 if abs(value) < 100 else 0}f}"


def verdict(line: Line) -> str:
    """What is said of a goal."""
    return {True: "met", False: "NOT MET", None: "not known"}[line.met]


def read(path: Path) -> list[Line]:
    """The figures that a measurement wrote; none when it ended before the first one."""
    return [Line(**line) for line in canonical.read_json(path)] if path.is_file() else []


def main(lines: Callable[[Path, int], Iterable[Line]], pairs: int) -> None:
    """Show the figures of a measurement as they come, and write them.

    ``lines``: makes them, in a folder and in a number of rounds, which is ``pairs`` unless told.
    """
    parser = argparse.ArgumentParser()
    parser.add_argument("--pairs", type=int, default=pairs)
    parser.add_argument("--folder", type=Path, help="one to work in, which may hold environments")
    parser.add_argument("--json", type=Path, help="write the figures there as well")
    options = parser.parse_args()
    made: list[Line] = []
    with _folder(options.folder) as folder:
        # a signing key of the benchmark's own
        os.environ["XDG_CONFIG_HOME"] = str(Path(folder, "config"))
        for line in _explained(lines(Path(folder), options.pairs)):
            print(shown(line), flush=True)
            made.append(line)
            if options.json:
                canonical.write_json(options.json, [asdict(each) for each in made])


def _folder(given: Path | None) -> AbstractContextManager[str]:
    return tempfile.TemporaryDirectory() if given is None else nullcontext(str(given.resolve()))


def _explained(lines: Iterable[Line]) -> Iterator[Line]:
    """The lines; what a command said that failed is shown."""
    try:
        yield from lines
    except subprocess.CalledProcessError as error:
        if error.output:
            sys.stderr.buffer.write(error.output[-4000:] + b"\n")
        raise
