"""scripts/environment.py by its flags: an environment is there whole or not at all."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from samebits.formats import files, lockfile

pytestmark = pytest.mark.environment

ROOT = Path(__file__).resolve().parents[2]
ENVS = ROOT / "envs"
LOCK = ENVS / "compare.lock.txt"
SCRIPT = str(ROOT / "scripts" / "environment.py")
LONGEST = 120  # seconds for one build

# Run the script with another prefix, and so with the uv that is there.
WITH_PREFIX = (
    "import runpy, sys; sys.prefix, *sys.argv = sys.argv[1:]; "
    "sys.path.insert(0, sys.argv[0].rpartition('/')[0]); "
    "runpy.run_path(sys.argv[0], run_name='__main__')"
)


def start(
    folder: Path,
    lock: Path = LOCK,
    before: tuple[str, ...] = (),
    prefix: str | Path = sys.prefix,
    **variables: str,
) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", WITH_PREFIX, str(prefix), SCRIPT]
    return subprocess.Popen(
        [*before, *command, "--lock", str(lock), "--output", str(folder)],
        env={**os.environ, **variables},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def build(
    folder: Path, lock: Path = LOCK, before: tuple[str, ...] = (), **variables: str
) -> tuple[int, str]:
    """The exit code, and what was said."""
    process = start(folder, lock, before, **variables)
    said = process.communicate(timeout=LONGEST)[0]
    return process.returncode, said


def refused(folder: Path, *parts: str, lock: Path = LOCK, **variables: str) -> str:
    """Nothing is built or left, and these parts are said without a traceback."""
    code, said = build(folder, lock, (), **variables)
    assert code == 1
    assert [part for part in parts if part not in said] == [], said
    assert "Traceback" not in said
    assert not folder.exists()
    assert leftovers(folder) == []
    return said


def leftovers(folder: Path) -> list[str]:
    """What is beside an environment's place but the file that builders lock."""
    names = {path.name for path in folder.parent.iterdir()}
    return sorted(names - {folder.name, f".{folder.name}.lock"})


def assert_whole(folder: Path, lock: Path = LOCK) -> None:
    """The environment's own Python finds exactly the locked packages."""
    program = (
        "import json, sys; sys.path.insert(0, sys.argv[1]); "
        "from samebits.formats import lockfile as e; print(json.dumps(e.packages()))"
    )
    command = [str(folder / "bin" / "python"), "-I", "-c", program, str(ROOT / "scripts")]
    lockfile.check_lock(lock, json.loads(subprocess.check_output(command)))
    record = json.loads((folder / "environment.json").read_text())
    assert record["lock"] == files.digest(lock)
    assert leftovers(folder) == []


def assert_numpy_works(folder: Path) -> None:
    """It can be imported, and its command finds its Python."""
    subprocess.run([folder / "bin" / "python", "-I", "-c", "import numpy"], check=True)
    subprocess.run([folder / "bin" / "numpy-config", "--version"], check=True)


def part(tmp_path: Path, name: str, *packages: str) -> Path:
    """A lock with some packages of a committed one."""
    path = tmp_path / "small.lock.txt"
    path.write_text(lockfile.read(ENVS / f"{name}.lock.txt").keep(packages.__contains__).text())
    return path


@pytest.fixture
def small(tmp_path: Path) -> Path:
    """The lock of one small package."""
    return part(tmp_path, "render", "markupsafe")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "environments" / "compare"


def wait_for(condition: Callable[[], object]) -> None:
    end = time.monotonic() + LONGEST
    while not condition():
        assert time.monotonic() < end, "it did not come to that"
        time.sleep(0.001)


def test_a_build_says_what_it_built_a_second_one_leaves_it_and_it_can_be_moved(
    folder: Path,
) -> None:
    assert build(folder)[0] == 0
    assert_whole(folder)
    record = json.loads((folder / "environment.json").read_text())
    assert record["python"]["version"] == ".".join(map(str, sys.version_info[:3]))
    before = (folder / "environment.json").stat().st_ino
    assert build(folder) == (0, f"{folder}: up to date\n")
    assert (folder / "environment.json").stat().st_ino == before
    moved = folder.with_name("moved")
    folder.rename(moved)
    folder.with_name(f".{folder.name}.lock").unlink()
    assert_whole(moved)
    assert_numpy_works(moved)


def test_a_changed_lock_or_a_python_that_is_gone_builds_again(folder: Path, small: Path) -> None:
    assert build(folder, small)[0] == 0
    (folder / "bin" / "python").unlink()
    assert build(folder, small)[1].endswith("built\n")
    assert_whole(folder, small)
    changed = small.with_name("changed.lock.txt")
    changed.write_text(small.read_text().replace("# from", "# other\n# from", 1))
    assert build(folder, changed)[1].endswith("built\n")
    assert_whole(folder, changed)


# --- what is edited afterwards ------------------------------------------------------------------

SEEN = (
    "import sys; sys.path.insert(0, sys.argv[1]); from pathlib import Path; "
    "from samebits.errors import run; from samebits.formats import lockfile as e; "
    "run(lambda: print(e.environment(Path(sys.argv[2]))) or 0)"
)


def used(folder: Path, lock: Path) -> tuple[int, str]:
    """What a stage that starts in the environment says of it."""
    command = [folder / "bin" / "python", "-s", "-c", SEEN, ROOT / "scripts", lock]
    done = subprocess.run(
        [str(word) for word in command], capture_output=True, text=True, check=False
    )
    return done.returncode, done.stdout + done.stderr


def test_an_edited_package_is_refused_where_it_is_used_and_is_in_no_other_environment(
    folder: Path, small: Path
) -> None:
    other = folder.with_name("other")
    assert build(folder, small)[0] == build(other, small)[0] == 0
    assert used(folder, small)[0] == 0
    edited = folder / "lib/python3.11/site-packages/markupsafe/__init__.py"
    with edited.open("a") as file:  # in its place, as an editor or sed may write
        file.write("FACTOR = 2\n")
    for record in edited.parents[1].glob("markupsafe-*.dist-info/RECORD"):
        record.write_text(record.read_text().replace("markupsafe/__init__.py,sha256=", "_,"))
    (edited.parents[1] / "start.pth").write_text("import os\n")
    code, said = used(folder, small)
    site = "lib/python3.11/site-packages"
    assert code == 1 and "Traceback" not in said
    assert f"{site}/markupsafe/__init__.py: was changed after it was installed" in said
    assert f"{site}/start.pth: was not installed from the lock" in said
    assert said.endswith("delete it to have it built again\n")
    assert used(other, small)[0] == 0
    third = folder.with_name("third")
    assert build(third, small)[0] == 0  # not by way of uv's cache either
    assert "FACTOR" not in (third / site / "markupsafe/__init__.py").read_text()


def test_a_changed_file_in_the_cache_of_uv_is_found_when_an_environment_is_built(
    folder: Path, small: Path, tmp_path: Path
) -> None:
    cache = str(tmp_path / "cache")
    assert build(folder, small, UV_CACHE_DIR=cache)[0] == 0
    (unpacked,) = (tmp_path / "cache").glob("archive-v0/*/markupsafe/__init__.py")
    unpacked.write_text(unpacked.read_text() + "FACTOR = 2\n")
    again = tmp_path / "again" / "compare"
    refused(again, "markupsafe/__init__.py: expected", lock=small, UV_CACHE_DIR=cache)


# --- builds that are killed, and two at once ----------------------------------------------------


@pytest.mark.parametrize("reached", ["pyvenv.cfg", "lib/python3.11/site-packages/numpy"])
def test_a_killed_build_leaves_nothing_that_looks_whole_and_the_next_one_is(
    folder: Path, reached: str
) -> None:
    with start(folder) as running:
        wait_for(lambda: list(folder.parent.glob(f".{folder.name}.*/{reached}")))
        running.send_signal(signal.SIGKILL)
    assert running.returncode == -signal.SIGKILL
    assert not folder.exists()
    assert leftovers(folder) != []
    code, said = build(folder)
    assert code == 0 and "error" not in said and said.endswith(f"{folder}: built\n")
    assert_whole(folder)
    assert_numpy_works(folder)


def test_two_builds_at_once_leave_one_whole(folder: Path, small: Path) -> None:
    running = [start(folder, small), start(folder, small)]
    said = [process.communicate(timeout=LONGEST)[0] for process in running]
    assert [process.returncode for process in running] == [0, 0]
    ends = sorted(text.splitlines()[-1] for text in said)
    assert ends == [f"{folder}: built", f"{folder}: up to date"]
    assert_whole(folder, small)


@pytest.fixture
def slow(tmp_path: Path) -> Iterator[Path]:
    """A prefix whose uv, once it installs, waits for the file `go`."""
    prefix = tmp_path / "driver"
    (prefix / "bin").mkdir(parents=True)
    uv = prefix / "bin" / "uv"
    uv.write_text(
        "#!/bin/sh\n"
        f'if [ "$1 $2" = "pip install" ]; then touch "{prefix}/installing"\n'
        f'  while [ ! -e "{prefix}/go" ]; do sleep 0.05; done; fi\n'
        f'exec "{sys.prefix}/bin/uv" "$@"\n'
    )
    uv.chmod(0o755)
    yield prefix
    (prefix / "go").touch()  # whatever happened, nothing waits on


def test_a_uv_that_outlives_its_killed_parent_is_waited_for(
    folder: Path, small: Path, slow: Path
) -> None:
    """It still writes; a build beside it could end up with its files."""
    with start(folder, small, prefix=slow) as killed:
        wait_for((slow / "installing").exists)
        killed.kill()
        killed.stdout = None  # the uv holds the other end; it is not waited for here
    second = start(folder, small)
    with pytest.raises(subprocess.TimeoutExpired):
        second.wait(1.5)
    (slow / "go").touch()
    said = second.communicate(timeout=LONGEST)[0]
    assert "waiting for another process" in said
    assert second.returncode == 0, said
    assert_whole(folder, small)


def test_an_interrupted_build_removes_what_it_began(folder: Path, small: Path, slow: Path) -> None:
    stopped = start(folder, small, prefix=slow)
    wait_for((slow / "installing").exists)
    stopped.send_signal(signal.SIGINT)
    assert stopped.wait(LONGEST) == 130
    assert leftovers(folder) == [] and not folder.exists()


def test_killed_at_any_moment_of_a_rebuild_nothing_broken_looks_whole(
    folder: Path, small: Path
) -> None:
    other = small.with_name("other.lock.txt")
    for step in range(10):
        other.write_text(small.read_text() + f"# {step}\n")  # never the one that is built
        process = start(folder, other)
        time.sleep(0.05 * (step + 1))
        process.kill()
        process.communicate()
        if (folder / "environment.json").exists():
            subprocess.run([folder / "bin/python", "-I", "-c", "import markupsafe"], check=True)
    assert build(folder, small)[0] == 0
    assert_whole(folder, small)


# --- locks, shells and machines that ask for the wrong thing -------------------------------------


def test_a_source_archive_is_built_by_the_locked_tools(tmp_path: Path, folder: Path) -> None:
    lock = part(tmp_path, "driver", "antlr4-python3-runtime", "setuptools")
    code, said = build(folder, lock)
    assert code == 0, said
    assert_whole(folder, lock)


def test_a_users_own_constraints_do_not_reach_the_environment(
    tmp_path: Path, folder: Path, small: Path
) -> None:
    other = tmp_path / "constraints.txt"
    other.write_text("markupsafe==1.0\n")
    strange = {"UV_CONSTRAINT": str(other), "PIP_CONSTRAINT": str(other), "PYTHONPATH": "/none"}
    code, said = build(folder, small, (), **strange)
    assert code == 0, said
    assert_whole(folder, small)


def test_a_file_with_another_digest_is_refused(folder: Path, small: Path) -> None:
    digest = lockfile.read(small).packages[0].sha256
    small.write_text(small.read_text().replace(digest, "0" * 64))
    refused(folder, "0" * 64, "Hash mismatch", lock=small)


def test_a_lock_that_misses_a_dependency_is_refused(tmp_path: Path, folder: Path) -> None:
    refused(folder, "markupsafe", lock=part(tmp_path, "render", "jinja2"))


def test_a_missing_python_is_named_with_what_brings_it(folder: Path, tmp_path: Path) -> None:
    nowhere = {"PATH": str(tmp_path), "HOME": str(tmp_path), "PYENV_ROOT": str(tmp_path)}
    said = "CPython 3.7 not found", "add --sdm conda"
    refused(folder, *said, lock=ENVS / "train-tf2.8.lock.txt", **nowhere)


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        ({"UV_OFFLINE": "1"}, "markupsafe"),
        (
            {"UV_DEFAULT_INDEX": "http://127.0.0.1:9/simple", "UV_HTTP_RETRIES": "0"},
            "127.0.0.1",
        ),
    ],
    ids=["no network", "an index that does not answer"],
)
def test_without_packages_it_says_what_to_check(
    folder: Path, small: Path, tmp_path: Path, variables: dict[str, str], said: str
) -> None:
    cold = {"UV_CACHE_DIR": str(tmp_path / "cache")}
    refused(folder, said, "check the network", lock=small, **cold, **variables)


@pytest.mark.parametrize("as_folder", [True, False])
def test_what_is_not_an_environment_is_not_removed(folder: Path, as_folder: bool) -> None:
    precious = folder / "thesis.txt" if as_folder else folder
    precious.parent.mkdir(parents=True)
    precious.write_text("years of work")
    code, said = build(folder)
    assert code == 1
    assert f"{folder}: exists and is not an environment" in said
    assert precious.read_text() == "years of work"
    assert leftovers(folder) == []


def test_a_file_in_place_of_the_folder_above_is_named(folder: Path) -> None:
    folder.parent.write_text("")
    code, said = build(folder)
    assert code == 1
    assert str(folder.parent) in said and "Traceback" not in said


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ("ro", ["Read-only file system"]),
        ("size=8m", ["No space left on device", "the space on the disk"]),
    ],
)
def test_a_file_system_that_takes_nothing_is_named_and_nothing_is_left(
    folder: Path, options: str, said: list[str]
) -> None:
    alone = ["unshare", "--map-root-user", "--mount"]
    if subprocess.run([*alone, "true"], capture_output=True, check=False).returncode:
        pytest.skip("this machine does not let a process have a file system of its own")
    folder.parent.mkdir()
    mount = f'mount -t tmpfs -o {options} none "$0" && ("$@"; code=$?; ls -A "$0"; exit $code)'
    code, shown = build(folder, before=(*alone, "sh", "-c", mount, str(folder.parent)))
    assert code == 1
    assert [part for part in (*said, str(folder.parent)) if part not in shown] == [], shown
    assert "Traceback" not in shown
    left = [line for line in shown.splitlines() if line.startswith(f".{folder.name}")]
    assert left in ([], [f".{folder.name}.lock"])
