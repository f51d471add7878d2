"""A program in place of data, model and trainer: what names it, and what is refused beside it."""

from pathlib import Path
from typing import Any

import pytest

from pipeline import configure
from refusals import refused
from samebits.config import typed
from samebits.config.experiment import Experiment
from samebits.workflow.plan import plan

CONF = Path(__file__).resolve().parents[2] / "conf"
PROFILE = CONF.parent / "profiles" / "slurm" / "experiment.yaml"


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder: a program, a package, a notebook, data."""
    files = {
        "train.py": "import helpers\n",
        "helpers.py": "",
        "package/__init__.py": "",
        "package/train.py": "",
        "steps.ipynb": "{}",
        "data/a.csv": "1",
        "data/b/c.csv": "2",
    }
    for name, text in files.items():
        path = tmp_path / "project" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    monkeypatch.chdir(tmp_path / "project")
    return tmp_path / "project"


def of(**config: Any) -> Experiment:
    return configure(config, CONF)


def test_a_program_takes_the_place_of_data_model_and_trainer() -> None:
    made = of(script="train.py --epochs 3 'a b'", inputs=["data/", "strict"], outputs="*.npy")
    assert set(made.config) == {
        *("format", "seed", "trace", "environment", "framework", "determinism", "protocol"),
        "program",
    }
    assert made.config["program"] == {
        "words": ["train.py", "--epochs", "3", "a b"],
        "inputs": ["data"],
        "strict": True,
        "outputs": ["*.npy"],
        "packages": None,
    }
    assert made.data_key.startswith("inputs-")
    assert made.source_files == ("helpers.py", "train.py")
    assert made.program and [Path(f).name for f in made.program.input_files()] == ["a.csv", "c.csv"]
    assert made.command().startswith("./samebits run ")
    assert made.command().endswith(" train.py --epochs 3 'a b'")


@pytest.mark.parametrize(
    ("script", "words", "file"),
    [
        ("-m package.train --x 1", ["-m", "package.train", "--x", "1"], "package/train.py"),
        ("steps.ipynb", ["steps.ipynb"], "steps.ipynb"),
        ("./train.py", ["train.py"], "train.py"),
    ],
)
def test_modules_and_notebooks_are_programs_too(script: str, words: list[str], file: str) -> None:
    made = of(script=script)
    assert made.config["program"]["words"] == words
    assert file in made.source_files


def test_the_place_of_a_project_is_no_part_of_the_experiment(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = of(script="train.py")
    monkeypatch.chdir(project.parent)
    there = of(script="project/../project/train.py")
    elsewhere = of(script=str(project / "train.py"))
    assert there.config["program"]["words"] == ["project/train.py"]
    assert elsewhere.digest == there.digest
    monkeypatch.chdir(CONF)
    outside = of(script=str(project / "train.py"))
    assert (outside.digest, outside.source_path) == (here.digest, str(project))


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({"script": "trian.py"}, "did you mean train.py"),
        ({"script": "-m package.other"}, "no module package.other"),
        ({"script": "train.py 'a"}, "No closing quotation"),
        ({"script": " "}, "expected a program"),
        ({"script": "train.py", "overrides": "trainer.epochs=2"}, "trainer.epochs: means nothing"),
        ({"script": "train.py", "model": "cnn"}, "model: means nothing with script"),
        ({"script": "train.py", "checkpoint": "epoch"}, "checkpoint: a program is trained in one"),
        ({"script": "train.py", "experiment": "article"}, "experiment=article: sets trainer"),
        ({"script": "train.py", "inputs": "nowhere"}, "no file or folder nowhere"),
        ({"script": "train.py", "inputs": ["../x"]}, "lies outside of the project"),
        ({"inputs": ["data"]}, "inputs: is for a program"),
        ({"script": "train.py", "inputs": [{"url": "https://example.org"}]}, "inputs"),
    ],
)
def test_what_cannot_be_is_refused_by_name(config: dict[str, Any], said: str) -> None:
    with refused(said):
        of(**config)


def test_a_sweep_over_arguments_makes_an_experiment_of_each() -> None:
    swept = plan({"sweep": 'script="train.py --seed 1","train.py --seed 2"'}, CONF)
    words = [made.config["program"]["words"] for made in swept.experiments.values()]
    assert words == [["train.py", "--seed", "1"], ["train.py", "--seed", "2"]]
    assert len({made.data_key for made in swept.experiments.values()}) == 1


def test_a_checkpoint_of_a_profile_is_left_out_with_a_line() -> None:
    config = typed.config({"checkpoint": "epoch"}, [PROFILE], ["script=train.py --epochs 3"])
    made = configure(config, CONF)
    assert made.notes == (
        "checkpoint='epoch' of the profile is left out: a program is trained in one piece",
    )
    own = typed.config({"checkpoint": "epoch"}, [PROFILE], ["seed=2"])
    assert configure(own, CONF).config["trainer"]["checkpoint"] == "epoch"
    asked = typed.config(
        {"checkpoint": "epoch"}, [PROFILE], ["script=train.py", "checkpoint=epoch"]
    )
    with refused("checkpoint: a program is trained in one piece"):
        configure(asked, CONF)
