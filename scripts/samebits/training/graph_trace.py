"""A row per training step, written inside the graph: the loss's bits and all fingerprints.

The step that Keras puts into its graph is followed by a few integer operations, which read the
weights and write one row into a small table. So no random number is drawn, and no operation of
the step itself changes or comes later. A step that Keras would compile with XLA is
compiled by itself and the row made outside of it, because the compiler might fuse the two.

Runs on Python 3.7 to 3.13, TensorFlow 2.8 to 2.21.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from samebits.training import fingerprint, task

OF_BATCH, MEAN = "batch", "mean so far"
_ROWS = 1024  # of the table, or as many as one execution has steps


def can_follow(model: Any) -> bool:
    """Whether the framework has a step that can be followed: not TensorFlow 2.1.

    Nor Keras 2 with XLA, which compiles the step together with the operations put after it.
    """
    compiled = getattr(model, "_jit_compile", None) and not hasattr(model, "jit_compile")
    return hasattr(model, "train_step") and not compiled


class GraphTrace:
    """The table of one model. Made after ``compile`` and before ``fit``, emptied by callbacks."""

    def __init__(self, tf: Any, model: Any) -> None:
        """From now on each step of the model writes a row; what it computes stays as it is."""
        self.loss: str | None = None  # whose loss the rows have; None: no step was traced
        self._tf, self._model = tf, model
        self._table: Any = None
        self._position: Any = None
        self._caught: list[Any] = []
        self._xla = bool(getattr(model, "jit_compile", False))
        self._catch_loss()
        self._follow_step()

    def _catch_loss(self) -> None:
        compute_loss, caught = getattr(self._model, "compute_loss", None), self._caught
        if compute_loss is None:
            return

        def catching(*args: Any, **options: Any) -> Any:
            loss = compute_loss(*args, **options)
            caught.append(loss)
            return loss

        self._model.compute_loss = catching

    def _follow_step(self) -> None:
        train_step, caught = self._model.train_step, self._caught
        # Keras 2 lets AutoGraph rewrite all that a step calls. A user's step may need it.
        write_row = self._tf.autograph.experimental.do_not_convert(self._write_row)
        if self._xla:
            train_step = self._tf.function(
                train_step, autograph=False, reduce_retracing=True, jit_compile=True
            )
            self._model.jit_compile = False

        def followed(data: Any) -> Any:
            caught.clear()
            logs = train_step(data)
            write_row(logs)
            return logs

        self._model.train_step = followed

    def resume(self, loss: str | None) -> None:
        """The model was trained before. Keras traces a step that makes variables once more."""
        self.loss = loss
        self._make_table()

    def begin(self, made: bool) -> None:
        """Keras may make its training function: without XLA, which has its own part of it.

        ``made``: it has, and evaluation is to be compiled as ever.
        """
        if self._xla:
            self._model.jit_compile = made

    def _write_row(self, logs: Any) -> None:
        tf = self._tf
        tensors = [tf.convert_to_tensor(v) for v in self._model.trainable_variables]
        loss = tf.bitcast(tf.cast(self._loss(logs), tf.float32), tf.int32)
        prints = [fingerprint.of_tensor(tf, tensor) for tensor in tensors]
        row = tf.concat([tf.reshape(loss, [1, 1]), *prints], axis=1)
        self._make_table()
        self._table.scatter_update(tf.IndexedSlices(row, tf.reshape(self._position, [1])))
        self._position.assign_add(1)

    def _loss(self, logs: Any) -> Any:
        """The loss of the batch, if the step computed one that can be read here."""
        tf = self._tf
        loss: Any = self._caught[-1] if self._caught else None
        if tf.is_tensor(loss) and loss.shape.rank == 0 and self._is_here(loss):
            self.loss = OF_BATCH
            return loss
        known = isinstance(logs, dict) and "loss" in logs
        self.loss = MEAN if known else None
        return logs["loss"] if known else np.float32(0)

    def _is_here(self, tensor: Any) -> bool:
        """Not within a function that this graph calls, as with XLA."""
        tf = self._tf
        return tf.executing_eagerly() or tensor.graph is tf.compat.v1.get_default_graph()

    def _make_table(self) -> None:
        """Once, and outside of the graph that is being traced."""
        if self._table is None:
            with self._tf.init_scope(), self._tf.device("CPU:0"):
                rows = max(_ROWS, task.steps_per_execution(self._model))
                columns = 1 + len(self._model.trainable_variables)
                empty = np.zeros((rows, columns), np.int32)
                self._table = self._tf.Variable(empty, trainable=False)
                self._position = self._tf.Variable(np.int32(0), trainable=False)

    def is_full(self, rows: int) -> bool:
        """Whether another execution might find no room, given the rows since it was emptied."""
        room = 0 if self._table is None else int(self._table.shape[0])
        return rows + task.steps_per_execution(self._model) > room

    def empty(self) -> np.ndarray:
        """The rows since the last call, int32 [n, 1 + tensors]: loss, fingerprints."""
        if self._table is None:
            return np.zeros((0, 1), np.int32)
        rows: np.ndarray = self._table.numpy()[: int(self._position.numpy())]
        self._position.assign(0)
        return rows
