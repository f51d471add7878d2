"""compare.py by its flags."""

import functools
import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import test_train

import factories
import in_process
from pipeline import SCRIPTS
from samebits.formats import canonical, dataset

shared, stage = test_train.shared, test_train.stage  # fixtures: folders to train in

EXPERIMENT, DATASET = "e" * 64, "d" * 64
MIB = 1 << 20
compare = functools.partial(in_process.stage, "compare")


def pair(folder: Path, **replica: Any) -> list[object]:
    """The flags for a control and a replica."""
    control = factories.write_run(folder / "control", EXPERIMENT, DATASET)
    other = factories.write_run(folder / "replica", EXPERIMENT, DATASET, **replica)
    return ["--control", control, "--replica", other, "--output", folder / "out" / "c.json"]


def written(folder: Path) -> Any:
    return canonical.read_json(folder / "out" / "c.json")


def test_a_difference_is_a_result_and_not_a_failure(tmp_path: Path) -> None:
    for weights, said in (
        (factories.weights(), "identical"),
        (factories.differing(), "not identical"),
    ):
        done = compare(*pair(tmp_path, weights=weights))
        assert (done.returncode, done.stdout) == (0, f"{said}\n")
        assert written(tmp_path)["identical"] is (said == "identical")


def test_several_replicas_are_each_compared_with_the_control(tmp_path: Path) -> None:
    third = factories.write_run(tmp_path / "replica-2", EXPERIMENT, DATASET, metrics={"loss": [0]})
    assert compare(*pair(tmp_path), "--replica", third).returncode == 0
    found = [(run["run"], run["identical"]) for run in written(tmp_path)["runs"]]
    assert found == [("replica", True), ("replica-2", False)]


def test_damage_is_a_failure_that_leaves_no_output(tmp_path: Path) -> None:
    flags = pair(tmp_path)
    path = tmp_path / "replica" / "weights.safetensors"
    path.write_bytes(path.read_bytes()[:-1])
    done = compare(*flags)
    assert done.returncode == 1
    assert str(path) in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("missing", ["--control", "--replica", "--output"])
def test_a_missing_flag_is_wrong_usage(tmp_path: Path, missing: str) -> None:
    flags = pair(tmp_path)
    position = flags.index(missing)
    done = compare(*flags[:position], *flags[position + 2 :])
    assert done.returncode == 2
    assert missing in done.stderr


LIMITED = """
import os, resource, runpy, sys
limit = int(sys.argv[1])
resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
sys.argv = sys.argv[2:]
sys.path.insert(0, os.path.dirname(sys.argv[0]))
runpy.run_path(sys.argv[0], run_name="__main__")
"""


@pytest.mark.process
@pytest.mark.parametrize(
    ("elements", "limit"),
    [(40 * MIB, 150 * MIB), pytest.param(1 << 26, 200 * MIB, marks=pytest.mark.slow)],
)
def test_memory_stays_bounded_whatever_the_size_of_the_weights(
    tmp_path: Path, elements: int, limit: int
) -> None:
    """Weights of each run that are larger than the memory that the comparison may take."""
    large = np.zeros(elements, "<f4")
    assert large.nbytes > limit
    other = large.copy()
    other[1:] = 1
    flags = pair(tmp_path, weights=[("large", other)])
    factories.write_run(tmp_path / "control", EXPERIMENT, DATASET, weights=[("large", large)])
    environment = os.environ | {"OPENBLAS_NUM_THREADS": "1"}  # its threads' buffers count as well
    command = [sys.executable, "-c", LIMITED, limit, SCRIPTS / "compare.py", *flags]
    done = subprocess.run(
        list(map(str, command)), env=environment, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    (run,) = written(tmp_path)["runs"]
    assert run["artifacts"][1]["differences"][0]["different"] == elements - 1
    assert all(check["found"] for check in written(tmp_path)["self_check"])


# --- on TensorFlow -----------------------------------------------------------------------------

FLIPPING = '''
"""The article's model; at the step in the file `flip` it flips the lowest bit of one weight."""

from pathlib import Path

import tensorflow as tf

AT = int(Path(__file__).with_name("flip").read_text())


class Flipping(tf.keras.Sequential):
    def train_step(self, data):
        told = super().train_step(data)
        kernel = self.trainable_variables[2]
        now = tf.cast(tf.equal(tf.cast(self.optimizer.iterations, tf.int32), AT), tf.int32)
        mask = tf.scatter_nd([[3, 2]], [now], kernel.shape)
        bits = tf.bitcast(tf.convert_to_tensor(kernel), tf.int32)
        kernel.assign(tf.bitcast(tf.bitwise.bitwise_xor(bits, mask), tf.float32))
        return told


def model():
    layers = tf.keras.layers
    return Flipping(
        [
            tf.keras.Input((28, 28)),
            layers.Flatten(),
            layers.Dense(16, activation="relu"),
            layers.Dense(10),
        ]
    )
'''


class Trained:
    """Trainings of one experiment, each with a fault of its own that its record does not tell."""

    def __init__(self, stage: test_train.Stage) -> None:
        self._stage = stage
        (stage.folder / "flipping.py").write_text(FLIPPING)
        self._config = stage.config(
            model={"_target_": "flipping.model"},
            trainer={"epochs": 2},
            trace="step",
            source_path=str(stage.folder),
        )

    def run(self, name: str, *, flip: int = -1, seed: int = 1, data: Path | None = None) -> Path:
        """Train; have the record say that it is the control's experiment."""
        (self._stage.folder / "flip").write_text(str(flip))
        stage = replace(self._stage, data=data or self._stage.data)
        done, output = stage.train(self._config | {"seed": seed}, name)
        assert done.returncode == 0, done.stdout
        record = json.loads((output / "record.json").read_bytes())
        control = output.with_name("control") / "record.json"
        told = json.loads(control.read_bytes())
        same = {key: told[key] for key in ("experiment", "dataset")}
        canonical.write_json(output / "record.json", canonical.with_digest(record | same))
        return output


@pytest.mark.slow
def test_planted_faults_of_trainings_come_back_as_step_and_tensor(stage: test_train.Stage) -> None:
    trained, folder = Trained(stage), stage.folder
    (folder / "reversed").mkdir()
    turned = {name: array[::-1] for name, array in dataset.read(stage.data).items()}
    dataset.write(folder / "reversed", turned)
    control = trained.run("control")
    runs = [
        trained.run("repeat"),
        trained.run("seed", seed=2),
        trained.run("order", data=folder / "reversed"),
        trained.run("flip-17", flip=17),
        trained.run("flip-60", flip=60),
    ]
    flags = [flag for run in runs for flag in ("--replica", run)]
    done = compare("--control", control, *flags, "--output", folder / "c.json")
    assert (done.returncode, done.stderr) == (0, "")
    runs_told = json.loads((folder / "c.json").read_text())["runs"]
    found = {run["run"]: run["divergence"] for run in runs_told}
    listed = canonical.read_json(control / "record.json")["tensors"]["weights"]
    names = [tensor["name"] for tensor in listed]
    assert found["repeat"] is None
    assert (found["seed"]["step"], found["seed"]["tensors"]) == (0, names[::2])  # biases are 0
    assert (found["order"]["step"], found["order"]["batch_step"]) == (1, 1)
    assert found["order"]["tensors"] == names
    # Flipped when the optimizer has updated it: seen with the next update.
    assert (found["flip-17"]["step"], found["flip-17"]["tensors"]) == (18, [names[2]])
    assert (found["flip-17"]["epoch"], found["flip-17"]["after"]) == (1, 17)
    assert (found["flip-60"]["step"], found["flip-60"]["epoch"]) == (61, 2)
