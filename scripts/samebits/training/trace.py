"""The trace of a training: fingerprints of what was trained, and of what the steps got, by step.

Rows go into a file while the training runs, so memory does not grow with the steps. The number
of a step counts all steps of the training, over as many calls of ``fit`` as the model's code
makes. A tensor that a step does not update keeps its fingerprint. Where no graph can be followed
there are fewer rows: one after each call into it. Without trace=step there is one after the first
call into the graph, with which a canary is compared, and none or one after each epoch. There is no
row 0 where the first values of a tensor are not known.

Runs on Python 3.7 to 3.13, TensorFlow 2.1 to 2.21.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any, Dict, List, Mapping, Sequence, Tuple

import numpy as np

from samebits.formats import arrays, files
from samebits.training import batches, fingerprint, task
from samebits.training.graph_trace import GraphTrace, Updates

STEP, EPOCH, OFF = "step", "epoch", "off"
IN_GRAPH, IN_CALLBACK = "graph", "batch callback"
_SNAPSHOTS = 60  # spread over the training, beside the first and the last
_SAMPLE = 256  # elements of a tensor in a snapshot, at most
_PRINT = "fingerprint/"

_Snapshot = Tuple[int, Dict[str, np.ndarray]]  # the step, samples of all tensors
_Events = List[Tuple[np.ndarray, np.ndarray, np.ndarray]]  # steps, fingerprints, whether NaN


class Rows:
    """Rows of int32 in a file without a name. A later row may have more columns."""

    def __init__(self, folder: Path) -> None:
        """In an empty file below ``folder``."""
        self.count = 0
        self._folder = folder
        self._parts: list[tuple[int, int, int]] = []  # where rows begin, how many, their columns
        self._file: Any = tempfile.TemporaryFile(dir=str(folder))  # noqa: SIM115 - as long as this

    def append(self, rows: np.ndarray) -> None:
        """Write rows, [n, columns]."""
        if rows.size:
            with files.naming(self._folder):
                begin = self._file.seek(0, 2)
                self._file.write(np.ascontiguousarray(rows, np.int32).tobytes())
                self._file.flush()
            self._parts.append((begin, *rows.shape))
            self.count += len(rows)

    def columns(self, since: int = 0, missing: Sequence[int] = ()) -> np.ndarray:
        """All columns of the rows from this one on, [columns, n], in a file of their own.

        ``missing``: for each column, its value in the rows that were written without it.
        """
        parts = [np.memmap(self._file, np.int32, "r", at, (n, w)) for at, n, w in self._parts]
        width, height = max([part.shape[1] for part in parts], default=0), self.count - since
        if not width or not height:
            return np.zeros((width, height), np.int32)
        with files.naming(self._folder), tempfile.TemporaryFile(dir=str(self._folder)) as file:
            target: Any = file
            found = np.memmap(target, np.int32, "w+", shape=(width, height))
        end = -since
        for part in parts:
            begin, end = end, end + len(part)
            if end > 0:
                known = part.shape[1]
                found[:known, max(0, begin) : end] = part[max(0, -begin) :].T
                found[known:, max(0, begin) : end] = np.array(missing[known:])[:, None]
        return found


class Prints:
    """A row per step of what each tensor was after its last update, one column per tensor."""

    def __init__(self, graph: Updates | None, folder: Path) -> None:
        """``graph``: whose rows are read; those of the trace go below ``folder`` meanwhile."""
        self._graph = graph
        self._names: list[str] = []  # of the columns of rows, after the step
        self._column: dict[int, int] = {}  # by the identity of a variable
        self._first: list[int] = []  # of each column: before the first step; 0: not known
        self._last: list[int] = []
        self._nan: dict[int, tuple[int, int]] = {}  # of a column: last step without NaN, first with
        self._clean: dict[int, int] = {}  # of a column: the last step without NaN
        self._rows = Rows(folder)
        self._written = -1  # the step of the last row

    def _columns(self, variables: Sequence[Any]) -> list[int]:
        """The columns of variables, new ones for new variables."""
        raise NotImplementedError

    def _add_column(self, name: str, variable: int) -> int:
        first = self._graph.first.get(variable, 0) if self._graph is not None else 0
        self._names.append(name)
        self._first.append(first)
        self._last.append(first)
        return len(self._names) - 1

    def _empty_updates(self, graph: Updates) -> None:
        """Move the rows of the graph to the file."""
        events: dict[int, _Events] = {}
        for variables, steps, nans, prints in graph.empty():
            for position, column in enumerate(self._columns(variables)):
                events.setdefault(column, []).append((steps, prints[position], nans[position]))
        if events:
            self._merge(events)

    def _append(self, rows: np.ndarray) -> None:
        self._rows.append(rows)
        self._written = int(rows[-1, 0])

    def _merge(self, events: Mapping[int, _Events]) -> None:
        """One row per step, with what each tensor was after its last update."""
        steps = np.unique(np.concatenate([seen[0] for found in events.values() for seen in found]))
        if not self._rows.count and self._known_first():
            self._append(np.array([[0, *self._first]], np.int32))
        rows = np.empty((len(steps), 1 + len(self._names)), np.int32)
        rows[:, 0], rows[:, 1:] = steps, self._last
        for column, found in events.items():
            at, prints, nans = (np.concatenate(parts) for parts in zip(*found))
            order = np.argsort(at, kind="stable")
            last = np.searchsorted(at[order], steps, "right") - 1
            rows[last >= 0, 1 + column] = prints[order][last[last >= 0]]
            self._note_nan(column, at[order], nans[order])
        self._last = rows[-1, 1:].tolist()
        self._append(rows)

    def _known_first(self) -> bool:
        """Whether the values of all tensors before the first step are known."""
        return self._graph is not None and set(self._column) <= set(self._graph.first)

    def _note_nan(self, column: int, steps: np.ndarray, nan: np.ndarray) -> None:
        """Keep the step from which on a tensor holds a NaN, and the last one seen before it."""
        clean = np.flatnonzero(nan == 0)
        if clean.size:
            self._clean[column] = int(steps[clean[-1]])
            self._nan.pop(column, None)
        if nan[-1] and column not in self._nan:
            first = int(steps[clean[-1] + 1 if clean.size else 0])
            self._nan[column] = (self._clean.get(column, 0), first)

    def _prints(self, rows: int) -> task.Named:
        """The rows from this one on, as arrays."""
        columns = self._rows.columns(rows, [0, *self._first])
        step = columns[0] if len(columns) else np.zeros(0)
        prints = [(_PRINT + name, column) for name, column in zip(self._names, columns[1:])]
        return [("step", step.astype(np.int64)), *prints]

    def nan_since(self, name: str) -> tuple[int, int] | None:
        """The last step at which a tensor was seen without NaN, and the first with one."""
        return self._nan.get(self._names.index(name)) if name in self._names else None


class Trace(Prints):
    """Follows every ``fit`` of a model, or one per epoch; ``save`` writes what was seen."""

    _graph: GraphTrace | None

    def __init__(self, training: task.Task, model: Any, every: str, folder: Path) -> None:
        """Prepare a compiled model of this task; the rows go below ``folder`` meanwhile."""
        super().__init__(GraphTrace(training.tf, model) if every == STEP else None, folder)
        self._tf, self._model, self._every, self._training = training.tf, model, every, training
        self._total = training.steps_per_epoch() * int(training.trainer["epochs"])
        self._step = 0  # the last one
        self._begun = 0  # the last one before this epoch
        self._emptied = 0  # the last one when the tables were emptied
        self._executed = False  # whether a call into the graph has ended
        self._batches = Rows(folder)
        self._received = np.zeros(2, np.int64)  # in this epoch: samples, their fingerprint
        self._epochs: list[tuple[int, int, int]] = []  # the last step, then as received
        self._snapshots: list[_Snapshot] = []
        self._saved = [0, 0, 0, 0]  # rows, batches, epochs, snapshots that checkpoints have
        self._source, self._callback = IN_CALLBACK, None

    # ---- what Keras calls -----------------------------------------------------------------

    def callback(self) -> Any:
        """The callback to pass to ``fit``."""
        self._callback = task.callback(
            self._tf,
            on_train_begin=lambda logs=None: self._begin(),
            on_train_batch_end=lambda batch, logs=None: self._after_execution(batch),
            on_epoch_end=lambda epoch, logs=None: self._after_epoch(),
        )
        return self._callback

    def _begin(self) -> None:
        if self._graph is not None:
            self._graph.begin(made=True)
        if task.trainable_variables(self._model) and not self._rows.count:
            self._write_row()
            self._take_snapshot()

    def _after_execution(self, batch: int) -> None:
        """After one execution, whose last step has this number, from 0, in its epoch.

        Keras 3 counts a last execution that has fewer steps as a whole one.
        """
        if self._graph is not None and self._graph.step > self._step:
            self._source, self._step = IN_GRAPH, self._graph.step
            if self._graph.is_full(self._step - self._emptied):
                self._empty_graph()
        else:
            most = (getattr(self._callback, "params", None) or {}).get("steps") or batch + 1
            self._step = self._begun + min(batch + 1, most)
            if self._graph is not None:
                self._graph.step = self._step
            if self._every == STEP or not self._executed:
                self._write_row()
        self._executed = True
        if self._every == STEP:
            self._take_snapshot_if_due()

    def _after_epoch(self) -> None:
        self._empty_graph()
        if self._every == EPOCH:
            self._write_row()
            self._take_snapshot_if_due()
        self._epochs.append((self._step, int(self._received[0]), int(self._received[1])))
        self._received[:] = 0
        self._begun = self._step

    # ---- rows -----------------------------------------------------------------------------

    def _columns(self, variables: Sequence[Any]) -> list[int]:
        """The columns of variables; those of the model come first, in its own order."""
        own = task.trainable_variables(self._model)
        known = {id(variable): variable for variable in (*own, *variables)}
        if not known.keys() <= self._column.keys():
            for name, variable in task.named(known.values()):
                if id(variable) not in self._column:
                    self._column[id(variable)] = self._column_of(name, id(variable))
        return [self._column[id(variable)] for variable in variables]

    def _column_of(self, name: str, variable: int) -> int:
        """Of a variable that is new here, but may have a column in the rows of a checkpoint."""
        taken = {self._names[column] for column in self._column.values()}
        name = list(task.unique([*taken, name]))[-1] if name in taken else name
        return self._names.index(name) if name in self._names else self._add_column(name, variable)

    def _write_row(self) -> None:
        """A row of this moment, unless the step has one."""
        if self._step == self._written:
            return
        found = task.trainable_variables(self._model)
        values = [np.asarray(variable.numpy()) for variable in found]
        for column, array in zip(self._columns(found), values):
            self._last[column] = fingerprint.of_array(array)
            self._note_nan(column, np.array([self._step]), np.array([_has_nan(array)]))
        if not self._rows.count:
            self._first = list(self._last)
        self._append(np.array([[self._step, *self._last]], np.int32))

    def _empty_graph(self) -> None:
        """Move the rows of the graph to the files."""
        if self._graph is None:
            return
        self._empty_updates(self._graph)
        received = self._graph.batches.table.empty()
        self._batches.append(received[:, :2])
        self._received += received[:, [2, 1]].sum(axis=0, dtype=np.int64)
        self._emptied = self._step

    # ---- snapshots ------------------------------------------------------------------------

    def _take_snapshot_if_due(self) -> None:
        """Once the next of the evenly spread steps is reached."""
        interval = -(-self._total // _SNAPSHOTS)
        last = self._snapshots[-1][0] if self._snapshots else 0
        if self._step // interval > last // interval:
            self._take_snapshot()

    def _take_snapshot(self) -> None:
        found = task.named(task.trainable_variables(self._model))
        taken = {name: _sample(self._tf.convert_to_tensor(variable)) for name, variable in found}
        self._snapshots.append((self._step, taken))

    # ---- checkpoints ----------------------------------------------------------------------

    def seek(self, epoch: int) -> None:
        """The next ``fit`` trains the epoch with this number, from 0."""
        self._empty_graph()
        self._at(epoch * self._training.steps_per_epoch())

    def _at(self, step: int) -> None:
        self._step = self._begun = self._emptied = step
        if self._graph is not None:
            self._graph.step = step

    def before_fit(self) -> None:
        """Before a further ``fit`` of the same model."""
        if self._graph is not None:
            self._graph.begin(made=False)

    def unsaved(self) -> task.Named:
        """What was seen since the last call, for a checkpoint."""
        self._empty_graph()
        rows, received, epochs, shots = self._saved
        self._saved = [self._rows.count, self._batches.count]
        self._saved += [len(self._epochs), len(self._snapshots)]
        nan = [
            [*self._nan.get(c, (-1, -1)), self._clean.get(c, -1)] for c in range(len(self._names))
        ]
        parts: task.Named = [("epochs", np.array(self._epochs[epochs:], np.int64).reshape(-1, 3))]
        parts += [("nan", np.array(nan, np.int64).reshape(-1, 3))]
        parts += self._stored(rows, received)
        return parts + _stacked(self._snapshots[shots:])

    def restore(self, parts: Sequence[Mapping[str, np.ndarray]]) -> None:
        """Restore the parts that ``unsaved`` returned."""
        own = [name for name, _ in task.named(task.trainable_variables(self._model))]
        # Copied: a folder whose files are mapped can't be removed on every file system (NFS, FUSE).
        for part in ({name: np.array(part[name]) for name in part} for part in parts):
            stored = [name[len(_PRINT) :] for name in part if name.startswith(_PRINT)]
            stored.sort(key=lambda name: own.index(name) if name in own else len(own))
            for name in (name for name in stored if name not in self._names):
                first = part[_PRINT + name]
                self._names.append(name)
                self._first.append(int(first[0]) if first.size else 0)
            columns = [part["step"], *(part[_PRINT + name] for name in self._names)]
            rows = np.stack(columns, axis=1).astype(np.int32)
            if len(rows):
                self._append(rows)
                self._last = rows[-1, 1:].tolist()
            self._batches.append(np.stack([part["batch step"], part["batch"]], axis=1))
            self._epochs += [(step, n, print_) for step, n, print_ in part["epochs"].tolist()]
            for column, (clean, nan, seen) in enumerate(part["nan"].tolist()):
                self._nan.pop(column, None)
                if nan >= 0:
                    self._nan[column] = (clean, nan)
                self._clean[column] = max(seen, 0)
            for position, step in enumerate(part["sample step"].tolist()):
                samples = {n[7:]: part[n][position] for n in part if n.startswith("sample/")}
                self._snapshots.append((step, samples))
        self._saved = [self._rows.count, self._batches.count]
        self._saved += [len(self._epochs), len(self._snapshots)]
        self._executed = bool(self._epochs)
        self._at(self._epochs[-1][0] if self._epochs else 0)

    # ---- at the end -----------------------------------------------------------------------

    def save(self, path: Path, samples: bool = True) -> arrays.Stored:
        """Write the trace as a file of arrays."""
        if self._graph is not None and self._graph.step > self._step:  # a loop without callbacks
            self._source, self._step = IN_GRAPH, self._graph.step
        self._empty_graph()
        taken = [step for step, _ in self._snapshots[-1:]]
        if samples and self._every != OFF and taken != [self._step]:
            self._take_snapshot()
        entries = self._stored(0, 0)
        return arrays.write(path, entries + (_stacked(self._snapshots) if samples else []))

    def _stored(self, rows: int, received: int) -> task.Named:
        """The rows from these on, as arrays."""
        entries, batch = self._prints(rows), self._batches.columns(received)
        batch_step = batch[0] if len(batch) else np.zeros(0)
        entries.append(("batch step", batch_step.astype(np.int64)))
        entries.append(("batch", batch[1] if len(batch) else np.zeros(0, np.int32)))
        return entries

    def describe(self) -> dict[str, Any]:
        """The part of the record: how often, its source, the steps, those that ended an epoch."""
        ends = [step for step, *_ in self._epochs]
        return {
            "every": self._every,
            "source": self._source,
            "steps": self._step,
            "epoch_ends": ends,
        }

    def data(self) -> dict[str, Any]:
        """The part of the record about what the steps received, beside what the data has.

        ``problem``: why this is not known, or None.
        """
        count = self._training.kept()
        found: dict[str, Any] = dict.fromkeys(("fingerprint", "used", "problem"))
        found.update(samples=count, epochs=[])
        if self._graph is None:
            return dict(found, problem=f"trace={self._every}: what the steps receive is not traced")
        received, data = self._graph.batches, (self._training.x, self._training.y)
        problem = received.problem or batches.conversion_problem(data, received.dtypes)
        if problem is None and received.table.lost:
            problem = "rows were lost"
        if problem is None and not self._epochs:
            problem = "no epoch ended"
        if problem is not None:
            return dict(found, problem=problem)
        whole = batches.of_data([array[:count] for array in data], received.dtypes)
        epochs = [{"samples": n, "fingerprint": batches.wrapped(f)} for _, n, f in self._epochs]
        used = None if received.used is None else sorted(received.used)
        return dict(found, fingerprint=whole, epochs=epochs, used=used)


def _stacked(snapshots: Sequence[_Snapshot]) -> task.Named:
    """Snapshots as arrays: their steps, and the samples of each tensor that all of them have."""
    entries: task.Named = [("sample step", np.array([step for step, _ in snapshots], np.int64))]
    for name in snapshots[-1][1] if snapshots else ():
        if all(name in taken for _, taken in snapshots):
            entries.append(("sample/" + name, np.stack([taken[name] for _, taken in snapshots])))
    return entries


def _sample(tensor: Any) -> np.ndarray:
    """A few elements of a tensor, evenly strided; in a CPU's memory nothing else is copied."""
    flat: np.ndarray = np.asarray(tensor).reshape(-1)
    return flat[:: max(1, -(-flat.size // _SAMPLE))].copy()


def _has_nan(array: np.ndarray) -> bool:
    return array.dtype.kind not in "biu" and bool(np.isnan(array).any())
