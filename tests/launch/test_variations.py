"""The definitions of the variations, as far as they need no process."""

import json
import os
from contextlib import ExitStack
from pathlib import Path

import pytest

from samebits.experiment.variations import of_environment, parse
from samebits.launch import disorderfs, namespaces, variations
from samebits.training import machine, observation


def start(**environ: str) -> variations.Start:
    return variations.Start(Path("bin/python"), ["python"], dict(environ), ExitStack())


def told(*asked: str, **environ: str) -> dict[str, dict[str, str]]:
    """What a process is told about the variations that were asked for."""
    process = start(**environ)
    with process.ends:
        variations.apply(process, parse(list(asked)))
    return of_environment(process.environ)


def test_without_variations_the_process_learns_that() -> None:
    assert told() == {"applied": {}, "not_tried": {}}


@pytest.mark.parametrize(
    ("given", "expected"),
    [("0", "1"), ("41", "42"), ("4294967295", "0"), ("random", "1"), ("", "1")],
)
def test_the_hash_seed_becomes_the_next_one(given: str, expected: str) -> None:
    assert told("hash_seed", PYTHONHASHSEED=given)["applied"] == {"hash_seed": expected}


@pytest.mark.parametrize(
    ("present", "installed", "expected"),
    [
        ("C.UTF-8", "C C.utf8 POSIX", "C"),
        ("C", "C C.utf8 POSIX", "C.utf8"),
        ("POSIX", "C C.utf8 POSIX", "C.utf8"),
        ("C", "C POSIX", ""),
        ("C.UTF-8", "C.utf8", ""),
        ("en_US.UTF-8", "C C.utf8 de_DE.utf8 en_GB.utf8 en_US.utf8", "de_DE.utf8"),
        ("C", "C C.utf8 POSIX tr_TR.utf8", "tr_TR.utf8"),
        ("en_US.UTF-8", "C en_US.utf8", "C"),
        ("C.UTF-8", "C.utf8 ja_JP.eucjp", ""),
        ("LC_CTYPE=C.UTF-8, LC_TIME=C", "C C.utf8", "C"),
    ],
)
def test_another_language_is_preferred_to_another_c_locale(
    present: str, installed: str, expected: str
) -> None:
    assert variations.other_locale(present, installed.split()) == expected


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({}, "C"),
        ({"LANG": "de_DE.UTF-8"}, "de_DE.UTF-8"),
        ({"LANG": "de_DE.UTF-8", "LC_ALL": "C"}, "C"),
        ({"LANG": "de_DE.UTF-8", "LC_ALL": ""}, "de_DE.UTF-8"),
    ],
)
def test_the_locale_is_what_the_c_library_would_take(
    environ: dict[str, str], expected: str
) -> None:
    assert observation.locale(environ) == expected


def test_a_locale_that_differs_between_categories_names_them() -> None:
    found = observation.locale({"LANG": "C", "LC_NUMERIC": "de_DE.UTF-8"})
    assert "LC_NUMERIC=de_DE.UTF-8" in found
    assert "LC_TIME=C" in found


def test_a_new_home_drops_what_points_into_the_old_one() -> None:
    given = {"HOME": "/home/me", "XDG_CACHE_HOME": "/home/me/.cache", "XDG_DATA_DIRS": "/usr/share"}
    process = start(**given)
    with process.ends:
        variations.apply(process, {"home": ""})
        home = Path(process.environ["HOME"])
        assert list(home.iterdir()) == []
        assert "XDG_CACHE_HOME" not in process.environ
        assert process.environ["XDG_DATA_DIRS"] == "/usr/share"
    assert not home.exists()


@pytest.mark.parametrize("name", ["host_name", "aslr", "directory_order"])
def test_what_the_kernel_does_not_permit_is_not_tried(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(namespaces, "attempt", lambda _: "Operation not permitted")
    monkeypatch.setattr(variations, "_tool", lambda *_: "tool")
    monkeypatch.setattr(os, "access", lambda *_: True)
    if name == "aslr":
        monkeypatch.setattr(observation, "aslr", lambda: "on")
    reason = told(name)["not_tried"][name]
    assert reason.endswith("permitted here (Operation not permitted)")


def test_fuse_without_its_device_is_not_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda *_: False)
    monkeypatch.setattr(variations, "_tool", lambda *_: "tool")
    reason = told("directory_order")["not_tried"]["directory_order"]
    assert reason == "FUSE is not permitted here (no access to its device)"


def test_a_working_folder_that_holds_the_temporary_files_is_not_reversed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(namespaces, "attempt", lambda _: "")
    monkeypatch.setattr(os, "access", lambda *_: True)
    monkeypatch.setattr("tempfile.gettempdir", lambda: str(tmp_path / "inside"))
    with ExitStack() as ends, pytest.raises(OSError, match="temporary files"):
        disorderfs.mount("disorderfs", [tmp_path], ends)


def test_fixed_addresses_are_not_tried_where_they_are_fixed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(observation, "aslr", lambda: "off")
    assert "off on this machine" in told("aslr")["not_tried"]["aslr"]


def test_the_description_names_neither_folders_nor_the_host() -> None:
    text = json.dumps(told("home", "folder", "umask", "variables", "time_zone"))
    for private in (str(Path.cwd()), str(Path.home()), os.uname().nodename, "samebits-"):
        assert private not in text


def test_what_was_made_in_a_symlinked_folder_is_moved_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = tmp_path / "real"
    (real / "kept").mkdir(parents=True)
    (real / "old.txt").write_text("old")
    monkeypatch.chdir(real)
    process = start()
    with process.ends:
        variations.apply(process, {"folder": ""})
        folder = process.folder
        assert {path.name for path in folder.iterdir()} == {"kept", "old.txt"}
        (folder / "kept" / "through.txt").write_text("1")
        (folder / "new").mkdir()
        (folder / "new" / "file.txt").write_text("2")
        (real / "new").mkdir()  # by another run, meanwhile
        (real / "new" / "theirs.txt").write_text("3")
        (folder / "replacing").write_text("new")
        (folder / "replacing").replace(folder / "old.txt")
    assert not folder.exists()
    found = {str(p.relative_to(real)): p.read_text() for p in real.rglob("*") if p.is_file()}
    assert found == {
        "kept/through.txt": "1",
        "new/file.txt": "2",
        "new/theirs.txt": "3",
        "old.txt": "new",
    }


def test_only_paths_that_leave_the_working_folder_become_absolute() -> None:
    given = ["--data", "data/a", "../b", "..", "a/../../b", "-x=1", "/abs", "..c", "1.5"]
    above = str(Path.cwd().parent)
    expected = [*given[:2], f"{above}/b", above, f"{above}/b", *given[5:]]
    assert variations.from_elsewhere(given) == expected


def test_folders_in_other_ones_are_reversed_with_them(tmp_path: Path) -> None:
    inner, beside = tmp_path / "a" / "b", tmp_path / "ab"
    inner.mkdir(parents=True)
    beside.mkdir()
    (tmp_path / "link").symlink_to(inner)
    given = [inner, tmp_path / "a", beside, tmp_path / "link"]
    assert disorderfs.topmost(given) == [tmp_path / "a", beside]


def test_the_cpu_is_what_the_instruction_says_and_the_system_where_it_cannot_be_asked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("mmap.mmap", _refuse)
    assert machine.describe_cpu() == machine.record()["cpu"]


def _refuse(*_: object, **__: object) -> None:
    raise PermissionError
