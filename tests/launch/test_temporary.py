"""Folders for temporary files: a run's own, and those of processes that were killed."""

import os
import signal
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from pipeline import SCRIPTS, in_namespace
from samebits.launch import temporary

# Makes a folder, says where, and starts a child that lives on.
MAKER = """
import subprocess, sys, time
from contextlib import ExitStack
sys.path.insert(0, sys.argv[1])
from samebits.launch import temporary
print(temporary.folder(ExitStack()), flush=True)
if sys.argv[2:]:
    print(subprocess.Popen(["sleep", "60"], pass_fds=temporary.HELD).pid, flush=True)
time.sleep(60)
"""


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The system's folder for temporary files."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    return tmp_path


def start(*flags: str) -> "tuple[subprocess.Popen[str], Path]":
    command = [sys.executable, "-c", MAKER, str(SCRIPTS), *flags]
    maker = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert maker.stdout
    return maker, Path(maker.stdout.readline().strip())


def kill(maker: "subprocess.Popen[str]") -> None:
    maker.send_signal(signal.SIGKILL)
    maker.wait()


def test_a_folder_ends_with_its_maker_and_nobody_removes_it_before(place: Path) -> None:
    with ExitStack() as ends:
        made = temporary.folder(ends)
        (made / "file").touch()
        temporary.remove_abandoned()
        assert made.parent == place and (made / "file").is_file()
    assert list(place.iterdir()) == []


@pytest.mark.parametrize("moment", ["tempfile.mkdtemp", "os.open"])
def test_a_folder_that_another_start_takes_for_abandoned_is_made_again(
    monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    module, name = moment.split(".")
    original = getattr(sys.modules[module], name)
    removed: list[None] = []

    def interrupted(*given: Any, **named: Any) -> Any:
        made = original(*given, **named)
        if not removed:
            removed.append(None)
            temporary.remove_abandoned()
        return made

    monkeypatch.setattr(moment, interrupted)
    with ExitStack() as ends:
        assert temporary.folder(ends).is_dir()
    assert removed


@pytest.mark.process
def test_the_folder_of_a_killed_process_is_removed_by_the_next_start() -> None:
    maker, made = start()
    (made / "full").mkdir()
    temporary.remove_abandoned()
    assert made.is_dir()
    kill(maker)
    assert made.is_dir()
    temporary.remove_abandoned()
    assert not made.exists()


@pytest.mark.process
def test_the_folder_stays_while_what_the_killed_process_started_lives() -> None:
    maker, made = start("with a child")
    assert maker.stdout
    child = int(maker.stdout.readline())
    kill(maker)
    temporary.remove_abandoned()
    assert made.is_dir()
    os.kill(child, signal.SIGKILL)
    end = time.monotonic() + 10
    while made.exists() and time.monotonic() < end:
        temporary.remove_abandoned()
    assert not made.exists()


def test_links_and_files_of_that_name_and_what_lies_behind_them_stay(place: Path) -> None:
    elsewhere = place / "elsewhere"
    elsewhere.mkdir()
    (place / "samebits-run-link").symlink_to(elsewhere)
    (place / "samebits-run-file").touch()
    (place / "samebits-run-left").mkdir()
    (place / "samebits-run-left" / "link").symlink_to(elsewhere)
    temporary.remove_abandoned()
    assert sorted(path.name for path in place.iterdir()) == [
        "elsewhere",
        "samebits-run-file",
        "samebits-run-link",
    ]


@pytest.mark.process
def test_a_folder_that_shows_another_one_is_never_removed(place: Path) -> None:
    shown, point = place / "precious", place / "samebits-run-mount"
    for made in (shown, point / "below"):
        made.mkdir(parents=True)
    (shown / "file").touch()
    program = (
        f"import sys; sys.path.insert(0, {str(SCRIPTS)!r}); from samebits.launch import temporary; "
        "temporary.remove_abandoned()"
    )
    for target in (point / "below", point):
        inside = in_namespace(f"mount --bind '{shown}' '{target}'")
        subprocess.run([*inside, sys.executable, "-c", program], check=True)
        assert (shown / "file").is_file() and target.is_dir()


def test_a_run_has_an_empty_folder_and_a_keras_home_without_settings(tmp_path: Path) -> None:
    home = tmp_path / "home" / ".keras"
    (home / "datasets").mkdir(parents=True)
    (home / "keras.json").write_text('{"epsilon": 1}')
    for shell in ({"HOME": str(home.parent)}, {"KERAS_HOME": str(home), "HOME": "/nonexistent"}):
        with ExitStack() as ends:
            found = temporary.own_folders(shell, ends)
            keras, empty = Path(found["KERAS_HOME"]), Path(found["TMPDIR"])
            assert [path.name for path in keras.iterdir()] == ["datasets"]
            assert (keras / "datasets").samefile(home / "datasets") and list(empty.iterdir()) == []
            (empty / "left").touch()
        assert not keras.exists() and not empty.exists()
    for shell, linked in (({}, True), ({"KERAS_HOME": str(home)}, False)):
        with ExitStack() as ends:
            found = temporary.own_folders(shell, ends, linked)
            assert list(Path(found["KERAS_HOME"]).iterdir()) == []
