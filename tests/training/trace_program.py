"""Run in a framework's environment: trainings of one model, with and without a trace.

    trace_program.py CONFIG MODEL FOLDER STEPS_PER_EXECUTION...

Prints JSON, one object per training. Python 3.7 too.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "scripts"))

import numpy as np
import tensorflow as tf

from samebits.formats import arrays, canonical, history
from samebits.training import fingerprint, settings, state
from samebits.training import task as training
from samebits.training.trace import Trace


def task(config: dict[str, Any], model: str, steps_per_execution: int) -> training.Task:
    """The config's experiment on a few images: eight steps an epoch, the last one smaller."""
    random = np.random.RandomState(0)
    x, y = random.rand(300, 12, 12).astype(np.float32), random.randint(0, 10, 300)
    trainer = dict(config["trainer"], epochs=2, steps_per_execution=steps_per_execution)
    target = {"_target_": f"traced_models.{model}"}
    return training.Task(tf, target, trainer, x, y, Path(__file__).parent)


def prints(model: Any) -> list[int]:
    """What NumPy says of the weights."""
    return [fingerprint.of_array(array) for _, array in training.trainable(model)]


def follower(model: Any, seen: list[list[int]]) -> Any:
    """A callback that notes what NumPy says of the weights after each execution."""

    class Follower(tf.keras.callbacks.Callback):  # type: ignore[misc]
        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            seen.append(prints(model))

    return Follower()


def train(config: dict[str, Any], every: str | None, it: training.Task, folder: Path) -> Any:
    """One training: its digests, and what its trace says."""
    tf.keras.backend.clear_session()
    settings.seed_everything(tf, config["determinism"]["seeding"], config["seed"])
    model = it.compiled_model()
    steps = training.steps_per_execution(model)
    trace = None if every is None else Trace(it, model, every, folder)
    seen: list[list[int]] = []
    followed = [] if trace is None else [trace.callback(), follower(model, seen)]
    values = it.fit(model, followed)
    sets = list(state.arrays(model).values())
    digests = [arrays.digest(arrays.described(found)) for found in sets]
    digests.append(canonical.digest(history.to_json(values)))
    told = {"every": every, "steps": steps, "digests": digests}
    return told if trace is None else dict(told, **stored_trace(trace, folder, seen))


def stored_trace(trace: Trace, folder: Path, seen: list[list[int]]) -> dict[str, Any]:
    """The trace as it is on the disk."""
    saved = trace.save(folder / "trace")
    found = arrays.read(folder / "trace")
    stored = {tensor.name: found.open(tensor.name) for tensor in saved.tensors}
    columns = [stored[name] for name in stored if name.startswith("fingerprint/")]
    samples = [stored[name].shape for name in stored if name.startswith("sample/")]
    return {
        "digest": saved.sha256,
        "trace": trace.describe(),
        "names": [name for name in stored if "/" in name],
        "rows": stored["step"].tolist(),
        "losses": stored["loss"].view(np.float32).tolist(),
        "prints": np.stack(columns, axis=1).tolist() if columns else [],
        "seen": seen,
        "snapshots": stored["sample step"].tolist(),
        "samples": samples,
    }


def main() -> None:
    """Every way to trace beside none, at each number of steps per execution."""
    config, model, folder = canonical.read_json(Path(sys.argv[1])), sys.argv[2], Path(sys.argv[3])
    settings.apply_to_tensorflow(tf, config["determinism"])
    with open(folder / "results.jsonl", "w") as told:
        for position, steps in enumerate(map(int, sys.argv[4:])):
            it = task(config, model, steps)
            for every in (None, "step") if position else (None, "step", "epoch", "off"):
                told.write(json.dumps(train(config, every, it, folder)) + "\n")


if __name__ == "__main__":
    main()
