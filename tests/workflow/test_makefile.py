"""What make says before it starts anything."""

import subprocess

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
    assert "'mine.json'" in done.stdout
