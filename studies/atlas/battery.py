"""The battery as one graph: every op twice, alone for its value and again for its gradient.

Inputs are variables, whose shapes TensorFlow knows as it does in training: some rewriting depends
on that. Each output reads them for itself: equal computations would be merged, and a rewriting
left out where an intermediate result is needed elsewhere. Ops that this TensorFlow cannot run on a
CPU are left out, with the reason. bfloat16 comes in and goes out as float32, which is exact.

Runs on Python 3.7 to 3.13, TensorFlow 2.8 to 2.21.
"""

from __future__ import annotations

import re
import zlib
from collections import Counter
from dataclasses import dataclass
from typing import Any, Iterator

import numpy as np

from atlas.attempts import refusals
from atlas.ops import Operation
from atlas.ops.arranging import arrangements, images, random
from atlas.ops.elementwise import activations, divisions, elementwise, gradient_kernels, pairs
from atlas.ops.reducing import contractions, convolutions, pooling, reductions
from atlas.ops.training import layers, losses, normalizations, optimizers
from samebits.errors import SamebitsError
from samebits.training.kernels import of_node

VALUE, GRADIENT = "value", "gradient"
_RANGES = {
    "real": (-4.0, 4.0),
    "positive": (0.05, 9.0),
    "unit": (-0.95, 0.95),
    "probability": (0.02, 0.98),
    "above_one": (1.05, 6.0),
    "near_one": (0.9, 1.1),
    "nonzero": (0.1, 4.0),  # and the same below zero
}
_COMING_BACK = "real"  # the gradient that a result is given
REFUSED = (LookupError, NotImplementedError, TypeError, ValueError)  # while a graph is made
_DEVICE = "/job:localhost/replica:0/task:0/device:CPU:0"


_ELEMENTWISE = (elementwise, activations, pairs, divisions, gradient_kernels)
_REDUCING = (reductions, contractions, convolutions, pooling)
_MOVING = (images, arrangements, random)
_PARTS = (*_ELEMENTWISE, *_REDUCING, normalizations, losses, *_MOVING, layers, optimizers)


def operations(tf: Any) -> list[Operation]:
    """All operations, group by group. ``tf``: some depend on its version."""
    return [operation for part in _PARTS for operation in part(tf)]


def label(result: Any) -> str:
    """A result's name: no other has it."""
    return "/".join(str(result[key]) for key in ("name", "dtype", "variant", "output"))


@dataclass
class Battery:
    """The graph's definition, its inputs and its results."""

    graph: Any
    fed: dict[str, str]  # by the name of an input: the scope of the nodes that feed it
    feeds: dict[str, np.ndarray]  # by the same name
    results: list[dict[str, Any]]  # name, group, dtype, variant (set of shapes), output, node
    missing: list[dict[str, str]]  # ops that this TensorFlow cannot run, and why


def build(tf: Any, operations: list[Operation]) -> Battery:
    """The graph of all operations that this TensorFlow can do on this CPU."""
    graph, made = tf.Graph(), Battery(None, {}, {}, [], [])
    cases = list(_cases(tf, operations))
    refused = refusals([case.tried for case in cases])
    for number, case in enumerate(cases):
        if refused[number]:
            made.missing.append({"name": case.label, "reason": refused[number]})
            continue
        with graph.as_default():
            node = case.add()
        if node is not None:
            made.feeds.update(case.feeds)
            made.results.append({**case.row, "node": node})
    with graph.as_default():
        made.fed = _filled(tf, made.feeds)
    wanted = [result["node"] for result in made.results]
    made.graph = _rewritten(tf, graph, wanted + [assigning(scope) for scope in made.fed.values()])
    nodes = {node.name: node for node in made.graph.node}
    # The gradient of a sign is zero for every input: it could never differ.
    made.results = [result for result in made.results if _reads(nodes, result["node"])]
    return made


def _reads(nodes: dict[str, Any], name: str) -> bool:
    """Whether a node's numbers depend on the variables' values."""
    return any(nodes[node].op == "ReadVariableOp" for node in _upstream(nodes, name))


def assigning(scope: str) -> str:
    """The node that fills a variable."""
    return scope + "/assign"


def fed(scope: str) -> str:
    """The tensor that it is filled from."""
    return scope + "/value:0"


def _filled(tf: Any, feeds: dict[str, np.ndarray]) -> dict[str, str]:
    """Add nodes that fill the variables to the default graph; returns their scopes, by input."""
    scopes = {name: f"feed/{number}" for number, name in enumerate(sorted(feeds))}
    for name, scope in scopes.items():
        array = feeds[name]
        with tf.name_scope(scope):
            value = tf.compat.v1.placeholder(array.dtype.name, array.shape, "value")
            handle = _variable(tf, name, array.dtype.name, array.shape)
            tf.raw_ops.AssignVariableOp(resource=handle, value=value, name="assign")
    return scopes


def _variable(tf: Any, name: str, dtype: str, shape: tuple[int, ...]) -> Any:
    return tf.raw_ops.VarHandleOp(dtype=dtype, shape=shape, shared_name=name)


def _cases(tf: Any, operations: list[Operation]) -> Iterator[_Case]:
    variants: Counter[str] = Counter()
    for operation in operations:
        for dtype in operation.dtypes:
            for output in (VALUE, GRADIENT):
                yield _Case(tf, operation, dtype, variants[operation.name], output)
        variants[operation.name] += 1


def _rewritten(tf: Any, graph: Any, nodes: list[str]) -> Any:
    """The graph as TensorFlow rewrites it before it executes it, with all of its defaults.

    Once and not in every probe: an emulator would need minutes for it. What is rewritten depends
    on the device, so that the nodes need one.
    """
    from tensorflow.python.grappler import tf_optimizer

    for node in nodes:  # the results to keep
        graph.add_to_collection("train_op", graph.get_operation_by_name(node))
    with graph.as_default():
        definition = tf.compat.v1.train.export_meta_graph(graph=graph)
    for node in definition.graph_def.node:
        node.device = _DEVICE
    return tf_optimizer.OptimizeGraph(tf.compat.v1.ConfigProto(), definition)


class _Case:
    """One output of one operation in one dtype."""

    def __init__(
        self, tf: Any, operation: Operation, dtype: str, variant: int, output: str
    ) -> None:
        self.tf, self.operation, self.dtype, self.output = tf, operation, dtype, output
        named = {"name": operation.name, "group": operation.group, "dtype": dtype}
        self.row: dict[str, Any] = {**named, "variant": variant, "output": output}
        self.label = label(self.row)  # its name in the graph
        self.feeds: dict[str, np.ndarray] = {}

    def tried(self) -> str:
        """Why this TensorFlow cannot compute it; empty when it can. In a graph of its own."""
        tf = self.tf
        try:
            with tf.Graph().as_default() as graph:
                node = self.add()
                if node is not None:
                    scopes = _filled(tf, self.feeds)
                    with tf.compat.v1.Session(graph=graph) as session:
                        fill(session, scopes, self.feeds)
                        session.run(node + ":0")
        except (tf.errors.OpError, *REFUSED) as error:
            return first_reason(error)
        return ""

    def add(self) -> str | None:
        """Add it to the default graph; the name of its node, None where there is no gradient."""
        tf = self.tf
        with tf.name_scope(self.label):
            given = [self._input(i, x.values, x.shape) for i, x in enumerate(self.operation.inputs)]
            made = self.operation.make(*given)
            if self.output == GRADIENT:
                made = self._gradient(made, given)
            if made is None:
                return None
            if made.dtype == tf.bfloat16:
                made = tf.cast(made, tf.float32)
            return str(tf.identity(made, "result").op.name)

    def _gradient(self, made: Any, given: list[Any]) -> Any:
        """All gradients, one after the other."""
        tf = self.tf
        back = self._input(len(given), _COMING_BACK, tuple(made.shape))
        found = tf.gradients(made, given, grad_ys=tf.cast(back, made.dtype))
        dense = [tf.convert_to_tensor(gradient) for gradient in found if gradient is not None]
        return tf.concat([tf.reshape(gradient, [-1]) for gradient in dense], 0) if dense else None

    def _input(self, position: int, values: str, shape: tuple[int, ...]) -> Any:
        """The value of a variable, which inputs of the same shape share."""
        tf = self.tf
        kept = "float64" if self.dtype == "float64" else "float32"
        name = "/".join([values, self.dtype, "x".join(map(str, shape)), str(position)])
        self.feeds[name] = sample(values, shape, self.dtype, name)
        node = tf.raw_ops.ReadVariableOp(resource=_variable(tf, name, kept, shape), dtype=kept)
        return tf.cast(node, tf.bfloat16) if self.dtype == "bfloat16" else node


def first_reason(error: Exception) -> str:
    """The line that says why, the same in every build.

    What TensorFlow says of a node that failed lies between a headline and two traces; the
    attributes of a missing kernel come in another order every time.
    """
    text = str(error)
    of_node = re.search(r"^Node: .*\n(.+)$", text, re.MULTILINE)
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    line = of_node.group(1) if of_node else (lines or [type(error).__name__])[-1]
    return line.partition(" with these attrs")[0].strip()[:200]


def fill(session: Any, scopes: dict[str, str], feeds: dict[str, np.ndarray]) -> None:
    """Give the variables of a session's graph their values."""
    assign = [assigning(scope) for scope in scopes.values()]
    session.run(assign, {fed(scope): feeds[name] for name, scope in scopes.items()})


def sample(values: str, shape: tuple[int, ...], dtype: str, seed: str) -> np.ndarray:
    """Numbers of a range, the same on every machine: integers, scaled by exact operations."""
    drawn = np.random.RandomState(zlib.crc32(seed.encode("utf-8")))
    high, low = (drawn.randint(0, 1 << 26, shape).astype(np.float64) for _ in "hl")
    low_end, high_end = _RANGES[values]
    found = low_end + (high_end - low_end) * ((high + low * 2.0**-26) * 2.0**-26)
    if values == "nonzero":
        found = found * np.where(drawn.randint(0, 2, shape), 1.0, -1.0)
    if dtype == "float64":
        return np.asarray(found)
    single = np.asarray(found.astype(np.float32))
    return single if dtype == "float32" else _as_bfloat16(single)


def _as_bfloat16(single: np.ndarray) -> np.ndarray:
    """The upper halves of the bits: numbers that a bfloat16 holds."""
    bits = np.ascontiguousarray(single).reshape(-1).view(np.uint32) & np.uint32(0xFFFF0000)
    return np.asarray(bits.view(np.float32).reshape(single.shape))


# --- the executed kernels --------------------------------------------------------------------


def kernels(nodes: dict[str, Any], name: str) -> list[str]:
    """The kernels on the way to a node of an executed graph, as ``Rsqrt float32``, sorted."""
    if name not in nodes:
        raise SamebitsError(
            f"{name} is not in the graph that was executed, so what computed it is unknown"
        )
    upstream = _upstream(nodes, name)
    return sorted({kernel for node in upstream for kernel in of_node(nodes[node])})


def _upstream(nodes: dict[str, Any], name: str) -> set[str]:
    """A node of a graph, and all that it waits for."""
    found: set[str] = set()
    waiting = [name]
    while waiting:
        name = waiting.pop()
        if name in nodes and name not in found:
            found.add(name)
            waiting += [i.lstrip("^").partition(":")[0] for i in nodes[name].input]
    return found
