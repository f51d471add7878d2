"""Train the models of tests/zoo/crossing.py one after the other; print a digest of each as JSON.

Those of PLAIN are trained before them, too, with nothing replaced.

    crossing_program.py PROFILE SAMPLES [MODEL ...]

PROFILE is a determinism profile as JSON. Started with what it pins in the environment, natively or
by an emulator.
"""

import json
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "scripts"))
sys.path.insert(1, str(Path(__file__).resolve().parents[1] / "zoo"))

import crossing
import numpy as np
import tensorflow as tf

from samebits.formats import arrays
from samebits.training import replaced_ops, settings
from samebits.training import task as training

PLAIN = ("attention", "wide")
TRAINER = {
    "epochs": 1,
    "batch_size": 32,
    "validation_split": 0.2,
    "shuffle": True,
    "optimizer": "adam",
    "loss": {"class_name": "SparseCategoricalCrossentropy", "config": {"from_logits": True}},
    "metrics": ["accuracy"],
    "steps_per_execution": 4,
}


def digest(model: str, samples: int) -> str:
    """Of the weights that one training ends with, without their names: Keras counts layers."""
    random = np.random.RandomState(1)
    x = (random.randint(0, 256, (samples, 28, 28)) / 256).astype(np.float32)
    y = random.randint(0, 10, samples).astype(np.uint8)
    settings.seed_everything(tf, "keras", 1)
    source_path = Path(crossing.__file__).parent
    task = training.Task(tf, {"_target_": f"crossing.{model}"}, TRAINER, x, y, source_path)
    built = task.compiled_model()
    task.fit(built, [])
    weights = enumerate(array for _, array in training.values(training.named(built.weights)))
    return arrays.digest(arrays.described((str(number), array) for number, array in weights))


def main() -> None:
    profile, samples = json.loads(sys.argv[1]), int(sys.argv[2])
    names = sys.argv[3:] or [model.__name__ for model in crossing.ALL]
    settings.apply_to_tensorflow(tf, profile | {"rewriting": True})
    found = {f"{name}, nothing replaced": digest(name, samples) for name in PLAIN if name in names}
    replaced_ops.stop_rewriting(tf)
    with replaced_ops.replaced(tf, profile["replacements"]):
        settings.require_pinned(settings.of_exact(tf, profile))
        for name in names:
            started = time.monotonic()
            found[name] = digest(name, samples)
            print(f"{name}: {time.monotonic() - started:.1f} s", file=sys.stderr, flush=True)
    print(json.dumps(found))


if __name__ == "__main__":
    main()
