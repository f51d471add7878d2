"""The steps of a program: what each optimizer updated, whatever loop the program has.

A step is an outermost call of an optimizer, eager or in a graph, counted over all optimizers. The
row of a step is written by the graph itself, right behind the update. XLA could fuse that with the
step, so where XLA compiles it nothing is written in it: the row is written when the function that
was called has ended, and has the number of the last step in it.

Runs on Python 3.7 to 3.13, TensorFlow 2.1 to 2.21.
"""

from __future__ import annotations

import functools
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any, Callable, Iterator, Sequence

import numpy as np

from samebits.formats import arrays
from samebits.training import task
from samebits.training.graph_trace import Updates
from samebits.training.trace import EPOCH, STEP, Prints

_ROWS = 2048  # of a table: so many steps may one call into a graph take without a loss
IN_GRAPH = "graph"


class Steps(Updates):
    """What optimizers update; ``ended`` is to be called whenever a call into a graph has ended."""

    def __init__(self, tf: Any, begin: Callable[[list[Any]], None]) -> None:
        """``begin``: called before the first update of variables."""
        super().__init__(tf, _ROWS)
        self._begin = begin
        self._uncounted: Any = _uncounted if _keep_seeds(tf) else nullcontext
        self._writers: dict[tuple[int, ...], Any] = {}
        self._compiled: dict[int, tuple[Any, list[Any]]] = {}  # by XLA: optimizers, variables
        self._counted: dict[int, int] = {}  # steps of these optimizers

    def note(self, variables: list[Any]) -> None:
        """As ever, but for a program that has switched eager execution off."""
        if self._tf.executing_eagerly():
            super().note(variables)
            self._begin(variables)

    def applied(self, optimizer: Any, variables: list[Any]) -> None:
        """Write a row here, or remember to write it."""
        from tensorflow.python.framework import ops

        if not ops.executing_eagerly_outside_functions():
            return
        if self._tf.executing_eagerly():
            self._writer(variables, 1)()
        elif self._in_xla():
            self._counted.setdefault(id(optimizer), self._iterations(optimizer))
            self._compiled[id(optimizer)] = optimizer, variables
        else:
            with self._uncounted(self._tf.compat.v1.get_default_graph()):
                self._step.assign_add([1])
                self._write(variables)

    def _writer(self, variables: list[Any], steps: int) -> Any:
        """A graph that writes a row: quicker than one operation after the other."""
        key = tuple(map(id, variables))
        if key not in self._writers:
            self._table(variables)

            def write(steps: Any) -> None:
                self._step.assign_add(steps)
                self._write(variables)

            self._writers[key] = self._tf.function(write, autograph=False)
        return functools.partial(self._writers[key], self._tf.constant([steps]))

    def _iterations(self, optimizer: Any) -> int:
        with self._tf.init_scope():
            try:
                return int(optimizer.iterations.numpy())
            except self._tf.errors.FailedPreconditionError:  # made just now, and not set yet
                return 0

    def write_compiled(self) -> None:
        """Rows of what XLA has updated."""
        for optimizer, variables in list(self._compiled.values()):
            count = self._iterations(optimizer)
            made, self._counted[id(optimizer)] = count - self._counted[id(optimizer)], count
            if made > 0:
                self._writer(variables, made)()

    @property
    def traced(self) -> list[Any]:
        """Every variable that has a column."""
        return list(self._variables.values())


_ADDED = "_added_by_samebits"  # how many operations a graph has of ours


@contextmanager
def _uncounted(graph: Any) -> Iterator[None]:
    """TensorFlow 2.1 seeds a random operation by how many a graph has: not by those made here."""
    before = graph._last_id
    yield
    setattr(graph, _ADDED, getattr(graph, _ADDED, 0) + graph._last_id - before)


def _keep_seeds(tf: Any) -> bool:
    """Have an old TensorFlow seed operations as if there were none of ours; whether it is one."""
    from tensorflow.python.framework import random_seed

    if hasattr(random_seed, "_graph_to_seed_dict"):
        return False
    get_seed = random_seed.get_seed

    def kept(op_seed: int | None) -> Any:
        graph = tf.compat.v1.get_default_graph()
        added = getattr(graph, _ADDED, 0)
        if op_seed is None and added and not tf.executing_eagerly() and graph.seed is not None:
            op_seed = graph._last_id - added
        return get_seed(op_seed)

    random_seed.get_seed = kept
    return True


class StepTrace(Prints):
    """The trace of a program's steps. Every step writes its row; not all of them are kept."""

    def __init__(self, steps: Steps, every: str, folder: Path) -> None:
        """``every``: of which rows are saved, as for a model."""
        super().__init__(steps, folder)
        self._steps, self._every, self._emptied, self._busy = steps, every, 0, False
        self._called = 0  # the last step of the first call that took one: a canary ends there

    def _columns(self, variables: Sequence[Any]) -> list[int]:
        for variable in variables:
            if id(variable) not in self._column:
                name = str(len(self._names))  # it gets its own when all names are known
                self._column[id(variable)] = self._add_column(name, id(variable))
        return [self._column[id(variable)] for variable in variables]

    def ended(self) -> None:
        """A call into a graph has ended."""
        if self._busy:
            return
        self._busy = True
        self._steps.write_compiled()
        step = self._steps.step
        self._called = self._called or step
        if step - self._emptied > _ROWS // 4:
            self.empty()
        self._busy = False

    def empty(self) -> None:
        """Move the rows to the file."""
        self._empty_updates(self._steps)
        self._emptied = self._steps.step

    def save(self, path: Path, names: dict[int, str], epoch_ends: Sequence[int]) -> arrays.Stored:
        """Write the trace as a file of arrays. ``names``: of variables, by identity.

        Beside the rows that the config asks for, it has those with which a canary is compared.
        """
        self.empty()
        variables = {id(variable): variable for variable in self._steps.traced}
        known = [names.get(one) or task.name_of(variables[one]) for one in self._column]
        self._names = list(task.unique(known))
        entries = self._prints(0)
        if self._every != STEP:
            ends = [*epoch_ends, self._steps.step] if self._every == EPOCH else []
            kept = np.isin(entries[0][1], [0, 1, self._called, *ends])
            entries = [(name, column[kept]) for name, column in entries]
        none = np.zeros(0, np.int64)
        entries += [("batch step", none), ("batch", none.astype(np.int32)), ("sample step", none)]
        return arrays.write(path, entries)

    def describe(self, epoch_ends: list[int]) -> dict[str, Any]:
        """The part of the record."""
        found = {"every": self._every, "source": IN_GRAPH, "steps": self._steps.step}
        return dict(found, epoch_ends=epoch_ends)

    @property
    def lost(self) -> int:
        """How many steps have no row."""
        rows = self._rows.columns(0, [0, *self._first])
        first = rows[0][:1].tolist() if self._rows.count else []
        return self._steps.step - self._rows.count + (first == [0])
