"""scripts/bootstrap.sh: the driver's environment, where there is only a Python with pip."""

import os
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


def command(folder: Path, lock: Path, python: str = BASE) -> list[str]:
    return ["bash", str(ROOT / "scripts" / "bootstrap.sh"), python, str(folder), str(lock)]


def bootstrap(
    folder: Path, lock: Path, python: str = BASE, **variables: str
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(folder, lock, python),
        env=dict(os.environ, **variables),
        capture_output=True,
        text=True,
        timeout=LONGEST,
        check=False,
    )


@pytest.fixture
def lock(tmp_path: Path) -> Path:
    """Two packages of the driver: enough to see that uv comes first and the rest by uv."""
    path = tmp_path / "small.lock.txt"
    path.write_text(lockfile.read(DRIVER).keep(("uv", "attrs").__contains__).text())
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "checkout" / ".venv"


def assert_whole(folder: Path) -> None:
    assert (folder / "ready").is_file()
    subprocess.run([folder / "bin" / "python", "-I", "-c", "import attrs"], check=True)
    subprocess.run([folder / "bin" / "uv", "--version"], check=True, stdout=subprocess.DEVNULL)
    names = {path.name for path in folder.parent.iterdir()}
    assert names == {".venv", "..venv.lock", ".venv.tools.lock"}


def test_a_home_that_pip_and_uv_know_nothing_of_is_enough(
    folder: Path, lock: Path, tmp_path: Path
) -> None:
    hostile = {
        "HOME": str(tmp_path),
        "PIP_TARGET": str(tmp_path / "target"),
        "PIP_CONSTRAINT": str(tmp_path / "none.txt"),
        "PYTHONPATH": str(ROOT / "tests"),
    }
    done = bootstrap(folder, lock, **hostile)
    assert (done.returncode, done.stderr.count("error")) == (0, 0), done.stderr
    assert_whole(folder)
    assert not (tmp_path / "target").exists()
    before = (folder / "ready").stat().st_mtime_ns
    again = bootstrap(folder, lock)
    assert (again.returncode, again.stdout) == (0, "")
    assert (folder / "ready").stat().st_mtime_ns > before


@pytest.mark.slow
def test_two_at_once_and_one_that_was_killed_leave_one_whole(folder: Path, lock: Path) -> None:
    with subprocess.Popen(command(folder, lock), stderr=subprocess.DEVNULL) as killed:
        end = time.monotonic() + LONGEST
        while not (folder.parent / ".venv.tools" / "bin").exists():
            assert time.monotonic() < end, "it did not come to that"
            time.sleep(0.01)
        killed.send_signal(signal.SIGKILL)
    assert not folder.exists()
    running = [subprocess.Popen(command(folder, lock)) for _ in range(2)]
    assert [process.wait(LONGEST) for process in running] == [0, 0]
    assert_whole(folder)


def test_a_wrong_digest_of_uv_is_refused_and_nothing_is_left(folder: Path, lock: Path) -> None:
    uv = next(p for p in lockfile.read(lock).packages if p.name == "uv")
    lock.write_text(lock.read_text().replace(uv.sha256, "0" * 64))
    done = bootstrap(folder, lock)
    assert done.returncode == 1
    assert "0" * 64 in done.stderr
    assert f"error: pip could not install uv=={uv.version}" in done.stderr
    assert [path.name for path in folder.parent.iterdir()] == [".venv.tools.lock"]


@pytest.mark.parametrize("python", ["/nonexistent/python3.11", "python3.12"])
def test_a_wrong_python_is_named(folder: Path, lock: Path, tmp_path: Path, python: str) -> None:
    other = tmp_path / "python3.12"
    other.write_text('#!/bin/sh\n[ "$1" = --version ] && echo Python 3.12.1\nexit 1\n')
    other.chmod(0o755)
    done = bootstrap(folder, lock, python, PATH=f"{tmp_path}:{os.environ['PATH']}")
    assert done.returncode == 1
    assert f"expected Python 3.11 as '{python}'" in done.stderr
    assert "make PYTHON=" in done.stderr
    assert not folder.parent.exists()
