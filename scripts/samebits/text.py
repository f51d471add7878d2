"""Lines for the person at the terminal; everything else that a stage prints goes to its log.

``scripts/launch.py`` passes the terminal as a file descriptor; without it stderr is used.
"""

from __future__ import annotations

import os
import sys

VARIABLE = "SAMEBITS_PROGRESS_FD"


def say(line: str) -> None:
    """Print one line for the user, and into the log."""
    print(line, file=sys.stderr, flush=True)
    descriptor = os.environ.get(VARIABLE, "")
    if descriptor.isdigit():
        os.write(int(descriptor), (line + "\n").encode("utf-8", "replace"))
