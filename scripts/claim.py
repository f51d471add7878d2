#!/usr/bin/env python3
"""Test one claim of the article on one framework.

INPUTS      --claim   the claim's key in samebits/claims.py
            --data    the folder of MNIST's arrays that load.py wrote
            --lock    the lock of the environment that this runs in
OUTPUTS     --output  JSON: the sentence, the programs, what each measured, the outcome
GUARANTEES  measures and does not judge by exit code: a claim that does not hold here is an
            outcome, "no", with its reason; each program runs in an interpreter of its own, with
            exactly the variables that the claim names

Runs on Python 3.7 to 3.13, TensorFlow 2.1 to 2.21.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

from samebits import article, claims
from samebits.errors import SamebitsError, run
from samebits.formats import arrays, canonical, lockfile
from samebits.text import say
from samebits.training import machine

FORMAT = "samebits-claim-1"
_SCRIPTS = Path(__file__).resolve().parent


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Test one claim of the article.")
    parser.add_argument("--claim", required=True, choices=list(claims.BY_KEY))
    for name in ("data", "lock", "output"):
        parser.add_argument("--" + name, required=True, type=Path)
    return parser.parse_args()


def _measure(claim: claims.Claim, number: int, data: Path) -> Any:
    """Run one of a claim's programs in an interpreter of its own; what it measured."""
    with tempfile.TemporaryDirectory() as folder:
        result = Path(folder, "measured.json")
        command = [sys.executable, "-s", "-m", article.__name__]
        command += ["--claim", claim.key, "--program", str(number)]
        command += ["--data", str(data.resolve()), "--output", str(result)]
        variables = dict(os.environ, **claim.programs[number].variables)
        code = subprocess.call(command, cwd=str(_SCRIPTS), env=variables)
        if code:
            raise SamebitsError(
                f"{article.__name__}: expected a program of the claim to end with 0, got {code}; its own message is "
                "above"
            )
        return canonical.read_json(result)


def _examine(claim: claims.Claim, data: Path) -> dict[str, Any]:
    """Run the claim's programs and judge what they measured."""
    started = time.monotonic()
    programs = [
        dict(asdict(program), measured=_measure(claim, number, data))
        for number, program in enumerate(claim.programs)
    ]
    outcome, reason = claims.outcome(claim, [program["measured"] for program in programs])
    return {
        "format": FORMAT,
        "claim": claim.key,
        "sentence": claim.sentence,
        "outcome": outcome,
        "reason": reason,
        "programs": programs,
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
    versions, dataset = _versions(options.lock), arrays.check_arrays(options.data)
    found = _examine(claims.BY_KEY[options.claim], options.data)
    where = machine.record()
    found.update(
        experiment={"dataset": dataset, "samples": claims.SAMPLES, "epochs": claims.EPOCHS},
        versions=versions,
        machine={key: where[key] for key in ("cpu", "cpus", "os")},
    )
    canonical.write_json(options.output, found)
    say("{} on TensorFlow {}: {}".format(options.claim, versions["tensorflow"], found["outcome"]))
    return 0


if __name__ == "__main__":
    run(main)
