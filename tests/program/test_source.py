"""A user's program as Python would run it: a file, a module, a notebook."""

import hashlib
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from pipeline import SCRIPTS
from samebits.program.outputs import _numbered, stamps, written
from samebits.program.source import Program

SHOW = "import sys; print(sys.argv, sys.path[0], __name__, __package__, globals().get('__file__'))"
RUN = """
import sys
sys.path.insert(0, sys.argv[1])
from samebits.errors import run
from samebits.program.source import Program
sys.path.pop(0)
words = sys.argv[2:]
run(lambda: Program.of(words).run() or 0)
"""


def ran(folder: Path, *words: str) -> str:
    line = [sys.executable, "-c", RUN, str(SCRIPTS), *words]
    return subprocess.run(line, cwd=folder, capture_output=True, text=True, check=False).stdout


def as_python(folder: Path, *words: str) -> str:
    line = [sys.executable, *words]
    return subprocess.run(line, cwd=folder, capture_output=True, text=True, check=True).stdout


@pytest.mark.process
@pytest.mark.parametrize(
    "words", [("a.py", "-x", "y"), ("deep/b.py",), ("-m", "deep.b", "1"), ("-m", "deep")], ids=str
)
def test_a_program_finds_what_python_gives_it(words: tuple[str, ...], tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    for name in ("a.py", "deep/b.py", "deep/__main__.py", "deep/__init__.py"):
        (tmp_path / name).write_text(SHOW if "init" not in name else "")
    assert ran(tmp_path, *words) == as_python(tmp_path, *words)


def notebook(path: Path, *cells: str) -> None:
    code = [{"cell_type": "code", "source": cell} for cell in cells]
    text = {"cell_type": "markdown", "source": ["!not code"]}
    path.write_text(json.dumps({"cells": [text, *code], "nbformat": 4}))


@pytest.mark.process
def test_the_cells_of_a_notebook_run_in_order_in_one_namespace(tmp_path: Path) -> None:
    show = "import inspect\ndef f():\n    return x\nprint(x, inspect.getsource(f).strip()[-8:])"
    notebook(tmp_path / "n.ipynb", "%matplotlib inline\nx = '''\n!text'''[1:]", show)
    assert ran(tmp_path, "n.ipynb") == "!text return x\n"


def test_what_is_no_python_in_a_notebook_is_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "n.ipynb"
    notebook(path, "x = 1", "y = 2\n!pip install z\nfiles = !ls", "%%time\nx")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path)
        with pytest.raises(Exception) as raised:
            list(Program.of(["n.ipynb"])._codes(path))
    said = str(raised.value).splitlines()
    assert said == [
        "n.ipynb: cell 2: !pip install z",
        "n.ipynb: cell 2: files = !ls",
        "n.ipynb: cell 3: %%time",
        "only Python is run: take these lines out, or write them in Python",
    ]


def test_what_a_program_wrote_is_listed_and_compared_by_format(tmp_path: Path) -> None:
    import numpy as np

    for name in ("kept.csv", "changed.csv"):
        (tmp_path / name).write_text("1")
    before = stamps(tmp_path)
    (tmp_path / "changed.csv").write_text("22")
    (tmp_path / "out").mkdir()
    np.save(tmp_path / "out/a.npy", np.ones(3, np.float32))
    np.savez(tmp_path / "b.npz", x=np.arange(2), y=np.zeros(1))
    np.savez(tmp_path / "texts.npz", t=np.array(["a"]))
    (tmp_path / "log.txt").write_text("12:00")
    (tmp_path / "out/newest").symlink_to(tmp_path / "b.npz")
    (tmp_path / "out/gone").symlink_to("../../elsewhere")
    entries, named = written(before, tmp_path, None)
    found = {entry["path"]: (entry["compared"], entry["as"]) for entry in entries}
    assert found == {
        "b.npz": (True, "arrays"),
        "changed.csv": (True, "bytes"),
        "log.txt": (False, "bytes"),
        "out/a.npy": (True, "arrays"),
        "out/gone": (False, "target"),
        "out/newest": (True, "target"),
        "texts.npz": (True, "bytes"),
    }
    assert [name for name, _ in named] == [
        "file b.npz/x", "file b.npz/y", "file changed.csv", "file out/a.npy/array",
        "file out/newest", "file texts.npz",
    ]  # fmt: skip
    leads = {entry["path"]: entry["sha256"] for entry in entries}["out/newest"]
    assert leads == hashlib.sha256(b"b.npz").hexdigest()
    entries, named = written(before, tmp_path, ["*.txt", "out/*"])
    assert [entry["path"] for entry in entries if entry["compared"]] == [
        *("log.txt", "out/a.npy", "out/gone", "out/newest")
    ]


def test_the_order_in_which_an_export_numbers_its_variables_is_no_difference() -> None:
    small, large, other = np.array([1, 2]), np.array([[3, 4]]), np.array([5])

    def exported(*values: np.ndarray) -> dict[str, list[int]]:
        pairs = [(f"_all_variables/{n}/.ATTRIBUTES", value) for n, value in enumerate(values)]
        return {n: a.tolist() for n, a in _numbered([*pairs, ("signatures", other)])}

    assert exported(small, large) == exported(large, small)
    assert exported(small, large) != exported(small, small)
    assert exported(small)["signatures"] == [5]
