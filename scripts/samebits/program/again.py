"""A program's canary: the program once more, to its first step, with the least possible change.

A program may seed itself, so another seed from outside could change nothing. The canary is a
process of its own, in a copy of the workspace that was made before the program's first line. The
bits of the first trained tensor are flipped before the first step; the process ends when the first
call into a graph that takes a step has ended.

Runs on Python 3.7 to 3.13, TensorFlow 2.1 to 2.21.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, Mapping, Sequence

from samebits.experiment.variables import FETCH
from samebits.formats import canonical
from samebits.observation import environment
from samebits.program.collect import Collected
from samebits.program.run import Observed
from samebits.text import VARIABLE
from samebits.training import canary, task

FLAG = "--flipped"


class Copy:
    """The workspace as it was before the program began."""

    def __init__(self, workspace: Path, beside: Path) -> None:
        """What is mounted in it, the inputs, is linked."""
        self.folder = Path(tempfile.mkdtemp(prefix=".canary.", dir=str(beside)))
        self._mounted = _mounts()
        self._copy(workspace, self.folder)

    def _copy(self, source: Path, target: Path) -> None:
        for entry in os.scandir(str(source)):
            to = target / entry.name
            if entry.is_symlink() or entry.path in self._mounted:
                linked = os.readlink(entry.path) if entry.is_symlink() else entry.path
                to.symlink_to(linked)
            elif entry.is_dir():
                to.mkdir()
                self._copy(Path(entry.path), to)
            else:
                shutil.copy2(entry.path, str(to))

    def train(
        self, flags: Mapping[str, object], start: Sequence[str], path: Path
    ) -> dict[str, Any]:
        """Run the canary, whose trace goes to ``path``; returns the part of the record.

        ``start``: the script and its first flags.
        """
        command = [sys.executable, *start, FLAG, str(path)]
        command += [word for name, value in flags.items() for word in (f"--{name}", str(value))]
        descriptor = os.environ.get(FETCH, "")
        ours = {key: value for key, value in environment.at_start().items() if key != VARIABLE}
        passed = [int(descriptor)] if descriptor.isdigit() else []
        done = subprocess.run(command, env=ours, pass_fds=passed, check=False)
        shutil.rmtree(str(self.folder), ignore_errors=True)
        told = path.with_suffix(".json")
        if not told.is_file():
            failure = f"the program, run once more, ended with exit code {done.returncode}"
            made = canary.Change().describe()
            return dict(made, steps=0, digest=None, tensors=[], failure=failure)
        found: dict[str, Any] = canonical.read_json(told)
        told.unlink()
        return found


def _mounts() -> set[str]:
    lines = Path("/proc/self/mountinfo").read_text(encoding="utf-8", errors="surrogateescape")
    return {line.split()[4].encode().decode("unicode_escape") for line in lines.splitlines()}


class Stop:
    """In the canary's process: makes the change, and ends the process when it is enough."""

    def __init__(self, path: Path) -> None:
        """``path``: of the trace."""
        self._path, self._change = path, canary.Change()
        self.observed: Observed | None = None

    def begin(self, variables: list[Any]) -> None:
        """An optimizer is going to update these."""
        self._change.make(variables)

    def ended(self) -> None:
        """A call into a graph has ended. Never returns if a step was taken."""
        seen = self.observed
        if seen is None or not seen.steps.step or self._change.tensor is None:
            return
        names = Collected(seen.made, seen.steps, []).names
        stored = seen.trace.save(self._path, names, [])
        changed = names.get(id(self._change.variable)) or task.name_of(self._change.variable)
        found = dict(self._change.describe(), tensor=changed, steps=seen.steps.step)
        found.update(digest=stored.sha256, tensors=stored.as_json())
        canonical.write_json(self._path.with_suffix(".json"), found)
        sys.stdout.flush()
        os._exit(0)
