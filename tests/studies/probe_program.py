"""What TensorFlow's own tf.function gives for the battery's inputs, printed as JSON.

    PYTHONPATH=scripts:studies probe_program.py BATTERY

By result: the digest of what a function gives that computes nothing else, and the kernels in its
executed graphs. Python 3.7 too.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow.python.eager import context

from atlas import battery
from samebits.formats import canonical
from samebits.training.kernels import executed


class Wanted:
    """One op in one dtype on variables that hold the battery's inputs."""

    def __init__(self, operation: Any, dtype: str, feeds: dict[str, Any]) -> None:
        self._operation, self._dtype, self._feeds = operation, dtype, feeds
        inputs = enumerate(operation.inputs)
        self._variables = [self._variable(i, x.values, x.shape) for i, x in inputs]

    def _variable(self, position: int, values: str, shape: tuple[int, ...]) -> Any:
        name = "/".join([values, self._dtype, "x".join(map(str, shape)), str(position)])
        return tf.Variable(self._feeds[name])

    def _given(self) -> list[Any]:
        return [tf.cast(tf.convert_to_tensor(v), self._dtype) for v in self._variables]

    def value(self) -> Callable[[], Any]:
        return lambda: self._operation.make(*self._given())

    def gradient(self) -> Callable[[], Any]:
        """Of all inputs, flat, as training computes them: with a tape."""
        shape = tf.function(self.value()).get_concrete_function().output_shapes
        back = self._variable(len(self._variables), "real", tuple(shape))
        return lambda: self._taped(back)

    def _taped(self, back: Any) -> Any:
        given = self._given()
        with tf.GradientTape() as tape:
            tape.watch(given)
            made = self._operation.make(*given)
        found = tape.gradient(made, given, output_gradients=tf.cast(back, made.dtype))
        return tf.concat([tf.reshape(g, [-1]) for g in found if g is not None], 0)


def _watched(compute: Callable[[], Any]) -> tuple[str, list[str]]:
    """The digest of what a function gives, and the kernels that it executed."""
    function = tf.function(compute)
    function.get_concrete_function()
    context.context().enable_graph_collection()
    made = function()
    graphs = context.context().export_run_metadata().function_graphs
    context.context().disable_graph_collection()
    if made.dtype == tf.bfloat16:
        made = tf.cast(made, tf.float32)  # which is exact
    kernels = {kernel for graph in graphs for _, kernel in executed(graph)}
    array = made.numpy()
    digest = hashlib.sha256(f"{array.dtype} {array.shape} ".encode() + array.tobytes())
    return digest.hexdigest(), sorted(kernels)


def _each(content: Any, feeds: dict[str, Any]) -> Iterator[tuple[str, Callable[[], Any]]]:
    wanted, variants = set(map(battery.label, content["results"])), Counter()  # type: Any, Counter[str]
    for operation in battery.operations(tf):
        for dtype in operation.dtypes:
            for output in (battery.VALUE, battery.GRADIENT):
                row = {"name": operation.name, "dtype": dtype, "output": output}
                label = battery.label(dict(row, variant=variants[operation.name]))
                if label in wanted:
                    yield label, getattr(Wanted(operation, dtype, feeds), output)()
        variants[operation.name] += 1


def main(folder: Path) -> None:
    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    tf.config.experimental.enable_op_determinism()
    content = canonical.read_json(folder / "battery.json")
    feeds = dict(np.load(folder / "feeds.npz"))
    found = {label: _watched(compute) for label, compute in _each(content, feeds)}
    print(json.dumps(found))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
