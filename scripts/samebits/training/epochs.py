"""A training that can be killed at any moment and goes on from its last whole checkpoint.

Each epoch is a ``fit`` of its own, begins with random state that follows from (seed, epoch) alone,
and ends with a checkpoint of all that the next one needs: weights, optimizer, history and trace.
So an epoch has the same bits in the process that trained those before it and in one that did not.
A signal to end (SIGTERM) is heeded after the running call into the graph.

Runs on Python 3.7 to 3.13, TensorFlow 2.1 to 2.21.
"""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any, Mapping

import numpy as np

from samebits.errors import SamebitsError
from samebits.formats import canonical
from samebits.formats.states import EPOCH, OPTIMIZER, WEIGHTS
from samebits.text import say
from samebits.training import seeds as keyed
from samebits.training import task as training
from samebits.training.checkpoints import Store
from samebits.training.trace import Trace

PREEMPTED = 143  # 128 + SIGTERM, as shells report it


class PreemptedError(Exception):
    """The process was asked to end; the message says from where the same command goes on."""


def is_wanted(trainer: Mapping[str, Any]) -> bool:
    """Whether the experiment asks for checkpoints."""
    return bool(trainer.get("checkpoint") == EPOCH)


def identity(record: Mapping[str, Any], source_path: Path) -> dict[str, Any]:
    """What a checkpoint has to have in common with a run; after the model's code was imported."""
    source = training.source_files(source_path)
    same = {key: record[key] for key in ("run", "experiment", "dataset", "lock", "lifted")}
    return dict(same, subset=record["subset"], source=canonical.digest(source))


class State:
    """All variables of a model and of its optimizer, by the names that checkpoints have."""

    def __init__(self, task: training.Task, model: Any) -> None:
        """Of a compiled model; its optimizer may have none yet."""
        self._task, self._model = task, model

    def make(self) -> None:
        """Make all variables as a training makes them; their values are of no use."""
        size = self._task.trainer["batch_size"]
        self._model.fit(self._task.x[:size], self._task.y[:size], batch_size=size, verbose=0)
        keyed.forget_graphs(self._model)

    def set(self, state: Mapping[str, np.ndarray]) -> None:
        """Give each its value. Raises SamebitsError when there are others."""
        variables = dict(self._variables())
        if list(variables) != list(state):
            raise SamebitsError(
                f"checkpoint: expected the variables {list(state)}, got {list(variables)}; delete the folder of checkpoints "
                "to start from the beginning"
            )
        for name, variable in variables.items():
            variable.assign(np.array(state[name]))  # a copy: TensorFlow may keep what it is given

    def values(self) -> training.Named:
        """The state as it is now."""
        return training.values(self._variables())

    def _variables(self) -> list[tuple[str, Any]]:
        weights = training.named(self._model.weights)
        optimizer = training.named(training.optimizer_variables(self._model))
        found = [(WEIGHTS + name, variable) for name, variable in weights]
        return found + [(OPTIMIZER + name, variable) for name, variable in optimizer]


class Epochs:
    """One training, epoch by epoch, from where its checkpoints end."""

    def __init__(self, task: training.Task, model: Any, seeds: keyed.Seeds, store: Store) -> None:
        """Of a model as its function returned it; it gets the state of the last checkpoint."""
        self._task, self._model, self._seeds, self._store = task, model, seeds, store
        self._run, self._state = store.run, State(task, model)
        if store.chain:
            self._go_on()

    def _go_on(self) -> None:
        """Make all variables as a training makes them, then give them their values."""
        self._state.make()
        self._state.set(self._store.chain[-1].state())
        line = "{}: goes on after epoch {}/{}"
        say(line.format(self._run, len(self._store.chain), self._task.trainer["epochs"]))

    def trace(self, every: str, folder: Path) -> Trace:
        """The trace of the whole training, as far as the checkpoints know it."""
        trace = Trace(self._task, self._model, every, folder)
        if self._store.chain:
            parts = [checkpoint.trace() for checkpoint in self._store.chain]
            trace.restore(parts, self._store.chain[-1].record["loss"])
        return trace

    def fit(self, trace: Trace, callbacks: list[Any]) -> dict[str, list[float]]:
        """Train the epochs that are left; returns the history of all. Raises PreemptedError."""
        with _Ending(self._task.tf, self._where) as ending:
            watching = [self._seeds.callback(), *callbacks, ending.callback()]
            for epoch in range(len(self._store.chain), self._task.trainer["epochs"]):
                ending.leave_if_asked()
                self._seeds.set(epoch)
                trace.before_fit()
                values = self._task.fit(self._model, watching, epoch)
                self._write(trace, values)
            ending.leave_if_asked()
        return self._store.values()

    def _write(self, trace: Trace, values: Mapping[str, Any]) -> None:
        self._store.write(self._state.values(), trace.unsaved(), values, trace.describe()["loss"])

    def _where(self) -> str:
        done = len(self._store.chain)
        if not done:
            return "preempted before the end of epoch 1; the same command starts again"
        return f"preempted after epoch {done}; the same command goes on from there"


class _Ending:
    """SIGTERM while this is entered: noted, and heeded between two calls into the graph."""

    def __init__(self, tf: Any, where: Any) -> None:
        self._tf, self._where = tf, where
        self._asked = False
        self._before: Any = None

    def __enter__(self) -> _Ending:
        self._before = signal.signal(signal.SIGTERM, self._note)
        return self

    def __exit__(self, *_: Any) -> None:
        signal.signal(signal.SIGTERM, self._before)

    def _note(self, *_: Any) -> None:
        self._asked = True

    def leave_if_asked(self) -> None:
        if self._asked:
            raise PreemptedError(self._where())

    def callback(self) -> Any:
        ending = self

        class Callback(self._tf.keras.callbacks.Callback):  # type: ignore[misc,name-defined]
            def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
                ending.leave_if_asked()

            def on_test_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
                ending.leave_if_asked()

        return Callback()
