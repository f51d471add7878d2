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
import importlib
import importlib.util
import inspect
import threading
from collections import Counter
from contextlib import suppress
from typing import Any, Callable, Iterator

import numpy as np

from samebits.training import batches, fingerprint, task

_ROWS = 1024  # of a table, at least
_PER_STEP = 4  # rows that each step may write into a table before the oldest can be lost
_FACTOR = np.int32(0x01000193)  # of a chain: odd, so that no bit is lost
OWN = "samebits"  # the name of our variables
_followed: list[Updates] = []  # the one that optimizers tell


class Table:
    """A few rows of int32 that the graph writes; the oldest are overwritten.

    Of the last columns it may keep a running chain, a number made of all rows so far. Where rows
    were lost, the next one has the chain in their place: it differs where any of those differed.
    """

    def __init__(self, tf: Any, rows: int, columns: int, chained: int = 0) -> None:
        """Made once, outside of any graph that is being made. ``chained``: how many columns."""
        self._rows = variable(tf, np.zeros((rows, columns + chained), np.int32))
        self._state = variable(tf, np.zeros(1 + chained, np.int32))  # rows written, the chain
        self._factors = np.array([1] + chained * [_FACTOR], np.int32)
        self._tf, self._size, self._columns, self._chained = tf, rows, columns, chained
        self.lost = 0  # rows

    def write(self, *parts: Any) -> None:
        """Write a row in parts, each int32 of one dimension; the last one is chained."""
        tf, added, row = self._tf, [[1]], list(parts)
        added += parts[-1:] if self._chained else []
        state = self._state * self._factors + tf.concat(added, 0)
        self._state.assign(state)
        written = state
        if self._chained:
            written, chain = tf.split(state, [1, self._chained])
            row.append(chain)
        row = tf.expand_dims(tf.concat(row, 0), 0)
        self._rows.scatter_update(tf.IndexedSlices(row, written % self._size))

    def empty(self) -> np.ndarray:
        """The rows since the last call that were not overwritten, in their order."""
        state = self._state.numpy()
        written = int(state[0])
        lost = max(0, written - self._size)
        left = np.arange(lost + 1, written + 1) % self._size
        none = np.zeros((0, self._columns), np.int32)
        rows: np.ndarray = self._rows.numpy()[left] if written else none
        state[0] = 0
        self._state.assign(state)
        self.lost += lost
        if lost and self._chained:
            rows[0, self._columns - self._chained : self._columns] = rows[0, self._columns :]
        return rows[:, : self._columns]


def variable(tf: Any, value: Any) -> Any:
    """A variable of ours in a CPU's memory, whatever strategy or creator the program has."""
    from tensorflow.python.ops import resource_variable_ops

    with tf.init_scope(), tf.device("CPU:0"):
        made = resource_variable_ops.ResourceVariable(value, trainable=False, name=OWN)
    return made


def unrecorded() -> Any:
    """No gradient tape of a program's notes what is read within this context."""
    name = "tensorflow.python.eager."
    found = importlib.util.find_spec(f"{name}record") or importlib.util.find_spec(f"{name}tape")
    return importlib.import_module(getattr(found, "name")).stop_recording()  # noqa: B009


def _is_other_replica(tf: Any) -> bool:
    """Whether this is a replica of a strategy's, and not its first."""
    from tensorflow.python.framework import tensor_util

    number = getattr(tf.distribute.get_replica_context(), "replica_id_in_sync_group", 0)
    return bool(number if isinstance(number, int) else tensor_util.constant_value(number))


class Updates:
    """The tables of what optimizers update. ``follow`` has all optimizers call one of these."""

    def __init__(self, tf: Any, size: int) -> None:
        """``size``: rows of a table."""
        self._tf, self._size = tf, size
        self._tables: dict[tuple[int, ...], Table] = {}
        self._variables: dict[int, Any] = {}
        self._outside: dict[int, Any] = {}  # updated by one where no row can be written
        self.first: dict[int, int] = {}  # fingerprints before the first step, where they are known
        self._depth: Counter[int] = Counter()  # of calls of optimizers, by thread
        self._counter: Any = None

    def _in_xla(self) -> bool:
        """Whether XLA compiles what is being traced."""
        from tensorflow.python.ops import control_flow_util

        if self._tf.executing_eagerly():
            return False
        graph = self._tf.compat.v1.get_default_graph()
        return bool(control_flow_util.GraphOrParentsInXlaContext(graph))

    def enter(self, variables: list[Any]) -> None:
        """An optimizer is going to apply gradients."""
        thread = threading.get_ident()
        self._depth[thread] += 1
        if self._depth[thread] == 1:
            with self._tf.init_scope():
                self.note(variables)

    def leave(self) -> None:
        """It returned, or raised an exception."""
        self._depth[threading.get_ident()] -= 1

    def done(self, optimizer: Any, variables: list[Any]) -> None:
        """It has applied them, perhaps for another optimizer, or in another replica."""
        if variables and not self._depth[threading.get_ident()] and not _is_other_replica(self._tf):
            self.applied(optimizer, variables)

    def applied(self, optimizer: Any, variables: list[Any]) -> None:
        """An optimizer that no other one calls has updated these."""
        raise NotImplementedError

    def note(self, variables: list[Any]) -> None:
        """Fingerprints before the first update, of variables that have their values."""
        for variable in variables:
            if id(variable) in self.first:
                continue
            with suppress(self._tf.errors.FailedPreconditionError):  # it has none yet
                array = np.asarray(variable.numpy())
                if array.shape == tuple(variable.shape):
                    self.first[id(variable)] = fingerprint.of_array(array)

    def _write(self, variables: list[Any]) -> None:
        tf, table = self._tf, self._table(variables)
        with unrecorded():
            tensors = [tf.convert_to_tensor(variable) for variable in variables]
            squares, prints = fingerprint.of_tensors(tf, tensors)
            table.write(self._step, tf.bitcast(squares, tf.int32), prints)

    def _table(self, variables: list[Any]) -> Table:
        key, count = tuple(map(id, variables)), len(variables)
        if key not in self._tables:
            self._tables[key] = Table(self._tf, self._size, 1 + 2 * count, count)
            self._variables.update(zip(key, variables))
        return self._tables[key]

    @property
    def _step(self) -> Any:
        """The number of the last step, int32 [1]; before it is made, TensorFlow has no op."""
        if self._counter is None:
            self._counter = variable(self._tf, np.zeros(1, np.int32))
        return self._counter

    @property
    def step(self) -> int:
        """The number of the last step, from 1."""
        return 0 if self._counter is None else int(self._counter.numpy()[0])

    @step.setter
    def step(self, number: int) -> None:
        self._step.assign([number])

    @property
    def lost(self) -> int:
        """How many rows were lost so far."""
        return sum(table.lost for table in self._tables.values())

    def empty(self) -> Iterator[tuple[list[Any], np.ndarray, np.ndarray, np.ndarray]]:
        """Variables with their rows since the last call: steps, whether NaN, fingerprints."""
        for key, table in self._tables.items():
            rows = table.empty()
            if len(rows):
                squares, prints = np.ascontiguousarray(rows[:, 1:].T).reshape(2, len(key), -1)
                nans = np.isnan(squares.view(np.float32)).astype(np.int32)
                yield [self._variables[one] for one in key], rows[:, 0], nans, prints


class GraphTrace(Updates):
    """The tables of one model. Made after ``compile`` and before ``fit``, emptied by callbacks."""

    def __init__(self, tf: Any, model: Any) -> None:
        """From now on each step writes rows; what it computes stays as it is."""
        super().__init__(tf, max(_ROWS, _PER_STEP * task.steps_per_execution(model)))
        self._model = model
        self._updated: set[int] = set()  # by an optimizer, in a graph that can write a row
        self._in_step = False
        self.batches = batches.Batches(tf, Table(tf, self._size, batches.COLUMNS))
        self._xla = bool(getattr(model, "jit_compile", False))
        self._follow_step()
        follow(tf.keras, self)

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
        self._in_step = True
        self._depth.clear()
        if not self._in_xla():
            self._step.assign_add([1])
            self.batches.write(self._step, data)

    def _end_step(self) -> None:
        """Read what no optimizer updates, or one does where no row can be written."""
        self._in_step = False
        if not self._in_xla():
            known = self._updated.union(self._outside)
            own = task.trainable_variables(self._model)
            for found in list(self._outside.values()), [v for v in own if id(v) not in known]:
                if found:
                    self._write(found)
            self.batches.note_use(own)

    def applied(self, optimizer: Any, variables: list[Any]) -> None:
        """Write a row, or have the end of the step do it."""
        if self._in_xla() or not hasattr(self._model, "train_step"):
            self._outside.update((id(v), v) for v in variables)
            return
        self._updated.update(map(id, variables))
        if not self._in_step:  # a training loop of the user's own: a step is what updates
            self._step.assign_add([1])
        self._write(variables)

    # ---- what callbacks ask --------------------------------------------------------------------

    @property
    def writes(self) -> bool:
        """Whether any row can be written; known after the first step."""
        return bool(self._tables)

    def is_full(self, steps: int) -> bool:
        """Whether another execution might lose rows, given the steps since it was emptied."""
        return _PER_STEP * (steps + task.steps_per_execution(self._model)) > self._size


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


def follow(keras: Any, updates: Updates) -> None:
    """Have every class of optimizers that a Keras has now tell its updates.

    Each class is changed once in a process; ``updates`` is told from now on, and no other.
    """
    _followed[:] = [updates]
    for cls in optimizers(keras):
        follow_class(cls)


def optimizers(keras: Any) -> list[Any]:
    """The classes from which all optimizers of a Keras derive, and those that do so far."""
    kinds = [getattr(keras.optimizers, name, None) for name in ("legacy", "experimental")]
    roots = [getattr(kind, "Optimizer", None) for kind in (keras.optimizers, *kinds)]
    mro = [cls for root in roots if root is not None for cls in root.__mro__]
    own = [cls for cls in mro if hasattr(cls, "apply_gradients") or hasattr(cls, "apply")]
    return list(dict.fromkeys(sub for root in own for sub in _subclasses(root)))


def follow_class(cls: Any) -> None:
    """The same for one class of optimizers."""
    name = "apply" if hasattr(cls, "apply") else "apply_gradients"
    method = vars(cls).get(name)
    if method is not None and not hasattr(method, "of_samebits"):
        import tensorflow as tf

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

    def done(optimizer: Any, variables: Any) -> None:
        if variables is not None:
            _followed[0].done(optimizer, variables)

    begin, end, done = unconverted(begin), unconverted(end), unconverted(done)

    @functools.wraps(method)
    def applied(optimizer: Any, *args: Any, **options: Any) -> Any:
        args, options, variables = begin(optimizer, args, options)
        try:
            result = method(*args, **options)
        finally:
            end(variables)
        done(optimizer, variables)
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
