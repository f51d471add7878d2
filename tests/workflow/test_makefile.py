"""What make passes on to ./samebits, and what it says before it starts anything."""

import subprocess
from pathlib import Path

import pytest

from pipeline import ROOT

pytestmark = pytest.mark.process

_ECHO = """#!/bin/sh
printf '%s\\n' "$@"
"""


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A folder whose samebits prints its words."""
    program = tmp_path / "samebits"
    program.write_text(_ECHO)
    program.chmod(0o755)
    return tmp_path


def make(checkout: Path, *words: str) -> subprocess.CompletedProcess[str]:
    # Below another make, as in CI, it would say which folder it is in.
    command = ["make", "--no-print-directory", "-f", str(ROOT / "Makefile"), *words]
    return subprocess.run(command, cwd=checkout, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("target", ["verify", "replay"])
def test_without_a_certificate_the_next_step_is_said(checkout: Path, target: str) -> None:
    done = make(checkout, target, "CERTIFICATE=")
    assert done.returncode == 2
    assert f"got none; for instance make {target} CERTIFICATE=results/" in done.stderr
    done = make(checkout, target, "CERTIFICATE=it's mine.json")
    assert done.stdout.splitlines() == [target, "it's mine.json"], done.stderr


WORDS = [
    "data.path=/tmp/a b/größe.npz",
    'data.x="/tmp/it\'s \\"here\\".npz"',
    "name=$HOME `id` #1",
    "seed=7",
    "trainer.epochs=5",
    "trainer.loss={class_name: Huber, config: {delta: 2.0}}",
]


@pytest.mark.parametrize("target", ["certificate", "bundle", "repair", "replay"])
def test_what_the_command_line_sets_is_passed_on_as_it_was_typed(
    checkout: Path, target: str
) -> None:
    own = ["CERTIFICATE=x.zip"] if target == "replay" else []
    done = make(checkout, target, *own, *WORDS)
    assert done.stdout.splitlines() == [target, *["x.zip"] * len(own), *WORDS], done.stderr


def test_an_unknown_variable_certifies_no_default_silently(checkout: Path) -> None:
    assert make(checkout, "certificate", "MODEL=cnn").stdout.splitlines()[1:] == ["MODEL=cnn"]
