"""Optimizers, losses, metrics, schedules are known before any job, as the frameworks know them."""

import json
from pathlib import Path
from typing import Any

import pytest

from pipeline import ROOT, Workspace, command, configure, skip_without
from samebits.config import keras_names
from samebits.errors import SamebitsError

DECAY = "{class_name: ExponentialDecay, config: {initial_learning_rate: 0.1}}"
KNOWN = [
    "trainer.optimizer=sgd",
    "trainer.optimizer=ADAM",
    "trainer.optimizer={class_name: SGD, config: {learning_rate: 0.1}}",
    f"trainer.optimizer={{class_name: SGD, config: {{learning_rate: {DECAY}}}}}",
    "trainer.optimizer=AdamW",
    "trainer.loss=mse trainer.metrics=[mae,AUC]",
    "trainer.metrics=[{class_name: MeanIoU, config: {num_classes: 2}}]",
    "trainer.metrics=[]",
    "trainer.loss={class_name: Huber, config: {delta: 2.0}}",
    "trainer.optimizer={class_name: LossScaleOptimizer, config: {inner_optimizer: adam}}",
    "trainer.optimizer={class_name: LossScaleOptimizer, config: {inner_optimizer: "
    "{class_name: SGD, config: {learning_rate: 0.1}}}}",
    "trainer.loss='mine>Loss'",  # which the user's code registers
]
UNKNOWN = [
    ("trainer.optimizer=adm", "trainer.optimizer: ", "no adm; did you mean adam?"),
    ("framework=tf2.8 determinism=tf28 trainer.optimizer=AdamW", "trainer.optimizer: ", "no AdamW"),
    ("trainer.loss=msee", "trainer.loss: ", "no msee; did you mean mse?"),
    (
        "trainer.loss={class_name: BinaryCrossEntropy}",
        "trainer.loss.class_name: ",
        "BinaryCrossent",
    ),
    ("trainer.metrics=[accuracy,acurracy]", "trainer.metrics: ", "did you mean accuracy?"),
    (
        "trainer.optimizer={class_name: SGD, config: {learning_rate: {class_name: Exponential}}}",
        "trainer.optimizer.config.learning_rate.class_name: ",
        "did you mean ExponentialDecay?",
    ),
    (
        "trainer.optimizer={class_name: LossScaleOptimizer, config: {inner_optimizer: adm}}",
        "trainer.optimizer.config.inner_optimizer: ",
        "did you mean adam?",
    ),
]


def of(overrides: str) -> Any:
    return configure({"overrides": overrides}, ROOT / "conf")


@pytest.mark.parametrize("rate", ["fast", "ExponentialDecay", "{decay_steps: 9}", "null", "[1]"])
def test_a_learning_rate_is_a_number_or_says_which_schedule_it_is(rate: str) -> None:
    with pytest.raises(SamebitsError, match=r"config\.learning_rate: expected a number, or a sch"):
        of(f"trainer.optimizer={{class_name: adam, config: {{learning_rate: {rate}}}}}")


@pytest.mark.parametrize("elsewhere", ["", " ++trainer.validation_split=0.2"])
@pytest.mark.parametrize("road", ["overrides", "a mapping"])
def test_nothing_is_left_of_the_loss_that_another_one_replaces(road: str, elsewhere: str) -> None:
    text = "trainer.loss={class_name: Huber, config: {delta: 2.0}}"
    given: dict[str, Any] = {"overrides": text + elsewhere}
    if road == "a mapping":
        loss = {"class_name": "Huber", "config": {"delta": 2.0}}
        given = {"trainer": {"loss": loss}, "overrides": elsewhere}
    found = configure(given, ROOT / "conf").config["trainer"]["loss"]
    assert found == {"class_name": "Huber", "config": {"delta": 2.0}}


@pytest.mark.parametrize("value", ["[adam]", "3", "{config: {a: 1}}", "{class_name: a, cfg: 1}"])
def test_what_names_no_object_of_keras_is_refused_with_its_form(value: str) -> None:
    with pytest.raises(SamebitsError, match=r"expected a name, or \{class_name: NAME, config: "):
        of(f"trainer.optimizer={value}")


@pytest.mark.parametrize("overrides", KNOWN)
def test_a_name_that_keras_knows_is_taken(overrides: str) -> None:
    assert of(overrides)


@pytest.mark.parametrize(("overrides", "where", "hint"), UNKNOWN)
def test_a_name_that_keras_does_not_know_is_refused_with_the_nearest(
    overrides: str, where: str, hint: str
) -> None:
    with pytest.raises(SamebitsError) as caught:
        of(overrides)
    assert where in str(caught.value)
    assert "the Keras of TensorFlow" in str(caught.value)
    assert hint in str(caught.value)


PROGRAM = """
import json, sys
import tensorflow as tf

keras, names = tf.keras, json.loads(sys.argv[1])
bases = {"optimizers": "Optimizer", "losses": "Loss", "metrics": "Metric"}
wrong = []
for kind, base in bases.items():
    module = getattr(keras, kind)
    cls = getattr(module, base)
    classes = {n for n in dir(module) if isinstance(getattr(module, n), type)}
    classes = {n for n in classes if issubclass(getattr(module, n), cls)} - {base}
    wrong += sorted(classes - set(names[kind]))  # which it has, and the list lacks
    for name in set(names[kind]) - classes - {"accuracy", "acc", "crossentropy", "ce"}:
        try:
            assert module.get(name) is not None
        except Exception as error:
            wrong.append(f"{name}: {error!r}")
schedules = {n for n in dir(keras.optimizers.schedules) if n[0].isupper()}
wrong += sorted(schedules - {"LearningRateSchedule"} ^ set(names["schedules"]))
sys.path.insert(0, sys.argv[2])
from samebits.training import task

decay = {"initial_learning_rate": 0.5, "decay_steps": 10, "decay_rate": 0.9}
decay = {"class_name": "ExponentialDecay", "config": decay}
trainer = {"optimizer": {"class_name": "SGD", "config": {"learning_rate": decay}}}
trainer.update(loss="mse", metrics=["mae"], steps_per_execution=1)
model = keras.Sequential([keras.layers.Dense(1, input_shape=(2,))])
task.compile_model(tf, model, trainer)
found = model.optimizer.get_config()["learning_rate"]
wrong += [] if found["config"]["decay_rate"] == 0.9 else ["schedule"]
for inner in ("sgd", trainer["optimizer"]) if "LossScaleOptimizer" in names["optimizers"] else ():
    config = {"inner_optimizer": inner}
    trainer["optimizer"] = {"class_name": "LossScaleOptimizer", "config": config}
    model = keras.Sequential([keras.layers.Dense(1, input_shape=(2,))])
    task.compile_model(tf, model, trainer)
    made = type(model.optimizer.inner_optimizer).__name__
    wrong += [] if made == "SGD" else [f"inner optimizer: {made}"]
print(json.dumps(wrong))
"""


@pytest.mark.slow
@pytest.mark.parametrize("framework", ["tf2.21", "tf2.8", "tf2.1"])
def test_the_lists_are_those_of_the_frameworks(
    workspace: Workspace, framework: str, tmp_path: Path
) -> None:
    skip_without("3.11" if framework == "tf2.21" else "3.7")
    names = json.dumps(keras_names.known(f"{framework[2:]}.0"))
    python = workspace.python(f"train-{framework}")
    done = command(python, "-c", PROGRAM, names, ROOT / "scripts", cwd=tmp_path)
    assert json.loads(done.stdout.splitlines()[-1]) == []
