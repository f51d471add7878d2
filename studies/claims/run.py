#!/usr/bin/env python3
"""Test one claim of the article on one framework.

INPUTS      --claim   the name of a program in programs/
            --data    the folder of MNIST's arrays that load.py wrote
            --lock    the lock of the environment that this runs in
OUTPUTS     --output  JSON: the program, the output of each of its processes, the outcome
GUARANTEES  measures and does not judge by exit code: a claim that does not hold here has the
            outcome "no", with its reason; each process is an interpreter of its own with exactly
            the variables that the claim names

Runs on Python 3.7 to 3.13, TensorFlow 2.1 to 2.21.
"""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from claims import judge
from samebits.arguments import parser
from samebits.errors import SamebitsError, run
from samebits.formats import canonical, dataset, lockfile
from samebits.observation import machine
from samebits.text import say

_TRACEBACK = "Traceback (most recent call last):"
_LONGEST = 300  # characters of an error's message; Keras appends whole graphs


def _process(variables: str, program: Path, folder: Path) -> dict[str, Any]:
    """Run a program in an interpreter of its own: its output, and the error that ended it."""
    environment = dict(os.environ, **dict(v.split("=") for v in variables.split()))
    environment.pop("PYTHONPATH", None)  # how this script finds samebits
    command = [sys.executable, "-s", str(program)]
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    sys.stderr.write(done.stderr)
    if done.returncode and _TRACEBACK not in done.stderr:
        raise SamebitsError(f"{program} ended with exit code {done.returncode}, see above")
    error = message(done.stderr) if done.returncode else None
    typed = f"{variables} python {program.name}".strip()
    return {"command": typed, "lines": done.stdout.splitlines(), "error": error}


def message(stderr: str) -> str:
    """Type and text of the error that ended a program, on one line."""
    lines = stderr[stderr.rindex(_TRACEBACK) :].splitlines()[1:]
    text = " ".join(itertools.dropwhile(lambda line: line.startswith(" "), lines))
    name, colon, said = " ".join(text.split()).partition(":")
    return (name.rpartition(".")[2] + colon + said)[:_LONGEST]


def _processes(claim: str, data: Path) -> list[dict[str, Any]]:
    """Run a claim's program as often as it asks for, on the first images."""
    stored, program = dataset.read(data), judge.PROGRAMS / f"{claim}.py"
    x, y = (stored[name][: judge.SAMPLES] for name in ("x_train", "y_train"))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        np.savez(str(folder / "mnist.npz"), x=x, y=y)
        return [_process(variables, program, folder) for variables in judge.CLAIMS[claim][0]]


def main() -> int:
    """Test the claim, write the outcome."""
    flags = parser(__doc__, "data", "lock", "output")
    flags.add_argument("--claim", required=True, choices=list(judge.CLAIMS))
    options, started = flags.parse_args(), time.monotonic()
    environment = lockfile.environment(options.lock)
    packages = {package["name"]: package["version"] for package in environment["packages"]}
    processes = _processes(options.claim, options.data)
    outcome, reason = judge.outcome(options.claim, processes)
    found = {
        "claim": options.claim,
        "program": (judge.PROGRAMS / f"{options.claim}.py").read_text(encoding="utf-8"),
        "processes": processes,
        "outcome": outcome,
        "reason": reason,
        "seconds": round(time.monotonic() - started, 3),
        "dataset": dataset.check(options.data),
        "python": environment["python"]["version"],
        "tensorflow": packages["tensorflow-cpu"],
        "keras": packages.get("keras"),  # None where TensorFlow has it
        "machine": "{cpu}, {cpus} CPUs, {os}".format(**machine.record()),
    }
    canonical.write_json(options.output, found)
    say(f"{options.claim} on TensorFlow {found['tensorflow']}: {outcome}")
    return 0


if __name__ == "__main__":
    run(main)
