"""A short training that must come out different: another seed, in a process that has trained.

It proves that the comparison can see a difference. Everything but the seed is the run's own:
model, data, arguments of ``fit``. It ends with the first call into the graph: its first steps
are enough. Runs on Python 3.7 to 3.13, TensorFlow 2.1 to 2.21.
"""

from __future__ import annotations

import traceback
from contextlib import suppress
from pathlib import Path
from typing import Any

from samebits.training import settings, task
from samebits.training.trace import STEP, Trace


class _EnoughError(Exception):
    """Leaves ``fit`` from within: Keras itself would end the epoch with a validation."""


def seed_of(seed: int) -> int:
    """The canary's seed: valid, and not the run's."""
    return (seed + 1) % 2**32


def train(training: task.Task, seeding: str | None, seed: int, path: Path) -> dict[str, Any]:
    """Train for one execution with a seed; write its trace to ``path``. Returns the record's part.

    A failure is recorded and not raised: the run itself is complete.
    """
    try:
        trace = _trained(training, seeding, seed, path.parent)
        stored = trace.save(path, samples=False)
    except Exception as error:
        traceback.print_exc()
        failure = f"{type(error).__name__}: {error}"
        return {"seed": seed, "steps": 0, "digest": None, "tensors": [], "failure": failure}
    digest, tensors = stored.sha256, stored.as_json()
    return {"seed": seed, "steps": trace.describe()["steps"], "digest": digest, "tensors": tensors}


def _trained(training: task.Task, seeding: str | None, seed: int, folder: Path) -> Trace:
    training.tf.keras.backend.clear_session()
    settings.seed_everything(training.tf, seeding, seed)
    model = training.compiled_model()
    trace = Trace(training, model, STEP, folder)
    with suppress(_EnoughError):
        stop = task.callback(training.tf, on_train_batch_end=_stop)
        training.fit(model, [trace.callback(), stop])
    return trace


def _stop(batch: int, logs: Any = None) -> None:
    raise _EnoughError
