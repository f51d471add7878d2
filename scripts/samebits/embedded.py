"""Virtual environments that are whole or absent, built by uv from a lock.

An environment is built beside its place and renamed into it, with ``environment.json`` already
inside; whoever sees that file sees a whole environment. One process at a time builds: it holds
``FOLDER.lock``, and so does the uv that it started, so that a uv whose parent was killed cannot
write into what the next process builds.
"""

import fcntl
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from samebits import canonical, interpreters, locks
from samebits import uv as uv_tool
from samebits.errors import SamebitsError, all_problems
from samebits.interpreters import Interpreter, NotUsable
from samebits.locks import Lock

RECORD = "environment.json"
FORMAT = "samebits-environment-1"

# They build the packages that were released as source archives, and are locked like all others.
_BUILD_TOOLS = ("setuptools", "wheel")
_HINT = (
    "Check the network or the index (UV_DEFAULT_INDEX names a mirror), the free space, and that "
    "the lock was not edited; then start the same command again"
)


@dataclass(frozen=True)
class Wanted:
    """An environment: the lock it is made from and the folder it is for."""

    lock_file: Path
    folder: Path

    @property
    def name(self) -> str:
        """Such as ``train-tf2.21``."""
        return locks.name_of(self.lock_file)

    def beside(self, what: str) -> Path:
        """A path next to the folder: on the same file system, so that a rename is atomic."""
        return self.folder.with_name(f"{self.folder.name}.{what}")


@contextmanager
def sole_builder(folder: Path) -> Iterator[int]:
    """Be the only process that builds a folder; yields the descriptor that holds the lock."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    handle = os.open(folder.with_name(folder.name + ".lock"), os.O_RDWR | os.O_CREAT, 0o666)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print(f"{folder}: waiting for another process that builds it", flush=True)
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield handle
    finally:
        os.close(handle)


def _record(wanted: Wanted, python: Interpreter, uv_version: str) -> dict[str, Any]:
    """What is in an environment. No dates, no paths: the same build gives the same bytes."""
    packages = locks.read(wanted.lock_file).packages
    return {
        "format": FORMAT,
        "installer": {"name": "uv", "version": uv_version},
        "lock": locks.digest(wanted.lock_file),
        "name": wanted.name,
        "packages": [
            {"name": p.name, "version": p.version, "sha256": p.sha256} for p in packages
        ],
        "python": {"implementation": python.implementation, "version": python.version},
    }


def is_whole(wanted: Wanted) -> bool:
    """Whether the folder holds an environment of this lock whose Python still runs.

    The Python can go: a virtual environment points to an interpreter outside of it.
    """
    try:
        record = canonical.read_json(wanted.folder / RECORD)
        python = interpreters.probe(wanted.folder / "bin" / "python")
    except (FileNotFoundError, SamebitsError, NotUsable):
        return False
    expected = _record(wanted, python, "any")
    return isinstance(record, dict) and {**record, "installer": None} == {
        **expected,
        "installer": None,
    }


def _discard(wanted: Wanted) -> None:
    """Remove what an earlier build left, and the folder itself.

    The folder is renamed first, so that at no moment a half-removed one looks whole.
    """
    rest = wanted.beside("discarded")
    for leftover in (rest, wanted.beside("partial")):
        if leftover.exists():
            shutil.rmtree(leftover)
    if wanted.folder.exists():
        wanted.folder.rename(rest)
        shutil.rmtree(rest)


def build(wanted: Wanted, python: Interpreter, uv: Path, handle: int) -> None:
    """Build the environment. The caller is the sole builder and holds ``handle``.

    Raises SamebitsError; then nothing of this build stays.
    """
    _discard(wanted)
    partial = wanted.beside("partial")
    try:
        lock = locks.read(wanted.lock_file)
        # relocatable: the scripts in bin/ find their Python after the rename
        make = ["venv", "--relocatable", "--no-python-downloads", "--python", str(python.path)]
        uv_tool.run(uv, [*make, str(partial)], _HINT, [handle])
        _install(lock, partial, uv, handle)
        _verify(wanted, lock, partial, uv, handle)
        version = uv_tool.run(uv, ["--version"], _HINT).split()[1]
        inside = interpreters.probe_for(lock.python, partial / "bin" / "python")
        canonical.write_json(partial / RECORD, _record(wanted, inside, version))
        partial.rename(wanted.folder)
    except NotUsable as why:
        raise SamebitsError(f"{partial}: the Python of the new environment {why}") from why
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _install(lock: Lock, folder: Path, uv: Path, handle: int) -> None:
    """Wheels first; then what is built from source, with the build tools among those wheels."""
    passes = [lock.without(lock.from_sdist)]
    if lock.from_sdist:
        missing = set(_BUILD_TOOLS[:1]) - {package.name for package in lock.packages}
        if missing:
            raise SamebitsError(
                f"expected {', '.join(missing)} in the lock, which build "
                f"{', '.join(lock.from_sdist)}; add to the .in file and run: make locks"
            )
        passes.append(lock)
    flags = ["--no-deps", "--require-hashes", "--no-build-isolation", "--python"]
    for part in passes:
        with tempfile.NamedTemporaryFile("w", suffix=locks.SUFFIX) as file:
            file.write(part.text())
            file.flush()
            install = ["pip", "install", *flags, str(folder / "bin" / "python"), "-r", file.name]
            uv_tool.run(uv, install, _HINT, [handle])


def _verify(wanted: Wanted, lock: Lock, folder: Path, uv: Path, handle: int) -> None:
    """Raise SamebitsError unless exactly the locked packages are installed and fit together."""
    python = ["--python", str(folder / "bin" / "python")]
    listed = json.loads(uv_tool.run(uv, ["pip", "list", "--format=json", *python], _HINT, [handle]))
    got = {package["name"]: package["version"] for package in listed}
    expected = {package.name: package.version for package in lock.packages}
    problems = [
        f"{wanted.lock_file}: {name}: expected {expected.get(name, 'none')}, "
        f"installed is {got.get(name, 'none')}"
        for name in expected.keys() | got.keys()
        if expected.get(name) != got.get(name)
    ]
    if problems:
        raise SamebitsError(all_problems(problems) + "\n" + _HINT)
    if not lock.without_dependencies:  # these miss theirs on purpose: a check would refuse them
        uv_tool.run(uv, ["pip", "check", *python], "Run: make locks", [handle])
