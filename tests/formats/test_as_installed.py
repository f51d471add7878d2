"""An environment that is there already: what its listing says, and what it finds changed."""

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from prefixes import Prefix
from samebits.formats import as_installed, lockfile
from wheels import wheel

pytestmark = pytest.mark.process


@pytest.fixture
def prefix(tmp_path: Path) -> Prefix:
    """Each test changes its own."""
    return Prefix(tmp_path)


def test_an_environment_is_a_lock_of_its_records_and_nothing_is_written_into_it(
    prefix: Prefix,
) -> None:
    before = sorted(prefix.folder.rglob("*"))
    lock = lockfile.parse(prefix.look(), "")
    assert prefix.refused() == ""
    assert sorted(prefix.folder.rglob("*")) == before
    assert lock.as_installed
    assert [(p.name, p.version) for p in lock.packages] == [("mine", "1.0")]
    version = ".".join(map(str, sys.version_info[:3]))
    assert as_installed.notes(prefix.look()) == {"Python": [version], "files": ["3"]}
    assert as_installed.described(prefix.look()) == (
        f"as installed: distributions: 1, Python {version}, "
        "files that are not as their RECORD says: 0"
    )


def test_the_same_wheels_give_the_same_lock_elsewhere(prefix: Prefix, tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    assert Prefix(tmp_path / "b", "elsewhere").look() == prefix.look()


def _edit(prefix: Prefix) -> None:
    (prefix.site / "mine.py").write_text("version = 2\n")


def _edit_secretly(prefix: Prefix) -> None:
    """With the size and the date that the file had."""
    path = prefix.site / "mine.py"
    status = path.stat()
    path.write_text(path.read_text().replace("1", "2"))
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def _add(prefix: Prefix) -> None:
    (prefix.site / "sitecustomize.py").write_text("")


def _add_folder(prefix: Prefix) -> None:
    for name in ("a.py", "b.py", "data.txt"):
        (prefix.site / "extra").mkdir(exist_ok=True)
        (prefix.site / "extra" / name).write_text("")


def _remove(prefix: Prefix) -> None:
    (prefix.site / "mine.py").unlink()


def _lose_record(prefix: Prefix) -> None:
    (record,) = prefix.site.glob("mine*/RECORD")
    record.unlink()


def _install(prefix: Prefix) -> None:
    prefix.install(wheel(prefix.place, "more", "2.0"))


def _upgrade(prefix: Prefix) -> None:
    prefix.install(wheel(prefix.place, "mine", "2.0"))


def _install_editable(prefix: Prefix) -> None:
    (info,) = prefix.site.glob("mine*.dist-info")
    (info / "direct_url.json").write_text(
        json.dumps({"url": "file:///source", "dir_info": {"editable": True}})
    )


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (_edit, "mine.py (not as installed): expected none, got SHA-256 "),
        (_edit_secretly, "mine.py (not as installed): expected none, got SHA-256 "),
        (_add, "sitecustomize.py (in no RECORD): expected none, got SHA-256 "),
        (_add_folder, "extra/ (2 files) (in no RECORD): expected none, got SHA-256 "),
        (_remove, "mine.py (missing): expected none, got SHA-256 "),
        (_lose_record, "mine (without a RECORD): expected none, got yes"),
        (_install, "more: expected none, got 2.0, RECORD "),
        (_upgrade, "mine: expected 1.0, RECORD "),
        (_install_editable, "mine (editable): expected none, got yes"),
    ],
)
def test_a_change_is_named_before_a_run_and_is_part_of_the_next_look(
    prefix: Prefix, change: Callable[[Prefix], None], said: str
) -> None:
    before = prefix.look()
    change(prefix)
    assert said in prefix.refused()
    assert "start the same command again" in prefix.refused()
    assert any(said in line for line in as_installed.differences(before, prefix.look()))
    assert prefix.refused() == ""


def test_of_a_package_that_is_there_twice_the_first_counts(prefix: Prefix) -> None:
    source = prefix.place / "source"
    (source / "mine.egg-info").mkdir(parents=True)
    (source / "mine.egg-info/PKG-INFO").write_text(
        "Metadata-Version: 2.1\nName: mine\nVersion: 3\n"
    )
    (prefix.site / "source.pth").write_text(f"{source}\n")
    text = prefix.look()
    assert [(p.name, p.version) for p in lockfile.parse(text, "").packages] == [("mine", "1.0")]
    assert set(as_installed.notes(text)) == {"Python", "files", "in no RECORD"}
    assert prefix.refused() == ""


def test_what_installers_write_for_themselves_is_no_change(prefix: Prefix) -> None:
    before = prefix.look()
    (info,) = prefix.site.glob("mine*.dist-info")
    (info / "INSTALLER").write_text("pip")
    (prefix.site / "__pycache__").mkdir(exist_ok=True)
    (prefix.site / "__pycache__/mine.cpython-311.pyc").write_bytes(b"")
    assert prefix.look() == before


def test_condas_packages_are_named_by_their_archives_and_its_files_compared(
    prefix: Prefix,
) -> None:
    library = prefix.folder / "lib/libmath.so.1"
    library.write_bytes(b"as conda says")
    digest = "fe58e30c8b90ca9d5be16a7b9a5b6ab0bbcbaac7c9ab4ffb4c4bcd9bd2ea6c6e"
    entry = {"_path": "lib/libmath.so.1", "path_type": "hardlink", "sha256": digest}
    meta = {"name": "math", "version": "1", "build": "h0", "sha256": "a" * 64}
    (prefix.folder / "conda-meta").mkdir()
    (prefix.folder / "conda-meta/math-1-h0.json").write_text(
        json.dumps(meta | {"paths_data": {"paths": [entry]}})
    )
    text = prefix.look()
    assert f"# conda: math-1-h0 sha256:{'a' * 64}\n" in text
    assert as_installed.notes(text)["not as installed"] == ["lib/libmath.so.1"]


def test_a_lock_of_ours_is_not_taken_for_one() -> None:
    assert not lockfile.parse(lockfile.Lock("3.11", {}, ()).text(), "").as_installed
