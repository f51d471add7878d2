"""Products, einsum and convolutions as portable_ops makes them; printed as JSON.

For each case the largest deviation from float64, of value and gradients, relative to the largest
number: eagerly, in a graph, and in one whose first dimension is unknown; and the ops of the graphs.
"""

from __future__ import annotations

import json
import sys
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "scripts"))

from samebits.training import replaced_ops

NAMES = ("conv2d", "conv3d", "mat_mul", "batch_mat_mul", "einsum")
OPS = ("MatMul", "BatchMatMul", "BatchMatMulV2", "BatchMatMulV3", "Einsum", "Pad", "PadV2")
PRODUCTS: dict[str, tuple[Any, ...]] = {
    "product": (tf.matmul, (24, 78), (78, 50)),
    "odd": (tf.matmul, (7, 33), (33, 5)),
    "of rows": (tf.matmul, (78, 13), (13, 5)),
    "one": (tf.matmul, (1, 1), (1, 1)),
    "transposed": (
        lambda a, b: tf.matmul(a, b, transpose_a=True, transpose_b=True),
        (9, 7),
        (5, 9),
    ),
    "raw": (lambda a, b: tf.raw_ops.MatMul(a=a, b=b), (4, 5), (5, 6)),
    "batch of one": (tf.matmul, (1, 33, 64), (1, 64, 20)),
    "batch of many": (tf.matmul, (5, 3, 33, 64), (5, 3, 64, 20)),
    "adjoint": (
        lambda a, b: tf.matmul(a, b, adjoint_a=True, transpose_b=True),
        (2, 9, 7),
        (2, 5, 9),
    ),
    "one factor on the right": (tf.matmul, (5, 33, 64), (64, 20)),
    "one factor on the left": (tf.matmul, (20, 64), (3, 64, 20)),
    "each with each": (tf.matmul, (5, 1, 33, 64), (1, 3, 64, 20)),
    "tensordot": (lambda a, b: tf.tensordot(a, b, 1), (5, 33, 64), (64, 20)),
    "matrix and vector": (tf.linalg.matvec, (7, 9), (9,)),
}
EINSUMS: dict[str, tuple[Any, ...]] = {
    "abc,cde->abde": ((3, 5, 8), (8, 2, 4)),
    "aecd,abcd->acbe": ((3, 5, 2, 8), (3, 6, 2, 8)),
    "ij,jk": ((3, 4), (4, 5)),
    "...x,xy->...y": ((3, 4, 8), (8, 2)),
    "...ij,...jk->...ik": ((3, 1, 4, 5), (2, 5, 6)),
    "ab,cd->abcd": ((2, 3), (4, 5)),
    "ab,ab->": ((3, 4), (3, 4)),
    "ab,bc->a": ((3, 4), (4, 5)),
    "ab,b->ba": ((3, 4), (4,)),
    "i,i->i": ((4,), (4,)),
    "aab,bc->ac": ((3, 3, 4), (4, 5)),
}
KERNEL = (3, 3, 3, 4)
CONVOLUTIONS: dict[str, tuple[Any, ...]] = {
    "one image": (lambda x, f: tf.nn.conv2d(x, f, 1, "SAME"), (1, 8, 8, 3), KERNEL),
    "two images": (lambda x, f: tf.nn.conv2d(x, f, 2, "VALID"), (2, 9, 9, 3), KERNEL),
    "one solid": (
        lambda x, f: tf.nn.conv3d(x, f, [1] * 5, "SAME"), (1, 4, 4, 4, 3), (3, 3, 3, 3, 4),
    ),
    "one solid's filter": (
        lambda x, y: tf.raw_ops.Conv3DBackpropFilterV2(
            input=x, filter_sizes=[3, 3, 3, 3, 4], out_backprop=y, strides=[1] * 5, padding="SAME"
        ),
        (1, 4, 4, 4, 3), (1, 4, 4, 4, 4),
    ),
    "one series": (lambda x, f: tf.nn.conv1d(x, f, 2, "SAME"), (1, 8, 3), (3, 3, 4)),
    "transposed": (
        lambda x, f: tf.nn.conv2d_transpose(x, f, [1, 16, 16, 3], 2, "SAME"), (1, 8, 8, 4), KERNEL,
    ),
}  # fmt: skip


def numbers(shape: tuple[int, ...]) -> Any:
    drawn = np.random.RandomState(len(shape)).standard_normal(shape)
    return tf.constant(drawn.astype(np.float32))


def measured(function: Any, *shapes: tuple[int, ...]) -> dict[str, Any]:
    given = [numbers(shape) for shape in shapes]

    def step(*inputs: Any) -> Any:
        with tf.GradientTape() as tape:
            tape.watch(inputs)
            made = function(*inputs)
            weights = tf.cast(
                tf.reshape(tf.range(tf.size(made)) % 7 + 1, tf.shape(made)), made.dtype
            )
            loss = tf.reduce_sum(made * weights)
        return [made, *tape.gradient(loss, inputs)]

    first = [tf.TensorSpec([None, *shape[1:]], tf.float32) for shape in shapes]
    # An image's number is unknown while a graph is traced, a weight's size is not.
    first[1:] = [tf.TensorSpec(shape, tf.float32) for shape in shapes[1:]]
    shared = shapes[0][0] in shapes[1][:1]
    unknown = tf.function(step, input_signature=None if shared else first)
    wide = [each.numpy() for each in step(*(tf.cast(each, tf.float64) for each in given))]
    ways = {"eager": step, "graph": tf.function(step), "unknown": unknown}
    found = {how: _deviation(way(*given), wide) for how, way in ways.items()}
    graph = unknown.get_concrete_function(*given).graph.as_graph_def()
    nodes = [*graph.node, *(node for each in graph.library.function for node in each.node_def)]
    return {"off": found, "ops": sorted({node.op for node in nodes} & set(OPS))}


def _deviation(found: Any, wide: Any) -> float:
    assert [each.shape for each in found] == [each.shape for each in wide]
    apart = [
        np.max(np.abs(found[at].numpy() - wanted)) / np.max(np.abs(wanted))
        for at, wanted in enumerate(wide)
    ]
    return float(np.max(apart))  # no number where one is none


def all_cases() -> dict[str, Any]:
    made = {f"product: {name}": measured(*case) for name, case in PRODUCTS.items()}
    for equation, shapes in EINSUMS.items():
        made[f"einsum: {equation}"] = measured(partial(tf.einsum, equation), *shapes)
    made.update((f"convolution: {n}", measured(*case)) for n, case in CONVOLUTIONS.items())
    return made


def main() -> None:
    plain = all_cases()
    with replaced_ops.replaced(tf, NAMES):
        content = {"in force": replaced_ops.in_force(tf), "replaced": all_cases()}
        wide = tf.function(tf.matmul).get_concrete_function(*[tf.ones((4, 4), tf.float64)] * 2)
        content["float64"] = [node.op for node in wide.graph.as_graph_def().node]
    print(json.dumps({"plain": plain, "afterwards": all_cases() == plain, **content}))


if __name__ == "__main__":
    main()
