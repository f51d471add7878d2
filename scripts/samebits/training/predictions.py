"""What a trained model answers: its predictions on the first batch, and its evaluation.

They show state that no variable holds: a factor in Python that inference alone uses, for example.
They are asked for when all else is stored, so they change nothing that was trained. Random numbers
that the model draws meanwhile follow from the seed alone.

Runs on Python 3.7 to 3.13, TensorFlow 2.1 to 2.21.
"""

from __future__ import annotations

import traceback
from pathlib import Path
from typing import Any, Callable

import numpy as np

from samebits.formats import arrays
from samebits.training import task

NAME = "predictions"


def write(training: task.Task, model: Any, path: Path) -> tuple[arrays.Stored, dict[str, Any]]:
    """Write the answers to a file; what failed is named with its error, and null did not fail."""
    found: task.Named = []
    failures: dict[str, str | None] = {}
    for name, ask in _questions(training, model).items():
        try:
            answers = [np.asarray(answer) for answer in training.tf.nest.flatten(ask())]
            named = [(f"{name}/{position}", answer) for position, answer in enumerate(answers)]
            arrays.described(named)
        except Exception as error:  # of the user's code: the training itself is complete
            traceback.print_exc()
            failures[name] = f"{type(error).__name__}: {error}"
        else:
            found += named
            failures[name] = None
    return arrays.write(path, found), failures


def _questions(training: task.Task, model: Any) -> dict[str, Callable[[], Any]]:
    """The first batch of the data; the samples that ``fit`` kept for validation, if any."""
    x, y, size, kept = training.x, training.y, training.trainer["batch_size"], training.kept()
    asked = {"predict": lambda: model.predict(x[:size], batch_size=size, verbose=0)}
    if kept < len(x):
        asked["evaluate"] = lambda: model.evaluate(x[kept:], y[kept:], batch_size=size, verbose=0)
    return asked
