"""Which of the files that a program read are neither its project's nor declared.

Runs on Python 3.7 to 3.13.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any, Iterable, Mapping

from samebits.errors import SamebitsError, all_problems
from samebits.observation import executed

_OUTSIDE = ("/", "~/", "../")
# What the launcher shows a run whose clock it shifts: a child process of the program opens it anew.
_SHARED = "/dev/shm"  # noqa: S108 (of the clock's library)
_LAUNCHERS = re.compile(rf"{_SHARED}/(sem\.faketime_sem|faketime_shm)_\d+$|.*/samebits-run-")


def undeclared(
    read: Iterable[Mapping[str, Any]], inputs: Iterable[str], project: Path
) -> list[str]:
    """Names of the files that were read outside of the project, and that no input names, sorted.

    ``read``: the part of the record. ``inputs``: paths as inputs.json has them.
    """
    named = {executed.named(path, project) for path in inputs if os.path.isabs(path)}  # noqa: PTH117
    outside = (entry["path"] for entry in read if entry["path"].startswith(_OUTSIDE))
    return sorted(path for path in outside if path not in named and not _LAUNCHERS.match(path))


def require_declared(program: Mapping[str, Any]) -> None:
    """Raise SamebitsError that lists what a program read and got that nothing declares or pins."""
    unpinned = [entry["url"] for entry in program["fetched"] if not entry["pinned"]]
    if program["undeclared"] or unpinned:
        raise SamebitsError(
            "inputs: strict, and the program read what no input declares\n"
            f"{all_problems([*program['undeclared'], *unpinned])}\n"
            "declare these under inputs, or leave out strict"
        )
