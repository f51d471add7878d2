"""Words for people: progress lines, names in a sentence, text that is safe on a terminal.

``scripts/launch.py`` passes the terminal as a file descriptor, since everything else that a stage
prints goes to its log; without it stderr is used. After the descriptor comes what lines on the
terminal begin with, in a sweep the combination.
"""

from __future__ import annotations

import os
import re
import shlex
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

VARIABLE = "SAMEBITS_PROGRESS_FD"
COLORS = {"red": "31", "green": "32", "yellow": "33", "magenta": "35", "cyan": "36"}


def say(line: str) -> None:
    """Print one line for the user, or a few, and into the log; none steers a terminal."""
    line = plain_lines(line)
    print(line, file=sys.stderr, flush=True)
    descriptor, _, label = os.environ.get(VARIABLE, "").partition(" ")
    if descriptor.isdigit():
        shown = f"{label} {line}" if label else line
        os.write(int(descriptor), (shown + "\n").encode("utf-8", "replace"))


def plain(text: str) -> str:
    """Text that may quote a file, without anything that steers a terminal."""
    return "".join(c if c.isprintable() else " " for c in text)


def plain_lines(text: str) -> str:
    """The same of several lines."""
    return "\n".join(map(plain, text.split("\n")))


def brief(text: object, most: int = 200) -> str:
    """The beginning of a text of several lines as one, without its colors."""
    said = " ".join(re.sub(r"\x1b\[[\d;]*m", "", str(text)).split())
    return said if len(said) <= most else f"{said[:most]}…"


def bold(text: str, color: str, wanted: bool) -> str:
    """Text in a color, where that is wanted and NO_COLOR (no-color.org) does not forbid it."""
    colored = wanted and not os.environ.get("NO_COLOR")
    return f"\033[1;{COLORS[color]}m{text}\033[0m" if colored else text


def program() -> str:
    """How ``./samebits`` is typed in the working folder: its relative path, if that is short."""
    own = Path(__file__).resolve().parents[2] / "samebits"
    relative = os.path.relpath(str(own))
    relative = relative if "/" in relative else "./" + relative
    return shlex.quote(min(relative, str(own), key=len))


def quoted(word: str) -> str:
    """A word for the shell; in double quotes, where single ones would have to be escaped."""
    return f'"{word}"' if "'" in word and not set(word) & set('"$`\\!') else shlex.quote(word)


def listed(names: Iterable[object]) -> str:
    """Names in a sentence: "a, b and c"; empty when there are none."""
    *first, last = [str(name) for name in names] or [""]
    return f"{', '.join(first)} and {last}" if first else last


def few(names: Sequence[str], most: int = 4) -> str:
    """The first names in a sentence, and how many more there are."""
    if len(names) > most:
        names = [*names[:most], f"{len(names) - most} more"]
    return listed(names)


def duration(seconds: float) -> str:
    """Seconds as minutes or hours where there are any."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    if seconds < 3600:
        return f"{int(seconds) // 60} min {int(seconds) % 60} s"
    return f"{int(seconds) // 3600} h {int(seconds) % 3600 // 60} min"


def when(divergence: Mapping[str, Any]) -> str:
    """The first step that differs, in words: an interval where the traces have no step between."""
    step, after = divergence["step"] or 0, divergence["after"]
    epoch = f" (epoch {divergence['epoch']})" if divergence["epoch"] else ""
    if after is None:
        return f"at step {step:,}{epoch} or before"
    if step - after > 1:
        return f"between steps {after:,} and {step:,}{epoch}"
    return f"at step {step:,}{epoch}"
