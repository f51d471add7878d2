"""Run in a framework's environment: trainings of models, with and without a trace.

    trace_program.py CONFIG FOLDER MODEL...

Writes JSON, one object per training. Python 3.7 too.
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
from samebits.training import canary, fingerprint, settings, state
from samebits.training import task as training
from samebits.training.trace import Trace


def task(config: dict[str, Any], model: str, at_once: int = 3) -> training.Task:
    """The config's experiment on a few images: eight steps an epoch, the last one smaller.

    ``at_once``: how many steps in an execution.
    """
    random = np.random.RandomState(0)
    x, y = random.rand(300, 12, 12).astype(np.float32), random.randint(0, 10, 300)
    trainer = dict(config["trainer"], epochs=2, steps_per_execution=at_once)
    target = {"_target_": f"traced_models.{model}"}
    return training.Task(tf, target, trainer, x, y, Path(__file__).parent)


def prints(model: Any) -> dict[str, int]:
    """What NumPy says of the weights."""
    return {name: fingerprint.of_array(array) for name, array in training.trainable(model)}


def follower(model: Any, seen: list[dict[str, int]]) -> Any:
    """A callback that notes what NumPy says of the weights after each execution."""

    class Follower(tf.keras.callbacks.Callback):  # type: ignore[misc]
        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            seen.append(prints(model))

    return Follower()


def seed(config: dict[str, Any]) -> None:
    tf.keras.backend.clear_session()
    settings.seed_everything(tf, config["determinism"]["seeding"], config["seed"])


def train(config: dict[str, Any], every: str | None, it: training.Task, folder: Path) -> Any:
    """One training: its digests, and what its trace says."""
    seed(config)
    model = it.compiled_model()
    trace = None if every is None else Trace(it, model, every, folder)
    seen: list[dict[str, int]] = []
    values = it.fit(model, [] if trace is None else [trace.callback(), follower(model, seen)])
    sets = list(state.arrays(model).values())
    digests = [arrays.digest(arrays.described(found)) for found in sets]
    digests.append(canonical.digest(history.to_json(values)))
    told = {"every": every, "digests": digests, "history": history.to_json(values)["metrics"]}
    return told if trace is None else dict(told, **stored(trace, model, folder, seen))


def stored(trace: Trace, model: Any, folder: Path, seen: list[dict[str, int]]) -> dict[str, Any]:
    """The trace as it is on the disk."""
    saved = trace.save(folder / "trace")
    found = arrays.read(folder / "trace")
    kept = {tensor.name: found.open(tensor.name) for tensor in saved.tensors}
    columns = {n[12:]: kept[n].tolist() for n in kept if n.startswith("fingerprint/")}
    return {
        "trace": trace.describe(),
        "data": trace.data(),
        "nan": {name: trace.nan_since(name) for name in columns},
        "rows": kept["step"].tolist(),
        "prints": columns,
        "batches": kept["batch step"].tolist(),
        "seen": seen,
        "last": prints(model),
        "snapshots": kept["sample step"].tolist(),
        "samples": [kept[name].shape for name in kept if name.startswith("sample/")],
    }


def canaried(config: dict[str, Any], it: training.Task, folder: Path) -> Any:
    """The canary's record, and the tensors in which it differs from a training, by step."""
    path = folder / "canary"
    made = canary.train(it, config["determinism"]["seeding"], config["seed"], path)
    if made["digest"] is None:
        return made
    ours, theirs = arrays.open_arrays(folder / "trace"), arrays.open_arrays(path)
    names = [tensor["name"] for tensor in made["tensors"] if "/" in tensor["name"]]
    mine = sorted(name for name in ours if name.startswith("fingerprint/"))
    steps = [step for step in theirs["step"].tolist() if step in ours["step"].tolist()]

    def row(of: Any, columns: list[str], step: int) -> list[int]:
        at = of["step"].tolist().index(step)
        return sorted(int(of[name][at]) for name in columns)

    differ = {step: row(ours, mine, step) != row(theirs, names, step) for step in steps}
    return dict(made, differ=differ, tensors=len(names))


def main() -> None:
    """Each model with every way to trace beside none; the first one's canary as well."""
    config, folder = canonical.read_json(Path(sys.argv[1])), Path(sys.argv[2])
    settings.apply_to_tensorflow(tf, config["determinism"])
    with open(folder / "results.jsonl", "w") as told:
        for name in sys.argv[3:]:
            it = task(config, name)
            first = name == sys.argv[3]
            more = ("epoch",) if first else ()
            runs = {str(e): train(config, e, it, folder) for e in (None, "off", *more)}
            if first:
                runs["one at once"] = train(config, "step", task(config, name, 1), folder)
            runs["step"] = train(config, "step", it, folder)
            runs["canary"] = canaried(config, it, folder)
            told.write(json.dumps({"model": name, "runs": runs}) + "\n")


if __name__ == "__main__":
    main()
