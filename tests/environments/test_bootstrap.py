"""scripts/bootstrap.sh: the driver's environment, where there is only a Python with pip."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from samebits.formats import lockfile

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


@pytest.mark.parametrize("python", ["/nonexistent/python3.11", "python3.12"])
def test_a_wrong_python_is_named(checkout: Path, tmp_path: Path, python: str) -> None:
    other = tmp_path / "python3.12"
    other.write_text('#!/bin/sh\n[ "$1" = --version ] && echo Python 3.12.1\nexit 1\n')
    other.chmod(0o755)
    path = f"{tmp_path}:{os.environ['PATH']}"
    done = bootstrap(checkout, SAMEBITS_PYTHON_3_11=python, PATH=path)
    assert done.returncode == 1
    assert f"expected Python 3.11 as '{python}'" in done.stderr
    assert "SAMEBITS_PYTHON_3_11=" in done.stderr
    assert {path.name for path in checkout.iterdir()} == {"envs", "scripts"}
