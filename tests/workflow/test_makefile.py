"""What make says before it starts anything."""

import subprocess
from pathlib import Path

import pytest

from pipeline import ROOT


def make(*words: str) -> subprocess.CompletedProcess[str]:
    """What would be run, with environments taken as built."""
    built = [word for name in (".venv", ".venv-verify") for word in ("-o", f"{name}/ready")]
    command = ["make", "-n", *built, *words]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("target", ["verify", "replay"])
def test_without_a_certificate_the_next_step_is_said(target: str) -> None:
    done = make(target, "CERTIFICATE=")
    assert done.returncode == 2
    assert f"got none; for instance make {target} CERTIFICATE=results/" in done.stderr
    done = make(target, "CERTIFICATE=mine.json")
    assert done.returncode == 0, done.stderr


_ECHO = """#!/bin/sh
printf '%s\\n' "$@"
"""


@pytest.mark.parametrize(
    "overrides",
    [
        "seed=7 model=cnn",
        "data=npz data.path='/tmp/a b/größe.npz'",
        'data=npz data.path="/tmp/it\'s here.npz"',
        "trainer.loss={class_name: Huber, config: {delta: 2.0}}",
    ],
)
def test_overrides_reach_snakemake_as_they_were_typed(tmp_path: Path, overrides: str) -> None:
    stub = tmp_path / ".venv/bin/snakemake"
    stub.parent.mkdir(parents=True)
    stub.write_text(_ECHO)
    stub.chmod(0o755)
    # Below another make, as in CI, it would say which folder it is in.
    command = ["make", "--no-print-directory", "-f", str(ROOT / "Makefile")]
    command += ["-o", ".venv/ready", "certificate"]
    command += [f"OVERRIDES={overrides}"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["--cores", "all", "--config", f"overrides={overrides}"]
