"""Run in a framework's environment: trainings with and without a look at what is executed.

    kernels_program.py CONFIG FOLDER STEPS_PER_EXECUTION MODEL...

Writes JSON, one object per model. Python 3.7 too.
"""

from __future__ import annotations

import json
import random
import sys
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "scripts"))

import numpy as np
import tensorflow as tf

from samebits.formats import arrays, canonical, history
from samebits.training import kernels, settings
from samebits.training import state as states
from samebits.training import task as training
from samebits.training.trace import Trace


def task(config: dict[str, Any], model: str, steps_per_execution: int) -> training.Task:
    """The config's experiment on a few images, with another optimizer."""
    state = np.random.RandomState(0)
    x, y = state.rand(96, 12, 12).astype(np.float32), state.randint(0, 10, 96)
    trainer = dict(config["trainer"], epochs=2, steps_per_execution=steps_per_execution)
    trainer["optimizer"] = "rmsprop"
    target = {"_target_": f"kernels_models.{model}"}
    return training.Task(tf, target, trainer, x, y, Path(__file__).parent)


def train(config: dict[str, Any], it: training.Task, folder: Path, watched: bool) -> Any:
    """One training with its trace; digests, generators' states, and what was executed."""
    tf.keras.backend.clear_session()
    settings.seed_everything(tf, config["determinism"]["seeding"], config["seed"])
    model = it.compiled_model()
    trace = Trace(it, model, "step", folder)
    started = time.monotonic()
    watch = kernels.Watch(tf, model)
    more = [watch.callback()] if watched else []
    values = it.fit(model, [trace.callback(), *more])
    seconds = time.monotonic() - started
    sets = list(states.arrays(model).values())
    digests = [arrays.digest(arrays.described(found)) for found in sets]
    digests.append(canonical.digest(history.to_json(values)))
    numbers: Any = np.random.get_state()
    drawn = [repr(random.getstate()), repr(numbers[1].tolist())]
    state = [*digests, trace.save(folder / "trace").sha256, *drawn]
    return {"state": state, "executed": watch.found, "seconds": seconds}


def main() -> None:
    """Every model without and with the callback."""
    config, folder = canonical.read_json(Path(sys.argv[1])), Path(sys.argv[2])
    settings.apply_to_tensorflow(tf, config["determinism"])
    with open(folder / "results.jsonl", "w") as told:
        for model in sys.argv[4:]:
            it = task(config, model, int(sys.argv[3]))
            plain, watched = (train(config, it, folder, with_it) for with_it in (False, True))
            told.write(json.dumps({"model": model, "plain": plain, "watched": watched}) + "\n")


if __name__ == "__main__":
    main()
