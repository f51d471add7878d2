"""scripts/launch.py: a pinned start, a log, a lease, a time limit, and the script's exit code."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from pipeline import LAUNCH, SCRIPTS, command
from samebits.launch import logs, timeout

pytestmark = pytest.mark.process

LONGEST = 30  # seconds to wait for anything


@dataclass(frozen=True)
class Launcher:
    """A folder with a script and its log."""

    folder: Path

    @property
    def log(self) -> str:
        return (self.folder / "log.txt").read_text()

    def line(self, text: str, *flags: object, log: str = "log.txt") -> list[str]:
        """The command that launches a script with this text."""
        (self.folder / "script.py").write_text(text)
        words = *LAUNCH, sys.executable, "--log", self.folder / log, *flags, "--", "script.py"
        return [str(word) for word in words]

    def run(
        self,
        text: str,
        *flags: object,
        code: int = 0,
        log: str = "log.txt",
        variables: Mapping[str, str] | None = None,
    ) -> str:
        """What the terminal shows; ``code``: the exit code that is expected."""
        line = self.line(text, *flags, log=log)
        done = command(*line, cwd=self.folder, check=False, variables=variables)
        assert done.returncode == code, done.stdout
        return done.stdout

    def waiting(self, *flags: object) -> "subprocess.Popen[bytes]":
        """A script that has begun, says who it is and sleeps."""
        text = "import time, os\nprint(os.getpid(), flush=True)\ntime.sleep(60)\n"
        line, log = self.line(text, *flags), self.folder / "log.txt"
        started = subprocess.Popen(line, cwd=self.folder, stderr=subprocess.DEVNULL)
        until(lambda: log.is_file() and bool(log.read_bytes()))
        return started


def until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + LONGEST
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)


@pytest.fixture
def launch(tmp_path: Path) -> Launcher:
    return Launcher(tmp_path)


def test_variables_are_set_before_the_interpreter_starts_and_the_shells_are_dropped(
    launch: Launcher,
) -> None:
    text = (
        "import os, sys\n"
        "print(sys.flags.hash_randomization, 'TF_X' in os.environ, os.environ['MINE'])\n"
        "print(os.environ['SAMEBITS_VARIATIONS'])\n"
        "print([n for n in sorted(os.environ) if n.startswith('SAMEBITS_SIGNING')])\n"
    )
    secrets = {"SAMEBITS_SIGNING_KEY": "a/place", "SAMEBITS_SIGNING_PASSPHRASE": "word"}
    forged = {"SAMEBITS_VARIATIONS": '{"applied": {"clock": "forged"}, "not_tried": {}}'}
    shell = {"PYTHONHASHSEED": "9", "TF_X": "1", **secrets, **forged}
    pinned = "PYTHONHASHSEED=0", "MINE=a b"
    launch.run(text, *pinned, log="logs/log.txt", variables=shell)
    said = ["0 False a b", '{"applied": {}, "not_tried": {}}']
    assert (launch.folder / "logs/log.txt").read_text().splitlines() == [*said, "[]"]
    launch.run(text, "--signing", *pinned, variables=shell)  # only what signs receives the key
    assert launch.log.splitlines() == [*said, f"{sorted(secrets)}"]


def test_a_script_runs_and_has_its_log_where_all_three_streams_are_closed(
    launch: Launcher,
) -> None:
    text = "import sys\nprint('out')\nprint('err', file=sys.stderr)\nraise SystemExit(7)\n"
    closed = ["sh", "-c", 'exec "$@" <&- >&- 2>&-', "sh"]
    command = [*closed, *launch.line(text)]
    assert subprocess.run(command, cwd=launch.folder, check=False).returncode == 7
    assert sorted(launch.log.splitlines()) == ["err", "out"]


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_a_process_has_three_streams_whatever_its_starter_closed(
    tmp_path: Path, closed: str
) -> None:
    program = (
        "import sys; sys.path.insert(0, sys.argv[1]); from samebits import errors; "
        "errors.open_streams(); file = open('made', 'w'); assert file.fileno() > 2; "
        "print('out'); print('err', file=sys.stderr); assert sys.stdin.isatty() in (True, False)"
    )
    line = ["sh", "-c", f'exec "$@" {closed}', "sh", sys.executable, "-c", program, str(SCRIPTS)]
    assert subprocess.run(line, cwd=tmp_path, check=False).returncode == 0


def test_an_isolated_script_gets_no_variable_of_the_user_and_folders_that_end_with_it(
    launch: Launcher,
) -> None:
    text = (
        "import os, pathlib, sys, tempfile\n"
        "tempfile.mkstemp()\n"
        "print(os.environ.get('FACTOR'), os.environ['MINE'], os.environ['HOME'])\n"
        "print(tempfile.gettempdir(), os.environ['KERAS_HOME'], sep='\\n')\n"
    )
    shell = {"FACTOR": "3", "XDG_CACHE_HOME": "/x", "HOME": str(launch.folder)}
    launch.run(text, "--isolated", "MINE=1", variables=shell)
    first, *folders = launch.log.splitlines()
    assert first == f"None 1 {launch.folder}"
    assert len(folders) == 2 and not any(Path(folder).exists() for folder in folders)


def test_a_killed_launchers_folders_are_removed_by_the_next_one(launch: Launcher) -> None:
    place = launch.folder / "temporary"
    place.mkdir()
    line = launch.line("import time; print(1, flush=True); time.sleep(60)", "--isolated")
    with subprocess.Popen(line, cwd=launch.folder, env=os.environ | {"TMPDIR": str(place)}) as one:
        until(lambda: (launch.folder / "log.txt").is_file() and bool(launch.log))
        (script,) = psutil.Process(one.pid).children()
        one.kill()
    launch.run("", variables={"TMPDIR": str(place)})
    assert len(list(place.iterdir())) == 1  # the script that it started lives
    script.kill()
    script.wait()
    launch.run("", variables={"TMPDIR": str(place)})
    assert list(place.iterdir()) == []


def test_a_failure_shows_the_scripts_own_explanation_the_log_and_the_exit_code(
    launch: Launcher,
) -> None:
    text = "print('line 1')\nprint('error: no x; give it')\nraise SystemExit(7)"
    assert launch.run(text, code=7) == f"error: {launch.folder / 'log.txt'}: no x; give it\n"
    assert "exit code 7" in launch.run("raise SystemExit(7)", code=7)


def test_progress_reaches_the_terminal_and_the_log(launch: Launcher) -> None:
    text = f"import sys; sys.path.insert(0, {str(SCRIPTS)!r})\n"
    said = launch.run(text + "from samebits.text import say\nsay('epoch 1')\n")
    assert said == launch.log == "epoch 1\n"


def test_lines_of_a_sweep_begin_with_the_combination(launch: Launcher) -> None:
    text = f"import sys; sys.path.insert(0, {str(SCRIPTS)!r})\n"
    text += "from samebits.text import say\nsay('control: epoch 1')\n"
    assert launch.run(text, "--label", "sweep/seed=1") == "seed=1 control: epoch 1\n"
    assert launch.log == "control: epoch 1\n"


@pytest.mark.parametrize(
    ("name", "said"),
    [("SIGABRT", "a library"), ("SIGSEGV", "a library"), ("SIGKILL", "memory runs out")],
)
def test_a_script_that_a_signal_ended_is_explained_on_the_terminal_and_in_the_log(
    launch: Launcher, name: str, said: str
) -> None:
    number = getattr(signal, name)
    text = f"import os\nprint('what it said', flush=True)\nos.kill(os.getpid(), {int(number)})"
    (shown,) = launch.run(text, code=128 + number).splitlines()
    assert f"log.txt: the script was ended by {name}: " in shown and said in shown
    before, last = launch.log.splitlines()
    assert before == "what it said" and last.startswith(f"error: the script was ended by {name}")


def test_of_a_training_that_a_signal_ended_the_last_primitive_is_told(
    launch: Launcher, tmp_path: Path
) -> None:
    made = "onednn_verbose,v1,primitive,create:cache_miss,cpu,{},jit:avx2,backward,f32,,,mb4,0.08\n"
    lines = "".join(made.format(kind) for kind in ("pooling", "convolution", "reorder"))
    text = f"import os\nos.write(1, {lines.encode()!r})\nos.abort()"
    shown = launch.run(text, "--lease", tmp_path / "lease", code=128 + signal.SIGABRT)
    last = "the last primitive that oneDNN made: convolution jit:avx2 backward mb4"
    assert shown.rstrip().endswith(last) and launch.log.rstrip().endswith(last)
    assert "onednn_verbose" not in launch.log


@pytest.mark.parametrize("text", ["raise SystemExit(143)", "raise SystemExit(1)"])
def test_a_script_that_ends_itself_is_not_said_to_have_crashed(launch: Launcher, text: str) -> None:
    assert "was ended by" not in launch.run(text, code=int(text[17:-1]))


def test_a_signal_reaches_the_script_and_one_that_is_ignored_stays_ignored(
    launch: Launcher,
) -> None:
    with launch.waiting() as running:
        running.terminate()
        assert running.wait(LONGEST) == 128 + signal.SIGTERM
    hang_up = "import os\nos.kill(os.getppid(), 1); os.kill(os.getpid(), 1)\n"
    trap = "sh", "-c", "trap '' HUP; exec \"$@\"", "sh"
    command(*trap, *launch.line(hang_up), cwd=launch.folder)


@pytest.mark.parametrize("named", ["path", "relative", "PATH"])
def test_the_script_runs_on_the_named_interpreter_in_its_environment(
    tmp_path: Path, named: str
) -> None:
    environment = tmp_path / "environment"
    command(sys.executable, "-m", "venv", "--without-pip", environment, cwd=tmp_path)
    (tmp_path / "script.py").write_text("import sys\nprint(sys.executable, sys.prefix)\n")
    forms = {"path": environment / "bin/python", "relative": "environment/bin/python"}
    line = [*LAUNCH, forms.get(named, "python"), "--log", "log.txt", "--", "script.py"]
    # As an activated conda environment has it.
    search = os.pathsep.join([str(environment / "bin"), os.environ["PATH"]])
    command(*line, cwd=tmp_path, variables={"PATH": search})
    assert (tmp_path / "log.txt").read_text() == f"{environment}/bin/python {environment}\n"


def test_an_interpreter_that_is_not_there_is_wrong_usage(tmp_path: Path) -> None:
    line = [*LAUNCH, "none/bin/python", "--log", "log.txt", "--", "script.py"]
    done = command(*line, cwd=tmp_path, check=False)
    assert done.returncode == 2 and "none/bin/python" in done.stdout


# --- leases -------------------------------------------------------------------------------------


def test_a_second_script_for_one_output_is_refused_with_what_to_end_also_in_the_log(
    launch: Launcher,
) -> None:
    held = launch.folder / "leases" / "control"
    with launch.waiting("--lease", held) as first:
        said = launch.run("", "--lease", held, code=1)
        own, *added = launch.log.splitlines(keepends=True)
        assert own.strip().isdigit() and added == [said]
        first.terminate()
    assert f"control: process {first.pid} on " in said
    assert f"kill {first.pid}, or wait until it has ended" in said
    assert not held.exists()


def test_a_lease_outlives_a_launcher_that_was_killed_as_long_as_its_script(
    launch: Launcher,
) -> None:
    held = launch.folder / "control"
    with launch.waiting("--lease", held) as first:
        first.kill()
    child = int(launch.log)
    said = launch.run("", "--lease", held, code=1, log="2.txt")
    os.kill(child, signal.SIGKILL)
    assert "is still writing it" in said
    second = launch.line("", "--lease", held)
    until(lambda: command(*second, cwd=launch.folder, check=False).returncode == 0)
    assert not held.exists()


def test_a_job_of_a_snakemake_that_was_found_dead_does_not_begin(launch: Launcher) -> None:
    owner, held = launch.folder / "owner", ("--lease", launch.folder / "control")
    of_dead = {"SAMEBITS_OWNER": str(owner)}
    assert "not needed any more" in launch.run("", *held, code=1, variables=of_dead)
    owner.touch()
    launch.run("", *held, variables=of_dead)


# --- a time limit -------------------------------------------------------------------------------

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
LIMIT = "--limit-minutes"


def lives(pid: int) -> bool:
    with suppress(psutil.NoSuchProcess):
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    return False


def test_a_script_that_hangs_is_stopped_with_its_last_output_and_a_next_step(
    launch: Launcher,
) -> None:
    said = launch.run(POLITE, LIMIT, "0.02", code=1)
    for part in (
        f"error: {launch.folder / 'log.txt'}: the script exceeded its time limit of 0.02 min. ",
        "min ago: ready.",
        "--set-resources train:runtime=MINUTES",
    ):
        assert part in said
    assert launch.log.startswith("ready\nsaved\nerror: the script exceeded its time limit")


def test_in_a_job_its_scheduler_comes_first(launch: Launcher) -> None:
    text, job = "import time\ntime.sleep(0.3)\n", {"SLURM_JOB_ID": "12"}
    launch.run(text, LIMIT, "0.001", variables=job)


def test_what_is_quick_enough_ends_as_without_a_limit(launch: Launcher) -> None:
    assert "time limit" not in launch.run("raise SystemExit(7)\n", LIMIT, "5", code=7)


def test_what_heeds_no_request_is_killed_with_all_that_it_started(tmp_path: Path) -> None:
    log = tmp_path / "log.txt"
    with log.open("wb") as file:
        process = subprocess.Popen([sys.executable, "-c", DEAF], stdout=file)
    try:
        until(lambda: logs.last_line(log) == "epoch 2 begins")
        pids = [int(word) for word in log.read_text().split()[:2]]
        assert all(map(lives, pids))
        timeout.stop(process.pid, grace=0.2)
        assert not any(map(lives, pids))
    finally:
        process.kill()
        process.wait()


def test_a_process_that_a_script_leaves_ends_with_it(launch: Launcher) -> None:
    """It could hand on what it holds to the next run."""
    daemon = "import os, time; os.setsid(); print(os.getpid(), flush=True); time.sleep(600)"
    launch.run(
        "import subprocess, sys\n"
        f"line = [sys.executable, '-c', {daemon!r}]\n"
        "left = subprocess.Popen(line, stdout=subprocess.PIPE)\n"
        "print(int(left.stdout.readline()), flush=True)\n"
        "import os; os._exit(0)\n"
    )
    assert not psutil.pid_exists(int(launch.log))


def test_the_parent_and_its_other_children_go_on() -> None:
    sleep = [sys.executable, "-c", "import time; time.sleep(600)"]
    with subprocess.Popen(sleep) as first, subprocess.Popen(sleep) as second:
        try:
            timeout.stop(first.pid)
            assert not lives(first.pid)
            assert lives(second.pid)
        finally:
            first.kill()
            second.kill()


@pytest.mark.parametrize("minutes", ["soon", ""])
def test_a_limit_that_is_no_number_is_wrong_usage(launch: Launcher, minutes: str) -> None:
    launch.run("", LIMIT, minutes, code=2)


def test_a_script_that_removes_its_log_and_fails_ends_with_its_exit_code(tmp_path: Path) -> None:
    (tmp_path / "tidy.py").write_text("import os, sys\nos.remove('log.txt')\nsys.exit(3)\n")
    line = *LAUNCH, sys.executable, "--log", "log.txt", "--", "tidy.py"
    assert command(*line, cwd=tmp_path, check=False).returncode == 3
