"""Rows that the graph itself writes while it trains: what each step got, what optimizers updated.

Where an optimizer has applied gradients (the outermost call, whichever optimizer it is and wherever
it is kept), a few operations read the variables that it updated and write one row into a small
table: the step, a fingerprint of each variable, and whether it holds a NaN. Trainable variables of
the model that no optimizer updates are read after its step. A step begins with a row of what it
received. Nothing reads a loss, or anything else that the step computes on its way, and no random
number is drawn: TensorFlow rewrites the step's operations as it does without these.

XLA might fuse the step's operations with those that follow them. So a step that Keras would
compile with XLA is compiled by itself, and the rows are written outside of it; where XLA compiles
all of Keras' training function (Keras 2), no row is written.

Runs on Python 3.7 to 3.13, TensorFlow 2.1 to 2.21.
"""

from __future__ import annotations

import functools
import inspect
from contextlib import suppress
from typing import Any, Callable, Iterator

import numpy as np

from samebits.training import batches, fingerprint, task

_ROWS = 1024  # of a table, at least
_PER_STEP = 4  # rows that each step may write into a table before the oldest can be lost
_followed: list[GraphTrace] = []  # the one whose model is trained


class Table:
    """A few rows of int32 that the graph writes; the oldest are overwritten."""

    def __init__(self, tf: Any, rows: int, columns: int) -> None:
        """Made once, outside of any graph that is being made."""
        with tf.init_scope(), tf.device("CPU:0"):
            self._rows = tf.Variable(np.zeros((rows, columns), np.int32), trainable=False)
            self._written = tf.Variable(np.int32(0), trainable=False)
        self._tf, self._size = tf, rows
        self.lost = 0  # rows

    def write(self, values: list[Any]) -> None:
        """Write a row: an int32 of one element per column."""
        row = self._tf.stack([self._tf.reshape(value, []) for value in values])
        where = self._tf.reshape(self._written % self._size, [1])
        self._rows.scatter_update(self._tf.IndexedSlices(row[None, :], where))
        self._written.assign_add(1)

    def empty(self) -> np.ndarray:
        """The rows since the last call that were not overwritten, in their order."""
        written = int(self._written.numpy())
        rows: np.ndarray = self._rows.numpy() if written else np.zeros(self._rows.shape, np.int32)
        self._written.assign(0)
        self.lost += max(0, written - self._size)
        first = written % self._size if written > self._size else 0
        return np.roll(rows, -first, axis=0)[: min(written, self._size)]


class GraphTrace:
    """The tables of one model. Made after ``compile`` and before ``fit``, emptied by callbacks."""

    def __init__(self, tf: Any, model: Any) -> None:
        """From now on each step writes rows; what it computes stays as it is."""
        self._tf, self._model = tf, model
        self._size = max(_ROWS, _PER_STEP * task.steps_per_execution(model))
        self._tables: dict[tuple[int, ...], Table] = {}
        self._variables: dict[int, Any] = {}
        self._updated: set[int] = set()  # by an optimizer, in a graph that can write a row
        self._outside: dict[int, Any] = {}  # by one where no row can be written
        self.first: dict[int, int] = {}  # fingerprints before the first step, where they are known
        self._depth = 0  # of calls of optimizers
        self._in_step = False
        self.batches = batches.Batches(tf, Table(tf, self._size, batches.COLUMNS))
        with tf.device("CPU:0"):
            self._step = tf.Variable(np.int32(0), trainable=False)
        self._xla = bool(getattr(model, "jit_compile", False))
        self._follow_step()
        _followed[:] = [self]
        _follow_optimizers(tf)

    # ---- the step --------------------------------------------------------------------------

    def _follow_step(self) -> None:
        """Keras 2 lets AutoGraph rewrite all that a step calls: a user's step may need it."""
        tf, model = self._tf, self._model
        unconverted = tf.autograph.experimental.do_not_convert
        begin, end = unconverted(self._begin_step), unconverted(self._end_step)
        if not hasattr(model, "train_step"):
            _follow_old_step(model, begin, end)
            return
        train_step = model.train_step
        if self._xla:
            train_step = tf.function(
                train_step, autograph=False, reduce_retracing=True, jit_compile=True
            )
            model.jit_compile = False

        def followed(data: Any) -> Any:
            begin(data)
            logs = train_step(data)
            end()
            return logs

        model.train_step = followed

    def begin(self, made: bool) -> None:
        """Keras may make its training function: without XLA, which has its own part of it.

        ``made``: it has, and evaluation is to be compiled as ever.
        """
        if self._xla:
            self._model.jit_compile = made

    def _begin_step(self, data: Any) -> None:
        self._in_step, self._depth = True, 0
        if not self._in_xla():
            self._step.assign_add(1)
            self.batches.write(self._step, data)

    def _end_step(self) -> None:
        """Read what no optimizer updates, or one does where no row can be written."""
        self._in_step = False
        if not self._in_xla():
            self._write(list(self._outside.values()))
            known = self._updated.union(self._outside)
            own = task.trainable_variables(self._model)
            self._write([v for v in own if id(v) not in known])
            self.batches.note_use(own)

    def _in_xla(self) -> bool:
        """Whether XLA compiles what is being traced."""
        from tensorflow.python.ops import control_flow_util

        if self._tf.executing_eagerly():
            return False
        graph = self._tf.compat.v1.get_default_graph()
        return bool(control_flow_util.GraphOrParentsInXlaContext(graph))

    # ---- what an optimizer updates -----------------------------------------------------------

    def enter(self, variables: list[Any]) -> None:
        """An optimizer is going to apply gradients."""
        self._depth += 1
        if self._depth == 1:
            with self._tf.init_scope():
                self.note(variables)

    def leave(self) -> None:
        """It returned, or raised an exception."""
        self._depth -= 1

    def applied(self, variables: list[Any]) -> None:
        """It has applied them."""
        if self._depth:
            return
        if self._in_xla() or not hasattr(self._model, "train_step"):
            self._outside.update((id(v), v) for v in variables)
            return
        self._updated.update(map(id, variables))
        if not self._in_step:  # a training loop of the user's own: a step is what updates
            self._step.assign_add(1)
        self._write(variables)

    def note(self, variables: list[Any]) -> None:
        """Fingerprints before the first update, of variables that have their values."""
        for variable in variables:
            with suppress(self._tf.errors.FailedPreconditionError):  # it has none yet
                array = np.asarray(variable.numpy())
                if id(variable) not in self.first and array.shape == tuple(variable.shape):
                    self.first[id(variable)] = fingerprint.of_array(array)

    def _write(self, variables: list[Any]) -> None:
        tf, key = self._tf, tuple(map(id, variables))
        if not variables:
            return
        if key not in self._tables:
            self._tables[key] = Table(tf, self._size, 1 + 2 * len(variables))
            self._variables.update(zip(key, variables))
        tensors = [tf.convert_to_tensor(variable) for variable in variables]
        prints = [fingerprint.of_tensor(tf, tensor) for tensor in tensors]
        nans = [fingerprint.has_nan(tf, tensor) for tensor in tensors]
        self._tables[key].write([self._step, *prints, *nans])

    # ---- what callbacks ask --------------------------------------------------------------------

    @property
    def step(self) -> int:
        """The number of the last step, from 1."""
        return int(self._step.numpy())

    @step.setter
    def step(self, number: int) -> None:
        self._step.assign(number)

    @property
    def writes(self) -> bool:
        """Whether any row can be written; known after the first step."""
        return bool(self._tables)

    def is_full(self, steps: int) -> bool:
        """Whether another execution might lose rows, given the steps since it was emptied."""
        return _PER_STEP * (steps + task.steps_per_execution(self._model)) > self._size

    def empty(self) -> Iterator[tuple[list[Any], np.ndarray]]:
        """Variables with their rows since the last call: steps, fingerprints, whether NaN."""
        for key, table in self._tables.items():
            rows = table.empty()
            if len(rows):
                yield [self._variables[one] for one in key], rows


# ---- where Keras 3, Keras 2 and TensorFlow 2.1 differ ------------------------------------------


def _follow_old_step(model: Any, begin: Any, end: Any) -> None:
    """TensorFlow 2.1 has a function in place of ``train_step``.

    It seeds a random operation by the number of operations that a graph has, so all rows are
    written when the step has made its own.
    """
    from tensorflow.python.keras.engine import training_eager

    train_on_batch = training_eager.train_on_batch

    def followed(of: Any, inputs: Any, targets: Any, *args: Any, **options: Any) -> Any:
        outputs = train_on_batch(of, inputs, targets, *args, **options)
        if of is model:
            begin((inputs, targets))
            end()
        return outputs

    training_eager.train_on_batch = followed


def _follow_optimizers(tf: Any) -> None:
    """Follow every class of optimizers that there is now; each once in a process."""
    found = tf.keras.optimizers.Optimizer
    name = "apply" if hasattr(found, "apply") else "apply_gradients"
    roots = [cls for cls in found.__mro__ if name in vars(cls)]
    newer = getattr(getattr(tf.keras.optimizers, "experimental", None), "Optimizer", None)
    roots += [newer] if newer is not None else []
    for cls in {sub for root in roots for sub in _subclasses(root)}:
        method = vars(cls).get(name)
        if method is not None and not hasattr(method, "of_samebits"):
            setattr(cls, name, _followed_method(tf, method))


def _subclasses(cls: Any) -> Iterator[Any]:
    yield cls
    for sub in cls.__subclasses__():
        yield from _subclasses(sub)


def _followed_method(tf: Any, method: Callable[..., Any]) -> Any:
    """AutoGraph may convert what it calls, and not what it adds."""
    unconverted = tf.autograph.experimental.do_not_convert
    signature = inspect.signature(method)

    def begin(optimizer: Any, args: Any, options: Any) -> Any:
        bound = signature.bind(optimizer, *args, **options)
        variables = _given(optimizer, bound.arguments)
        if variables is not None:
            _followed[0].enter(variables)
        return bound.args, bound.kwargs, variables

    def end(variables: Any) -> None:
        if variables is not None:
            _followed[0].leave()

    def done(variables: Any) -> None:
        if variables is not None:
            _followed[0].applied(variables)

    begin, end, done = unconverted(begin), unconverted(end), unconverted(done)

    @functools.wraps(method)
    def applied(optimizer: Any, *args: Any, **options: Any) -> Any:
        args, options, variables = begin(optimizer, args, options)
        try:
            result = method(*args, **options)
        finally:
            end(variables)
        done(variables)
        return result

    applied.of_samebits = True  # type: ignore[attr-defined]
    return applied


def _given(optimizer: Any, arguments: Any) -> list[Any] | None:
    """The variables to update, iterators replaced by lists; None where that is not known here."""
    if "grads_and_vars" in arguments:
        arguments["grads_and_vars"] = pairs = list(arguments["grads_and_vars"])
        return [variable for _, variable in pairs]
    if arguments.get("trainable_variables") is not None:
        arguments["trainable_variables"] = list(arguments["trainable_variables"])
        return list(arguments["trainable_variables"])
    if "grads" in arguments and optimizer.built:
        return list(optimizer._trainable_variables)
    return None
