"""The trace of a training: fingerprints of all trainable tensors, and the loss's bits, by step.

Rows go into a file while the training runs, so memory does not grow with the steps; the number
and the steps of rows and snapshots follow from the experiment alone. Where the framework has no
step that can be followed in the graph, a row is made in the batch callback. Keras builds a
model that has no input shape within its first step: there is no row 0 then.

Runs on Python 3.7 to 3.13, TensorFlow 2.1 to 2.21.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any, Iterable, List, Mapping, Sequence, Tuple

import numpy as np

from samebits.errors import SamebitsError
from samebits.formats import arrays, files
from samebits.training import fingerprint, task
from samebits.training.graph_trace import MEAN, OF_BATCH, GraphTrace, can_follow

STEP, EPOCH, OFF = "step", "epoch", "off"
IN_GRAPH, IN_CALLBACK = "train_step", "batch callback"
_SNAPSHOTS = 60  # spread over the training, beside the first and the last
_SAMPLE = 256  # elements of a tensor in a snapshot, at most

_Snapshot = Tuple[int, List[np.ndarray]]  # the step, samples of all tensors


class Rows:
    """Rows of int32 in a file without a name, column by column: a column is read in one piece."""

    def __init__(self, folder: Path, capacity: int) -> None:
        """For at most ``capacity`` rows, in an empty file below ``folder``."""
        self.count = self._columns = 0
        self._folder, self._capacity = folder, capacity
        self._file = tempfile.TemporaryFile(dir=str(folder))  # noqa: SIM115 - lives as long as this

    def append(self, rows: np.ndarray) -> None:
        """Write rows, [n, columns]. Raises SamebitsError when there is no room for them."""
        if self.count == 1 and rows.shape[1] > self._columns:
            self.count = 0  # row 0 of a model that made more variables in its first step
        if self.count + len(rows) > self._capacity:
            raise SamebitsError(
                f"trace: expected {self._capacity} rows, got more: the model trains on more "
                "batches than the data has; use trace=epoch or trace=off"
            )
        with files.naming(self._folder):
            for position in range(rows.shape[1]):
                self._file.seek(4 * (position * self._capacity + self.count))
                self._file.write(rows[:, position].astype(np.int32).tobytes())
            self._file.flush()
        self.count += len(rows)
        self._columns = rows.shape[1]

    def since(self, first: int) -> np.ndarray:
        """The rows from this one on, [n, columns]."""
        columns = [self.column(position)[first:] for position in range(self._columns)]
        return np.stack(columns, axis=1) if columns else np.zeros((0, 0), np.int32)

    def column(self, position: int) -> np.ndarray:
        """One column, memory-mapped."""
        if not self.count:
            return np.zeros(0, np.int32)
        file: Any = self._file
        return np.memmap(file, np.int32, "r", 4 * position * self._capacity, (self.count,))


class Trace:
    """Follows the ``fit`` of a model, or one per epoch; ``save`` writes what was seen."""

    def __init__(self, training: task.Task, model: Any, every: str, folder: Path) -> None:
        """Prepare a compiled model of this task; the rows go below ``folder`` meanwhile."""
        self._tf, self._model, self._every = training.tf, model, every
        self._steps_per_epoch = training.steps_per_epoch()
        self._total = self._steps_per_epoch * int(training.trainer["epochs"])
        self._epoch = self._step = 0  # finished ones
        self._epochs = 0  # as many as were trained
        self._emptied = 0  # the step at which the graph's table was last empty
        self._rows = Rows(folder, self._total + 2)
        self._snapshots: list[_Snapshot] = []
        self._saved = (0, 0)  # rows and snapshots that checkpoints have
        self._loss = OF_BATCH if not hasattr(model, "train_step") else MEAN
        self._graph: GraphTrace | None = None
        if every == STEP and can_follow(model):
            self._graph = GraphTrace(training.tf, model)

    # ---- what Keras calls -----------------------------------------------------------------

    def callback(self) -> Any:
        """The callback to pass to ``fit``."""
        return task.callback(
            self._tf,
            on_train_begin=lambda logs=None: self._begin(),
            on_train_batch_end=lambda batch, logs=None: self._after_execution(batch, logs or {}),
            on_epoch_end=lambda epoch, logs=None: self._after_epoch(epoch, logs or {}),
        )

    def _begin(self) -> None:
        if self._graph is not None:
            self._graph.begin(made=True)
        if self._step == 0 and task.trainable_variables(self._model):
            self._write_row(0)
            self._take_snapshot()

    def _after_execution(self, batch: int, logs: dict[str, Any]) -> None:
        """After one execution, whose last step has this number, from 0, in its epoch.

        Keras 3 counts a last execution that has fewer steps as a whole one.
        """
        done = min(batch + 1, self._steps_per_epoch)
        self._step = self._epoch * self._steps_per_epoch + done
        if self._every != STEP:
            if self._epoch == 0 and done == self._step == self._first_execution():
                self._write_row(logs.get("loss", 0))  # which the canary is compared with
            return
        if self._graph is None:
            self._write_row(logs.get("loss", 0))
        elif self._graph.is_full(self._step - self._emptied):
            self._empty_graph()
        self._take_snapshot_if_due()

    def _after_epoch(self, epoch: int, logs: dict[str, Any]) -> None:
        self._epoch = epoch + 1
        self._epochs += 1
        if self._every == EPOCH:
            self._loss = MEAN
            if self._step != self._first_execution():
                self._write_row(logs.get("loss", 0))
            self._take_snapshot_if_due()

    def _first_execution(self) -> int:
        return min(task.steps_per_execution(self._model), self._steps_per_epoch)

    # ---- rows and snapshots ---------------------------------------------------------------

    def _write_row(self, loss: Any) -> None:
        """A row of this moment."""
        bits = np.float32(loss).reshape(1).view(np.int32)
        prints = [fingerprint.of_array(array) for _, array in task.trainable(self._model)]
        self._rows.append(np.array([[self._step, int(bits[0]), *prints]]))

    def _empty_graph(self) -> None:
        """Move the rows of the graph to the file."""
        if self._graph is not None:
            rows = self._graph.empty()
            steps = np.arange(self._emptied + 1, self._emptied + 1 + len(rows), dtype=np.int32)
            self._rows.append(np.concatenate([steps[:, None], rows], axis=1))
            self._emptied += len(rows)

    def _take_snapshot_if_due(self) -> None:
        """Once the next of the evenly spread steps is reached."""
        interval = -(-self._total // _SNAPSHOTS)
        last = self._snapshots[-1][0] if self._snapshots else 0
        if self._step // interval > last // interval:
            self._take_snapshot()

    def _take_snapshot(self) -> None:
        tensors = [self._tf.convert_to_tensor(v) for v in self._model.trainable_variables]
        if self._snapshots and len(tensors) > len(self._snapshots[0][1]):
            self._snapshots.clear()  # that of row 0, likewise
        self._snapshots.append((self._step, [_sample(tensor) for tensor in tensors]))

    # ---- checkpoints ----------------------------------------------------------------------

    def seek(self, epoch: int) -> None:
        """The next ``fit`` trains the epoch with this number, from 0."""
        self._empty_graph()
        self._epoch = epoch
        self._step = self._emptied = epoch * self._steps_per_epoch
        if epoch and self._graph is not None:
            self._graph.resume(self._graph.loss)

    def before_fit(self) -> None:
        """Before a further ``fit`` of the same model."""
        if self._graph is not None:
            self._graph.begin(made=False)

    def unsaved(self) -> task.Named:
        """Rows and snapshots since the last call, for a checkpoint."""
        self._empty_graph()
        (rows, shots), self._saved = self._saved, (self._rows.count, len(self._snapshots))
        taken = self._snapshots[shots:]
        names = map(str, range(len(taken[0][1]) if taken else 0))
        return [("rows", self._rows.since(rows)), *_stacked(taken, names)]

    def restore(self, parts: Sequence[Mapping[str, np.ndarray]], loss: str | None) -> None:
        """Restore the parts that ``unsaved`` returned; ``loss``: see ``describe``."""
        # Copied: a folder whose files are mapped can't be removed on every file system (NFS, FUSE).
        for part in ({name: np.array(part[name]) for name in part} for part in parts):
            if len(part["rows"]):
                self._rows.append(part["rows"])
            names = [f"sample/{i}" for i in range(len(part) - 2)]
            for position, step in enumerate(part["sample step"].tolist()):
                self._snapshots.append((step, [part[name][position] for name in names]))
        self._saved = (self._rows.count, len(self._snapshots))
        self._epoch = self._epochs = len(parts)
        self._step = self._emptied = self._epoch * self._steps_per_epoch
        if self._graph is None:
            self._loss = loss or self._loss
        else:
            self._graph.resume(loss)

    # ---- at the end -----------------------------------------------------------------------

    def save(self, path: Path, samples: bool = True) -> arrays.Stored:
        """Write the trace as a file of arrays."""
        self._empty_graph()
        names = [name for name, _ in task.trainable(self._model)]
        step, loss = self._rows.column(0), self._rows.column(1)
        entries: task.Named = [("step", step.astype(np.int64)), ("loss", loss.view(np.uint32))]
        for position, name in enumerate(names):
            entries.append(("fingerprint/" + name, self._rows.column(2 + position)))
        return arrays.write(path, entries + (self._samples(names) if samples else []))

    def _samples(self, names: list[str]) -> task.Named:
        if self._every != OFF and (not self._snapshots or self._snapshots[-1][0] != self._step):
            self._take_snapshot()
        return _stacked(self._snapshots, names if self._snapshots else [])

    def describe(self) -> dict[str, Any]:
        """The part of the record: how often, source, kind of loss, steps and epochs trained."""
        source = IN_CALLBACK if self._graph is None else IN_GRAPH
        loss = self._loss if self._graph is None else self._graph.loss
        trained = {"steps": self._step, "epochs": self._epochs}
        return {"every": self._every, "source": source, "loss": loss, **trained}


def _stacked(snapshots: Sequence[_Snapshot], names: Iterable[str]) -> task.Named:
    """Snapshots as arrays: their steps, and the samples of each tensor by its name."""
    entries: task.Named = [("sample step", np.array([step for step, _ in snapshots], np.int64))]
    for position, name in enumerate(names):
        entries.append(("sample/" + name, np.stack([taken[position] for _, taken in snapshots])))
    return entries


def _sample(tensor: Any) -> np.ndarray:
    """A few elements of a tensor, evenly strided; in a CPU's memory nothing else is copied."""
    flat: np.ndarray = np.asarray(tensor).reshape(-1)
    return flat[:: max(1, -(-flat.size // _SAMPLE))].copy()
