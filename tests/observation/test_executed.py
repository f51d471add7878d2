"""Which modules a process executed, by the digest of the very bytes; without TensorFlow."""

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipeline import ROOT, SCRIPTS, skip_without
from samebits.experiment import variations
from samebits.observation import executed

pytestmark = pytest.mark.process

_PROGRAM = f"""
import importlib, importlib.util, json, runpy, sys
sys.path.insert(0, {str(SCRIPTS)!r})
from samebits.observation import executed
executed.install(sys._getframe().f_code)
from pathlib import Path
source = Path("source")
sys.path.append("source")
{{body}}
changes = list(executed.changes())
print(json.dumps([executed.modules(source), changes]))
"""


@pytest.fixture(params=["3.11", "3.7"])
def run(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[str], Any]:
    """Run a program that executes modules; (module -> entry without ours, what changed)."""
    python = skip_without(request.param)
    (tmp_path / "source").mkdir()

    def program(body: str) -> Any:
        script = tmp_path / "program.py"
        script.write_text(_PROGRAM.format(body=body))
        command = [str(python), str(script)]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
        modules, changes = json.loads(done.stdout.splitlines()[-1])
        return {m["module"]: m for m in modules}, changes

    return program


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def test_the_digest_is_that_of_the_executed_bytes_whatever_the_cache_says(
    run: Callable[[str], Any], tmp_path: Path
) -> None:
    """A cache of the same size and date as the source hides an edit from Python's own loader."""
    file = tmp_path / "source" / "mine.py"
    file.write_text("X = 1\n")
    os.utime(file, (1, 1))
    run("import compileall; compileall.compile_file('source/mine.py', quiet=1)")
    file.write_text("X = 2\n")
    os.utime(file, (1, 1))
    modules, _ = run("import mine; assert mine.X == 2")
    assert modules["mine"] == {"module": "mine", "path": "mine.py", "sha256": _sha256("X = 2\n")}


@pytest.mark.parametrize(
    ("body", "module", "path"),
    [
        ("import pkg.inner", "pkg", "pkg/__init__.py"),
        ("importlib.import_module('pkg.inner')", "pkg.inner", "pkg/inner.py"),
        ("__import__('pkg.inner')", "pkg.inner", "pkg/inner.py"),
        ("from pkg import *", "pkg.inner", "pkg/inner.py"),
        ("def f():\n    from pkg import inner\nf()", "pkg.inner", "pkg/inner.py"),
        ("sys.path.insert(0, 'lib'); import far", "far", "../lib/far.py"),
        ("runpy.run_module('pkg.inner')", "pkg.inner", "pkg/inner.py"),
        (
            "spec = importlib.util.spec_from_file_location('x', 'lib/far.py')\n"
            "spec.loader.exec_module(importlib.util.module_from_spec(spec))",
            "x",
            "../lib/far.py",
        ),
    ],
)
def test_a_module_is_recorded_in_whatever_way_it_is_reached(
    run: Callable[[str], Any], tmp_path: Path, body: str, module: str, path: str
) -> None:
    for name, text in {
        "source/pkg/__init__.py": "__all__ = ['inner']\n",
        "source/pkg/inner.py": "Y = 1\n",
        "lib/far.py": "Z = 1\n",
    }.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    modules, changes = run(body)
    assert modules[module]["path"] == path
    assert modules[module]["sha256"] == _sha256((tmp_path / "source" / path).read_text())
    assert changes == []


@pytest.mark.parametrize(
    "edit",
    [
        "Path('source/mine.py').write_text('X = 2')",
        "Path('source/mine.py').unlink()",
        # Back again: the process has executed two contents of one file.
        "Path('source/mine.py').write_text('X = 2'); importlib.reload(mine)\n"
        "Path('source/mine.py').write_text('X = 1')",
    ],
)
def test_a_file_that_changed_after_it_was_executed_is_named(
    run: Callable[[str], Any], tmp_path: Path, edit: str
) -> None:
    (tmp_path / "source" / "mine.py").write_text("X = 1")
    _, changes = run(f"import mine\n{edit}")
    (change,) = changes
    assert change.startswith(f"{tmp_path}/source/mine.py: was changed while this run used it")


def test_libraries_are_not_recorded_and_our_own_modules_are(run: Callable[[str], Any]) -> None:
    modules, _ = run("import wsgiref.util")
    assert set(modules) == {
        *("__main__", "samebits", "samebits.observation", "samebits.observation.executed")
    }
    path = "scripts/samebits/observation/executed.py"
    assert modules["samebits.observation.executed"]["path"] == path
    assert modules["samebits.observation.executed"]["sha256"] == _sha256((ROOT / path).read_text())


def test_a_stale_cache_of_our_own_modules_is_refused(tmp_path: Path) -> None:
    """They are imported before the loader can be replaced."""
    for file in ("__init__.py", "observation/__init__.py", "observation/executed.py"):
        copied = tmp_path / "samebits" / file
        copied.parent.mkdir(parents=True, exist_ok=True)
        copied.write_bytes((SCRIPTS / "samebits" / file).read_bytes())
    (tmp_path / "program.py").write_text(
        "import sys\nfrom samebits.observation import executed\n"
        "executed.install(sys._getframe().f_code)\n"
    )
    line = [sys.executable, "program.py"]
    environ = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    subprocess.run(line, cwd=tmp_path, env=environ, check=True)
    edited = tmp_path / "samebits/observation/__init__.py"
    before = edited.stat()
    edited.write_text(edited.read_text().upper())
    os.utime(edited, ns=(before.st_atime_ns, before.st_mtime_ns))
    done = subprocess.run(line, cwd=tmp_path, env=environ, capture_output=True, check=False)
    assert b"observation/__init__.py: was changed while it was loaded" in done.stderr


def test_a_file_at_the_second_place_has_the_name_that_it_has_at_the_first(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert executed._ROOT_VARIABLE == variations.ROOT
    monkeypatch.setattr(executed, "_ROOT", "/place")
    source = Path("/place/home/source")
    for path, name in {
        "/place/home/source/data.npy": "data.npy",
        "/place/home/data.npy": "/home/data.npy",
        "/home/data.npy": "/home/data.npy",
        "/place-one/data.npy": "/place-one/data.npy",
    }.items():
        assert executed.named(path, source) == name
    assert not any(map(executed.is_input, ("/place/etc/hosts", "/place/etc", "/proc", sys.prefix)))
    assert all(map(executed.is_input, ("/place/home/data.npy", "/dev/shm/best.npy")))  # noqa: S108


def test_a_file_is_named_by_the_innermost_of_home_and_working_folder(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Else a run whose home is another one has another name for it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(executed, "_HOME", f"{tmp_path}/home/")
    source = tmp_path / "source"
    assert executed.named(f"{tmp_path}/home/left.npy", source) == "~/left.npy"
    assert executed.named(f"{tmp_path}/left.npy", source) == "../left.npy"
    assert executed.named(f"{tmp_path}/home/mine/net.py", tmp_path / "home/mine") == "net.py"
    monkeypatch.setattr(executed, "_HOME", f"{tmp_path.parent}/")
    assert executed.named(f"{tmp_path}/left.npy", source) == "../left.npy"
