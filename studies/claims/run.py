#!/usr/bin/env python3
"""Test one claim of the article on one framework.

INPUTS      --claim   the name of a program in programs/
            --data    the folder of MNIST's arrays that load.py wrote
            --lock    the lock of the environment that this runs in
OUTPUTS     --output  JSON: the program, what each of its processes printed, the outcome
GUARANTEES  measures and does not judge by exit code: a claim that does not hold here has the
            outcome "no", with its reason; each process is an interpreter of its own with exactly
            the variables that the claim names

Runs on Python 3.7 to 3.13, TensorFlow 2.1 to 2.21.
"""

from __future__ import annotations

import argparse
import itertools
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Mapping

import numpy as np

from claims import judge
from samebits.errors import SamebitsError, run
from samebits.formats import canonical, dataset, lockfile
from samebits.text import say
from samebits.training import machine

FORMAT = "samebits-claim-1"
SAMPLES = 6400  # of MNIST's 60,000, so that all claims take minutes; stated on the page
_TRACEBACK = "Traceback (most recent call last):"
_LONGEST = 300  # characters of an error's message; Keras appends whole graphs


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Test one claim of the article.")
    parser.add_argument("--claim", required=True, choices=list(judge.CLAIMS))
    for name in ("data", "lock", "output"):
        parser.add_argument("--" + name, required=True, type=Path)
    return parser.parse_args()


def _process(program: Path, variables: Mapping[str, str], folder: Path) -> dict[str, Any]:
    """Run a program in an interpreter of its own: what it printed, and the error that ended it."""
    environment = dict(os.environ, **variables)
    environment.pop("PYTHONPATH", None)  # how this script finds samebits
    command = [sys.executable, "-s", str(program)]
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    sys.stderr.write(done.stderr)
    if done.returncode and _TRACEBACK not in done.stderr:
        raise SamebitsError(f"{program} ended with exit code {done.returncode}, see above")
    error = message(done.stderr) if done.returncode else None
    return {"variables": dict(variables), "lines": done.stdout.splitlines(), "error": error}


def message(stderr: str) -> str:
    """Type and text of the error that ended a program, on one line."""
    lines = stderr[stderr.rindex(_TRACEBACK) :].splitlines()[1:]
    text = " ".join(itertools.dropwhile(lambda line: line.startswith(" "), lines))
    name, colon, said = " ".join(text.split()).partition(":")
    return (name.rpartition(".")[2] + colon + said)[:_LONGEST]


def _examine(claim: str, data: Path) -> dict[str, Any]:
    """Run the claim's program as often as it asks for, and judge what it printed."""
    started, program = time.monotonic(), judge.PROGRAMS / f"{claim}.py"
    stored = dataset.read(data)
    with tempfile.TemporaryDirectory() as folder:
        x, y = (stored[name][:SAMPLES] for name in ("x_train", "y_train"))
        np.savez(str(Path(folder, "mnist.npz")), x=x, y=y)
        processes = [_process(program, v, Path(folder)) for v in judge.CLAIMS[claim].variables]
    word, reason = judge.outcome(claim, processes)
    return {
        "format": FORMAT,
        "claim": claim,
        "program": program.read_text(encoding="utf-8"),
        "processes": processes,
        "outcome": word,
        "reason": reason,
        "seconds": round(time.monotonic() - started, 3),
    }


def _versions(lock: Path) -> dict[str, str | None]:
    """Python, TensorFlow and Keras of this environment; Keras is None where TensorFlow has it."""
    record = lockfile.environment(lock)
    packages = {package["name"]: package["version"] for package in record["packages"]}
    return {
        "python": record["python"]["version"],
        "tensorflow": packages["tensorflow-cpu"],
        "keras": packages.get("keras"),
        "lock": record["lock"],
    }


def main() -> int:
    """Test the claim, write what came out."""
    options = _arguments()
    versions, data = _versions(options.lock), dataset.check(options.data)
    found = _examine(options.claim, options.data)
    where = machine.record()
    found.update(
        experiment={"dataset": data, "samples": SAMPLES},
        versions=versions,
        machine={key: where[key] for key in ("cpu", "cpus", "os")},
    )
    canonical.write_json(options.output, found)
    say(f"{options.claim} on TensorFlow {versions['tensorflow']}: {found['outcome']}")
    return 0


if __name__ == "__main__":
    run(main)
