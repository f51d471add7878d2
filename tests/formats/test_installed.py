"""Every importable file of an environment that is not as it was installed is found and named."""

import base64
import hashlib
import os
import runpy
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from samebits.formats import installed

SITE = "lib/python3.11/site-packages"
TAG = sys.implementation.cache_tag
CACHED = f"package/__pycache__/layer.{TAG}.pyc"
RECORD = "package-1.0.dist-info/RECORD"
FILES = {
    "package/__init__.py": "",
    "package/layer.py": "FACTOR = 1\n",
    "package/_core.cpython-311-x86_64-linux-gnu.so": "machine code",
    "package/libcore.so.2": "machine code",
    "package/table.txt": "not imported",
    "package/template.py": "no {{ Python }} at all: !\n",
    "package.pth": "import package\n",
    "package-1.0.dist-info/METADATA": "Name: package\nVersion: 1.0\n",
}


def entry(name: str, content: bytes) -> str:
    digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
    return f"{name},sha256={digest},{len(content)}\n"


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """The packages of an environment that was just made and listed."""
    folder = tmp_path / SITE
    for name, content in FILES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(content)
    record = "".join(entry(name, content.encode()) for name, content in FILES.items())
    (folder / RECORD).write_text(f"{record}{RECORD},,\n")
    (tmp_path / "pyvenv.cfg").write_text("include-system-site-packages = false\n")
    (tmp_path / "lib64").symlink_to("lib")
    (tmp_path / "bin").mkdir()
    installed.take(tmp_path)
    return folder


def found(site: Path) -> list[str]:
    """The problems, by names below the packages."""
    return [p.replace(f"{SITE}/", "") for p in installed.problems(site.parents[2])]


def edit(path: Path, content: bytes) -> None:
    """Another content of the same size, with the dates that a program can set."""
    before = path.stat()
    assert len(content) == before.st_size
    path.write_bytes(content)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def edit_with_record(site: Path) -> None:
    edit(site / "package/layer.py", b"FACTOR = 2\n")
    old, new = (entry("package/layer.py", b"FACTOR = %d\n" % factor) for factor in (1, 2))
    (site / RECORD).write_text((site / RECORD).read_text().replace(old, new))


def replace(site: Path, name: str) -> None:
    """An editor writes beside and renames."""
    (site / "new").write_text("FACTOR = 3\n")
    (site / "new").rename(site / name)


def forge_bytecode(site: Path) -> None:
    code = (site / CACHED).read_bytes()
    edit(site / CACHED, code.replace(b"FACTOR", b"RATIO_"))


def link_folder(site: Path) -> None:
    (site / "elsewhere").symlink_to(site / "package")


CHANGED, ADDED = "was changed after it was installed", "was not installed from the lock"
SOURCE, MACHINE = "package/layer.py", "package/libcore.so.2"
EDITS: dict[str, tuple[Callable[[Path], object], str]] = {
    "a line": (lambda s: edit(s / SOURCE, b"FACTOR = 2\n"), f"{SOURCE}: {CHANGED}"),
    "with its RECORD": (edit_with_record, f"{SOURCE}: {CHANGED}"),
    "another file in its place": (lambda s: replace(s, SOURCE), f"{SOURCE}: {CHANGED}"),
    "machine code": (lambda s: replace(s, MACHINE), f"{MACHINE}: {CHANGED}"),
    "a .pth": (lambda s: (s / "package.pth").write_text("import os"), f"package.pth: {CHANGED}"),
    "bytecode": (forge_bytecode, f"{CACHED}: {CHANGED}"),
    "a new .pth": (lambda s: (s / "x.pth").write_text("import os"), f"x.pth: {ADDED}"),
    "sitecustomize": (lambda s: (s / "sitecustomize.py").touch(), f"sitecustomize.py: {ADDED}"),
    "a stray module": (lambda s: (s / "stray.py").touch(), f"stray.py: {ADDED}"),
    "bytecode without source": (lambda s: (s / "stray.pyc").touch(), f"stray.pyc: {ADDED}"),
    "bytecode of a template": (
        lambda s: (s / f"package/__pycache__/template.{TAG}.pyc").touch(),
        f"package/__pycache__/template.{TAG}.pyc: {ADDED}",
    ),
    "a plugin": (lambda s: (s / "package/libplugin.so").touch(), f"package/libplugin.so: {ADDED}"),
    "a link to a folder": (link_folder, f"elsewhere: {ADDED}"),
    "a link to itself": (lambda s: (s / "loop").symlink_to("loop"), f"loop: {ADDED}"),
    "a file that is gone": (
        lambda s: (s / "package/__init__.py").unlink(), "package/__init__.py: is missing",
    ),
    "packages of the system": (
        lambda s: (s.parents[2] / "pyvenv.cfg").write_text("include-system-site-packages = true\n"),
        f"pyvenv.cfg: {CHANGED}",
    ),
    "settings beside Python": (
        lambda s: (s.parents[2] / "bin/pyvenv.cfg").touch(),
        f"bin/pyvenv.cfg: {ADDED}",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", EDITS)
def test_a_file_that_is_not_as_it_was_installed_is_named(site: Path, name: str) -> None:
    change, expected = EDITS[name]
    assert found(site) == []
    change(site)
    assert found(site) == [expected]


def test_all_differences_are_listed_in_order(site: Path) -> None:
    (site / "z.pth").touch()
    (site / "a.py").touch()
    assert found(site) == [f"a.py: {ADDED}", f"z.pth: {ADDED}"]


def test_what_cannot_be_imported_and_another_date_change_nothing(site: Path) -> None:
    (site / "package/table.txt").write_text("changed")
    (site / f"package/__pycache__/layer.{TAG}-pytest-9.pyc").touch()
    (site / f"package/__pycache__/layer.{TAG}.opt-1.pyc").touch()
    (site / "package/layer.py").touch()
    assert found(site) == []


def test_bytecode_is_taken_whatever_the_date_of_its_source_and_never_written_again(
    site: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(site)
    (site / "package/layer.py").touch()
    __import__("package.layer")
    for name in ("package.layer", "package"):
        del sys.modules[name]
    assert found(site) == []


def test_an_environment_without_a_list_is_refused(tmp_path: Path) -> None:
    assert "missing" in installed.problems(tmp_path)[0]


def test_the_digest_of_the_files_is_that_of_the_packages_wherever_they_lie(site: Path) -> None:
    before = installed.summary(site.parents[2])
    assert before["files"] == 6
    (site.parents[2] / "pyvenv.cfg").write_text("home = elsewhere\n")
    (site / "pip").mkdir()
    (site / "pip/__init__.py").touch()
    installed.take(site.parents[2])
    assert installed.summary(site.parents[2]) == before
    (site / "package/layer.py").write_text("FACTOR = 2\n")
    installed.take(site.parents[2])
    assert installed.summary(site.parents[2]) != before


def test_what_the_cache_of_an_installer_changed_is_found_when_an_environment_is_made(
    site: Path,
) -> None:
    prefix = site.parents[2]
    assert installed.unlike_wheels(prefix) == []
    (site / "package/layer.py").write_text("FACTOR = 2\n")
    (site / "stray.py").touch()
    installed.take(prefix)
    assert [line.partition(":")[0] for line in installed.unlike_wheels(prefix)] == [
        f"{SITE}/package/layer.py",
        f"{SITE}/stray.py",
    ]


def test_the_text_of_the_module_is_a_program_of_its_own() -> None:
    """tools/lock.py copies it into scripts that run where nothing else of this checkout is."""
    names = runpy.run_path(str(Path(installed.__file__)))
    assert names["LIST"] == installed.LIST
