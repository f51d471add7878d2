"""scripts/bootstrap.sh: the driver's environment, where there is only a Python with pip."""

import json
import os
import shutil
import signal
import subprocess
import sys
import tarfile
import time
from pathlib import Path

import pytest

import pythons
from samebits.environments import interpreters
from samebits.formats import files, lockfile

pytestmark = pytest.mark.environment

ROOT = Path(__file__).resolve().parents[2]
DRIVER = ROOT / "envs" / "driver.lock.txt"
LONGEST = 120  # seconds for one bootstrap
BASE = f"{sys.base_prefix}/bin/python3.11"


def command(checkout: Path) -> list[str]:
    return ["bash", str(checkout / "scripts" / "bootstrap.sh"), "driver"]


def bootstrap(checkout: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(checkout),
        env=os.environ | {"SAMEBITS_PYTHON_3_11": BASE} | variables,
        capture_output=True,
        text=True,
        timeout=LONGEST,
        check=False,
    )


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """One whose driver is two packages: enough to see that uv comes first and the rest by uv."""
    folder = tmp_path / "check out"
    shutil.copytree(ROOT / "scripts", folder / "scripts", ignore=shutil.ignore_patterns("__*__"))
    (folder / "envs").mkdir()
    small = lockfile.read(DRIVER).keep(("uv", "attrs").__contains__)
    lock_of(folder).write_text(small.text())
    return folder


def lock_of(checkout: Path) -> Path:
    return checkout / "envs" / "driver.lock.txt"


def assert_whole(folder: Path) -> None:
    subprocess.run([folder / "bin" / "python", "-I", "-c", "import attrs"], check=True)
    subprocess.run([folder / "bin" / "uv", "--version"], check=True, stdout=subprocess.DEVNULL)
    names = {path.name for path in folder.parent.iterdir()}
    assert names == {"envs", "scripts", ".venv", "..venv.lock", ".venv.tools.lock"}


def test_a_home_that_pip_and_uv_know_nothing_of_is_enough(checkout: Path, tmp_path: Path) -> None:
    hostile = {
        "HOME": str(tmp_path),
        "PIP_TARGET": str(tmp_path / "target"),
        "PIP_CONSTRAINT": str(tmp_path / "none.txt"),
        "PYTHONPATH": str(ROOT / "tests"),
    }
    done = bootstrap(checkout, **hostile)
    assert (done.returncode, done.stderr.count("error")) == (0, 0), done.stderr
    assert done.stdout == f"{checkout}/.venv\n"
    assert_whole(checkout / ".venv")
    assert not (tmp_path / "target").exists()
    before = written(checkout)
    lock_of(checkout).touch()
    again = bootstrap(checkout)
    assert (again.returncode, again.stdout, again.stderr) == (0, done.stdout, "")
    assert written(checkout) == before, "the same lock is not installed again"


def written(checkout: Path) -> dict[str, int]:
    kept = (path for path in checkout.rglob("*") if path != lock_of(checkout))
    return {str(path): path.lstat().st_mtime_ns for path in kept}


@pytest.mark.slow
def test_two_at_once_and_one_that_was_killed_leave_one_whole(checkout: Path) -> None:
    variables = os.environ | {"SAMEBITS_PYTHON_3_11": BASE}
    with subprocess.Popen(command(checkout), env=variables, stderr=subprocess.DEVNULL) as killed:
        end = time.monotonic() + LONGEST
        while not (checkout / ".venv.tools" / "bin").exists():
            assert time.monotonic() < end, "it did not come to that"
            time.sleep(0.01)
        killed.send_signal(signal.SIGKILL)
    assert not (checkout / ".venv").exists()
    running = [subprocess.Popen(command(checkout), env=variables) for _ in range(2)]
    assert [process.wait(LONGEST) for process in running] == [0, 0]
    assert_whole(checkout / ".venv")


@pytest.mark.slow
def test_a_wrong_digest_of_uv_is_refused_and_nothing_is_left(checkout: Path) -> None:
    lock = lock_of(checkout)
    uv = next(p for p in lockfile.read(lock).packages if p.name == "uv")
    lock.write_text(lock.read_text().replace(uv.sha256, "0" * 64))
    done = bootstrap(checkout)
    assert done.returncode == 1
    assert "0" * 64 in done.stderr
    assert f"error: pip could not install uv=={uv.version}" in done.stderr
    names = {path.name for path in checkout.iterdir()}
    assert names == {"envs", "scripts", ".venv.tools.lock"}


# Of the versions that bootstrap starts with, those that are not 3.11, oldest first.
OTHERS = pythons.installed(("3.9", "3.10", "3.12", "3.13", "3.14"))


@pytest.fixture
def without(tmp_path: Path) -> dict[str, str]:
    """Variables of a machine that has a Python, and no 3.11."""
    if (python := next(iter(OTHERS.values()), None)) is None:
        pytest.skip("no other Python here")
    path = tmp_path / "path"
    path.mkdir()
    for name in [
        "bash",
        "sh",
        "cut",
        "dirname",
        "flock",
        "grep",
        "head",
        "mkdir",
        "rm",
        "sha256sum",
    ]:
        (path / name).symlink_to(str(shutil.which(name)))
    (path / "python3").write_text(f'#!/bin/sh\nexec {python} "$@"\n')
    (path / "python3").chmod(0o755)
    return {
        "PATH": str(path),
        "HOME": str(tmp_path),
        "PYENV_ROOT": str(tmp_path),
        "SAMEBITS_PYTHON_3_11": "",
        "UV_PYTHON_INSTALL_DIR": str(tmp_path / "pythons"),
        "UV_PYTHON_DOWNLOADS_JSON_URL": str(tmp_path / "downloads.json"),
    }


def offer(archive: Path, listed: Path) -> None:
    """List a Python 3.11 for uv: a program that starts the one of this machine."""
    inside = archive.parent / "archive" / "python"
    (inside / "lib/python3.11").mkdir(parents=True)
    built = "_sysconfigdata__linux_x86_64-linux-gnu.py"
    (inside / "lib/python3.11" / built).write_text(
        "# system configuration generated and used by the sysconfig module\nbuild_time_vars = {}\n"
    )
    (inside / "bin").mkdir()
    (inside / "bin/python3.11").write_text(f'#!/bin/sh\nexec {BASE} "$@"\n')
    (inside / "bin/python3.11").chmod(0o755)
    with tarfile.open(archive, "w:gz") as file:
        file.add(inside, "python")
    version = {"major": 3, "minor": 11, "patch": 9, "prerelease": "", "variant": None}
    machine = {"arch": {"family": "x86_64", "variant": None}, "os": "linux", "libc": "gnu"}
    where = {"url": archive.as_uri(), "sha256": files.digest(archive), "build": "20240814"}
    name = "cpython-3.11.9-linux-x86_64-gnu"
    listed.write_text(json.dumps({name: {"name": "cpython", **version, **machine, **where}}))


def test_where_there_is_no_python_311_uv_brings_one_after_a_line_that_says_so(
    checkout: Path, without: dict[str, str], tmp_path: Path
) -> None:
    offer(tmp_path / "python.tar.gz", tmp_path / "downloads.json")
    done = bootstrap(checkout, **without)
    assert done.returncode == 0, done.stderr
    assert "no Python 3.11 found; uv downloads one (about 30 MB)\n" in done.stderr
    assert_whole(checkout / ".venv")
    assert interpreters.probe(checkout / ".venv/bin/python", "3.11")


@pytest.mark.slow
def test_where_none_can_be_downloaded_every_place_that_was_looked_at_is_named(
    checkout: Path, without: dict[str, str], tmp_path: Path
) -> None:
    offer(tmp_path / "python.tar.gz", tmp_path / "downloads.json")
    (tmp_path / "python.tar.gz").unlink()
    done = bootstrap(checkout, **without)
    assert done.returncode == 1
    assert "CPython 3.11 not found. Looked at:" in done.stderr
    assert "PATH (python3.11): none" in done.stderr
    assert "or name one with SAMEBITS_PYTHON_3_11=PATH\n" in done.stderr
    assert not (checkout / ".venv").exists()


def test_without_any_python_the_next_step_is_said(checkout: Path, without: dict[str, str]) -> None:
    Path(without["PATH"], "python3").unlink()
    done = bootstrap(checkout, **without)
    assert done.returncode == 1
    assert "error: expected Python 3.9 or newer on PATH, got none" in done.stderr
    assert {path.name for path in checkout.iterdir()} == {"envs", "scripts"}


def test_offline_builds_nothing(checkout: Path) -> None:
    done = subprocess.run([*command(checkout), "--offline"], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (2, f"{checkout}/.venv\n")
    assert f"run: '{checkout}/scripts/bootstrap.sh' driver" in done.stderr
    assert {path.name for path in checkout.iterdir()} == {"envs", "scripts"}


@pytest.mark.parametrize("python", OTHERS.values(), ids=OTHERS)
def test_what_builds_an_environment_runs_on_every_python_that_starts_it(python: str) -> None:
    done = subprocess.run([python, ROOT / "scripts/environment.py", "--help"], capture_output=True)
    assert done.returncode == 0, done.stderr
