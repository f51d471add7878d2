"""Finding a Python of a wanted minor version, wherever a machine may have one.

Looked at in this order; each candidate is run and asked, since names lie (pyenv's shims exist
for versions that they then refuse to start):

1. the variable SAMEBITS_PYTHON_<MAJOR>_<MINOR>; when it is set, nothing else is looked at
2. the running interpreter
3. PATH: pythonX.Y
4. pyenv's versions
5. uv: one that it finds by any name, or one that it may download (none older than 3.8)
"""

import glob
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from samebits.environments import uv as uv_tool
from samebits.errors import SamebitsError
from samebits.text import say

_ASK = "import platform as p; print(p.python_version(), p.python_implementation())"
_OURS = "3.11"  # the driver's, which runs before conda could bring one
_PATIENCE = 30  # seconds that a candidate may take to answer; a cold network disk is slow


@dataclass(frozen=True)
class Interpreter:
    """A Python that was run and answered."""

    path: Path
    version: str  # such as 3.11.7
    implementation: str


class NotUsableError(Exception):
    """A candidate that is not the wanted Python, and why."""


def variable(minor: str) -> str:
    """The variable that names an interpreter: SAMEBITS_PYTHON_3_7."""
    return "SAMEBITS_PYTHON_" + minor.replace(".", "_")


def probe(path: Path, minor: str = "") -> Interpreter:
    """Run an interpreter and ask what it is: CPython ``minor``, or NotUsableError is raised."""
    try:
        # -I: neither PYTHONPATH nor the user's site-packages may answer in its place
        command = [str(path), "-I", "-c", _ASK]
        done = subprocess.run(  # a refusal is an answer
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=_PATIENCE
        )
        version, implementation = done.stdout.split()
    except OSError as error:
        raise NotUsableError(error.strerror or str(error)) from error
    except subprocess.TimeoutExpired as error:
        raise NotUsableError(f"no answer within {_PATIENCE} s") from error
    except ValueError as error:
        shown = (done.stderr.strip().splitlines() or ["nothing"])[0]
        raise NotUsableError(f"did not print its version but: {shown}") from error
    if minor and (version.rpartition(".")[0], implementation) != (minor, "CPython"):
        raise NotUsableError(f"is {implementation} {version}")
    return Interpreter(path, version, implementation)


def _natural(path: Path) -> list[int]:
    """Sorts 3.7.9 before 3.7.16."""
    return [int(part) for part in path.parents[1].name.split(".") if part.isdigit()]


def _places(minor: str, environ: Mapping[str, str]) -> dict[str, list[Path]]:
    """Every place but the variable and uv, in order, with the candidates in it."""
    found = shutil.which(f"python{minor}", path=environ.get("PATH", ""))
    home = Path(environ.get("HOME") or "/nonexistent")
    versions = Path(environ.get("PYENV_ROOT") or home / ".pyenv", "versions")
    # Of a home folder that only another user may read, glob finds nothing; Path.glob raises.
    named = glob.glob(f"{glob.escape(str(versions))}/{minor}.*/bin/python{minor}")  # noqa: PTH207
    in_pyenv = sorted(map(Path, named), key=_natural, reverse=True)
    return {
        "the running Python": [Path(sys.executable)],
        f"PATH (python{minor})": [Path(found)] if found else [],
        f"pyenv ({versions}/{minor}.*)": in_pyenv,
    }


def _from_uv(minor: str, uv: Path, environ: Mapping[str, str]) -> Interpreter:
    """A Python that uv finds, by whatever name, or downloads. Raises NotUsableError."""
    find = ["python", "find", "--no-project", "--no-python-downloads"]
    try:
        path = uv_tool.run(uv, [*find, "--system", f"cpython@{minor}"], environ=environ)
    except SamebitsError:  # uv itself stops at the first that cannot be run
        say(f"no Python {minor} found; uv downloads one (about 30 MB)")
        try:
            uv_tool.run(uv, ["python", "install", "--no-bin", minor], environ=environ)
            path = uv_tool.run(uv, [*find, "--managed-python", minor], environ=environ)
        except SamebitsError as error:
            raise NotUsableError(str(error).strip()) from error
    return probe(Path(path.strip()), minor)


def find(minor: str, environ: Mapping[str, str], uv: Path) -> Interpreter:
    """CPython of a minor version. Raises SamebitsError that lists every place looked at."""
    named, refused = environ.get(variable(minor)), []
    if named:
        try:
            return probe(Path(named), minor)
        except NotUsableError as why:
            raise SamebitsError(
                f"{variable(minor)}: expected the path of CPython {minor}, got {named}: {why}; "
                "correct the variable or unset it"
            ) from why
    for place, candidates in _places(minor, environ).items():
        refused += [] if candidates else [f"  {place}: none"]
        for path in candidates:
            try:
                return probe(path, minor)
            except NotUsableError as why:
                refused.append(f"  {path}: {why}")
    try:
        return _from_uv(minor, uv, environ)
    except NotUsableError as why:
        refused.append(f"  uv: {why}")
    raise SamebitsError(
        f"CPython {minor} not found. Looked at:\n"
        f"  {variable(minor)}: not set\n" + "\n".join(refused) + "\n"
        f"Install Python {minor} (pyenv install {minor}), or name one with {variable(minor)}=PATH"
        + (", or let conda bring it: add --sdm conda" if minor != _OURS else "")
    )
