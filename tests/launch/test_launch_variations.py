"""launch.py --vary: each variation as the process that is started sees it, alone and together."""

import functools
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest

from pipeline import LAUNCH, SCRIPTS, command
from samebits.certificate.findings import ways
from samebits.experiment import variables, variations
from samebits.experiment.variations import TITLES

pytestmark = pytest.mark.process

SHARED = Path("/dev/shm")  # noqa: S108 - what libfaketime uses
NOT_CHEAP = ("cpu", "deployment", "node", "interrupt", "threads")  # the process varies threads
CHEAP = [name for name in TITLES if name not in NOT_CHEAP]
VARY = [word for name in CHEAP for word in ("--vary", name)]
# How a program asks for what is varied; a way that this system has not is None.
WAYS: dict[str, tuple[str, ...]] = {
    "time_zone": (
        "time.tzname", "time.localtime().tm_gmtoff", "os.environ.get('TZ')",
        "str(datetime.datetime.now().astimezone().tzinfo)", "run('date', '+%Z')",
        "content('/etc/localtime')", "os.path.realpath('/etc/localtime')",
        "content('/etc/timezone')",
    ),
    "locale": (
        "locale.setlocale(locale.LC_ALL, '')", "os.environ.get('LC_ALL')",
        "os.environ.get('LANG')", "os.environ.get('LC_TIME')",
    ),
    "home": (
        "os.environ['HOME']", "os.path.expanduser('~')", "str(Path.home())",
        "pwd.getpwuid(os.getuid()).pw_dir", "os.path.expanduser('~' + ME)",
        "pwd.getpwnam(ME).pw_dir", "run('sh', '-c', 'echo ~')", "sorted(os.listdir(Path.home()))",
    ),
    "folder": (
        "os.getcwd()", "os.environ.get('PWD')", "str(Path('.').resolve())",
        "os.path.abspath('x')", "os.path.realpath('models')", "run('pwd')",
        "os.readlink('/proc/self/cwd')", "str(Path(sys.argv[3]).resolve())",
        "str(Path(sys.argv[0]).resolve())",
        "str(Path(__file__).resolve())", "str(Path(__file__).resolve().parents[1])",
    ),
    "umask": ("run('sh', '-c', 'umask')", "made()", "content('/proc/self/status', 'Umask')"),
    "variables": ("len(os.environ)", "len(str(os.environ))", "len(run('env'))"),
    "host_name": (
        "socket.gethostname()", "os.uname().nodename", "platform.node()", "run('hostname')",
        "content('/etc/hostname')", "content('/proc/sys/kernel/hostname')", "socket.getfqdn()",
        "os.environ['HOSTNAME']", "run('uname', '-n')",
    ),
    "aslr": ("content('/proc/self/personality')",),
    "cpus": (
        "len(os.sched_getaffinity(0))", "os.cpu_count()", "multiprocessing.cpu_count()",
        "os.sysconf('SC_NPROCESSORS_ONLN')", "os.sysconf('SC_NPROCESSORS_CONF')",
        "content('/sys/devices/system/cpu/online')", "content('/sys/devices/system/cpu/present')",
        "content('/sys/devices/system/cpu/possible')", "psutil and psutil.cpu_count()",
        "psutil and psutil.cpu_count(logical=False)",
        "len(glob.glob('/sys/devices/system/cpu/cpu[0-9]*'))", "run('nproc', '--all')",
        "len(content('/proc/cpuinfo', 'processor'))", "len(content('/proc/stat', 'cpu'))",
        "psutil and len(psutil.cpu_times(percpu=True))", "run('nproc')", "run('lscpu', '-p=cpu')",
        "content('/proc/self/status', 'Cpus_allowed_list')",
    ),
    "clock": (
        "time.time() // 36000", "str(datetime.date.today())", "int(time.time()) % 86400 // 7200",
        "run('date', '+%Y-%m-%d')", "datetime.datetime.now(datetime.timezone.utc).year",
        "time.monotonic() // 36000", "time.perf_counter() // 36000",
        "time.clock_gettime(time.CLOCK_MONOTONIC_RAW) // 36000",
        "time.clock_gettime(time.CLOCK_BOOTTIME) // 36000",
        "psutil and psutil.boot_time() // 36000",
        "float(run('cut', '-d', ' ', '-f1', '/proc/uptime')) // 36000",
        "int(content('/proc/stat', 'btime')[0].split()[1]) // 36000",
    ),
    "directory_order": (
        "os.listdir(OUTSIDE)", "os.listdir('.')", "os.listdir(sys.argv[3])",
        *(
            way.format(folder)
            for folder in ("models", "linked", "linked/inner", "models/../../outside")
            for way in (
                "os.listdir('{}')", "[e.name for e in os.scandir('{}')]", "glob.glob('{}/*')",
                "[p.name for p in Path('{}').iterdir()]", "run('ls', '-U', '{}')",
                "list(os.walk('{}'))",
            )
        ),
    ),
}  # fmt: skip
OBSERVE = f"""
import datetime, getpass, glob, json, locale, multiprocessing, os, platform, pwd, re, socket
import subprocess, sys, time
sys.path.insert(0, {str(SCRIPTS)!r})
from pathlib import Path
try: import psutil
except ImportError: psutil = None
from samebits.text import say; from samebits.observation import environment
told = json.loads(os.environ["SAMEBITS_VARIATIONS"])
seen = environment.observe(Path(sys.argv[3]))
ME, OUTSIDE = pwd.getpwuid(os.getuid()).pw_name, sys.argv[4]
def run(*line): return subprocess.check_output(line, text=True)
def content(path, start=""):
    if not os.path.exists(path): return None
    return [line for line in open(path, errors="replace") if line.startswith(start)]
def made():
    open("made", "w").close()
    mode = os.stat("made").st_mode
    os.remove("made")
    return mode
def ask(way):
    try: return eval(way)
    except (KeyError, FileNotFoundError): return None
ways = {WAYS!r} if "--ask" in sys.argv else {{}}
asked = {{name: {{way: ask(way) for way in ways}} for name, ways in ways.items()}}
said = {{"told": told, "seen": seen, "order": os.listdir("models"), "asked": asked}}
said["variables"] = sorted(os.environ)
json.dump(said, open(sys.argv[1], "w"), default=str)
say("observed")
"""


@dataclass(frozen=True)
class Place:
    """A working folder with a few entries, and a folder for temporary files of its own."""

    folder: Path
    temporary: Path

    def launch(
        self, *arguments: object, check: bool = True, variables: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Start launch.py in the working folder."""
        given = {"TMPDIR": str(self.temporary)} | dict(variables or {})
        line = [*LAUNCH, sys.executable, "--log", "log.txt", *arguments]
        return command(*line, cwd=self.folder, check=check, variables=given)

    def observe(
        self, *names: str, variables: Mapping[str, str] | None = None, ask: bool = False
    ) -> Any:
        """What a process is told and sees under these variations.

        ``ask``: in all ways that a program has, which starts sixty processes.
        """
        vary = [word for name in names for word in ("--vary", name)]
        script, outside = self.script("observe.py", OBSERVE), self.folder.parent / "outside"
        given = [script, "seen.json", "--source-path", self.folder / "models", outside]
        given += ["--ask"] if ask else []
        shell = {"HOSTNAME": "here", "LC_TIME": "C.UTF-8"} | dict(variables or {})
        self.launch(*vary, "PYTHONHASHSEED=7", "--", *given, variables=shell)
        return json.loads((self.folder / "seen.json").read_bytes())

    def script(self, name: str, text: str) -> str:
        (self.folder / name).write_text(text)
        return name

    def left(self) -> list[str]:
        """Temporary files, and processes that were started with this place's folder for them."""
        mine = f"TMPDIR={self.temporary}".encode()
        found = [path.name for path in self.temporary.iterdir()]
        for process in Path("/proc").glob("[0-9]*"):
            try:
                if mine in (process / "environ").read_bytes().split(b"\0"):
                    found.append((process / "cmdline").read_bytes().decode())
            except OSError:  # it ended, or is somebody else's
                continue
        return found


def in_folder(folder: Path, temporary: Path | None = None) -> Place:
    place = Place(folder / "working", temporary or folder / "temporary")
    (place.folder / "models").mkdir(parents=True)
    place.temporary.mkdir(exist_ok=True)
    for name in "abcdef":
        (place.folder / "models" / name).touch()
        (folder / "outside" / "inner" / name).mkdir(parents=True)
        (folder / "outside" / name).touch()
    (place.folder / "linked").symlink_to(folder / "outside")
    return place


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    # The paths of sockets are short.
    with tempfile.TemporaryDirectory() as temporary:
        made = in_folder(tmp_path, Path(temporary))
        yield made
        assert made.left() == []


@pytest.fixture(scope="module")
def ordinary(tmp_path_factory: pytest.TempPathFactory) -> tuple[Place, Any]:
    """A place, and what a process without variations sees there."""
    made = in_folder(tmp_path_factory.mktemp("ordinary"))
    made.observe()  # what a start leaves is there from now on
    return made, made.observe(ask=True)


@pytest.fixture(scope="module")
def everything(ordinary: tuple[Place, Any]) -> Any:
    """What a process sees there with all variations at once."""
    place, _ = ordinary
    seen = place.observe(*CHEAP, "deployment", "cpu=Haswell")
    assert place.left() == []
    assert "observed" in (place.folder / "log.txt").read_text()
    return seen


@functools.cache
def works(*line: str) -> bool:
    return shutil.which(line[0]) is not None and not subprocess.run(line, check=False).returncode


@functools.cache
def can(name: str) -> bool:
    """Whether this machine can do a variation, asked of other tools than the launcher uses."""
    installed = command("locale", "-a", cwd=Path.cwd(), check=False).stdout
    own = {kind: works("unshare", kind, "true") or works("unshare", "-r", kind, "true")
           for kind in ("--uts", "--mount")}  # fmt: skip
    fuse = os.access("/dev/fuse", os.R_OK | os.W_OK)
    abilities = {
        "locale": len(set(installed.split()) - {"POSIX"}) > 1,
        "host_name": own["--uts"] and own["--mount"],
        "folder": own["--mount"],
        "aslr": works("setarch", "-R", "true"),
        "cpus": len(os.sched_getaffinity(0)) > 1,
        "clock": shutil.which("faketime") is not None,
        "directory_order": shutil.which("disorderfs") is not None and fuse and own["--mount"],
        "cpu": shutil.which("qemu-x86_64") is not None,
    }
    return abilities.get(name, True)


def changed_all(before: Any, after: Any) -> bool:
    """Whether each way of asking got another answer: but for what locales have in common with C."""
    changed, unchanged = ways(before, after)
    alike = {"order of letters": "Bac", "decimal point": ".", "names of days": "Sunday"}
    return bool(changed) and {way: after[way] for way in unchanged}.items() <= alike.items()


def require(name: str) -> None:
    """Skip where the machine cannot do a variation."""
    if not can(name):
        pytest.skip(f"this machine cannot vary: {name}")


def test_two_ordinary_starts_see_the_same(ordinary: tuple[Place, Any]) -> None:
    place, first = ordinary
    again = place.observe()
    assert [first[key] for key in ("told", "seen", "order")] == [
        again[key] for key in ("told", "seen", "order")
    ]
    assert first["told"] == {"applied": {}, "not_tried": {}}


@pytest.mark.parametrize("name", [*CHEAP, "cpu"])
def test_a_variation_changes_what_the_process_sees_and_nothing_else(
    ordinary: tuple[Place, Any], name: str
) -> None:
    """However a program asks: where the kernel permits it, no name may be narrowed."""
    place, before = ordinary
    after = place.observe("cpu=Haswell" if name == "cpu" else name, ask=True)
    assert place.left() == []
    reason = after["told"]["not_tried"].get(name)
    assert (reason is None) == can(name), reason
    if reason:
        assert "/" not in reason
        pytest.skip(f"{name}: {reason}")
    assert list(after["told"]["applied"]) == [name]
    differing = {k for k in before["seen"] if before["seen"][k] != after["seen"][k]}
    assert differing - {"variables"} == {name} - {"variables"}
    assert changed_all(before["seen"][name], after["seen"][name])
    assert after["order"] == before["order"][:: -1 if name == "directory_order" else 1]
    for kind, asked in before["asked"].items():
        same = [way for way, answer in asked.items() if answer == after["asked"][kind][way]]
        unknown = [way for way in same if asked[way] is None]
        if kind == name:
            assert same == unknown
            assert unknown == [way for way in asked if after["asked"][kind][way] is None]
        elif kind not in ("clock", "variables"):
            assert same == list(asked), set(asked) - set(same)


def test_all_variations_at_once(ordinary: tuple[Place, Any], everything: Any) -> None:
    _, before = ordinary
    after = everything
    for name in [*CHEAP, "cpu"]:
        assert (name in after["told"]["applied"]) == can(name), after["told"]
        assert changed_all(before["seen"][name], after["seen"][name]) == can(name), name
    assert "--sdm conda" in after["told"]["not_tried"]["deployment"]


def test_no_variable_that_a_variation_sets_counts_as_one_of_the_users(
    ordinary: tuple[Place, Any], everything: Any
) -> None:
    varied = variations.variables(everything["told"]["applied"])
    config = {"environment": ordinary[1]["variables"], "determinism": {"environment": []}}
    names = everything["variables"]
    assert [name for name in names if variables.is_undeclared(name, config, varied)] == []


def test_another_deployment_is_one_beside_an_activated_conda_environment(place: Place) -> None:
    seen = place.observe("deployment", variables={"CONDA_PREFIX": "conda's own"})
    assert seen["told"]["applied"] == {"deployment": seen["seen"]["deployment"]}


def test_another_node_is_one_that_slurm_chose(place: Place) -> None:
    seen = [
        place.observe("node", variables={"SLURM_JOB_ID": "1", "SLURMD_NODENAME": name})
        for name in ("node1", "node2")
    ]
    assert all(s["told"]["applied"] == {"node": "another one"} for s in seen)
    assert seen[0]["seen"]["node"] != seen[1]["seen"]["node"]
    assert not {"node1", "node2"} & {s["seen"]["node"] for s in seen}


def test_without_a_scheduler_another_node_is_not_tried_and_a_varied_host_name_is_none(
    ordinary: tuple[Place, Any],
) -> None:
    place, before = ordinary
    after = place.observe("node", "host_name")
    assert "profiles/slurm" in after["told"]["not_tried"]["node"]
    assert before["seen"]["node"] == after["seen"]["node"]


def test_no_value_names_a_folder_or_the_host(ordinary: tuple[Place, Any], everything: Any) -> None:
    place, before = ordinary
    for seen in (before, everything):
        text = json.dumps(seen["seen"]) + json.dumps(seen["told"])
        for private in (str(place.folder), str(place.temporary), str(Path.home())):
            assert private not in text
        assert json.dumps(os.uname().nodename) not in text


def test_the_environment_in_the_working_folder_is_not_reversed(place: Place) -> None:
    environment = place.folder / "environment"
    command(sys.executable, "-m", "venv", "--without-pip", environment, cwd=place.folder)
    require("directory_order")
    script = place.script(
        "show.py",
        "import os, sys\nprint(sys.prefix, os.stat(sys.prefix).st_dev != os.stat('.').st_dev)\n",
    )
    vary = ["--vary", "directory_order", "--vary", "folder"]
    line = [*LAUNCH, environment / "bin" / "python", "--log", "log.txt", *vary, "--", script]
    command(*line, cwd=place.folder, variables={"TMPDIR": str(place.temporary)})
    assert (place.folder / "log.txt").read_text() == f"{environment} True\n"


def test_a_missing_tool_is_named_with_its_package(place: Place) -> None:
    package = {
        "clock": "faketime", "directory_order": "disorderfs",
        "cpu=Haswell": "qemu-user", "locale": "libc-bin",
    }  # fmt: skip
    told = place.observe(*package, variables={"PATH": str(place.temporary)})["told"]
    assert told["applied"] == {}
    assert set(told["not_tried"]) == {name.partition("=")[0] for name in package}
    for name, needed in package.items():
        reason = told["not_tried"][name.partition("=")[0]]
        assert f"is not installed (Debian package {needed})" in reason


def test_with_one_cpu_there_is_no_smaller_number(place: Place) -> None:
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(before)})
    try:
        told = place.observe("cpus")["told"]
    finally:
        os.sched_setaffinity(0, before)
    assert told["not_tried"] == {"cpus": "only one CPU is available"}


def test_a_cpu_that_the_emulator_does_not_know_is_not_tried(place: Place) -> None:
    require("cpu")
    told = place.observe("cpu=Z80")["told"]
    assert told["not_tried"] == {"cpu": "qemu-x86_64 does not know this CPU"}


def test_an_unknown_variation_is_a_usage_error(place: Place) -> None:
    """And a wrong value: tests/experiment/test_variables.py."""
    done = place.launch("--vary", "color", "--", "none.py", check=False)
    assert done.returncode == 2
    assert "expected" in done.stdout


def test_the_exit_code_the_log_and_new_files_survive_every_variation(place: Place) -> None:
    script = place.script(
        "fail.py",
        "import sys\n"
        "open('new.txt', 'w').write('1')\n"
        "open('models/new.txt', 'w').write('2')\n"
        "print(open(sys.argv[1]).read())\n"
        "sys.exit(7)\n",
    )
    (place.folder.parent / "above.txt").write_text("above")
    done = place.launch(*VARY, "--", script, "../above.txt", check=False)
    assert done.returncode == 7
    assert "above" in done.stdout
    assert (place.folder / "new.txt").read_text() == "1"
    assert (place.folder / "models" / "new.txt").read_text() == "2"


# What programs do to files, and what needs the system to be as it was: none may fail for it.
ORDINARY = """
import fcntl, glob, mmap, multiprocessing, os, pathlib, shutil, socket, sqlite3, subprocess, sys
import tempfile, threading, time

def remove_and_make_anew():
    shutil.rmtree("logs")
    os.makedirs("logs/inner")
    shutil.rmtree("logs", ignore_errors=True)
    assert not os.path.lexists("logs")
    os.mkdir("logs")

def no_links():
    assert not any(map(os.path.islink, ["logs", "models", "models/a", "plain.txt"]))
    assert os.path.islink("linked") and os.readlink("linked") == OUTSIDE
    assert os.path.realpath("logs") == os.path.join(os.getcwd(), "logs")

def rename_and_remove():
    os.rename("models", "moved")
    os.rename("moved", "models")
    os.replace("plain.txt", "logs/plain.txt")
    shutil.move("logs/plain.txt", "plain.txt")
    os.remove("models/a")
    pathlib.Path("models/a").touch()
    os.rmdir("models/empty")
    os.mkdir("models/empty")

def across():
    with tempfile.NamedTemporaryFile(delete=False) as file:
        file.write(b"1")
    os.replace(file.name, "across.txt")
    os.rename("across.txt", "../across.txt")
    os.rename("../across.txt", "../outside/across.txt")
    os.remove("linked/across.txt")

def above():
    assert open("../above.txt").read() == "above"
    assert (pathlib.Path(__file__).resolve().parents[1] / "above.txt").is_file()
    open("../new.txt", "w").close()
    os.remove(os.path.join(ABOVE, "new.txt"))

def special():
    os.link("plain.txt", "hard.txt")
    assert os.path.samefile("plain.txt", "hard.txt")
    os.remove("hard.txt")
    os.symlink("plain.txt", "soft.txt")
    os.remove("soft.txt")
    os.mkfifo("fifo")
    os.remove("fifo")
    os.chmod("plain.txt", 0o600)
    with open("plain.txt", "r+b") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.write(b"x" * 10)
        file.flush()
        with mmap.mmap(file.fileno(), 0) as mapped:
            mapped[0:1] = b"y"
        os.fsync(file.fileno())
    with sqlite3.connect("data.db") as base:
        base.execute("create table if not exists t (x)")

def system():
    assert socket.gethostbyname(socket.gethostname())
    assert subprocess.check_output(["id", "-un"])
    with socket.socket(socket.AF_UNIX) as server, socket.socket(socket.AF_UNIX) as client:
        server.bind("socket")
        server.listen()
        client.connect("socket")
    os.remove("socket")
    with multiprocessing.Pool(2) as pool:
        assert pool.map(abs, [-1, -2]) == [1, 2]
    assert subprocess.run([sys.executable, "-c", "print(1)"], cwd="models").returncode == 0
    threading.Event().wait(0.01)
    time.sleep(0.01)
    os.rmdir(tempfile.mkdtemp())
    os.rmdir(tempfile.mkdtemp(dir=os.path.expanduser("~")))

if __name__ == "__main__":
    OUTSIDE, ABOVE = sys.argv[1:]
    for step in (remove_and_make_anew, no_links, rename_and_remove, across, above, special, system):
        step()
        print(step.__name__)
"""


@pytest.mark.parametrize("names", [(), *((name,) for name in CHEAP), tuple(CHEAP)], ids="-".join)
def test_what_a_program_may_do_it_may_do_under_every_variation(
    place: Place, names: tuple[str, ...]
) -> None:
    (place.folder / "logs" / "old").mkdir(parents=True)
    (place.folder / "models" / "empty").mkdir()
    (place.folder / "plain.txt").touch()
    (place.folder.parent / "above.txt").write_text("above")
    vary = [word for name in names for word in ("--vary", name)]
    script, above = place.script("ordinary.py", ORDINARY), place.folder.parent
    place.launch(*vary, "--", script, above / "outside", above)
    assert (place.folder / "log.txt").read_text().splitlines()[-1] == "system"


def test_under_another_date_a_program_still_sleeps_and_waits(place: Place) -> None:
    script = place.script(
        "wait.py",
        "import subprocess, sys, threading, time\n"
        "started = time.monotonic()\n"
        "time.sleep(0.1)\n"
        "threading.Event().wait(0.1)\n"
        "subprocess.run([sys.executable, '-c', ''], timeout=60)\n"
        "print(0.2 <= time.monotonic() - started < 60)\n",
    )
    require("clock")
    place.launch("--vary", "clock", "--", script)
    assert (place.folder / "log.txt").read_text() == "True\n"


WAIT = """
import os, time
parent = os.getppid()
print("ready", flush=True)
while os.getppid() == parent:
    time.sleep(0.05)
"""


def started(place: Place) -> "subprocess.Popen[bytes]":
    """The launcher with every variation."""
    line = *LAUNCH, sys.executable, "--log", "log.txt", *VARY, "--", place.script("w.py", WAIT)
    environ = os.environ | {"TMPDIR": str(place.temporary)}
    return subprocess.Popen(
        list(map(str, line)), cwd=place.folder, env=environ, stderr=subprocess.DEVNULL
    )


@contextmanager
def waiting(place: Place) -> Iterator["subprocess.Popen[bytes]"]:
    """The same when its script runs; killed if it does not end."""
    running, log = started(place), place.folder / "log.txt"
    end = time.monotonic() + 60
    while not (log.is_file() and log.read_bytes()) and time.monotonic() < end:
        time.sleep(0.05)
    try:
        yield running
    finally:
        if running.poll() is None:
            running.kill()
        running.wait()


def orphaned() -> set[Path]:
    """What programs under libfaketime left behind, of any launcher on this machine."""
    found = SHARED.glob("*faketime_*")
    return {p for p in found if not Path("/proc", p.name.rpartition("_")[2]).exists()}


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_reaches_the_script_and_nothing_is_left(place: Place, number: int) -> None:
    if signal.getsignal(number) is signal.SIG_IGN:
        pytest.skip("ignored here, as under nohup, and so by all that is started")
    before = orphaned()
    with waiting(place) as running:
        running.send_signal(number)
        assert running.wait(60) == 128 + number
    assert orphaned() <= before


def test_a_signal_before_the_script_starts_leaves_nothing(place: Place) -> None:
    for tenths in range(6):
        with started(place) as running:
            time.sleep(tenths / 20)
            running.terminate()
            assert running.wait(60) in (-signal.SIGTERM, 128 + signal.SIGTERM)
        assert place.left() == []


def test_processes_end_by_themselves_when_the_launcher_is_killed(place: Place) -> None:
    before = orphaned()
    with waiting(place) as running:
        running.kill()
    # What it could no longer remove are the files.
    end = time.monotonic() + 20
    while (
        set(place.left()) - {p.name for p in place.temporary.iterdir()} and time.monotonic() < end
    ):
        time.sleep(0.05)
    for folder in place.temporary.iterdir():
        shutil.rmtree(folder)
    for file in orphaned() - before:
        file.unlink()


def test_without_root_user_namespaces_do_the_same() -> None:
    python = "/usr/bin/python3"
    user = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
    with tempfile.TemporaryDirectory() as folder:
        place = in_folder(Path(folder))
        shutil.copytree(Path(psutil.__file__).parent, place.folder / "packages" / "psutil")
        script = place.script("observe.py", OBSERVE)
        command("chmod", "-R", "a+rwX", folder, cwd=place.folder)  # whatever the umask
        shell = {"PYTHONPATH": str(place.folder / "packages"), "TMPDIR": str(place.temporary)}
        shell["HOME"] = folder
        launch = [*user, "env", *(f"{k}={v}" for k, v in shell.items()), python]
        launch.append(str(SCRIPTS / "launch.py"))
        if os.geteuid() or not works(*map(str, [*launch, "--help"])):
            pytest.skip("needs root, setpriv and a Python that another user may start")
        given = ["--", script, "seen.json", "--source-path", "models"]
        given.append(str(place.folder.parent / "outside"))
        saw = []
        for vary in ([], VARY):
            line = [*launch, "--python", python, "--log", "log.txt", *vary, *given]
            command(*line, cwd=place.folder)
            saw.append(json.loads((place.folder / "seen.json").read_bytes()))
        before, seen = saw
        for name in ("home", "folder", "cpus"):
            assert (name in seen["told"]["applied"]) == can(name)
        for name in seen["told"]["applied"]:
            assert changed_all(before["seen"][name], seen["seen"][name])
        assert set(seen["told"]["applied"]) | set(seen["told"]["not_tried"]) == set(CHEAP)
        assert place.left() == []
