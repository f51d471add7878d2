"""The git repositories that a run finds when it begins."""

import subprocess
from pathlib import Path
from typing import Any

import pytest

from samebits.observation import checkout, executed

pytestmark = pytest.mark.process

COMMIT: dict[str, Any] = {"changed": [], "inputs": [], "problem": None}


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout with one committed file; the working folder."""
    folder = tmp_path / "checkout"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.setattr(executed, "CHECKOUT", folder)
    for name in ("committed.py", "README.md"):
        (folder / name).touch()
    for command in (["init", "-q"], ["add", "-A"], ["commit", "-qm", "all"]):
        _git(folder, *command)
    return folder


def _git(folder: Path, *command: str) -> str:
    identity = ("-c", "user.name=a", "-c", "user.email=a@b.invalid")
    line = ["git", "-C", str(folder), *identity, *command]
    return subprocess.run(line, check=True, capture_output=True, text=True).stdout.strip()


def told(source: Path, target: str = "mine.network", **more: Any) -> Any:
    """What the record says at the end; the model is all that the run executed."""
    found = checkout.repositories(source, target)
    modules = [{"module": "mine", "path": "mine.py"}]
    content = {"repositories": found, "source": modules, "files": {"read": []}, "config": {}}
    content["config"] = {"data": {"path": more.pop("data", None)}}
    return checkout.tell_inputs(content | more, source)


def test_a_clean_checkout_has_its_commit(repository: Path) -> None:
    clean = {"commit": _git(repository, "rev-parse", "HEAD")} | COMMIT
    assert told(repository) == {"checkout": clean, "model": None}
    assert told(repository.parent, "samebits.models.mlp") == {"checkout": clean, "model": None}


def test_the_experiments_own_files_are_told_from_other_changes(
    repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for folder in ("new folder", "results/mine", "data/npz-0123456789ab", ".samebits"):
        (repository / folder).mkdir(parents=True)
        (repository / folder / "made by the pipeline").touch()
    (repository / "new folder/made by the pipeline").unlink()
    for name in ("mine.py", "mine.npz", "mine.yaml", "new folder/ü.txt", "words.txt", "README.md"):
        (repository / name).write_text("x")
    (repository / "committed.py").unlink()
    monkeypatch.setenv(checkout.CONFIG_FILES, f"{repository}/mine.yaml:/elsewhere.yaml")
    read = {"read": [{"path": "words.txt"}]}
    found = told(repository, data="mine.npz", files=read)["checkout"]
    assert found["inputs"] == ["mine.npz", "mine.py", "mine.yaml", "words.txt"]
    assert found["changed"] == ["README.md", "committed.py", "new folder/ü.txt"]


def test_the_state_is_that_of_the_beginning(repository: Path) -> None:
    begun = checkout.repositories(repository, "mine.network")
    (repository / "later").touch()
    assert begun["checkout"]["changed"] == []


def test_a_model_of_another_repository_has_that_beside_the_checkouts(
    repository: Path, tmp_path: Path
) -> None:
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    _git(theirs, "init", "-q")
    _git(theirs, "commit", "-q", "--allow-empty", "-m", "first")
    for name in ("mine.py", "other.py"):
        (theirs / name).touch()
    found = told(theirs)
    assert found["checkout"]["commit"] == _git(repository, "rev-parse", "HEAD")
    assert found["model"] == COMMIT | {
        **{"commit": _git(theirs, "rev-parse", "HEAD"), "changed": ["other.py"]},
        "inputs": ["mine.py"],
    }


@pytest.mark.parametrize(
    ("path", "why"),
    [("/usr/bin:/bin", "not a git repository"), ("/nowhere", "git: No such file or directory")],
)
def test_an_unknown_commit_has_its_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str, why: str
) -> None:
    monkeypatch.setattr(executed, "CHECKOUT", tmp_path)
    monkeypatch.setenv("PATH", path)
    found = told(tmp_path)["checkout"]
    assert (found["commit"], found["changed"]) == (None, None)
    assert found["problem"] == why


def test_of_a_thousand_changes_more_are_counted(repository: Path) -> None:
    for number in range(1002):
        (repository / f"{number:04}").touch()
    changed = told(repository)["checkout"]["changed"]
    assert (len(changed), changed[-1]) == (1001, "and 2 more")
