"""What a run executed and opened, compared with the files that are here."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from factories import NO_FILES
from samebits.formats import files
from samebits.observation import opened
from samebits.replay import inputs

CHANGES: dict[str, tuple[Callable[[Path], object], list[str]]] = {
    "nothing": (lambda folder: None, []),
    "a module": (
        lambda folder: (folder / "pkg/mine.py").write_text("y"),
        ["pkg/mine.py has changed"],
    ),
    "a file": (lambda folder: (folder / "words").write_text("y"), ["words has changed"]),
    "its date": (lambda folder: os.utime(folder / "words", (1, 1)), []),
    "a file gone": (lambda folder: (folder / "words").unlink(), ["words is missing"]),
    "a file in vain": (lambda folder: (folder / "local.py").touch(), ["local.py now exists"]),
    "a folder": (lambda folder: (folder / "listed/b").touch(), ["listed has other entries"]),
    "own output": (lambda folder: (folder / "listed/made").touch(), []),
    "an outside file": (
        lambda folder: (folder.parent / "out").write_text("y"),
        ["../out has changed"],
    ),
}


@pytest.fixture
def record(tmp_path: Path) -> dict[str, Any]:
    """Of a run that used a module, three files, and one folder; all are here."""
    for name in ("source/pkg/mine.py", "source/words", "source/listed/a", "out"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("x")
    sha256 = files.digest(tmp_path / "out")
    listed = opened.listing(["a"], str(tmp_path / "source/listed"), set())
    return {
        "source": [
            {"module": "pkg.mine", "path": "pkg/mine.py", "sha256": sha256},
            {"module": "samebits.models", "path": "scripts/samebits/models.py", "sha256": "0" * 64},
        ],
        "files": NO_FILES
        | {
            "read": [{"path": p, "sha256": sha256} for p in ("words", str(tmp_path / "out"))],
            "listed": [{"path": "listed", "sha256": listed}],
            "absent": ["local.py"],
            "written": [{"path": "listed/made", "sha256": None}],
        },
    }


@pytest.mark.parametrize("change", CHANGES)
def test_every_file_that_is_not_as_it_was_is_found(
    change: str, record: dict[str, Any], tmp_path: Path
) -> None:
    source = tmp_path / "source"
    edit, expected = CHANGES[change]
    edit(source)
    found = inputs.differences(record, source)
    assert [f"{os.path.relpath(f.path, source)} {f.what}" for f in found] == expected


@pytest.mark.parametrize(
    "name",
    ["/dev/zero", "/proc/kcore", "/etc/passwd", "x\0", "x" * 300, "/" * 9000, ".", "~nobody/x"],
)
def test_a_hostile_name_is_no_file(name: str, record: dict[str, Any], tmp_path: Path) -> None:
    record["files"]["read"] = [{"path": name, "sha256": "0" * 64}]
    record["files"]["listed"] = [{"path": name, "sha256": "0" * 64}] if name != "." else []
    what = {found.what for found in inputs.differences(record, tmp_path / "source")}
    assert "is missing" in what
    assert "has changed" not in what


def test_a_file_in_the_home_folder_is_looked_for_in_this_users(
    record: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (entry,) = [entry for entry in record["files"]["read"] if entry["path"] != "words"]
    entry["path"] = "~/out"
    assert list(inputs.differences(record, tmp_path / "source")) == []


@pytest.mark.process
def test_of_a_program_only_what_its_runs_see_of_the_project_counts(
    record: dict[str, Any], tmp_path: Path
) -> None:
    source = tmp_path / "source"
    record["config"] = {"program": {"inputs": ["../elsewhere", {"url": "http://a"}, "/etc"]}}
    record["files"]["absent"] = ["results", "local.py"]
    (source / "results").mkdir()
    found = {f"{d.path.name} {d.what}" for d in inputs.differences(record, source) if d.own}
    assert "results now exists" not in found
    (source / "local.py").touch()
    found = {f"{d.path.name} {d.what}" for d in inputs.differences(record, source) if d.own}
    assert "local.py now exists" in found
