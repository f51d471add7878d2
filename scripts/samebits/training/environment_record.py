"""Which Python and which packages this process runs on. Runs on Python 3.7 to 3.13."""

from __future__ import annotations

import platform
import re
import sys
from pathlib import Path
from typing import Any, Mapping

from samebits.errors import SamebitsError, all_problems
from samebits.formats import canonical, lockfile

if sys.version_info >= (3, 8):
    import importlib.metadata as metadata
else:
    import importlib_metadata as metadata  # in the locks of the Python 3.7 environments

# What a conda prefix has beside the lock: they install packages and are not imported.
_INSTALLERS = ("pip", "setuptools", "wheel", "packaging")


def normal(name: str) -> str:
    """A distribution's name in the normal form of PEP 503."""
    return re.sub(r"[-_.]+", "-", name).lower()


def installed() -> dict[str, str]:
    """Distribution name (normal form) -> version, of everything that can be imported."""
    found: dict[str, str] = {}
    for distribution in metadata.distributions():
        name = distribution.metadata["Name"]
        if name:
            found.setdefault(normal(name), distribution.version)
    return found


def locked(lock: Path) -> dict[str, tuple[str, str]]:
    """Distribution name -> (version, SHA-256 of its file), of a lock file."""
    return {p.name: (p.version, p.sha256) for p in lockfile.read(lock).packages}


def mismatches(lock: lockfile.Lock, found: Mapping[str, str]) -> list[str]:
    """Every package that is not as the lock says, in words, sorted."""
    expected = {p.name: p.version for p in lock.packages}
    problems = [
        "{}: expected {}, got {}".format(name, version, found.get(name, "none"))
        for name, version in expected.items()
        if found.get(name) != version
    ]
    problems += [
        f"{name}: expected none, got {version}"
        for name, version in found.items()
        if name not in expected and name not in _INSTALLERS
    ]
    return sorted(problems)


def check_lock(lock: Path, found: Mapping[str, str]) -> None:
    """Raise SamebitsError that lists every package that is not as the lock says."""
    problems = mismatches(lockfile.read(lock), found)
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
        "packages": packages_json(found),
        "lock": canonical.file_digest(lock),
    }


def packages_json(found: Mapping[str, str]) -> list[dict[str, str]]:
    """Packages as records list them: sorted by name."""
    return [{"name": name, "version": found[name]} for name in sorted(found)]
