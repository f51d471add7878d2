"""A program of the user's own, unchanged, through the whole pipeline; one training is shared."""

import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from pipeline import DRY, ROOT, Workspace, command, jobs, outcomes

pytestmark = pytest.mark.slow

PROGRAM = """
import argparse
import json

import keras
import numpy as np
from helpers import units

parser = argparse.ArgumentParser()
parser.add_argument("--epochs", type=int)
table = np.loadtxt("data/table.csv", delimiter=",", dtype="float32")
with open("settings.json") as file:
    settings = json.load(file)
layers = [keras.layers.Dense(units, activation=settings["activation"]), keras.layers.Dense(1)]
model = keras.Sequential([keras.Input((3,)), *layers])
model.compile("adam", "mse", metrics=["mae"])
model.fit(table[:, :3], table[:, 3], epochs=parser.parse_args().epochs, verbose=0)
print(model.evaluate(table[:, :3], table[:, 3], verbose=0))
model.save("model.keras")
np.save("answers.npy", model.predict(table[:, :3], verbose=0))
"""
CONFIG = ("name=mine", "script=train.py --epochs 2", "inputs=[data]", "bundle={source: true}")


@dataclass(frozen=True)
class Project:
    """A project with a certificate in it."""

    workspace: Workspace

    @property
    def folder(self) -> Path:
        return self.workspace.folder

    def start(self, *arguments: str) -> str:
        return self.workspace.snakemake(*arguments, "--config", *CONFIG)

    def planned(self) -> dict[str, int]:
        """The jobs that the same command would run, by a dry run."""
        return jobs(self.start(*DRY))


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    folder = tmp_path_factory.mktemp("project")
    (folder / "data").mkdir()
    rows = (f"{n % 7},{n % 5},{n % 3},{n % 2}" for n in range(64))
    (folder / "data" / "table.csv").write_text("\n".join(rows))
    (folder / "settings.json").write_text('{"activation": "relu"}')
    (folder / "helpers.py").write_text("units = 4\n")
    (folder / "notes.txt").write_text("of no run")
    (folder / "train.py").write_text(PROGRAM)
    made = Project(Workspace.make(folder))
    made.start()
    made.start("bundle")
    return made


def test_it_is_certified_and_survives_every_variation(project: Project) -> None:
    report = project.workspace.report("mine")
    assert report["verdict"] == "REPRODUCIBLE", report["reasons"]
    assert "failed" not in outcomes(report, "replica").values()
    program = report["records"]["runs"]["control"]["program"]
    assert [(call["what"], call["epochs"]) for call in program["calls"]] == [
        *(("fit", 2), ("evaluate", None), ("predict", None)),
    ]
    assert [i["path"] for i in report["records"]["load"]["inputs"]] == ["data/table.csv"]
    page = (project.folder / "results/mine/certificate.html").read_text()
    for said in ("train.py --epochs 2", "1 fit", "2 evaluate", "settings.json", "data/table.csv"):
        assert said in page


def test_nothing_that_it_wrote_is_in_the_project(project: Project) -> None:
    names = {path.name for path in project.folder.iterdir() if not path.name.startswith(".")}
    assert names == {
        "data",
        "helpers.py",
        "logs",
        "notes.txt",
        "results",
        "settings.json",
        "train.py",
    }


def test_the_bundle_has_the_programs_files_and_verifies(project: Project) -> None:
    bundle = project.folder / "results" / "mine" / "certificate.zip"
    python = project.workspace.python("certify")
    done = command(python, ROOT / "scripts" / "verify.py", bundle, cwd=project.folder, check=False)
    assert "DOES NOT HOLD" not in done.stdout, done.stdout
    listed = command("unzip", "-Z1", bundle, cwd=project.folder).stdout.split()
    assert {"source/train.py", "source/helpers.py"} <= set(listed)
    assert "source/settings.json" not in listed


def test_running_it_again_is_a_no_op(project: Project) -> None:
    assert project.planned() == {}


def test_repair_finds_nothing_damaged(project: Project) -> None:
    shown = project.start("repair")
    assert "removed" not in shown and "match their digests" in shown


@pytest.mark.parametrize("name", ["train.py", "helpers.py", "settings.json", "data/table.csv"])
def test_what_it_is_made_of_is_trained_again_when_it_changes(project: Project, name: str) -> None:
    path = project.folder / name
    before, kept = path.stat(), path.read_bytes()
    path.write_bytes(kept + b"\n")
    try:
        assert project.planned()["train"] == 2
    finally:
        path.write_bytes(kept)
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert project.planned() == {}


def test_a_file_that_it_did_not_open_is_none_of_its_inputs(project: Project) -> None:
    control = project.workspace.json("results/mine/train/control/record.json")
    assert "notes.txt" not in [entry["path"] for entry in control["files"]["read"]]
    (project.folder / "notes.txt").write_text("changed")
    assert project.planned() == {}


def test_a_copy_of_the_project_replays_the_certificate(project: Project, tmp_path: Path) -> None:
    kept = ("data/table.csv", "settings.json", "helpers.py", "train.py")
    for name in kept:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy(project.folder / name, tmp_path / name)
    workspace = Workspace.make(tmp_path)
    certificate = f"certificate={project.folder}/results/mine/certificate.json"
    (tmp_path / "helpers.py").write_text("units = 5\n")
    refused = workspace.snakemake("replay", "--config", certificate, check=False)
    assert "helpers" in refused and "cannot be replayed" in refused
    shutil.copy(project.folder / "helpers.py", tmp_path)
    assert "REPRODUCED" in workspace.snakemake("replay", "--config", certificate)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("import keras\nraise ValueError('mine')", ["failed with ValueError: mine", "train.py"]),
        ("import nowhere_to_be_found", ["packages=[nowhere_to_be_found]"]),
        ("import sys\nsys.exit(3)", ["ended with exit code 3"]),
    ],
)
def test_a_program_that_fails_says_why(tmp_path: Path, text: str, said: list[str]) -> None:
    (tmp_path / "train.py").write_text(text)
    shown = Workspace.make(tmp_path).snakemake("--config", "script=train.py", check=False)
    assert [part for part in said if part not in shown] == [], shown


def test_a_program_that_trains_nothing_is_inconclusive(tmp_path: Path) -> None:
    (tmp_path / "train.py").write_text("import keras\nkeras.Sequential([keras.layers.Dense(1)])")
    report: Any = Workspace.make(tmp_path).certify("idle", "script=train.py", "protocol=twice")
    assert report["verdict"] == "INCONCLUSIVE"
    assert [r for r in report["reasons"] if r.startswith("no optimizer step was seen")]
