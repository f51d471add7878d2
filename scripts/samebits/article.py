"""One program of a claim: its lines run in this interpreter, and what they measured as JSON.

    python -s -m samebits.article --claim KEY --program N --data DIR --output FILE

Started in the folder scripts/ by scripts/claim.py, one process per program, because a hash seed
counts only when it is set before the interpreter starts. The program is the claim's, counted from
0, as samebits.claims defines it. The training is the article's: its model, its ``compile``, its
``fit``. Runs on Python 3.7 to 3.13, TensorFlow 2.1 to 2.21.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib
import random
import sys
import traceback
from pathlib import Path
from typing import Any, Callable

import numpy as np

from samebits import claims, errors
from samebits.formats import arrays, canonical, history
from samebits.training import refusals

_LONGEST = 300  # characters of an error's message; Keras appends whole graphs


def _run(line: str) -> Any:
    """Run a line of a program, with TensorFlow where the program imports it."""
    return claims.LINES[line](np, sys.modules.get("tensorflow"))


def _attempt(action: Callable[[], Any]) -> tuple[Any, dict[str, Any] | None]:
    """What an action returns, or its error: an error is a measurement here."""
    try:
        return action(), None
    except Exception as error:
        traceback.print_exc()
        return None, _error(error)


def _error(error: Exception) -> dict[str, Any]:
    """Type and message of an error, and whether TensorFlow refused something."""
    import tensorflow as tf

    refusal = refusals.of_exception(tf, error)
    text = refusal.message if refusal else " ".join(str(error).split())
    return {
        "type": type(error).__name__,
        "message": text[:_LONGEST],
        "refusal": refusal.reason if refusal else None,
    }


def _generators() -> dict[str, str]:
    """Digests of the states of Python's and NumPy's generators; nothing is drawn from them."""
    numpy: Any = np.random.get_state()
    states = {"Python": random.getstate(), "NumPy": (numpy[1].tolist(), numpy[2:])}
    return {name: hashlib.sha256(repr(states[name]).encode()).hexdigest() for name in states}


def _fit(x: np.ndarray, y: np.ndarray) -> str:
    """The article's training, step for step; the digest of its history."""
    import tensorflow as tf

    from samebits import models

    model = models.mlp([28, 28], classes=10, units=128)
    model.compile(
        optimizer="adam",
        loss=tf.keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    fitted = model.fit(x, y, epochs=claims.EPOCHS, validation_split=0.2, verbose=0)
    return history.digest(fitted.history)


def _train(program: claims.Program, data: Path) -> dict[str, Any]:
    """Seed as the program says, then build, compile and fit."""
    stored = arrays.open_arrays(data)
    x = stored["x_train"][: claims.SAMPLES] / 255.0
    y = stored["y_train"][: claims.SAMPLES]
    for line in program.before_each:
        _run(line)
    before = _generators()
    digest, error = _attempt(lambda: _fit(x, y))
    after = _generators()
    drawn = {name: {"before": before[name], "drawn": before[name] != after[name]} for name in after}
    return {"history": digest, "error": error, "generators": drawn}


def _value(line: str) -> dict[str, Any]:
    value, error = _attempt(lambda: _run(line))
    return {"expression": line, "value": None if error else str(value), "error": error}


def measure(program: claims.Program, data: Path) -> dict[str, Any]:
    """Run a program's lines; what its values and trainings were."""
    for module in program.imports:
        importlib.import_module(module.split()[0])  # "numpy as np"
    unmet = [line for line in program.needs if not _run(line)]
    if unmet:
        return {"unmet": unmet, "values": [], "trainings": []}
    for line in program.setup:
        _run(line)
    return {
        "unmet": [],
        "values": [_value(line) for line in program.values],
        "trainings": [_train(program, data) for _ in range(program.trainings)],
    }


def main() -> int:
    """Run the program, write what it measured."""
    parser = argparse.ArgumentParser(description="Run one program of a claim.")
    parser.add_argument("--claim", required=True, choices=list(claims.BY_KEY))
    parser.add_argument("--program", required=True, type=int)
    parser.add_argument("--data", required=True, type=Path)
    parser.add_argument("--output", required=True, type=Path)
    options = parser.parse_args()
    program = claims.BY_KEY[options.claim].programs[options.program]
    canonical.write_json(options.output, measure(program, options.data))
    return 0


if __name__ == "__main__":
    errors.run(main)
