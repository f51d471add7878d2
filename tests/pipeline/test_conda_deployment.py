"""`snakemake --sdm conda` with this project's environments, and its refusals."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from conda_standin import CondaStandin
from pipeline import ROOT
from samebits.formats import installed, lockfile

SNAKEFILE = """
rule one:
    output: "packages.json"
    conda: "envs/compare.yaml"
    shell: "python seen.py > {output}"
"""
# What the job's own Python sees.
PROGRAM = """
import json, sys
from importlib.metadata import version
print(json.dumps({"prefix": sys.prefix, "numpy": version("numpy"), "path": sys.path}))
"""
LOCKED = {p.name: p.version for p in lockfile.read(ROOT / "envs" / "compare.lock.txt").packages}


@pytest.fixture
def workflow(tmp_path: Path, conda: CondaStandin) -> Path:
    """A workflow of one rule with a copy of the environment `compare`."""
    (tmp_path / "envs").mkdir()
    for path in (ROOT / "envs").glob("compare.*"):
        shutil.copy(path, tmp_path / "envs")
    conda.localize(tmp_path / "envs")
    (tmp_path / "Snakefile").write_text(SNAKEFILE)
    (tmp_path / "seen.py").write_text(PROGRAM)
    return tmp_path


def snakemake(
    workflow: Path, conda: CondaStandin, *flags: str, **variables: str
) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "snakemake", "--sdm", "conda", "--cores", "1", *flags]
    environ = {**os.environ, **conda.environ(), **variables}
    return subprocess.run(
        command, cwd=workflow, env=environ, capture_output=True, text=True, check=False
    )


def edit(path: Path, pattern: str, new: str) -> None:
    text, changes = re.subn(pattern, new, path.read_text())
    assert changes
    path.write_text(text)


def prefixes(workflow: Path) -> list[Path]:
    """The environments that Snakemake would use: it marks the finished ones with a file beside."""
    marks = (workflow / ".snakemake" / "conda").glob("*.env_setup_done")
    return [mark.with_suffix("") for mark in marks]


def assert_refused(done: subprocess.CompletedProcess[str], workflow: Path, *parts: str) -> None:
    assert done.returncode != 0
    assert [part for part in parts if part not in done.stderr] == [], done.stderr
    assert prefixes(workflow) == []
    assert not (workflow / "packages.json").exists()


def hostile_user(workflow: Path) -> dict[str, str]:
    """Settings of a user that would install, or find, packages elsewhere."""
    settings = workflow / "pip.conf"
    settings.write_text("[global]\nrequire-virtualenv = true\n[install]\nuser = true\n")
    return {
        "PIP_CONFIG_FILE": str(settings),
        "PIP_TARGET": str(workflow / "target"),
        "PYTHONPATH": "/nonexistent-of-the-user",
        "PYTHONUSERBASE": str(workflow / "user"),
    }


@pytest.mark.slow
def test_the_job_runs_in_a_prefix_with_the_locked_wheels(
    workflow: Path, conda: CondaStandin
) -> None:
    done = snakemake(workflow, conda, **hostile_user(workflow))
    assert done.returncode == 0, done.stderr
    seen = json.loads((workflow / "packages.json").read_text())
    assert [Path(seen["prefix"])] == prefixes(workflow)
    assert seen["numpy"] == LOCKED["numpy"]
    assert "Failed to install conda environment from pin file" not in done.stderr
    assert not any((workflow / name).exists() for name in ("target", "user"))
    (prefix,) = prefixes(workflow)
    assert installed.problems(prefix) == []
    site = prefix / "lib/python3.11/site-packages"
    with (site / "numpy/__init__.py").open("a") as file:
        file.write("FACTOR = 2\n")
    (site / "start.pth").write_text("import os\n")
    assert [line.rpartition("site-packages/")[2] for line in installed.problems(prefix)] == [
        "numpy/__init__.py: was changed after it was installed",
        "start.pth: was not installed from the lock",
    ]


def test_a_wheel_with_another_digest_is_refused(workflow: Path, conda: CondaStandin) -> None:
    script = workflow / "envs" / "compare.post-deploy.sh"
    edit(script, r"(numpy==\S+ --hash=sha256:)\w{8}", r"\g<1>00000000")
    done = snakemake(workflow, conda)
    assert_refused(done, workflow, "DO NOT MATCH THE HASHES", "numpy")


@pytest.mark.slow
def test_an_archive_with_another_digest_is_refused_although_snakemake_falls_back(
    workflow: Path, conda: CondaStandin
) -> None:
    pins = workflow / "envs" / "compare.linux-64.pin.txt"
    edit(pins, r"(/python-\S+#)\w{8}", r"\g<1>00000000")
    done = snakemake(workflow, conda)
    fell_back = "Trying regular environment definition file"
    assert_refused(done, workflow, "ChecksumMismatch", fell_back, "in compare.linux-64.pin.txt")


@pytest.mark.slow
def test_a_refused_environment_is_built_once_it_is_right_again(
    workflow: Path, conda: CondaStandin
) -> None:
    pins = workflow / "envs" / "compare.linux-64.pin.txt"
    right = pins.read_text()
    edit(pins, r"(/python-\S+#)\w{8}", r"\g<1>00000000")
    assert snakemake(workflow, conda).returncode != 0
    pins.write_text(right)
    assert snakemake(workflow, conda).returncode == 0


@pytest.mark.slow
def test_another_lock_makes_another_environment(workflow: Path, conda: CondaStandin) -> None:
    """Snakemake hashes the post-deploy script, and the lock is in it."""
    only = ["--conda-create-envs-only"]
    assert snakemake(workflow, conda, *only).returncode == 0
    edit(workflow / "envs" / "compare.post-deploy.sh", "# from: compare.in", "# from: other.in")
    assert snakemake(workflow, conda, *only).returncode == 0
    assert len(prefixes(workflow)) == 2
