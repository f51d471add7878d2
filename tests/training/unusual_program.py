"""Run in a framework's environment: unusual models, trained and described as a run does.

    unusual_program.py CONFIG FOLDER

Writes JSON: by model how it ended. Python 3.7 too.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "scripts"))

import numpy as np
import tensorflow as tf

from samebits.errors import SamebitsError
from samebits.formats import canonical
from samebits.training import canary, record, settings, state
from samebits.training import task as training
from samebits.training.trace import Trace

REGRESSION = {"loss": "mse", "metrics": [], "epochs": 2, "batch_size": 16, "validation_split": 0.0}
TRAINED = (
    *("subclassed", "sequential_without_a_shape", "built_empty", "built_by_half", "no_call"),
    *("array_metric", "text_metric", "text_weight", "same_names", "slashes"),
)
WAYS = ("name", "function", "list", "object", "trainer")
# By model: its arguments, the trainer's loss, the labels
LABELS: dict[str, Any] = {
    "regression": ({}, "mse", "1 to 50"),
    "compiled_regression": ({}, None, "1 to 50"),
    "compiled_by_name_in_list": ({}, None, "halves"),
    "compiled_by_function": ({}, None, "1 to 50"),
    "one_of_two": ({}, None, "0 and 1"),
    "one_of_two_from_logits": ({}, None, "0 and 1"),
    "two_outputs": ({}, None, "1 to 50"),
    "own_step": ({}, None, "1 to 50"),
    "step_of_this_model": ({}, None, "1 to 50"),
}


def labels(kind: str) -> Any:
    """64 labels."""
    numbers = np.arange(64)
    made = {"0 and 1": numbers % 2, "1 to 50": numbers % 50 + 1, "-1 to 1": numbers % 3 - 1}
    return made[kind] if kind in made else numbers % 4 / 2


def task(config: dict[str, Any], model: str, y: Any, more: Any, **trainer: Any) -> training.Task:
    """A few numbers."""
    x = np.random.RandomState(0).rand(64, 9).astype(np.float32)
    target = dict(more, _target_=f"unusual_models.{model}")
    return training.Task(
        tf, target, dict(config["trainer"], **trainer), x, y, Path(__file__).parent
    )


def train(config: dict[str, Any], model: str, folder: Path) -> Any:
    """As scripts/train.py does; how it ended, and after how many steps."""
    tf.keras.backend.clear_session()
    settings.seed_everything(tf, config["determinism"]["seeding"], config["seed"])
    it = task(config, model, labels("1 to 50").astype(np.float32), {}, **REGRESSION)
    outcome = record.Outcome("control")
    seen: list[int] = []
    counter = training.callback(tf, on_train_batch_end=lambda batch, logs=None: seen.append(batch))
    try:
        outcome.model = it.compiled_model()
        outcome.trace = Trace(it, outcome.model, "step", folder)
        rehearsal = state.rehearsal(tf, outcome.model)
        told = training.progress(tf, "control", 2)
        callbacks = [outcome.trace.callback(), rehearsal, counter, told]
        outcome.history = it.fit(outcome.model, callbacks)
        (folder / model).mkdir()
        found = dict(outcome.write(folder / model), model=outcome.describe()["model"])
        found["history"] = canonical.read_json(folder / model / "history.json")["metrics"]
        seeding, path = config["determinism"]["seeding"], folder / model / "canary"
        found["canary"] = canary.train(it, seeding, config["seed"], path)
        return dict(found, steps=len(seen))
    except SamebitsError as error:
        return {"error": str(error), "steps": len(seen)}


def checked(config: dict[str, Any], model: str, more: Any, loss: Any, kind: str) -> str:
    """What is said of labels; empty: nothing."""
    given = {} if loss is None else {"loss": loss}
    try:
        task(config, model, labels(kind), more, metrics=[], **given).compiled_model()
    except SamebitsError as error:
        return str(error)
    return ""


def main() -> None:
    """Every model."""
    config, folder = canonical.read_json(Path(sys.argv[1])), Path(sys.argv[2])
    settings.apply_to_tensorflow(tf, config["determinism"])
    trained = TRAINED if hasattr(tf.keras.Model, "train_step") else ()
    found = {model: train(config, model, folder) for model in trained}
    said = {model: checked(config, model, *case) for model, case in LABELS.items()}
    for way in WAYS:
        for outputs, kind in ((51, "1 to 50"), (50, "1 to 50"), (3, "-1 to 1"), (3, "halves")):
            more = {"outputs": outputs, "kind": way}
            said[f"{way} {outputs} {kind}"] = checked(config, "classes", more, None, kind)
    if not tf.__version__.startswith(("2.1.", "2.8.")):
        said["ignoring"] = checked(config, "ignoring", {"outputs": 50}, None, "1 to 50")
    (folder / "told.json").write_text(json.dumps({"trained": found, "labels": said}))


if __name__ == "__main__":
    main()
