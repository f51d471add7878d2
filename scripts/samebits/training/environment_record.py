"""Which Python and which packages this process runs on. Runs on Python 3.7 to 3.13."""

from __future__ import annotations

import platform
import sys
from pathlib import Path
from typing import Any, Mapping

from samebits.errors import SamebitsError, all_problems
from samebits.formats import files, lockfile

if sys.version_info >= (3, 8):
    import importlib.metadata as metadata
else:
    import importlib_metadata as metadata  # in the locks of the Python 3.7 environments


def installed() -> dict[str, str]:
    """Distribution name (normal form) -> version, of everything that can be imported."""
    found: dict[str, str] = {}
    for distribution in metadata.distributions():
        name = distribution.metadata["Name"]
        if name:
            found.setdefault(lockfile.normal(name), distribution.version)
    return found


def check_lock(lock: Path, found: Mapping[str, str]) -> None:
    """Raise SamebitsError that lists every package that is not as the lock says."""
    problems = lockfile.mismatches(lockfile.read(lock), found)
    if problems:
        raise SamebitsError(
            f"{lock}: this environment is not what the lock says\n{all_problems(problems)}\n"
            "delete it to have it built again"
        )


def record(lock: Path) -> dict[str, Any]:
    """Python, packages and the lock they were held against. Raises SamebitsError, see above."""
    found = installed()
    check_lock(lock, found)
    return {
        "python": {
            "version": platform.python_version(),
            "implementation": platform.python_implementation(),
            "compiler": platform.python_compiler(),
        },
        "packages": lockfile.packages_json(found),
        "lock": files.digest(lock),
    }
