"""A training epoch by epoch: all epochs that its checkpoints leave, or those that were sampled.

Each epoch is a ``fit`` of its own and begins with random state that follows from (seed, epoch)
alone. So it has the same bits in the process that trained those before it and in one that did not.

``RemainingEpochs`` can be killed at any moment and resumes from its last whole checkpoint, which
holds all that the next epoch needs: weights, optimizer, history and trace. SIGTERM ends it after
the running call into the graph. ``SampledEpochs`` trains epochs of a certified experiment, each
from the state that the certificate names. The model is built as for any training, and followed by
the same trace: what is in its graph may matter to the bits. A stored state is used only if its
arrays have the certified digest, and the model's state is digested again before the epoch begins.

Runs on Python 3.7 to 3.13, TensorFlow 2.1 to 2.21.
"""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any, Mapping

import numpy as np

from samebits.errors import SamebitsError
from samebits.formats import arrays, canonical, history, states
from samebits.formats.states import EPOCH
from samebits.text import say
from samebits.training import checkpoints, seeds, task
from samebits.training.checkpoints import Store
from samebits.training.trace import Trace

PREEMPTED = 143  # 128 + SIGTERM, as shells report it


class PreemptedError(Exception):
    """The process was asked to end; the message says where the same command resumes."""


def is_wanted(trainer: Mapping[str, Any]) -> bool:
    """Whether the experiment asks for checkpoints."""
    return bool(trainer.get("checkpoint") == EPOCH)


def identity(record: Mapping[str, Any], source_path: Path) -> dict[str, Any]:
    """What a checkpoint and a run must share. Call it after the model's code was imported."""
    source = task.source_files(source_path)
    same = {key: record[key] for key in ("run", "experiment", "dataset", "lock", "unpinned")}
    return dict(same, subset=record["subset"], source=canonical.digest(source))


class State:
    """All variables of a model and of its optimizer, by the names that checkpoints have."""

    def __init__(self, training: task.Task, model: Any) -> None:
        """Of a compiled model, whose optimizer may have no variables yet."""
        self._training, self._model = training, model

    def make(self) -> None:
        """Create all variables by training a step; their values are replaced afterwards."""
        x, y, size = self._training.x, self._training.y, self._training.trainer["batch_size"]
        self._model.fit(x[:size], y[:size], batch_size=size, verbose=0)
        seeds.forget_graphs(self._model)

    def set(self, state: Mapping[str, Mapping[str, np.ndarray]]) -> None:
        """Give each its value. Raises SamebitsError when the state has other variables."""
        for part, variables in self._variables().items():
            expected, got = sorted(state[part]), sorted(name for name, _ in variables)
            if got != expected:
                raise SamebitsError(
                    f"checkpoint: {part}: expected the variables {expected}, got {got}; "
                    "delete the folder of checkpoints to start from the beginning"
                )
            for name, variable in variables:
                variable.assign(arrays.restored(state[part][name], variable.numpy()))

    def values(self) -> dict[str, task.Named]:
        """The state as it is now: weights and optimizer."""
        return {part: task.values(variables) for part, variables in self._variables().items()}

    def digest(self) -> dict[str, str]:
        """The SHA-256 that each file of it has when it is stored."""
        return {
            part: arrays.digest(arrays.described(named)) for part, named in self.values().items()
        }

    def _variables(self) -> dict[str, list[tuple[str, Any]]]:
        return {
            "weights": task.named(self._model.weights),
            "optimizer": task.named(task.optimizer_variables(self._model)),
        }


class _Epochs:
    """The epochs of one model, each of which can be trained by itself."""

    def __init__(self, training: task.Task, model: Any, seeding: seeds.Seeds) -> None:
        """Of a model as its function returned it."""
        self._training, self._model, self._seeding = training, model, seeding
        self._state = State(training, model)

    def _train(self, epoch: int, trace: Trace, callbacks: list[Any]) -> Any:
        """Train the epoch with this number, from 0; returns its history."""
        self._seeding.set(epoch)
        trace.before_fit()
        watching = [self._seeding.callback(), *callbacks]
        return self._training.fit(self._model, watching, epoch)


class RemainingEpochs(_Epochs):
    """All epochs from where the checkpoints of a run end."""

    def __init__(self, training: task.Task, model: Any, seeding: seeds.Seeds, store: Store) -> None:
        """The model gets the state of the last checkpoint."""
        super().__init__(training, model, seeding)
        self._store = store
        if store.chain:
            self._state.make()
            self._state.set(store.chain[-1].state())
            total = training.trainer["epochs"]
            say(f"{store.run}: resumes after epoch {len(store.chain)}/{total}")

    def trace(self, every: str, folder: Path) -> Trace:
        """The trace of the training so far, from the checkpoints."""
        trace = Trace(self._training, self._model, every, folder)
        if self._store.chain:
            parts = [checkpoint.trace() for checkpoint in self._store.chain]
            trace.restore(parts, self._store.chain[-1].record["loss"])
        return trace

    def fit(self, trace: Trace, callbacks: list[Any]) -> dict[str, list[float]]:
        """Train the epochs that are left; returns the history of all. Raises PreemptedError."""
        with _Ending(self._training.tf, self._where) as ending:
            for epoch in range(len(self._store.chain), self._training.trainer["epochs"]):
                ending.raise_if_asked()
                values = self._train(epoch, trace, [*callbacks, ending.callback()])
                self._write(trace, values)
            ending.raise_if_asked()
        return self._store.values()

    def _write(self, trace: Trace, values: Mapping[str, Any]) -> None:
        self._store.write(self._state.values(), trace.unsaved(), values, trace.describe()["loss"])

    def _where(self) -> str:
        done = len(self._store.chain)
        if not done:
            return "preempted before the end of epoch 1; the same command starts from the beginning"
        return f"preempted after epoch {done}; the same command resumes there"


class SampledEpochs(_Epochs):
    """Sampled epochs of a certified experiment, each from its certified state."""

    def __init__(
        self,
        training: task.Task,
        model: Any,
        seeding: seeds.Seeds,
        wanted: list[Mapping[str, Any]],
        folder: Path,
    ) -> None:
        """``wanted``: as the replay plan has them; ``folder``: the states to begin from."""
        super().__init__(training, model, seeding)
        self._wanted, self._folder = wanted, folder
        if wanted[0]["from"] is not None:
            self._state.make()

    def fit(self, trace: Trace, callbacks: list[Any]) -> list[dict[str, Any]]:
        """Train them in their order; returns of each the states before and after, and its history.

        Raises SamebitsError if a state is not the certified one.
        """
        return [self._fit(wanted, trace, callbacks) for wanted in self._wanted]

    def _fit(self, wanted: Mapping[str, Any], trace: Trace, callbacks: list[Any]) -> dict[str, Any]:
        epoch = wanted["epoch"]
        begun = self._begin(epoch, wanted["from"])
        trace.seek(epoch - 1)
        values = self._train(epoch - 1, trace, callbacks)
        ended = self._state.digest()
        return {"epoch": epoch, "from": begun, "to": ended, "history": history.to_json(values)}

    def _begin(self, epoch: int, expected: dict[str, str] | None) -> dict[str, str] | None:
        """Give the model its state. The first epoch begins as the model is built."""
        if expected is None:
            return None
        folder = self._folder / states.name(epoch - 1)
        stored = checkpoints.state_digest(folder)
        if stored == expected:
            self._state.set(checkpoints.open_state(folder))
            stored = self._state.digest()
        if stored != expected:
            raise SamebitsError(
                f"{folder}: expected the certified state {expected}, got {stored}; "
                "get the bundle again"
            )
        return stored


def sampled(plan: Path) -> dict[str, Any]:
    """The part of a replay plan that says which epochs were sampled. Raises SamebitsError."""
    found = canonical.read_json(plan).get("spot")
    if not isinstance(found, dict):
        raise SamebitsError(f"{plan}: expected sampled epochs, got none")
    return found


class _Ending:
    """SIGTERM while this is entered: noted, and raised between two calls into the graph."""

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

    def raise_if_asked(self) -> None:
        if self._asked:
            raise PreemptedError(self._where())

    def callback(self) -> Any:
        return task.callback(
            self._tf,
            on_train_batch_end=lambda batch, logs=None: self.raise_if_asked(),
            on_test_batch_end=lambda batch, logs=None: self.raise_if_asked(),
        )
