"""Which files a stage's results depend on."""

import subprocess
import sys
from pathlib import Path

import pytest

from samebits.config import sources

ROOT = Path(__file__).resolve().parents[2]
SCRIPTS = ROOT / "scripts"


def names(script: str) -> set[str]:
    return {str(Path(f).relative_to(SCRIPTS)) for f in sources.script_files(SCRIPTS / script)}


def test_a_stage_depends_on_its_script_and_what_that_imports_directly_or_not() -> None:
    found = names("train.py")
    assert {"train.py", "samebits/training/task.py", "samebits/formats/canonical.py"} <= found


def test_a_stage_does_not_depend_on_other_stages() -> None:
    assert not names("train.py") & {"load.py", "compare.py", "samebits/data/datasets.py"}


def test_a_replay_is_refused_for_no_change_outside_of_what_a_training_process_loads() -> None:
    """What a training imports is compared by digest before a replay."""
    found = {name for name in names("train.py") if not name.endswith("__init__.py")}
    rooms = {f"samebits/{room}" for room in ("training", "observation", "formats", "experiment")}
    shared = {"train.py", "samebits/errors.py", "samebits/text.py"}
    assert {"/".join(name.split("/")[:2]) for name in found} == rooms | shared


@pytest.mark.process
@pytest.mark.parametrize(
    "program",
    [
        *("scripts/train.py", "studies/claims/run.py"),
        *("studies/atlas/run_battery.py", "studies/atlas/run_probe.py"),
    ],
)
def test_whatever_a_program_for_python_3_7_imports_is_written_for_python_3_7(program: str) -> None:
    """The rules of pyproject.toml go by folder, and an imported module may lie outside of them."""
    own = sources.closure(ROOT / program, ROOT / "studies")
    files = {found for path in own for found in sources.closure(path, SCRIPTS)}
    ruff = [sys.executable, "-m", "ruff", "check", "--isolated", "--select", "FA102"]
    checked = subprocess.run(
        [*ruff, "--target-version", "py37", *sorted(map(str, files))],
        stdout=subprocess.PIPE,
        text=True,
        check=False,  # asserted below, with its output
    )
    assert not checked.returncode, checked.stdout


def test_a_modules_schema_and_template_are_part_of_it() -> None:
    assert "samebits/certificate/certificate.schema.json" in names("certify.py")


def test_the_list_of_the_code_changes_with_any_of_its_files(tmp_path: Path) -> None:
    script, module = tmp_path / "stage.py", tmp_path / "other.py"
    script.write_text("import other\n")
    module.write_text("x = 1\n")
    first = sources.listed([script])
    assert {Path(name).name for name in first} >= {"stage.py", "other.py"}
    assert sources.listed([script]) == first
    for changed in (script, module):
        changed.write_text(changed.read_text() + "# changed\n")
        assert sources.listed([script]) != first
        first = sources.listed([script])


def test_a_modules_imports_are_read_again_when_it_changed(tmp_path: Path) -> None:
    start = tmp_path / "start.py"
    for name in ("one", "two"):
        (tmp_path / f"{name}.py").write_text("")
    start.write_text("import one\n")
    assert {path.name for path in sources.closure(start, tmp_path)} == {"start.py", "one.py"}
    start.write_text("import one, two\n")
    assert {path.name for path in sources.closure(start, tmp_path)} >= {"two.py"}


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("samebits", "samebits is the name of the package that trains"),
        ("samebits/mine", "samebits is the name of the package that trains"),
        ("__main__", "__main__ is a module of Python itself"),
        ("json", "json is a module of Python itself"),
    ],
)
def test_a_model_whose_module_cannot_be_reached_by_its_name_is_refused(
    tmp_path: Path, name: str, said: str
) -> None:
    path = tmp_path / f"{name}.py"
    path.parent.mkdir(exist_ok=True)
    path.write_text("def network():\n    return None\n")
    target = f"{name.replace('/', '.')}.network"
    (problem,) = sources.model_problems({"_target_": target}, str(tmp_path))
    assert said in problem
