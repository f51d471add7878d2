"""Which files a process opens, looks for and writes; without TensorFlow."""

import hashlib
import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipeline import SCRIPTS, skip_without

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
