"""Did a change of code change the bits? One training with it, compared with a golden bundle."""

import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from pipeline import Workspace

pytestmark = pytest.mark.slow

NET = """
import tensorflow as tf

class Optimizer(tf.keras.optimizers.SGD):
    def update_step(self, gradient, variable, learning_rate):
        self.assign_sub(variable, gradient * learning_rate)

def network(width):
    layers = tf.keras.layers
    first = layers.Dense(width, "relu", kernel_initializer="glorot_uniform", name="first")
    model = tf.keras.Sequential([layers.Input((4,)), first, layers.Dense(3, name="last")])
    loss = tf.keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(Optimizer(0.05), loss, metrics=["accuracy"])
    return model
"""
FIRST = ["sequential/first/kernel", "sequential/first/bias"]
TENSORS = [*FIRST, "sequential/last/kernel", "sequential/last/bias"]


class Project:
    """A user's project: a module, a config, a golden bundle."""

    def __init__(self, workspace: Workspace, folder: Path) -> None:
        self.workspace, self.folder = workspace, folder
        self.module, self.golden = folder / "ci_net.py", folder / "golden.zip"
        self.config = [
            "model={_target_: ci_net.network, width: 8}",
            "data={option: synthetic, shape: [4], classes: 3, samples: 320}",
            f"source_path={folder}",
        ]

    def against(self, *more: str) -> tuple[str, Any]:
        """What was said, and what was found."""
        said = self.workspace.snakemake(
            "--config", f"against={self.golden}", *self.config, "name=ci", *more
        )
        return said, self.workspace.json("results/ci/against.json")

    def edit(self, old: str, new: str) -> None:
        assert old in NET
        self.module.write_text(NET.replace(old, new))


@pytest.fixture(scope="module")
def project(workspace: Workspace, tmp_path_factory: pytest.TempPathFactory) -> Project:
    made = Project(workspace, tmp_path_factory.mktemp("project"))
    made.module.write_text(NET)
    workspace.snakemake("bundle", "--config", *made.config, "name=golden", "protocol=twice")
    shutil.copy(workspace.folder / "results/golden/certificate.zip", made.golden)
    return made


def test_unchanged_code_gives_the_same_bits_and_is_trained_once(project: Project) -> None:
    said, found = project.against("bits=same")
    assert "SAME BITS" in said and found["same"] is True
    assert found["causes"]["code"] == []
    (protocol, *_) = found["causes"]["config"]  # listed, and not refused
    assert protocol["what"].startswith("protocol.")
    assert re.search(r"^note: protocol\.option: the certificate has \"twice\"", said, re.M)
    again, _ = project.against("bits=same")
    assert "train present" not in again
    golden = project.workspace.folder / "results/golden/certificate.json"
    issued = project.workspace.json("results/golden/certificate.json")
    assert golden.is_file() and issued["replays"] == []
    made = sorted(path.name for path in (project.workspace.folder / "results/ci").iterdir())
    assert made == ["against.json", "replay-plan.json", "train"]  # nothing is signed


def test_a_change_that_keeps_the_bits_is_listed_and_trained(project: Project) -> None:
    project.edit("import tensorflow as tf", "import tensorflow as tf  # a comment")
    said, found = project.against()
    assert "train present" in said and found["same"] is True
    assert [change["what"] for change in found["causes"]["code"]] == ["ci_net.py"]


@pytest.mark.parametrize(
    ("old", "new", "more", "step", "tensors", "batch"),
    [
        ("glorot_uniform", "he_normal", (), 0, FIRST[:1], None),
        ("Optimizer(0.05)", "Optimizer(0.0500001)", (), 1, TENSORS, None),
        ("gradient * learning_rate", "gradient / (1 / learning_rate)", (), 1, None, None),
        ("", "", ("overrides=trainer.shuffle=false",), 1, TENSORS, 1),
    ],
    ids=["initializer", "learning rate", "optimizer op", "order of data"],
)
def test_a_planted_change_is_found_at_its_first_step_and_tensors(
    project: Project, old: str, new: str, more: Any, step: int, tensors: Any, batch: Any
) -> None:
    project.edit(old, new)
    said, found = project.against(*more)
    where = found["divergence"]
    assert "OTHER BITS" in said and found["same"] is False
    assert (where["step"], where["batch_step"]) == (step, batch)
    assert where["tensors"] == [name for name in TENSORS if name in (tensors or where["tensors"])]
    if step == 0 or batch:  # the others are too small to be seen in the first metrics
        assert found["history"]["epoch"] == 1
    key = "code" if old else "config"
    changed = {change["what"] for change in found["causes"][key]}
    assert ("ci_net.py" if old else "trainer.shuffle") in changed
