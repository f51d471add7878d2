"""A program's own folder: a copy of the project, read-only inputs, no network."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pipeline import LAUNCH, command
from refusals import refused
from samebits.launch import workspace
from samebits.observation.project import Project

LOOK = """
import json, os, socket, sys
os.chdir(sys.argv[sys.argv.index("--workspace") + 1])
def attempt(path):
    try:
        open(path, "a").write("more")
    except OSError as error:
        return error.strerror
found = {"cwd": os.getcwd(), "files": sorted(os.listdir(".")), "data": open("data/a.csv").read()}
found.update(isolation=json.loads(os.environ["SAMEBITS_ISOLATION"]), link=open("outside").read())
found["wrote"] = [attempt(name) for name in ("train.py", "data/a.csv", "outside")]
listening = socket.socket()
listening.bind(("127.0.0.1", 0))
listening.listen()
socket.create_connection(listening.getsockname())
found["interfaces"] = [name for _, name in socket.if_nameindex()]
print(json.dumps(found))
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = tmp_path / "project"
    (folder / "data").mkdir(parents=True)
    (folder / "data" / "a.csv").write_text("1")
    (folder / "train.py").write_text("pass")
    (tmp_path / "elsewhere.txt").write_text("2")
    (folder / "outside").symlink_to(tmp_path / "elsewhere.txt")
    (tmp_path / "inputs.json").write_text("[]\n")
    return folder


@pytest.mark.process
@pytest.mark.parametrize("vary", [[], ["folder", "home", "host_name"]])
def test_nothing_that_a_run_writes_reaches_the_project(
    project: Path, tmp_path: Path, vary: list[str]
) -> None:
    (tmp_path / "look.py").write_text(LOOK)
    flags = [word for name in vary for word in ("--vary", name)]
    line = [*LAUNCH, sys.executable, "--log", tmp_path / "log.txt", "--isolated", *flags]
    line += ["--workspace", project, "--input", "data", "--", tmp_path / "look.py"]
    command(*line, "--data", tmp_path, "--source-path", project, cwd=tmp_path)
    found = json.loads((tmp_path / "log.txt").read_text().splitlines()[-1])
    if found["isolation"]["inputs"] != "read-only":
        pytest.skip(f"no mounts of one's own here: {found['isolation']}")
    assert found["files"] == ["data", "outside", "train.py"]
    assert (found["data"], found["link"]) == ("1", "2")
    assert found["wrote"] == [None, "Read-only file system", "Read-only file system"]
    assert found["cwd"].endswith(str(workspace._PLACE))
    if found["isolation"]["network"] == "none":
        assert found["interfaces"] == ["lo"]
    assert (project / "train.py").read_text() == "pass"


@pytest.mark.process
def test_a_project_that_is_too_large_names_its_largest_files(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (project / "big.bin").write_bytes(bytes(3 << 20))
    monkeypatch.setattr(workspace, "_MOST_BYTES", 1 << 20)
    with refused("declare data as inputs", "The largest: big.bin (3 MiB)"):
        workspace._require_small(Project(project))


@pytest.mark.process
def test_a_program_that_catches_a_signal_and_ends_well_was_ended_all_the_same(
    project: Path, tmp_path: Path
) -> None:
    (tmp_path / "caught.py").write_text(
        "import signal, sys, time\n"
        "signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))\n"
        "print('ready', flush=True)\n"
        "time.sleep(60)\n"
    )
    log = tmp_path / "log.txt"
    line = [*LAUNCH, sys.executable, "--log", log, "--workspace", project, "--", "caught.py"]
    line += ["--data", tmp_path, "--source-path", project]
    running = subprocess.Popen(list(map(str, line)), cwd=tmp_path, stderr=subprocess.DEVNULL)
    end = time.monotonic() + 30
    while not (log.is_file() and log.read_bytes()):
        assert time.monotonic() < end
        time.sleep(0.05)
    running.terminate()
    assert running.wait(30) == 128 + signal.SIGTERM
