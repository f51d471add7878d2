"""scripts/environment.py by its flags: an environment is there whole or not at all."""

import fcntl
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from samebits.formats import files, lockfile

pytestmark = pytest.mark.environment

ROOT = Path(__file__).resolve().parents[2]
LOCK = ROOT / "envs" / "compare.lock.txt"
SCRIPT = [sys.executable, str(ROOT / "scripts" / "environment.py")]
LONGEST = 120  # seconds for one build


def flags(folder: Path, lock: Path = LOCK) -> list[str]:
    return ["--lock", str(lock), "--output", str(folder)]


def build(
    folder: Path, lock: Path = LOCK, before: tuple[str, ...] = (), **variables: str
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*before, *SCRIPT, *flags(folder, lock)],
        env=dict(os.environ, **variables),
        capture_output=True,
        text=True,
        timeout=LONGEST,
        check=False,
    )


def start(folder: Path) -> subprocess.Popen[str]:
    command = [*SCRIPT, *flags(folder)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def leftovers(folder: Path) -> list[str]:
    """What is beside an environment's place but the file that builders lock."""
    names = {path.name for path in folder.parent.iterdir()}
    return sorted(names - {folder.name, f".{folder.name}.lock"})


def assert_whole(folder: Path, lock: Path = LOCK) -> None:
    """The environment's own Python finds exactly the locked packages and can import them."""
    program = (
        "import json, sys; sys.path.insert(0, sys.argv[1]); import numpy; "
        "from samebits.formats import lockfile as e; print(json.dumps(e.installed()))"
    )
    command = [str(folder / "bin" / "python"), "-I", "-c", program, str(ROOT / "scripts")]
    found = json.loads(subprocess.check_output(command))
    lockfile.check_lock(lock, found)
    subprocess.run([folder / "bin" / "numpy-config", "--version"], check=True)  # finds its Python
    record = json.loads((folder / "environment.json").read_text())
    assert record["lock"] == files.digest(lock)
    assert leftovers(folder) == []


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "environments" / "compare"


def test_a_build_says_what_it_built_and_a_second_one_leaves_it_as_it_is(folder: Path) -> None:
    assert build(folder).returncode == 0
    assert_whole(folder)
    record = json.loads((folder / "environment.json").read_text())
    assert record["python"]["version"] == ".".join(map(str, sys.version_info[:3]))
    before = (folder / "environment.json").stat().st_ino
    again = build(folder)
    assert (again.returncode, again.stdout) == (0, f"{folder}: up to date\n")
    assert (folder / "environment.json").stat().st_ino == before


def test_a_changed_lock_or_a_python_that_is_gone_builds_again(folder: Path, tmp_path: Path) -> None:
    assert build(folder).returncode == 0
    (folder / "bin" / "python").unlink()
    assert build(folder).stdout.endswith("built\n")
    assert_whole(folder)
    changed = tmp_path / "compare.lock.txt"
    changed.write_text(LOCK.read_text().replace("# from", "# other\n# from", 1))
    assert build(folder, changed).stdout.endswith("built\n")
    assert_whole(folder, changed)


def test_a_folder_that_was_moved_still_works(folder: Path) -> None:
    assert build(folder).returncode == 0
    moved = folder.with_name("moved")
    folder.rename(moved)
    folder.with_name(f".{folder.name}.lock").unlink()
    assert_whole(moved)


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
    done = build(folder)
    assert (done.returncode, done.stderr) == (0, "")
    assert_whole(folder)


def wait_for(condition: Callable[[], object]) -> None:
    end = time.monotonic() + LONGEST
    while not condition():
        assert time.monotonic() < end, "it did not come to that"
        time.sleep(0.001)


def test_a_uv_whose_parent_was_killed_is_waited_for(folder: Path, tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    tool = tmp_path / "uv"
    tool.write_text(f'#!/bin/sh\necho $$ > "{pid}.new" && mv "{pid}.new" "{pid}"\nexec sleep 60\n')
    tool.chmod(0o755)
    program = (
        "import sys; from pathlib import Path; from samebits.environments import build as v; "
        "v.build(*map(Path, sys.argv[1:]))"
    )
    command = [sys.executable, "-c", program, str(folder), str(LOCK), str(tool)]
    with subprocess.Popen(command, cwd=ROOT / "scripts") as parent:
        wait_for(pid.exists)
        parent.kill()
    with open(folder.with_name(f".{folder.name}.lock")) as held:
        with pytest.raises(BlockingIOError):
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.kill(int(pid.read_text()), signal.SIGKILL)
        fcntl.flock(held, fcntl.LOCK_EX)


def test_two_builds_at_once_leave_one_whole(folder: Path) -> None:
    running = [start(folder), start(folder)]
    said = [process.communicate(timeout=LONGEST)[0] for process in running]
    assert [process.returncode for process in running] == [0, 0]
    ends = sorted(text.splitlines()[-1] for text in said)
    assert ends == [f"{folder}: built", f"{folder}: up to date"]
    assert_whole(folder)


def test_a_file_with_another_digest_is_refused_and_nothing_is_left(
    folder: Path, tmp_path: Path
) -> None:
    wrong = tmp_path / "compare.lock.txt"
    digest = lockfile.read(LOCK).packages[0].sha256
    wrong.write_text(LOCK.read_text().replace(digest, "0" * 64))
    done = build(folder, wrong)
    assert done.returncode == 1
    assert "0" * 64 in done.stderr
    assert "Hash mismatch" in done.stderr
    assert "Traceback" not in done.stderr
    assert not folder.exists()
    assert leftovers(folder) == []


def test_no_network_and_a_cold_cache_end_with_what_to_check(folder: Path, tmp_path: Path) -> None:
    done = build(folder, UV_OFFLINE="1", UV_CACHE_DIR=str(tmp_path / "cache"))
    assert done.returncode == 1
    assert "numpy" in done.stderr
    assert "check the network" in done.stderr
    assert "Traceback" not in done.stderr
    assert not folder.exists()
    assert leftovers(folder) == []


def test_a_missing_python_is_named_with_what_brings_it(folder: Path, tmp_path: Path) -> None:
    nowhere = {"PATH": str(tmp_path), "HOME": str(tmp_path), "PYENV_ROOT": str(tmp_path)}
    done = build(folder, ROOT / "envs" / "train-tf2.8.lock.txt", before=(), **nowhere)
    assert done.returncode == 1
    assert "CPython 3.7 not found" in done.stderr
    assert "snakemake --sdm conda" in done.stderr
    assert leftovers(folder) == []


def test_a_lock_for_another_python_than_the_definition_is_refused(folder: Path) -> None:
    wrong = ROOT / "envs" / "train-tf2.8.yaml"
    command = [*SCRIPT, "--definition", str(wrong), *flags(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "expected a lock for Python 3.7" in done.stderr
    assert not folder.parent.exists()


@pytest.mark.parametrize("as_folder", [True, False])
def test_what_is_not_an_environment_is_not_removed(folder: Path, as_folder: bool) -> None:
    precious = folder / "thesis.txt" if as_folder else folder
    precious.parent.mkdir(parents=True)
    precious.write_text("years of work")
    done = build(folder)
    assert done.returncode == 1
    assert f"{folder}: exists and is not an environment" in done.stderr
    assert precious.read_text() == "years of work"
    assert leftovers(folder) == []


def test_a_file_in_place_of_the_folder_above_is_named(folder: Path) -> None:
    folder.parent.write_text("")
    done = build(folder)
    assert done.returncode == 1
    assert str(folder.parent) in done.stderr
    assert "Traceback" not in done.stderr


def mounted(options: str, place: Path) -> tuple[str, ...]:
    """A command before another: it sees a small file system at ``place``, and nobody else does."""
    alone = ["unshare", "--map-root-user", "--mount"]
    if subprocess.run([*alone, "true"], capture_output=True, check=False).returncode:
        pytest.skip("this machine does not let a process have a file system of its own")
    place.mkdir()
    return (*alone, "sh", "-c", f'mount -t tmpfs -o {options} none "$0" && exec "$@"', str(place))


def test_a_read_only_file_system_is_named(folder: Path) -> None:
    done = build(folder, before=mounted("ro", folder.parent))
    assert done.returncode == 1
    assert "Read-only file system" in done.stderr
    assert str(folder.parent) in done.stderr
    assert "Traceback" not in done.stderr


def test_a_full_disk_is_named_and_nothing_is_left(folder: Path) -> None:
    before = mounted("size=8m", folder.parent)
    listing = ("sh", "-c", '"$@"; code=$?; ls -A "$0"; exit $code', str(folder.parent))
    done = build(folder, before=(*before, *listing))
    assert done.returncode == 1
    assert "No space left on device" in done.stderr
    assert "the space on the disk" in done.stderr
    assert done.stdout.splitlines()[-1] == f".{folder.name}.lock"
