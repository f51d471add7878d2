"""A training epoch by epoch: all epochs that its checkpoints leave, or those that were sampled.

Each epoch is a ``fit`` of its own and begins with random state that follows from (seed, epoch)
alone. So it has the same bits in the process that trained those before it and in one that did not.

``RemainingEpochs`` can be killed at any moment and resumes from its last whole checkpoint, which
holds all that the next epoch needs: weights, optimizer, history and trace. SIGTERM ends it after
the running call into the graph. ``SampledEpochs`` trains epochs of a certified experiment, each
from the state that the certificate names. The model is built as for any training, and followed by
the same trace, because the content of its graph may matter to the bits. A stored state is used only
if its arrays have the certified digest, and the model's state is digested again before the epoch
begins.

Runs on Python 3.7 to 3.13, TensorFlow 2.1 to 2.21.
"""

from __future__ import annotations

import signal
import traceback
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Callable, Iterator, Mapping, NamedTuple

import numpy as np

from samebits.errors import SamebitsError
from samebits.formats import arrays, canonical, history, states
from samebits.formats.states import EPOCH
from samebits.observation import executed
from samebits.text import say
from samebits.training import checkpoints, seeds, state, task
from samebits.training.checkpoints import Store
from samebits.training.trace import Trace

PREEMPTED = 143  # 128 + SIGTERM, as shells report it


class PreemptedError(Exception):
    """The process was asked to end; the message says where the same command resumes."""


def is_wanted(trainer: Mapping[str, Any]) -> bool:
    """Whether the experiment asks for checkpoints."""
    return bool(trainer.get("checkpoint") == EPOCH)


def identity(record: Mapping[str, Any], source_path: Path) -> dict[str, Any]:
    """The values that a checkpoint and a run must share, once the model's code was imported."""
    source = executed.modules(source_path)
    same = {key: record[key] for key in ("run", "experiment", "dataset", "lock", "unpinned")}
    return dict(same, subset=record["subset"], source=canonical.digest(source))


def _require_published_fit(tf: Any, model: Any) -> None:
    """Each epoch is a call of ``fit``: callbacks and counters in a user's would begin anew."""
    fit = getattr(model.fit, "__func__", None)
    # A user's module may also have replaced the one that Keras has.
    if fit is not tf.keras.Model.fit or state.is_users(fit.__globals__.get("__name__")):
        raise SamebitsError(
            f"trainer.checkpoint=epoch calls fit() once per epoch, and {type(model).__name__} has "
            "a fit() of its own: its callbacks, and whatever else it does once per training, would "
            "begin anew in each epoch; use trainer.checkpoint=none"
        )
    for optimizer in state.optimizers(model):
        if getattr(optimizer, "use_ema", False):
            raise SamebitsError(
                f"trainer.checkpoint=epoch calls fit() once per epoch, and {optimizer.name} with "
                "use_ema replaces the weights by their averages at the end of each fit(); use "
                "trainer.checkpoint=none"
            )


class _Epochs:
    """The epochs of one model, each of which can be trained by itself."""

    def __init__(self, training: task.Task, model: Any, seeding: seeds.Seeds) -> None:
        """Of a compiled model, whose optimizer may have no variables yet.

        Raises SamebitsError for a model with a ``fit`` of its own, or with averaged weights.
        """
        _require_published_fit(training.tf, model)
        self._training, self._model, self._seeding = training, model, seeding

    def _create_variables(self) -> None:
        """Train a step, as a training creates them; their values are replaced afterwards."""
        x, y, size = self._training.x, self._training.y, self._training.trainer["batch_size"]
        self._model.fit(x[:size], y[:size], batch_size=size, verbose=0)
        seeds.forget_graphs(self._model)

    def _set(self, stored: Mapping[str, Mapping[str, np.ndarray]]) -> None:
        """Give each variable its value. Raises SamebitsError when the state has other variables."""
        for part, variables in state.parts(self._model).items():
            expected, got = sorted(stored[part]), sorted(name for name, _ in variables)
            if got != expected:
                raise SamebitsError(
                    f"checkpoint: {part}: expected the variables {expected}, got {got}; "
                    "delete the folder of checkpoints to start from the beginning"
                )
            for name, variable in variables:
                variable.assign(arrays.restored(stored[part][name], variable.numpy()))

    def _train(self, epoch: int, trace: Trace, callbacks: list[Any]) -> Any:
        """Train the epoch with this number, from 0; returns its history."""
        self._seeding.set(epoch)
        trace.before_fit()
        return self._training.fit(self._model, [self._seeding.callback(), *callbacks], epoch)


class RemainingEpochs(_Epochs):
    """All epochs from where the checkpoints of a run end."""

    def __init__(self, training: task.Task, model: Any, seeding: seeds.Seeds, store: Store) -> None:
        """The model gets the state of the last checkpoint."""
        super().__init__(training, model, seeding)
        self._store = store
        if store.chain:
            self._create_variables()
            self._set(checkpoints.open_state(store.chain[-1].folder))
            done, total = len(store.chain), training.trainer["epochs"]
            say(f"{store.run}: resumes after epoch {done}/{total}")

    def trace(self, every: str, folder: Path) -> Trace:
        """The trace of the training so far, from the checkpoints."""
        trace = Trace(self._training, self._model, every, folder)
        if self._store.chain:
            parts = [checkpoint.trace() for checkpoint in self._store.chain]
            trace.restore(parts)
        return trace

    def fit(self, trace: Trace, callbacks: list[Any]) -> dict[str, list[float]]:
        """Train the epochs that are left; returns the history of all. Raises PreemptedError."""
        with _preemptible(self._store) as raise_if_asked:
            batches = dict.fromkeys(("on_train_batch_end", "on_test_batch_end"), raise_if_asked)
            ending = task.callback(self._training.tf, **batches)
            for epoch in range(len(self._store.chain), self._training.trainer["epochs"]):
                raise_if_asked()
                if self._store.ended:
                    break
                values = self._train(epoch, trace, [*callbacks, ending])
                ended = bool(self._model.stop_training)
                self._store.write(state.arrays(self._model), trace.unsaved(), values, ended)
            raise_if_asked()
        return self._store.values()


class SampledEpochs(_Epochs):
    """Sampled epochs of a certified experiment, each from its certified state."""

    def fit(
        self, wanted: list[Any], folder: Path, trace: Trace, callbacks: list[Any]
    ) -> Iterator[dict[str, Any]]:
        """Train them in their order; yields the states before and after each, and its history.

        ``wanted``: as the replay plan has them; ``folder``: the states to begin from. Raises
        SamebitsError if a state is not the certified one.
        """
        if wanted[0]["from"] is not None:  # the first epoch begins as the model is built
            self._create_variables()
        for epoch, begun in ((epoch["epoch"], epoch["from"]) for epoch in wanted):
            if begun is not None:
                self._begin(folder / states.name(epoch - 1), begun)
            trace.seek(epoch - 1)
            values = history.to_json(self._train(epoch - 1, trace, callbacks))
            yield {"epoch": epoch, "from": begun, "to": self._digest(), "history": values}

    def _begin(self, folder: Path, expected: dict[str, str]) -> None:
        """Give the model its state."""
        found = checkpoints.state_digest(folder)
        if found == expected:
            self._set(checkpoints.open_state(folder))
            found = self._digest()
        if found != expected:
            raise SamebitsError(
                f"{folder}: expected the certified state {expected}, got {found}; "
                "get the bundle again"
            )

    def _digest(self) -> dict[str, str]:
        """The SHA-256 that each file of the state has when it is stored."""
        found = state.arrays(self._model).items()
        return {part: arrays.digest(arrays.described(named)) for part, named in found}


class Trained(NamedTuple):
    """What a run ended with: its model, and the lists of what was stored of it."""

    model: Any
    tensors: Mapping[str, Any]


class LastEpoch(_Epochs):
    """The last epoch of a run, from the checkpoint before it, by a model that was built anew."""

    def fit(self, store: Store, trace: Trace, tensors: Mapping[str, Any]) -> dict[str, str]:
        """Train it; returns the SHA-256 of each file of the state after it.

        ``tensors``: those of the run's parts, in order. Keras counts the layers that a process has
        built, so the variables are paired by position, and named as the run names them.
        """
        self._create_variables()
        names = {part: [tensor["name"] for tensor in tensors[part]] for part in states.PARTS}
        epoch, before = len(store.chain), checkpoints.open_state(store.chain[-2].folder)
        stored = {}
        for part, variables in state.parts(self._model).items():
            pairs = zip([name for name, _ in variables], names[part])
            stored[part] = {own: before[part][name] for own, name in pairs}
        self._set(stored)
        trace.seek(epoch - 1)
        self._train(epoch - 1, trace, [trace.callback()])
        found = state.arrays(self._model)
        ended = {p: zip(names[p], (array for _, array in found[p])) for p in states.PARTS}
        return {part: arrays.digest(arrays.described(named)) for part, named in ended.items()}


def again(
    training: task.Task,
    rebuild: Callable[[], tuple[Any, seeds.Seeds]],
    store: Store,
    trained: Trained,
    trace: tuple[str, Path],
) -> dict[str, Any] | None:
    """Train the last epoch again; returns the part of the record about it.

    It ends with the run's bits unless the model has state that its checkpoints lack. The numbers in
    Python are named that differ: they may decide what another epoch does. None where it cannot show
    this: the run itself began its last epoch from the checkpoint before it, or there is none before
    it. A failure is recorded and not raised: the run itself is complete.
    """
    epoch, digests, failure, differing = len(store.chain), None, None, []
    if epoch < 2 or epoch - 1 in store.resumed:
        return None
    say(f"{store.run}: trains epoch {epoch} again, from the checkpoint before it")
    try:
        model, seeding = rebuild()
        followed = Trace(training, model, *trace)
        digests = LastEpoch(training, model, seeding).fit(store, followed, trained.tensors)
        ours, theirs = state.attributes(trained.model), state.attributes(model)
        differing = sorted(name for name in ours if ours[name] != theirs.get(name))
    except Exception as error:
        traceback.print_exc()
        failure = f"{type(error).__name__}: {error}"
    return {"epoch": epoch, "digests": digests, "failure": failure, "attributes": differing}


@contextmanager
def _preemptible(store: Store) -> Iterator[Callable[..., None]]:
    """SIGTERM meanwhile is noted, and raised as PreemptedError by the function that is yielded.

    Call it between two calls into the graph; it is a callback's method, too.
    """
    asked: list[int] = []

    def raise_if_asked(batch: int = 0, logs: Any = None) -> None:
        done = len(store.chain)
        if asked and done:
            raise PreemptedError(f"preempted after epoch {done}; the same command resumes there")
        if asked:
            raise PreemptedError(
                "preempted before the end of epoch 1; the same command starts from the beginning"
            )

    before = signal.signal(signal.SIGTERM, lambda number, frame: asked.append(number))
    try:
        yield raise_if_asked
    finally:
        signal.signal(signal.SIGTERM, before)
