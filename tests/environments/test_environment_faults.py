"""scripts/environment.py when its uv outlives it, or a lock or a shell asks for the wrong thing."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from samebits.formats import lockfile

pytestmark = pytest.mark.environment

ROOT = Path(__file__).resolve().parents[2]
ENVS = ROOT / "envs"
SCRIPT = ROOT / "scripts" / "environment.py"
LONGEST = 120  # seconds for one build

# Run the script with another prefix, and so with the uv that is there.
WITH_PREFIX = (
    "import runpy, sys; sys.prefix, *sys.argv = sys.argv[1:]; "
    "sys.path.insert(0, sys.argv[0].rpartition('/')[0]); "
    "runpy.run_path(sys.argv[0], run_name='__main__')"
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "environments" / "small"


def part(tmp_path: Path, name: str, *packages: str) -> Path:
    """A lock with some packages of a committed one."""
    path = tmp_path / "small.lock.txt"
    path.write_text(lockfile.read(ENVS / f"{name}.lock.txt").keep(packages.__contains__).text())
    return path


def start(
    lock: Path, folder: Path, prefix: str | Path = sys.prefix, **variables: str
) -> subprocess.Popen[str]:
    flags = ["--lock", str(lock), "--output", str(folder)]
    return subprocess.Popen(
        [sys.executable, "-c", WITH_PREFIX, str(prefix), str(SCRIPT), *flags],
        env={**os.environ, **variables},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def build(lock: Path, folder: Path, **variables: str) -> tuple[int, str]:
    process = start(lock, folder, **variables)
    said = process.communicate(timeout=LONGEST)[0]
    return process.returncode, said


def installed(folder: Path) -> dict[str, str]:
    program = (
        "import json; from importlib.metadata import distributions; "
        "print(json.dumps({d.metadata['Name'].lower(): d.version for d in distributions()}))"
    )
    output = subprocess.check_output([str(folder / "bin" / "python"), "-I", "-c", program])
    found: dict[str, str] = json.loads(output)
    return found


def beside(folder: Path) -> list[str]:
    """What lies next to an environment, but for the file that builders lock."""
    return sorted(p.name for p in folder.parent.iterdir() if p.name != f".{folder.name}.lock")


def assert_whole(lock: Path, folder: Path) -> None:
    assert installed(folder) == {p.name: p.version for p in lockfile.read(lock).packages}
    assert (folder / "environment.json").is_file()
    assert beside(folder) == [folder.name]


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


def wait_for(path: Path) -> None:
    end = time.monotonic() + LONGEST
    while not path.exists():
        assert time.monotonic() < end, f"{path} did not appear"
        time.sleep(0.02)


def test_a_uv_that_outlives_its_killed_parent_is_waited_for(
    tmp_path: Path, folder: Path, slow: Path
) -> None:
    """It still writes; a build beside it could end up with its files."""
    lock = part(tmp_path, "render", "markupsafe")
    with start(lock, folder, slow) as killed:
        wait_for(slow / "installing")
        killed.kill()
        killed.stdout = None  # the uv holds the other end; it is not waited for here
    second = start(lock, folder)
    with pytest.raises(subprocess.TimeoutExpired):
        second.wait(1.5)
    (slow / "go").touch()
    said = second.communicate(timeout=LONGEST)[0]
    assert "waiting for another process" in said
    assert second.returncode == 0, said
    assert_whole(lock, folder)


def test_an_interrupted_build_removes_what_it_began(
    tmp_path: Path, folder: Path, slow: Path
) -> None:
    stopped = start(part(tmp_path, "render", "markupsafe"), folder, slow)
    wait_for(slow / "installing")
    stopped.send_signal(signal.SIGINT)
    assert stopped.wait(LONGEST) == 130
    assert beside(folder) == []


def test_killed_at_any_moment_of_a_rebuild_nothing_broken_looks_whole(
    tmp_path: Path, folder: Path
) -> None:
    lock = part(tmp_path, "render", "jinja2", "markupsafe")
    other = lock.with_name("other.lock.txt")
    for step in range(10):
        other.write_text(lock.read_text() + f"# {step}\n")  # never the one that is built
        process = start(other, folder)
        time.sleep(0.05 * (step + 1))
        process.kill()
        process.communicate()
        if (folder / "environment.json").exists():
            assert installed(folder) == {p.name: p.version for p in lockfile.read(lock).packages}
    assert build(lock, folder)[0] == 0
    assert_whole(lock, folder)


def test_a_source_archive_is_built_by_the_locked_tools(tmp_path: Path, folder: Path) -> None:
    lock = part(tmp_path, "driver", "antlr4-python3-runtime", "setuptools")
    code, said = build(lock, folder)
    assert code == 0, said
    assert_whole(lock, folder)


def test_a_lock_that_misses_a_dependency_is_refused(tmp_path: Path, folder: Path) -> None:
    code, said = build(part(tmp_path, "render", "jinja2"), folder)
    assert code == 1
    assert "markupsafe" in said
    assert "Traceback" not in said
    assert beside(folder) == []


def test_a_users_own_constraints_do_not_reach_the_environment(tmp_path: Path, folder: Path) -> None:
    lock = part(tmp_path, "render", "markupsafe")
    other = tmp_path / "constraints.txt"
    other.write_text("markupsafe==1.0\n")
    strange = {"UV_CONSTRAINT": str(other), "PIP_CONSTRAINT": str(other), "PYTHONPATH": "/none"}
    code, said = build(lock, folder, **strange)
    assert code == 0, said
    assert_whole(lock, folder)


def test_an_index_that_does_not_answer_is_named(tmp_path: Path, folder: Path) -> None:
    lock = part(tmp_path, "render", "markupsafe")
    nowhere = {"UV_DEFAULT_INDEX": "http://127.0.0.1:9/simple", "UV_HTTP_RETRIES": "0"}
    code, said = build(lock, folder, UV_CACHE_DIR=str(tmp_path / "cache"), **nowhere)
    assert code == 1
    assert "127.0.0.1" in said
    assert "check the network" in said
    assert beside(folder) == []
