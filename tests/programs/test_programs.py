"""Programs as people write them are certified unchanged, and planted dependences are named."""

import ast
import hashlib
import json
from pathlib import Path

import inputs
import pytest

from programs import ARTICLE, HERE, PLANTED, PROGRAMS, Planted, Program


def _code(program: Program) -> str:
    text = program.source.read_text()
    if program.source.suffix != ".ipynb":
        return text
    cells = [cell for cell in json.loads(text)["cells"] if cell["cell_type"] == "code"]
    lines = (line for cell in cells for line in [*cell["source"], "\n"])
    return "".join(line for line in lines if not line.startswith("%"))


@pytest.mark.parametrize("program", PROGRAMS + ARTICLE, ids=lambda program: program.name)
def test_a_program_is_as_people_write_it(program: Program) -> None:
    code = _code(program)
    assert "samebits" not in code
    assert 20 <= len(code.splitlines()) <= 110
    tree = ast.parse(code, feature_version=(3, 7) if "tf2.8" in program.frameworks else None)
    modules = {name for node in ast.walk(tree) for name in _imported(node)}
    assert modules & {"keras", "tensorflow"}
    named = [name for name in (*program.inputs, *program.downloads) if name != "mnist.npz"]
    assert all(name.rpartition("/")[2] in code for name in named)


def _imported(node: ast.AST) -> list[str]:
    if isinstance(node, ast.ImportFrom):
        return [(node.module or "").partition(".")[0]]
    if isinstance(node, ast.Import):
        return [alias.name.partition(".")[0] for alias in node.names]
    return []


def test_every_file_belongs_to_a_program_and_every_name_is_one() -> None:
    started = {program.source for program in PROGRAMS + ARTICLE}
    alone = {path for path in HERE.iterdir() if path.is_file()}
    assert alone <= started and all(path.is_file() for path in started)
    assert len({program.name for program in PROGRAMS}) == len(PROGRAMS) >= 24


@pytest.mark.parametrize(("framework", "least"), [("tf2.21", 24), ("tf2.8", 10), ("tf2.1", 5)])
def test_there_are_enough_for_each_framework(framework: str, least: int) -> None:
    assert sum(framework in program.frameworks for program in PROGRAMS) >= least


@pytest.mark.parametrize("planted", PLANTED, ids=lambda planted: planted.what)
def test_a_plant_is_one_line_replaced(planted: Planted) -> None:
    compile(planted.text(), planted.program.words, "exec")
    assert "\n" not in planted.old


def test_there_are_eight_plants_of_different_kinds() -> None:
    assert len({planted.what for planted in PLANTED}) >= 8


def test_inputs_are_the_same_bytes_each_time(tmp_path: Path) -> None:
    names = tuple({name for program in PROGRAMS for name in program.inputs})
    first, second = tmp_path / "first", tmp_path / "second"
    for folder in (first, second):
        inputs.write((*names, "cars.csv"), folder)
    assert _files(first) == _files(second)
    digest = hashlib.sha256((first / "cars.csv").read_bytes()).hexdigest()
    assert digest in (HERE / "fuel_get_file.py").read_text()


def _files(folder: Path) -> dict[str, bytes]:
    found = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in found}
