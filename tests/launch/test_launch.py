"""scripts/launch.py: a pinned start, a log, and the script's own exit code."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pipeline import LAUNCH, SCRIPTS, command


def script(folder: Path, text: str) -> Path:
    path = folder / "script.py"
    path.write_text(text)
    return path


def test_variables_are_set_before_the_interpreter_starts_and_the_shells_are_dropped(
    tmp_path: Path,
) -> None:
    shown = script(
        tmp_path,
        "import os, sys\n"
        "print(sys.flags.hash_randomization, 'TF_X' in os.environ, os.environ['MINE'])\n",
    )
    log = tmp_path / "logs" / "log.txt"
    launch = [*LAUNCH, sys.executable, "--log", log, "PYTHONHASHSEED=0", "MINE=a b"]
    command(*launch, "--", shown, cwd=tmp_path, variables={"PYTHONHASHSEED": "9", "TF_X": "1"})
    assert log.read_text() == "0 False a b\n"


def test_a_failure_shows_the_end_of_the_log_its_path_and_the_exit_code(tmp_path: Path) -> None:
    failing = script(
        tmp_path, "for i in range(99): print('line', i, flush=True)\nraise SystemExit(7)\n"
    )
    log = tmp_path / "log.txt"
    done = command(
        *LAUNCH, sys.executable, "--log", log, "--", failing,
        cwd=tmp_path, check=False,
    )  # fmt: skip
    assert done.returncode == 7
    assert "line 98" in done.stdout
    assert "line 1\n" not in done.stdout
    assert str(log) in done.stdout


def test_a_signal_reaches_the_script(tmp_path: Path) -> None:
    waiting = script(tmp_path, "import time\nprint('ready', flush=True)\ntime.sleep(60)\n")
    log = tmp_path / "log.txt"
    launch = [*map(str, LAUNCH), sys.executable, "--log", str(log), "--", str(waiting)]
    with subprocess.Popen(launch, stderr=subprocess.DEVNULL) as running:
        end = time.monotonic() + 30
        while not (log.is_file() and log.read_bytes()) and time.monotonic() < end:
            time.sleep(0.05)
        os.kill(running.pid, signal.SIGTERM)
        assert running.wait(30) == 128 + signal.SIGTERM


def test_progress_reaches_the_terminal_and_the_log(tmp_path: Path) -> None:
    text = f"import sys; sys.path.insert(0, {str(SCRIPTS)!r})\n"
    saying = script(tmp_path, text + "from samebits.text import say\nsay('epoch 1')\n")
    log = tmp_path / "log.txt"
    done = command(*LAUNCH, sys.executable, "--log", log, "--", saying, cwd=tmp_path)
    assert done.stdout == "epoch 1\n"
    assert log.read_text() == "epoch 1\n"


def test_the_script_learns_that_nothing_was_varied_whatever_the_shell_sets(tmp_path: Path) -> None:
    shown = script(tmp_path, "import os\nprint(os.environ['SAMEBITS_VARIATIONS'])\n")
    log = tmp_path / "log.txt"
    shell = {"SAMEBITS_VARIATIONS": '{"applied": {"clock": "forged"}, "not_tried": {}}'}
    launch = [*LAUNCH, sys.executable, "--log", log, "--", shown]
    command(*launch, cwd=tmp_path, variables=shell)
    assert log.read_text() == '{"applied": {}, "not_tried": {}}\n'


def waiting(folder: Path, name: str, *flags: object) -> "subprocess.Popen[bytes]":
    """A launched script that holds the lease, its log named by ``name``; it has begun."""
    text = "import time, os\nprint(os.getpid(), flush=True)\ntime.sleep(60)\n"
    log = folder / f"{name}.txt"
    launch = [*LAUNCH, sys.executable, "--log", log, *flags, "--"]
    started = subprocess.Popen([*map(str, launch), script(folder, text)], stderr=subprocess.DEVNULL)
    end = time.monotonic() + 30
    while not (log.is_file() and log.read_bytes()):
        assert time.monotonic() < end
        time.sleep(0.05)
    return started


def test_a_second_script_for_one_output_is_refused_with_what_to_end(tmp_path: Path) -> None:
    held = tmp_path / "leases" / "control"
    second = [*LAUNCH, sys.executable, "--log", tmp_path / "2.txt", "--lease", held]
    with waiting(tmp_path, "1", "--lease", held) as first:
        done = command(*second, "--", tmp_path / "script.py", cwd=tmp_path, check=False)
        first.terminate()
    assert done.returncode == 1
    assert f"control: process {first.pid} on " in done.stdout
    assert f"kill {first.pid}, or wait until it has ended" in done.stdout
    assert not held.exists()
    assert not (tmp_path / "2.txt").exists()


def test_a_lease_outlives_a_launcher_that_was_killed_as_long_as_its_script(tmp_path: Path) -> None:
    held = tmp_path / "control"
    with waiting(tmp_path, "1", "--lease", held) as first:
        first.kill()
    child = int((tmp_path / "1.txt").read_text())
    quick = script(tmp_path, "")
    second = [*LAUNCH, sys.executable, "--log", tmp_path / "2.txt", "--lease", held]
    refused = command(*second, "--", quick, cwd=tmp_path, check=False)
    os.kill(child, signal.SIGKILL)
    assert "is still writing it" in refused.stdout
    end = time.monotonic() + 30
    while command(*second, "--", quick, cwd=tmp_path, check=False).returncode:
        assert time.monotonic() < end
    assert not held.exists()


def test_a_job_of_a_snakemake_that_was_found_dead_does_not_begin(tmp_path: Path) -> None:
    quick, held = script(tmp_path, ""), tmp_path / "control"
    launch = [*LAUNCH, sys.executable, "--log", tmp_path / "log", "--lease", held]
    of_dead = {"SAMEBITS_OWNER": str(tmp_path / "head")}
    done = command(*launch, "--", quick, cwd=tmp_path, variables=of_dead, check=False)
    assert done.returncode == 1
    assert "not needed any more" in done.stdout
    (tmp_path / "head").touch()
    command(*launch, "--", quick, cwd=tmp_path, variables=of_dead)


def test_a_signal_that_is_ignored_stays_ignored(tmp_path: Path) -> None:
    shown = script(tmp_path, "import os\nos.kill(os.getppid(), 1); os.kill(os.getpid(), 1)\n")
    log = tmp_path / "log.txt"
    launch = [*LAUNCH, sys.executable, "--log", log, "--", shown]
    command("sh", "-c", "trap '' HUP; exec \"$@\"", "sh", *launch, cwd=tmp_path)


def test_only_a_script_that_signs_receives_the_signing_key(tmp_path: Path) -> None:
    shown = script(
        tmp_path,
        "import os\nprint([n for n in sorted(os.environ) if n.startswith('SAMEBITS_SIGNING')])\n",
    )
    log = tmp_path / "log.txt"
    secrets = {"SAMEBITS_SIGNING_KEY": "a/place", "SAMEBITS_SIGNING_PASSPHRASE": "word"}
    launch = [*LAUNCH, sys.executable, "--log", log]
    command(*launch, "--", shown, cwd=tmp_path, variables=secrets)
    assert log.read_text() == "[]\n"
    command(*launch, "--signing", "--", shown, cwd=tmp_path, variables=secrets)
    assert log.read_text() == f"{sorted(secrets)}\n"


@pytest.mark.parametrize("named", ["path", "relative", "PATH"])
def test_the_script_runs_on_the_named_interpreter_in_its_environment(
    tmp_path: Path, named: str
) -> None:
    environment = tmp_path / "environment"
    command(sys.executable, "-m", "venv", "--without-pip", environment, cwd=tmp_path)
    shown = script(tmp_path, "import sys\nprint(sys.executable, sys.prefix)\n")
    forms = {"path": environment / "bin/python", "relative": "environment/bin/python"}
    line = [*LAUNCH, forms.get(named, "python"), "--log", "log.txt", "--", shown]
    # As an activated conda environment has it.
    search = os.pathsep.join([str(environment / "bin"), os.environ["PATH"]])
    command(*line, cwd=tmp_path, variables={"PATH": search})
    assert (tmp_path / "log.txt").read_text() == f"{environment}/bin/python {environment}\n"


def test_an_interpreter_that_is_not_there_is_wrong_usage(tmp_path: Path) -> None:
    line = [*LAUNCH, "none/bin/python", "--log", "log.txt", "--", script(tmp_path, "")]
    done = command(*line, cwd=tmp_path, check=False)
    assert done.returncode == 2 and "none/bin/python" in done.stdout
