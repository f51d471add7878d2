"""scripts/launch.py --limit-minutes: a script that hangs is ended with all that it started."""

import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from pipeline import LAUNCH, command
from samebits.launch import timeout

# It heeds no request to end, and neither does what it started.
DEAF = """
import os, signal, subprocess, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
code = "import time; time.sleep(600)"
child = subprocess.Popen([sys.executable, "-c", code])
print(os.getpid(), child.pid, flush=True)
print("epoch 2 begins", flush=True)
time.sleep(600)
"""
# It leaves when it is asked to, as a training with checkpoints does.
POLITE = """
import signal, sys, time
signal.signal(signal.SIGTERM, lambda *_: (print("saved", flush=True), sys.exit(143)))
print("ready", flush=True)
time.sleep(600)
"""


def launched(folder: Path, text: str, minutes: str) -> "subprocess.CompletedProcess[str]":
    (folder / "script.py").write_text(text)
    return command(
        *LAUNCH, sys.executable, "--log", folder / "log.txt",
        "--limit-minutes", minutes, "--", folder / "script.py", cwd=folder, check=False,
    )  # fmt: skip


def is_there(pid: int) -> bool:
    with suppress(psutil.NoSuchProcess):
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    return False


def test_a_script_that_hangs_is_stopped_with_its_last_output_and_a_next_step(
    tmp_path: Path,
) -> None:
    done = launched(tmp_path, POLITE, "0.02")
    assert done.returncode == 1
    for part in (
        f"error: {tmp_path / 'log.txt'}: time limit of 0.02 min exceeded; stopped",
        "min ago: ready.",
        "--set-resources train:runtime=MINUTES",
    ):
        assert part in done.stdout
    assert (tmp_path / "log.txt").read_text() == "ready\nsaved\n"


def test_in_a_job_its_scheduler_comes_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SLURM_JOB_ID", "12")
    assert launched(tmp_path, "import time\ntime.sleep(0.3)\n", "0.001").returncode == 0


def test_what_is_quick_enough_ends_as_without_a_limit(tmp_path: Path) -> None:
    assert launched(tmp_path, "print('done')\n", "5").returncode == 0
    failed = launched(tmp_path, "raise SystemExit(7)\n", "5")
    assert failed.returncode == 7 and "time limit" not in failed.stdout


def test_what_heeds_no_request_is_killed_with_all_that_it_started(tmp_path: Path) -> None:
    (tmp_path / "deaf.py").write_text(DEAF)
    log = tmp_path / "log.txt"
    with log.open("wb") as file:
        process = subprocess.Popen([sys.executable, str(tmp_path / "deaf.py")], stdout=file)
    try:
        while timeout.last_line(log) != "epoch 2 begins":
            assert process.poll() is None
            time.sleep(0.05)
        pids = [int(word) for word in log.read_text().split()[:2]]
        assert all(map(is_there, pids))
        timeout.stop(process.pid, grace=0.2)
        assert not any(map(is_there, pids))
    finally:
        process.kill()
        process.wait()


def test_the_parent_and_its_other_children_go_on() -> None:
    sleep = [sys.executable, "-c", "import time; time.sleep(600)"]
    with subprocess.Popen(sleep) as first, subprocess.Popen(sleep) as second:
        try:
            timeout.stop(first.pid)
            assert not is_there(first.pid)
            assert is_there(second.pid)
        finally:
            first.kill()
            second.kill()


@pytest.mark.parametrize("minutes", ["soon", ""])
def test_a_limit_that_is_no_number_is_wrong_usage(tmp_path: Path, minutes: str) -> None:
    assert launched(tmp_path, "", minutes).returncode == 2
