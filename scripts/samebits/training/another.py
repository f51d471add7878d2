"""The gradients of one step by two implementations, with oneDNN and without: is one of them wrong?

Equal bits of two runs say nothing about a kernel that computes the same wrong numbers in both. A
run that has oneDNN's pin at its other value computes the gradients of one step on the first batch,
and has a process of its own compute them as pinned: the same seeds, so the same weights, and the
same samples. They are noted where the optimizer gets them.

Runs on Python 3.7 to 3.13, TensorFlow 2.1 to 2.21.
"""

from __future__ import annotations

import signal
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any, Sequence

import numpy as np

from samebits.errors import SamebitsError
from samebits.formats import arrays
from samebits.observation import environment
from samebits.text import VARIABLE
from samebits.training import graph_trace, settings, task

FLAG = "gradients"  # of train.py: where to write them, instead of a run's results


def gradients(training: task.Task, seeding: str | None, seed: int) -> task.Named:
    """What the optimizer gets in one step on the first batch, in float32, by variable.

    Raises SamebitsError if Keras' optimizer gets nothing.
    """
    tf, size = training.tf, training.trainer["batch_size"]
    tf.keras.backend.clear_session()
    settings.seed_everything(tf, seeding, seed)
    trainer = dict(training.trainer, epochs=1, validation_split=0.0)
    one = replace(training, x=training.x[:size], y=training.y[:size], trainer=trainer)
    model = one.compiled_model()
    kept: dict[int, tuple[Any, Any]] = {}
    _follow(tf, model.optimizer, kept)
    one.fit(model, [])
    names = task.unique(task.name_of(variable) for variable, _ in kept.values())
    found = [(name, np.asarray(value.numpy())) for name, (_, value) in zip(names, kept.values())]
    if not found:
        raise SamebitsError("the model's optimizer was given no gradients in its first step")
    return [(name, value) for name, value in found if value.dtype == np.float32]


def _follow(tf: Any, optimizer: Any, kept: dict[int, tuple[Any, Any]]) -> None:
    """Have what it gets assigned to variables of ours; Keras may trace its step more than once."""

    def keep(pairs: Sequence[tuple[Any, Any]]) -> None:
        for gradient, variable in pairs:
            if gradient is not None:
                value = tf.convert_to_tensor(gradient)
                zeros = np.zeros(variable.shape, value.dtype.as_numpy_dtype)
                if id(variable) not in kept:
                    kept[id(variable)] = variable, graph_trace.variable(tf, zeros)
                kept[id(variable)][1].assign(value)

    name = "apply" if hasattr(optimizer, "apply") else "apply_gradients"
    original = getattr(optimizer, name)

    @tf.autograph.experimental.do_not_convert  # type: ignore[untyped-decorator]
    def noted(given: Any, *variables: Any, **named: Any) -> Any:
        given = list(given)
        keep(list(zip(given, *variables[:1])) if name == "apply" else given)
        return original(given, *variables, **named)

    setattr(optimizer, name, noted)


def compare(ours: task.Named, config: Any, start: Sequence[str], beside: Path) -> dict[str, Any]:
    """The record's part: how far ours are from those of a process that is pinned as configured.

    ``start``: the script and its flags but for outputs; ``beside``: where a folder lies meanwhile.
    """
    environ = dict(environment.at_start(), **config["determinism"]["environment"])
    environ.pop(VARIABLE, None)
    with tempfile.TemporaryDirectory(prefix=".another.", dir=str(beside)) as folder:
        path = Path(folder) / FLAG
        outputs = [f"--output={folder}/run", f"--{FLAG}={path}"]
        command = [sys.executable, "-s", *start, *outputs]
        code = subprocess.run(command, env=environ, check=False).returncode
        if code:
            how = signal.Signals(-code).name if code < 0 else f"exit code {code}"
            return {"tensors": [], "failure": f"the process pinned as configured ended by {how}"}
        theirs = dict(arrays.open_arrays(path))
        if {name: v.shape for name, v in ours} != {name: v.shape for name, v in theirs.items()}:
            why = "the process pinned as configured has gradients of other names or shapes"
            return {"tensors": [], "failure": why}
        found = [
            {"name": name, "largest": _largest(value), "apart": _apart(value, theirs[name])}
            for name, value in ours
        ]
    return {"tensors": found, "failure": None}


def _apart(ours: np.ndarray, theirs: np.ndarray) -> float | None:
    """The largest difference; none where both have the same infinity, or no number."""
    same = (ours == theirs) | (np.isnan(ours) & np.isnan(theirs))
    with np.errstate(invalid="ignore"):
        return _largest(np.where(same, 0.0, ours - theirs))


def _largest(value: np.ndarray) -> float | None:
    """Of all magnitudes; None where one is not finite."""
    largest = float(np.max(np.abs(value), initial=0.0))
    return largest if np.isfinite(largest) else None
