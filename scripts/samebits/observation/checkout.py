"""The git repositories of this checkout and of the user's model, as they are when a run begins.

Runs on Python 3.7 to 3.13.
"""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path
from typing import Any, Iterator, Mapping

from samebits.errors import SamebitsError
from samebits.observation import executed

CONFIG_FILES = (
    "SAMEBITS_CONFIG_FILES"  # the variable that names the user's own, as PATH does folders
)
# What a start leaves in its working folder, below data/ too.
_PIPELINE = re.compile(r"(results|logs|\.samebits|\.snakemake|data/[^/]*-[0-9a-f]{12})/")
_MOST = 1000  # of the changed files are named
# git status would otherwise refresh the index, a write that races with a person's own git
_ENVIRONMENT = {"GIT_OPTIONAL_LOCKS": "0", "LC_ALL": "C"}


def git(folder: Path, *command: str) -> str:
    """What git prints. Raises SamebitsError that says why it fails."""
    line = ["git", "-C", str(folder), *command]
    streams: Any = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    try:
        done = subprocess.run(line, env=dict(os.environ, **_ENVIRONMENT), check=False, **streams)
    except OSError as error:
        raise SamebitsError(f"git: {error.strerror}") from None
    if done.returncode:
        said = done.stderr.decode("utf-8", "replace").strip().splitlines()
        why = said[0] if said else f"git ends with {done.returncode}"
        raise SamebitsError(re.sub(r"^fatal: | \(or any .*", "", why))
    return str(done.stdout.decode("utf-8", "replace"))


def repositories(source_path: Path, target: str) -> dict[str, Any]:
    """Commit and changed files of the checkout, and of the repository of the user's model.

    ``model`` is None for a model of ours, and for one in the checkout's repository. ``target``:
    empty for a program.
    """
    ours, theirs = _repository(executed.CHECKOUT), None
    if not executed.is_own(target):
        theirs = _repository(source_path)
    same = theirs and ours["root"] == theirs["root"] and ours["root"]
    return {"checkout": ours, "model": None if same else theirs}


def _repository(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = dict.fromkeys(("root", "commit", "changed", "problem"))
    found["inputs"] = []
    try:
        found["root"] = git(folder, "rev-parse", "--show-toplevel").rstrip("\n")
        found["commit"] = git(folder, "rev-parse", "--verify", "HEAD").strip()
        status = git(folder, "status", "--porcelain", "-z", "--no-renames", "--untracked-files=all")
        names = sorted(entry[3:] for entry in status.split("\0") if entry)
        here = os.path.relpath(str(Path.cwd()), found["root"])
        found["changed"] = [n for n in names if not _PIPELINE.match(os.path.relpath(n, here))]
    except SamebitsError as error:
        found["problem"] = str(error)
    return found


def tell_inputs(content: dict[str, Any], source_path: Path) -> dict[str, Any]:
    """The repositories of a record, with the changed files that are the experiment's own inputs.

    These are its config files, its data, and what it executed and read.
    """
    inputs = {str(path.resolve()) for path in _inputs(content, source_path)}
    return {name: found and _told(found, inputs) for name, found in content["repositories"].items()}


def _told(found: Mapping[str, Any], inputs: set[str]) -> dict[str, Any]:
    root, changed = found["root"], found["changed"] or []
    own = [name for name in changed if os.path.join(root, name) in inputs]  # noqa: PTH118
    rest = [name for name in changed if name not in own]
    more = [f"and {len(rest) - _MOST} more"] if len(rest) > _MOST else []
    told = None if found["changed"] is None else rest[:_MOST] + more
    return {"commit": found["commit"], "changed": told, "inputs": own, "problem": found["problem"]}


def _inputs(content: Mapping[str, Any], source_path: Path) -> Iterator[Path]:
    modules = [m for m in content.get("source", ()) if not executed.is_own(m["module"])]
    for entry in modules + content.get("files", {"read": []})["read"]:
        yield source_path / os.path.expanduser(entry["path"])  # noqa: PTH111 (no error)
    yield from map(Path, filter(None, os.environ.get(CONFIG_FILES, "").split(os.pathsep)))
    data = content["config"].get("data", {})  # a program has none
    if data.get("path"):
        yield Path(data["path"])
