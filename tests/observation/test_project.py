"""Which files of a project a program's run gets a copy of."""

import os
from pathlib import Path

import pytest

from pipeline import command
from samebits.observation.project import Project, spread

pytestmark = pytest.mark.process

FILES = (
    *("train.py", "sub/helpers.py", "ignored.h5", "data/a.csv", "results/x.json", "logs/y.log"),
    *(".samebits/z", "data/mnist-1/record.json", "data/mnist-1/arrays/x.npy", "venv/pyvenv.cfg"),
    *("venv/lib/x.py", "sub/__pycache__/helpers.pyc", "sub/results/kept.txt"),
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in FILES:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text('{"format":"samebits-load-1"}\n' if path.name == "record.json" else "")
    return tmp_path


def test_what_is_no_plain_file_is_left_out(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "train.py").touch()
    (tmp_path / "link").symlink_to("train.py")
    assert Project(tmp_path).names == ["link", "train.py"]


def test_all_files_but_those_of_the_pipeline_and_of_environments(folder: Path) -> None:
    found = Project(folder)
    kept = ["data/a.csv", "ignored.h5", "sub/helpers.py", "sub/results/kept.txt", "train.py"]
    assert found.names == kept
    assert sorted(found.listing(".")) == ["data", "ignored.h5", "sub", "train.py"]
    assert not found.sees("results") and not found.sees("venv/lib/x.py")


def test_an_input_never_has_what_the_pipeline_keeps_in_it(folder: Path) -> None:
    assert spread(folder, "data") == ["data/a.csv"]
    assert spread(folder, "sub") == ["sub/helpers.py", "sub/results"]
    assert spread(folder, "train.py") == ["train.py"]
    assert "data" not in Project(folder, ("data",)).inputs
    assert Project(folder, ("data",)).listing("data") == ["a.csv"]


def test_of_a_repository_what_git_does_not_ignore_and_what_is_declared(folder: Path) -> None:
    (folder / ".gitignore").write_text("*.h5\n*.csv\nvenv/\n")
    command("git", "init", "-q", cwd=folder)
    found = Project(folder, ("data/a.csv",))
    assert found.names == [".gitignore", "sub/helpers.py", "sub/results/kept.txt", "train.py"]
    assert found.sees("data/a.csv") and not found.sees("ignored.h5")
    assert found.sees("sub") and not found.sees("nowhere")
