"""A disk that is full in the middle of a stage: told, nothing half-written, and gone on from."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

import factories
import in_process
import killing
from pipeline import SCRIPTS, Workspace
from samebits.formats import canonical

Mount = Callable[[Path, str], None]


def tmpfs(folder: Path, size: str, *options: str) -> None:
    flags = ",".join([*options, f"size={size}"])
    mount = shutil.which("mount") or "mount"
    subprocess.run([mount, "-t", "tmpfs", "-o", flags, "none", str(folder)], check=True)


def resize(folder: Path, size: str) -> None:
    tmpfs(folder, size, "remount")


@pytest.fixture
def small_disk() -> Iterator[Mount]:
    """Mount a disk of a size; it is gone at the end."""
    if os.getuid() != 0:
        pytest.skip("a small disk is mounted by root only")
    with ExitStack() as mounted:

        def mount(folder: Path, size: str) -> None:
            folder.mkdir(parents=True, exist_ok=True)
            try:
                tmpfs(folder, size)
            except subprocess.CalledProcessError:
                pytest.skip("this machine lets nobody mount a disk")
            mounted.callback(subprocess.run, ["umount", "--lazy", str(folder)], check=True)

        yield mount


@pytest.mark.slow
def test_a_checkpoint_that_does_not_fit_is_told_and_the_run_goes_on_from_the_one_before(
    tmp_path: Path, workspace: Workspace, small_disk: Mount
) -> None:
    made = killing.training(tmp_path, workspace)
    assert made.run("undisturbed") == 0, made.log("undisturbed")
    small_disk(made.checkpoints().parent, "2m")  # for one checkpoint, and not for two
    assert made.run() == 1
    said = made.log()
    assert ": No space left on device '" in said and "free some space and start" in said
    assert not made.output().exists()
    assert [p.name for p in sorted(made.checkpoints().iterdir())] == ["0001"]
    resize(made.checkpoints().parent, "64m")
    assert made.run() == 0, made.log()
    assert made.record()["checkpoints"]["resumed"] == [1]
    assert made.result() == made.result("undisturbed")


@pytest.mark.process
def test_a_certificate_that_does_not_fit_is_not_there_and_is_issued_when_there_is_space(
    tmp_path: Path, small_disk: Mount
) -> None:
    space = factories.workspace(tmp_path / "space")
    folder = tmp_path / "disk"
    small_disk(folder, "8k")
    load_lock = tmp_path / "load.lock.txt"
    load_lock.write_text(factories.LOAD_LOCK)
    flags = [
        "--config", space.config, "--name", "default",
        "--lock", space.lock, "--load-record", space.load_record,
        *(part for run in space.runs for part in ("--run", run)),
        "--comparison", space.comparison, "--output", folder / "certificate.json",
        "--dependency", f"envs/{space.lock.name}={space.lock}",
        "--dependency", f"envs/load.lock.txt={load_lock}",
    ]  # fmt: skip
    done = in_process.stage("certify", *flags)
    assert done.returncode == 1
    assert f"error: No space left on device '{folder}/certificate" in done.stderr
    assert list(folder.iterdir()) == []
    resize(folder, "8m")
    assert in_process.stage("certify", *flags).returncode == 0
    report = canonical.read_json(folder / "certificate.json")["report"]
    assert report["verdict"] == "REPRODUCIBLE"


@pytest.mark.process
def test_a_limit_on_the_size_of_files_is_told_like_a_full_disk(tmp_path: Path) -> None:
    """A quota by another name: Python ignores SIGXFSZ, the write fails with EFBIG."""
    path = tmp_path / "weights.safetensors"
    program = f"""
import resource, sys
sys.path.insert(0, {str(SCRIPTS)!r})
from pathlib import Path
from samebits import errors
from samebits.formats import files
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
errors.run(lambda: files.write_bytes(Path({str(path)!r}), bytes(8192)))
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "File too large" in done.stderr and "ulimit -f" in done.stderr
    assert f"'{path}'" in done.stderr
    assert list(tmp_path.iterdir()) == []
