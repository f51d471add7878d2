"""A short training that must come out different: the same one, with the least possible change.

At its beginning the lowest bit of every nonzero element of the first trainable tensor that has
one is flipped; no seed that the model sets can undo that. (A flipped zero is a denormal, which
may be flushed: where all elements of all tensors are zero, those of the first are raised by 2**-7.)
All else is the run's own: seed, model, data, arguments of ``fit``. It proves that the comparison
sees such a difference. It ends with the first call into the graph: its first steps are enough.

Runs on Python 3.7 to 3.13, TensorFlow 2.1 to 2.21.
"""

from __future__ import annotations

import traceback
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from samebits.errors import SamebitsError
from samebits.training import settings, task
from samebits.training.trace import STEP, Trace

FLIPPED, RAISED = "lowest bit flipped", "raised from 0 to 2**-7"


class _EnoughError(Exception):
    """Leaves ``fit`` from within: Keras itself would end the epoch with a validation."""


def train(training: task.Task, seeding: str | None, seed: int, path: Path) -> dict[str, Any]:
    """Train for one execution with the run's seed; write its trace to ``path``.

    Returns the record's part. A failure is recorded and not raised: the run itself is complete.
    """
    change = Change()
    try:
        trace = _trained(training, seeding, seed, path.parent, change)
        stored = trace.save(path, samples=False)
        steps, digest, tensors = trace.describe()["steps"], stored.sha256, stored.as_json()
    except Exception as error:
        traceback.print_exc()
        failure = f"{type(error).__name__}: {error}"
        return dict(change.describe(), steps=0, digest=None, tensors=[], failure=failure)
    return dict(change.describe(), steps=steps, digest=digest, tensors=tensors)


def _trained(
    training: task.Task, seeding: str | None, seed: int, folder: Path, change: Change
) -> Trace:
    training.tf.keras.backend.clear_session()
    settings.seed_everything(training.tf, seeding, seed)
    model = training.compiled_model()
    change.follow(training.tf, model)
    trace = Trace(training, model, STEP, folder)
    trainable = task.trainable_variables
    begin = task.callback(
        training.tf, on_train_begin=lambda logs=None: change.make(trainable(model))
    )
    stop = task.callback(training.tf, on_train_batch_end=_stop)
    with suppress(_EnoughError):
        training.fit(model, [begin, trace.callback(), stop])
    if change.tensor is None:
        raise SamebitsError("the model has no trainable tensor in which a bit could be flipped")
    return trace


def _stop(batch: int, logs: Any = None) -> None:
    raise _EnoughError


class Change:
    """The change of one tensor, made once: as soon as a training has its tensors."""

    def __init__(self) -> None:
        """Not made yet."""
        self.tensor: str | None = None
        self.variable: Any = None
        self._how, self._elements = FLIPPED, 0

    def follow(self, tf: Any, model: Any) -> None:
        """A model without an input shape gets its tensors while Keras makes a graph of its step.

        They are changed then: the graph runs afterwards. (Without a graph: after the first step.)
        """
        train_step = getattr(model, "train_step", None)
        if train_step is None:
            return
        make = tf.autograph.experimental.do_not_convert(self.make)

        def changed(data: Any) -> Any:
            logs = train_step(data)
            with tf.init_scope():
                make(task.trainable_variables(model))
            return logs

        model.train_step = changed

    def make(self, trainable: list[Any]) -> None:
        """Change the first of these variables that has an element other than zero."""
        if self.tensor is not None:
            return
        variables = task.named(trainable)
        if any(variable.numpy().shape != tuple(variable.shape) for _, variable in variables):
            return  # made, but without a value: Keras makes the graph once more
        for name, variable in variables:
            array, elements = _flipped(variable.numpy())
            if elements:
                self.tensor, self.variable, self._elements = name, variable, elements
                variable.assign(array)
                return
        for name, variable in variables[:1]:
            array = variable.numpy() + 2**-7
            self.tensor, self.variable, self._how = name, variable, RAISED
            self._elements = array.size
            variable.assign(array.astype(variable.numpy().dtype))

    def describe(self) -> dict[str, Any]:
        """The part of the record: which tensor, how many elements of it, and how."""
        return {"tensor": self.tensor, "elements": self._elements, "change": self._how}


def _flipped(array: np.ndarray) -> tuple[np.ndarray, int]:
    """A copy, the lowest bit of each float in it flipped unless that is zero; how many these are.

    A complex element is two floats.
    """
    copy = np.array(array)
    parts = copy.view(copy.real.dtype) if copy.dtype.kind == "c" and copy.ndim else copy
    words = parts.reshape(-1).view(f"u{parts.itemsize}")
    wanted = parts.reshape(-1) != 0
    words[wanted] ^= 1
    return copy, int(wanted.sum())
