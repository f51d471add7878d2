"""Which files a process opens, looks for and writes; without TensorFlow."""

import hashlib
import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipeline import SCRIPTS, skip_without
from samebits.certificate.handed_on import taken
from samebits.comparison.left import left

pytestmark = pytest.mark.process

# The ways are tried in one process: an interpreter takes longer to start than all of them.
_PROGRAM = f"""
import ctypes, importlib, io, json, mmap, os, pkgutil, runpy, sqlite3, subprocess, sys, threading
from pathlib import Path
sys.path[0] = {str(SCRIPTS)!r}  # where this file lies would be looked through for each module
from samebits.observation import executed
executed.install(sys._getframe().f_code)
from samebits.observation import opened
watch = opened.Watch([Path("own"), Path({str(SCRIPTS)!r})])
sys.path.append("source")
{{prepare}}
watch.begin()
{{body}}
print(json.dumps(watch.report(Path("source"))))
"""


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


@pytest.fixture(params=["3.11", "3.7"])
def run(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[..., Any]:
    """What a program opened in a folder with some files, on this Python."""
    python = str(skip_without(request.param))
    for name in ("source/here", "there", "own/data", "python/inner"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(f"{name}\n")

    def program(body: str, prepare: str = "", check: bool = True) -> Any:
        (tmp_path / "program.py").write_text(_PROGRAM.format(body=body, prepare=prepare))
        line = [python, "program.py"]
        done = subprocess.run(line, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert not check or done.returncode == 0, done.stderr
        return json.loads(done.stdout.splitlines()[-1]) if check else done.stderr

    return program


READ = {
    "open": "open('source/here')",
    "os.open": "os.open('source/here', os.O_RDONLY)",
    "bytes": "io.FileIO(b'source/here')",
    "pathlib": "Path('source/here').read_text()",
    "C": "ctypes.CDLL(None).fopen(b'source/here', b'r')",
    "a folder's descriptor": "os.open('here', os.O_RDONLY, dir_fd=os.open('source', os.O_RDONLY))",
    "another working folder": "os.chdir('source'); open('here'); os.chdir('..')",
    "a child": "subprocess.run(['cat', 'source/here'])",
    "a thread": "t = threading.Thread(target=open, args=['source/here']); t.start(); t.join()",
    "a thread of before": "go.append('source/here'); ready.set(); early.join()",
    "for writing too": "open('source/here', 'r+')",
    "exists": "os.path.exists('source/here')",
}
_THREAD = """
go, ready = [], threading.Event()
early = threading.Thread(target=lambda: (ready.wait(), open(go[0])))
early.start()
"""


def test_a_file_is_recorded_by_digest_however_it_is_opened(
    run: Callable[..., Any], tmp_path: Path
) -> None:
    """Each way has a file of its own."""
    for n in range(len(READ)):
        (tmp_path / f"source/here{n}").write_text(f"{n}\n")
    ways = enumerate(READ.values())
    found = run("\n".join(way.replace("here", f"here{n}") for n, way in ways), _THREAD)
    read = {entry["path"]: entry["sha256"] for entry in found["read"]}
    missed = [way for n, way in enumerate(READ) if read.get(f"here{n}") != _sha256(f"{n}\n")]
    assert (missed, found["problem"]) == ([], None)


def test_a_file_outside_of_the_source_is_told_by_its_path(
    run: Callable[..., Any], tmp_path: Path
) -> None:
    (tmp_path.parent / "elsewhere").write_text("e")
    found = run("open('there'); open('../elsewhere'); open('/etc/passwd'); open('/proc/self/maps')")
    assert found["read"] == [
        {"path": "../there", "sha256": _sha256("there\n")},
        {"path": str(tmp_path.parent / "elsewhere"), "sha256": _sha256("e")},
    ]


def test_paths_that_are_looked_up_in_vain_are_listed(run: Callable[..., Any]) -> None:
    found = run(
        "for look in (open, os.stat, os.listdir, importlib.import_module):\n"
        "    try:\n"
        "        look(f'no_{look.__name__}')\n"
        "    except (OSError, ImportError):\n"
        "        pass\n"
        "assert not os.path.exists('source/no') and not Path('source/none/deep').exists()"
    )
    modules = ["no_import_module", "no_import_module.py"]
    names = [f"../no_{name}" for name in ("listdir", "open", "stat")]
    assert found["absent"] == sorted([*modules, *names, "no", "none/deep"])


def test_a_listed_folder_is_recorded_without_what_the_run_makes_there(
    run: Callable[..., Any],
) -> None:
    found = run("open('source/made', 'w').close(); os.listdir('source')")
    (entry,) = found["listed"]
    assert entry == {"path": ".", "sha256": _sha256("here")}
    assert found["written"] == [{"path": "made", "sha256": None, "sought": True}]


def test_bytecode_that_python_is_about_to_write_is_nothing_that_the_run_wrote(
    run: Callable[..., Any], tmp_path: Path
) -> None:
    (tmp_path / "source/__pycache__").mkdir()
    compiled = "source/__pycache__/made.cpython.pyc"
    found = run(f"open('{compiled}.140', 'w').close()\nos.replace('{compiled}.140', '{compiled}')")
    assert (found["written"], found["problem"]) == ([], None)


def test_the_runs_own_files_are_none_of_its_inputs(run: Callable[..., Any]) -> None:
    found = run(
        "open('own/data'); os.path.exists('own/no')\n"
        "os.path.exists('made') or os.mkdir('made'); open('made/x', 'w').close(); open('made/x')\n"
        "open('source/here').read(); open('source/here', 'a').write('more')\n"
        "open('temporary', 'w').close(); os.rename('temporary', 'kept'); open('kept')"
    )
    assert (found["read"], found["absent"]) == ([], [])
    written = {entry["path"]: entry["sha256"] for entry in found["written"]}
    read_before = {"here": _sha256("source/here\n")}
    assert written == dict.fromkeys(("../made", "../made/x", "../kept")) | read_before


@pytest.mark.parametrize(
    ("program", "is_sought"),
    [
        ("open('made', 'w').close()", False),
        ("open('made', 'a').close()", False),
        ("open('made', 'w').close(); os.path.exists('made')", False),
        ("os.path.exists('made'); open('made', 'w').close()", True),
        ("open('made', 'w').close(); open('made')", True),
        ("open('made', 'w+').close()", False),
        ("open('made', 'a+').close()", True),
        ("os.listdir('.'); open('made', 'w').close()", True),
        ("os.path.exists('made') or os.mkdir('made')", False),
        ("try: open('made')\nexcept OSError: open('made', 'w').close()", True),
    ],
)
def test_what_a_run_wrote_is_told_from_what_an_earlier_run_can_have_left_for_it(
    run: Callable[..., Any], program: str, is_sought: bool
) -> None:
    (entry,) = run(program)["written"]
    assert entry == {"path": "../made", "sha256": None, "sought": is_sought}


def test_a_file_that_changes_while_it_is_in_use_fails_the_run(run: Callable[..., Any]) -> None:
    """Another process changes it, which nothing watches: one that was started before."""
    before = (
        "import select\nother = subprocess.Popen('read x; echo 2 > source/here', shell=True, "
        "stdin=subprocess.PIPE)"
    )
    said = run("open('source/here').read(); other.communicate(b'\\n')", before, check=False)
    assert "source/here: was changed while this run used it" in said


@pytest.mark.parametrize(
    "gone",
    [
        "os.remove('source/here')",
        "import shutil; shutil.rmtree('source')",
        "os.rename('source/here', 'source/there')",
        "os.rename('source', 'moved')",
        "os.replace('there', 'source/here')",
    ],
)
def test_a_program_may_remove_or_rename_what_it_has_looked_at(
    run: Callable[..., Any], gone: str
) -> None:
    found = run(f"os.stat('source/here'); open('source/here').read(); {gone}; os.makedirs('a/b')")
    assert found["problem"] is None
    assert "here" not in [entry["path"] for entry in found["read"]]


def test_where_the_kernel_refuses_a_watcher_that_is_told(run: Callable[..., Any]) -> None:
    refuse = "opened._FLAGS = 1 << 20"
    found = run("open('source/here'); os.listdir('source')", refuse)
    assert found["problem"].startswith("the kernel lets no process watch another's calls (Invalid")
    if "nothing is seen" not in found["problem"]:  # Python 3.7
        assert found["read"] == [{"path": "here", "sha256": _sha256("source/here\n")}]


# Each draws a number once, in a way that no seed pins, and hands it on to the next run.
HANDED_ON = {
    "a file": "Path('n').exists() or Path('n').write_text(drawn); n = Path('n').read_text()",
    "by a child": "subprocess.run(f'test -e n || echo {drawn} > n; cat n', shell=True)",
    "in C": "libc.fopen(b'n', b'r') or libc.fopen(b'n', b'w')",
    "a name": "any(p.name[0] == 'n' for p in Path().iterdir()) or Path('n' + drawn).touch()",
    "a name, glob": "import glob; glob.glob('n-*') or Path(f'n-{drawn}').touch()",
    "a name that is made again": "n = os.listdir('n')[0] if os.path.exists('n') else drawn\n"
    "os.makedirs(f'n/{n}', exist_ok=True)",
    "a name in a folder that may be there": "os.makedirs('n', exist_ok=True)\n"
    "n = (os.listdir('n') + [drawn])[0]; open(f'n/{n}', 'w').close()",
    "made exclusively": "try: open('n', 'x').write(drawn)\nexcept OSError: n = open('n').read()",
    "a line that is appended": "open('n', 'a').write(drawn); n = open('n').read()[:4]",
    "a length": "os.path.exists('n') or open('n', 'w').write('x' * 4711)\nn = os.stat('n').st_size",
    "cut": "os.path.exists('n') or open('n', 'w').write(drawn + 'x')\n"
    "os.truncate('n', 4); n = open('n').read()",
    "a pipe's name": "any(n[0] == 'n' for n in os.listdir()) or os.mkfifo('n' + drawn)",
    "a name at home": "home = os.environ['HOME']\n"
    "any(n[0] == 'n' for n in os.listdir(home)) or Path(home, 'n' + drawn).touch()",
    "a link": "os.path.islink('n') or os.symlink(drawn, 'n'); n = os.readlink('n')",
    "a date": "os.path.exists('n') or open('n', 'w').close(); n = os.stat('n').st_mtime",
    "a date that is set": "n = int(os.stat('there').st_mtime)\nn < 9 or os.utime('there', (7, 7))",
    "an attribute": "try: n = os.getxattr('there', 'user.n')\n"
    "except OSError: os.setxattr('there', 'user.n', drawn.encode())",
    "shared memory": "Path(shared).exists() or Path(shared).write_text(drawn)",
    "consumed": "n = Path('n').read_text() if Path('n').exists() else drawn\n"
    "os.path.exists('n') and os.remove('n'); Path('n').write_text(n)",
    "removed": "n = Path('n').read_text() if Path('n').exists() else Path('n').write_text(drawn)\n"
    "os.path.exists('was') and os.remove('n'); open('was', 'w').close()",
}


def _record(files: Any) -> Any:
    return {"files": files, "run": "control", "program": None, "variations": {"applied": {}}}


_NUMBERED = [*enumerate(HANDED_ON.values())]
_ELSEWHERE = {"a name at home": "~/n4711", "shared memory": "/dev/shm/"}  # noqa: S108


def test_what_one_run_hands_on_is_not_what_the_next_one_found(
    run: Callable[..., Any],
    tmp_path: Path,
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Each way has a folder of its own; in one process, as above."""
    shared = Path(f"/dev/shm/{tmp_path.parent.name}-{tmp_path.name}")  # noqa: S108
    monkeypatch.setenv("HOME", str(tmp_path_factory.mktemp("home")))
    for folder in map(str, range(len(HANDED_ON))):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "there").write_text("there")
    body = "".join(f"os.chdir('{n}')\n{code}\nos.chdir('..')\n" for n, code in _NUMBERED)
    names = f"drawn, shared, libc = '4711', {str(shared)!r}, ctypes.CDLL(None)"
    try:
        first, second = (_record(run(body, names)) for _ in range(2))
    finally:
        shared.unlink(missing_ok=True)
    assert [record["files"]["problem"] for record in (first, second)] == [None, None]
    found = [p for p in left([first, second]) if taken(second, p) != taken(first, p)]
    places = {way: _ELSEWHERE.get(way, f"../{n}/") for n, way in enumerate(HANDED_ON)}
    assert [way for way, at in places.items() if not any(p.startswith(at) for p in found)] == []


def test_a_file_that_each_run_makes_anew_hands_nothing_on(run: Callable[..., Any]) -> None:
    save = "os.path.exists('model') or 1; open('model', 'w').close(); open('model')"
    first, second = (_record(run(save)) for _ in range(2))
    assert left([first, second]) == ["../model"]
    assert taken(first, "../model") == taken(second, "../model") == (None, None, None)


def test_a_link_is_no_input_whose_target_a_replay_needs(run: Callable[..., Any]) -> None:
    found = run("os.path.realpath('source/link')", "os.symlink('here', 'source/link')")
    assert [entry["path"] for entry in found["names"]] == ["link"]
    assert found["listed"] == []


@pytest.mark.parametrize(("key", "is_known"), [(0x4711, False), (0, True)])
def test_memory_that_is_shared_by_a_key_is_told(
    run: Callable[..., Any], key: int, is_known: bool
) -> None:
    """That of no key is the process's own. To ask for what is not there makes nothing."""
    found = run(f"ctypes.CDLL(None).shmget({key}, 8, 0)")
    assert (found["problem"] is None) == is_known
