"""One virtual environment from one lock: complete or absent.

It is built in a folder beside and renamed, so a build that is killed leaves nothing that looks
complete; a lock on the folder makes a second build of it wait for the first. The kernel gives the
lock up when the last process that holds it ends, however it ends. uv holds it as well: when its
parent is killed it works on for a while, and must not do so in what the next build removes.
"""

import fcntl
import os
import re
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

from samebits.environments import interpreters, uv
from samebits.errors import SamebitsError, all_problems
from samebits.formats import canonical, files, installed, lockfile
from samebits.formats.lockfile import Lock
from samebits.text import say

DEFINITION = ".yaml"  # ends the name of a definition, which both deployments read
RECORD = "environment.json"
FORMAT = "samebits-environment-1"
_BUILD_TOOLS = ("setuptools", "wheel")  # what packages without a wheel are built by
_PYTHON = re.compile(r"^ *- python=(\d+\.\d+\.\d+)$", re.MULTILINE)  # a space before = is a trap
_MARK = "pyvenv.cfg"  # every virtual environment has it
_Uv = Callable[..., str]  # ``uv.run`` of one uv, which inherits the lock on the folder
_HINT = (
    "check the network (or the index that UV_DEFAULT_INDEX names), the space on the disk, and "
    "start again"
)


def python_version(definition: Path) -> str:
    """Which Python ``envs/X.yaml`` asks for, such as ``3.11.15``. Raises SamebitsError."""
    found = _PYTHON.findall(definition.read_text(encoding="utf-8"))
    if len(found) != 1:
        raise SamebitsError(f"{definition}: name the exact version, as the dependency python=X.Y.Z")
    return str(found[0])


def python_minor(definition: Path) -> str:
    """The same without the last number: what both deployments agree on."""
    return python_version(definition).rpartition(".")[0]


def build(folder: Path, lock_path: Path, tool: Path) -> bool:
    """Make ``folder`` the environment that the lock describes; False when it already was.

    ``tool`` is uv. Raises SamebitsError; then nothing of this build stays.
    """
    lock = lockfile.read(lock_path)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with _only_one(folder) as held:
        if is_complete(folder, lock_path):
            return False
        _check_place(folder)
        _discard(folder)
        with files.atomic_folder(folder) as beside:
            base = interpreters.find(lock.python, os.environ, tool)
            run = partial(uv.run, tool, hint=_HINT, keep_open=[held])
            record = _fill(beside, lock, lock_path, base, run)
            canonical.write_json(beside / RECORD, record)
    return True


def is_complete(folder: Path, lock_path: Path) -> bool:
    """Whether the folder was built to its end from this lock and its Python still runs."""
    try:
        content = canonical.read_json(folder / RECORD)
        interpreters.probe(folder / "bin" / "python")
        listed = installed.summary(folder)
    except (FileNotFoundError, NotADirectoryError, SamebitsError, interpreters.NotUsableError):
        return False  # the last: the Python it was made from is gone
    found = content if isinstance(content, dict) else {}
    expected = (FORMAT, files.digest(lock_path), listed)
    return (found.get("format"), found.get("lock"), found.get("installed")) == expected


@contextmanager
def _only_one(folder: Path) -> Iterator[int]:
    """Wait until no other process builds the folder; yields the descriptor that holds the lock."""
    with open(folder.with_name(f".{folder.name}.lock"), "w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print(f"{folder}: waiting for another process that builds it", flush=True)
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield lock.fileno()


def _check_place(folder: Path) -> None:
    """Raise SamebitsError when something is at the folder's place that was not made here."""
    files = folder.is_dir() and any(folder.iterdir())  # Snakemake makes it, empty, beforehand
    if (files and not (folder / _MARK).is_file()) or (folder.exists() and not folder.is_dir()):
        raise SamebitsError(
            f"{folder}: exists and is not an environment; move it away or choose another --output"
        )


def _discard(folder: Path) -> None:
    """Remove the folder and what killed builds of it left. To be called with the lock held.

    The folder is renamed first: half removed it could still have its record, and look complete.
    """
    if folder.exists():
        folder.rename(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    files.remove_partial(folder)


def _fill(
    folder: Path, lock: Lock, lock_path: Path, base: interpreters.Interpreter, run: _Uv
) -> dict[str, Any]:
    name = lock_path.name.partition(".lock.")[0]
    say(f"{name}: {len(lock.packages)} packages for Python {base.version}")
    print(f"Python: {base.path}", flush=True)
    # --relocatable: it is renamed afterwards, and the paths in its scripts must stay right
    flags = ["--relocatable", "--no-project", "--allow-existing", "--quiet"]
    run(["venv", *flags, "--python", str(base.path), str(folder)])
    interpreter = folder / "bin" / "python"
    if lock.from_sdist:
        _install(run, interpreter, lock.keep(_BUILD_TOOLS.__contains__), name)
    _install(run, interpreter, lock, name)
    _verify(interpreter, lock_path)
    _list(folder)
    # A package without its dependencies never passes, nor one that asks for another TensorFlow.
    if not (lock.without_dependencies or lock.is_extended):
        run(["pip", "check", "--python", str(interpreter)], hint="resolve again: make locks")
    return {
        "format": FORMAT,
        "lock": files.digest(lock_path),
        "python": {"version": base.version, "implementation": base.implementation},
        "uv": run(["--version"]).strip(),
        "packages": [asdict(p) for p in sorted(lock.packages, key=lambda p: p.name)],
        "installed": installed.summary(folder),
    }


def _install(run: _Uv, interpreter: Path, lock: Lock, name: str) -> None:
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as file:
        file.write(lock.text())
        file.flush()
        exact = ["--require-hashes", "--no-deps", "--no-build-isolation"]
        hear = uv.Downloads(name).hear
        run(["pip", "install", "--python", str(interpreter), *exact, "-r", file.name], hear=hear)


def _verify(interpreter: Path, lock_path: Path) -> None:
    """The installed packages, as the interpreter itself sees them, are those of the lock."""
    program = (
        "from samebits.formats import lockfile as e; e.check_lock(Path(sys.argv[2]), e.packages())"
    )
    _ask(interpreter, program, lock_path, "the new environment does not match its lock")


def _list(folder: Path) -> None:
    """List the files of a new environment, if they are those of the wheels."""
    for patch in folder.glob("lib/python*/site-packages/_virtualenv.*"):
        patch.unlink()  # uv's own, of an old Python, for builds that nobody makes here any more
    program = "from samebits.formats import installed as e; e.take(Path(sys.argv[2]))"
    _ask(folder / "bin" / "python", program, folder, "the files cannot be compiled and listed")
    if problems := installed.unlike_wheels(folder):
        raise SamebitsError(
            f"uv's cache does not hold what it unpacked\n{all_problems(problems)}\n"
            "remove it (uv cache clean), then start again"
        )


def _ask(interpreter: Path, program: str, argument: Path, problem: str) -> None:
    """Run a program with this checkout's modules. Raises SamebitsError with its last words."""
    program = "import sys; sys.path.insert(0, sys.argv[1]); from pathlib import Path; " + program
    scripts = Path(__file__).resolve().parents[2]
    command = [str(interpreter), "-I", "-c", program, str(scripts), str(argument)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["nothing"])[-10:]
        raise SamebitsError(f"{problem}:\n" + "\n".join(last))
