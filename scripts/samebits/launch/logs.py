"""Why a script failed, as the end of its log says, without what its libraries always say."""

import re
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

from samebits.formats import files
from samebits.text import plain

MOST_LINES = 20  # of a log that are shown
ERROR = "error: "  # begins the explanation of a failure, to the end of the log
ENDED = f"{ERROR}the script "  # the launcher's, about one that did not explain itself

_MOST_READ = 2000  # lines
# oneDNN's report of what it makes (training/primitives.py), and of one primitive what it is.
_REPORTED = re.compile(rb"onednn_verbose,v1,(?:info|graph,info|primitive,(?:info|create)).*\n?")
# A reorder moves numbers: the one before it computed them.
_MADE = re.compile(
    rb"onednn_verbose,v1,primitive,create:\w+,cpu,(?!reorder)([^,]+,[^,]+,[^,]+),.*(,[^,]+),[\d.e+-]+$"
)
_TRACEBACK = "Traceback (most recent call last)"
_FRAME = re.compile(r'  File "(.*?)", line \d+')
_HOOKS = str(Path(__file__).resolve().parents[1] / "program")
_COLOR = re.compile(r"\x1b\[[\d;]*m")
# TensorFlow's information and warnings, by absl or by its own logging, and their second lines.
_NOISE = re.compile(
    r"WARNING: All log messages before absl::InitializeLog"
    r"|[IW]\d{4} \d\d:\d\d:\d\d"
    r"|\d{4}-\d\d-\d\d \d\d:\d\d:\d\d[.:\d]*: [IW] "
    r"|To enable the following instructions: "
)


def lines(log: Path, most: int = _MOST_READ) -> list[str]:
    """The last lines of a log, as a terminal can show them; none where the script removed it."""
    if not log.is_file():
        return []
    with log.open(encoding="utf-8", errors="replace") as file:
        ends = deque(file, most)
    return [plain(_COLOR.sub("", line.rstrip("\n"))) for line in ends if not _NOISE.match(line)]


def last_line(log: Path) -> str:
    """The last line of a log that is not blank."""
    return next((line.strip() for line in reversed(lines(log)) if line.strip()), "none")


def explained(log: Path) -> tuple[str, list[str]]:
    """The explanation of a failure, empty where there is none, and the lines that say more.

    An error that the script itself explains needs no more, unless it follows a traceback.
    """
    said = [line for line in lines(log) if line.strip()]
    at = max((n for n, line in enumerate(said) if line.startswith(ERROR)), default=len(said))
    before, cause = said[:at], "\n".join(said[at:])
    traceback = max((n for n, line in enumerate(said) if line.startswith(_TRACEBACK)), default=-1)
    if traceback >= 0:
        before = list(_without_hooks(before[traceback:]))
    elif cause and not cause.startswith(ENDED):
        before = []
    return cause.removeprefix(ERROR), before[-MOST_LINES:]


def _without_hooks(traceback: Iterable[str]) -> Iterator[str]:
    """A traceback without the frames through which a user's program is followed."""
    is_hook = False
    for line in traceback:
        if frame := _FRAME.match(line):
            is_hook = frame[1].startswith(_HOOKS)
        elif not line.startswith("    "):
            is_hook = False
        if not is_hook:
            yield line


def take_out_primitives(log: Path) -> str:
    """Take out of a log what oneDNN reported in it; the last primitive that computes, or empty.

    A training has them in its record. Where the disk is full they stay in the log.
    """
    last = b""
    with suppress(OSError), files.atomic_file(log) as kept, log.open("rb") as said:
        for line in said:
            made = _MADE.search(line)
            last = b"".join(made.groups()) if made else last
            kept.write(_REPORTED.sub(b"", line))
    return plain(last.decode("utf-8", "replace")).replace(",", " ")


def append(log: Path, line: str) -> None:
    """Add a line to a log, which may be another process's, unless its disk is full."""
    with suppress(OSError), log.open("a", encoding="utf-8") as file:
        file.write(line + "\n")
