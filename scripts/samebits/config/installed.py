"""The environment that is there already, in which an experiment trains: ``framework=installed``.

INPUTS      ``python``: the user's interpreter
OUTPUTS     ``look``: its lock (formats/as_installed.py), the versions of Python and TensorFlow;
            .samebits/locks/known-files.json
GUARANTEES  an interpreter that cannot train is refused before any job, with what to do; of the
            environment nothing but Python's own start is executed, and nothing is written
"""

import json
import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from samebits.config.sources import SCRIPTS
from samebits.errors import SamebitsError
from samebits.formats import lockfile

KEY = "python"
LOCKS = Path(".samebits/locks")
_CHOICE = f"framework={lockfile.OPTION_AS_INSTALLED}"
_PYTHON, _TENSORFLOW = ((3, 7), (3, 13)), ((2, 1), (2, 21))  # the oldest and the newest
_PATIENCE = 600  # seconds; all files are read the first time
_ASK = """
import sys
version = sys.version_info[:2]
if not {oldest} <= version <= {newest}:
    sys.exit("it is Python %d.%d; samebits trains with {range}" % version)
sys.path.append(sys.argv[1])
import json
from pathlib import Path
from samebits.formats import as_installed
print(json.dumps([sys.executable, as_installed.look(Path(sys.argv[2]), keep=True)]))
"""


@dataclass(frozen=True)
class Installed:
    """An environment as it is now."""

    python: str  # the interpreter itself, where a shim was named
    lock: str  # its text
    versions: dict[str, str]  # for the config's part framework


def of(resolved: Mapping[str, Any]) -> str:
    """The interpreter that a composed config names; empty: the framework is one of ours.

    Raises SamebitsError for one without the other.
    """
    named, is_chosen = resolved[KEY], lockfile.is_as_installed(resolved)
    if is_chosen and not named:
        raise SamebitsError(f"{_CHOICE}: name its interpreter, such as {KEY}=.venv/bin/python")
    if named and not is_chosen:
        raise SamebitsError(f"{KEY}: is that of {_CHOICE}; add this, or leave {KEY} out")
    for key in ("tensorflow", "python"):
        if is_chosen and resolved["framework"][key]:
            raise SamebitsError(f"framework.{key}: is that of {KEY}={named}; leave it out")
    return str(named or "")


def look(named: str) -> Installed:
    """The environment of an interpreter. Raises SamebitsError with why it cannot be used."""
    path = Path(os.path.abspath(Path(named).expanduser()))  # noqa: PTH100 (links stay)
    if problem := _problem(path):
        raise SamebitsError(f"{KEY}={named}: {problem}")
    python, text = _asked(path, named)
    lock = lockfile.parse(text, named)
    if lock.tensorflow is None:
        link = path.parent / path.readlink() if path.is_symlink() else path
        outside = _is_virtual(link) and not _is_virtual(path)  # Python looks beside the link
        what = f"name {link}, of which this is a link" if outside else "name another interpreter"
        raise SamebitsError(
            f"{KEY}={named}: it has no TensorFlow among its {len(lock.packages)} packages; {what}, "
            f"or install it: {path} -m pip install tensorflow"
        )
    version = lock.tensorflow.version.partition("+")[0]
    numbers = tuple(int(part) if part.isdigit() else -1 for part in version.split("."))
    if not _TENSORFLOW[0] <= numbers[:2] <= _TENSORFLOW[1] or -1 in numbers:
        taken = f"samebits trains with releases from {_range(_TENSORFLOW)}"
        raise SamebitsError(f"{KEY}={named}: it has TensorFlow {version}; {taken}")
    return Installed(python, text, {"tensorflow": version, "python": lock.python})


def _is_virtual(path: Path) -> bool:
    return (path.parents[1] / "pyvenv.cfg").is_file()


def _problem(path: Path) -> str:
    """Why a path is that of no program; empty where it is."""
    if path.is_dir():
        return f"is a folder; name the interpreter in it, such as {path / 'bin' / 'python'}"
    if path.is_symlink() and not path.exists():
        return f"is a link to {path.readlink()}, which is not there; make the environment again"
    if not path.is_file():
        return f"there is no file {path}; name an interpreter, such as .venv/bin/python"
    return "" if os.access(path, os.X_OK) else "is no program; name an interpreter, or chmod +x it"


def _asked(path: Path, named: str) -> tuple[str, str]:
    """The interpreter's own name and the lock of its environment."""
    LOCKS.mkdir(parents=True, exist_ok=True)
    oldest, newest = _PYTHON
    program = _ASK.format(oldest=oldest, newest=newest, range=_range(_PYTHON))
    # -I: as a run has it, without PYTHONPATH and packages in the user's home
    command = [str(path), "-I", "-c", program, str(SCRIPTS), str(LOCKS.absolute())]
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=_PATIENCE
        )
        python, text = json.loads(done.stdout.splitlines()[-1])
    except (OSError, subprocess.TimeoutExpired) as error:
        raise SamebitsError(f"{KEY}={named}: cannot be started: {error}") from None
    except (IndexError, ValueError):
        said = (done.stderr.strip().splitlines() or ["nothing"])[-1]
        raise SamebitsError(f"{KEY}={named}: cannot be used: {said}") from None
    return str(python), str(text)


def _range(versions: tuple[tuple[int, int], tuple[int, int]]) -> str:
    return " to ".join("{}.{}".format(*version) for version in versions)
