"""The ops that add up: reductions, products of matrices, convolutions, pooling.

Runs on Python 3.7 to 3.13, TensorFlow 2.8 to 2.21.
"""

from __future__ import annotations

from typing import Any, Iterator

from atlas.ops import NO_BFLOAT16, Operation, Shaped, Table, rows, shaped_rows

_TWO = "real real"


def reductions(tf: Any) -> Iterator[Operation]:
    """Many to one."""
    m = tf.math
    ids = [0, 2, 1, 1, 0, 3, 2, 2]
    table = {
        "reduce_sum": ("real", lambda x: tf.reduce_sum(x, 0)),
        "reduce_sum_last": ("real", lambda x: tf.reduce_sum(x, -1)),
        "reduce_sum_all": ("real", tf.reduce_sum),
        "reduce_mean": ("real", lambda x: tf.reduce_mean(x, -1)),
        "reduce_prod": ("near_one", lambda x: tf.reduce_prod(x, -1)),
        "reduce_max": ("real", lambda x: tf.reduce_max(x, -1)),
        "reduce_min": ("real", lambda x: tf.reduce_min(x, -1)),
        "reduce_variance": ("real", lambda x: m.reduce_variance(x, -1)),
        "reduce_std": ("real", lambda x: m.reduce_std(x, -1)),
        "reduce_logsumexp": ("real", lambda x: m.reduce_logsumexp(x, -1)),
        "euclidean_norm": ("real", lambda x: m.reduce_euclidean_norm(x, -1)),
        "cumsum": ("real", lambda x: m.cumsum(x, -1)),
        "cumprod": ("near_one", lambda x: m.cumprod(x, -1)),
        "segment_sum": ("real", lambda x: m.unsorted_segment_sum(x[:8], ids, 4)),
        "moments": ("real", lambda x: tf.concat(tf.nn.moments(x, [0]), 0)),
        "l2_normalize": ("real", lambda x: m.l2_normalize(x, -1)),
        "clip_by_norm": ("real", lambda x: tf.clip_by_norm(x, 1.0)),
        "global_norm": ("real", lambda x: tf.linalg.global_norm([x])),
    }
    yield from rows("reductions", table, [[(33, 17)], [(64, 2053)]])


def contractions(tf: Any) -> Iterator[Operation]:
    """Products of matrices, and linear equations."""
    matmul, einsum = tf.matmul, tf.einsum
    turned = [[(7, 5), (7, 3)], [(259, 67), (259, 130)]]
    batches = [[(3, 5, 7), (3, 7, 3)], [(8, 33, 65), (8, 65, 31)]]
    dense, attention = [[(4, 9, 33), (33, 4, 8)]], [[(4, 9, 4, 8)] * 2]
    table: Shaped = {
        "matmul": (_TWO, matmul, [[(5, 7), (7, 3)], [(67, 259), (259, 130)]]),
        "matmul_transposed": (_TWO, lambda x, y: matmul(x, y, transpose_a=True), turned),
        "matvec": (_TWO, tf.linalg.matvec, [[(67, 259), (259,)]]),
        "batch_matmul": (_TWO, matmul, batches),
        "einsum_dense": (_TWO, lambda x, y: einsum("abc,cde->abde", x, y), dense),
        "einsum_attention": (_TWO, lambda x, y: einsum("abcd,aecd->aceb", x, y), attention),
        "tensordot": (_TWO, lambda x, y: tf.tensordot(x, y, 1), [[(4, 9, 33), (33, 12)]]),
    }
    yield from shaped_rows("contractions", table)
    linalg: Table = {
        "cholesky": ("real", lambda x: tf.linalg.cholesky(_positive_definite(tf, x))),
        "inverse": ("real", lambda x: tf.linalg.inv(_positive_definite(tf, x))),
        "solve": ("real", lambda x: tf.linalg.solve(_positive_definite(tf, x), x)),
        "norm": ("real", tf.linalg.norm),
        "rfft": ("real", lambda x: tf.math.real(tf.signal.rfft(x))),
    }
    yield from rows("contractions", linalg, [[(17, 17)]], NO_BFLOAT16)


def _positive_definite(tf: Any, x: Any) -> Any:
    return tf.matmul(x, x, transpose_b=True) + 8.0 * tf.eye(x.shape[-1], dtype=x.dtype)


def convolutions(tf: Any) -> Iterator[Operation]:
    """In one to three dimensions, and their transposes."""
    nn, same, ones = tf.nn, "SAME", [1, 1, 1, 1]
    depthwise, separable, transposed = nn.depthwise_conv2d, nn.separable_conv2d, nn.conv2d_transpose
    image, small, cube, cubes = (6, 15, 15, 8), (4, 7, 7, 8), (2, 4, 4, 4, 6), (3, 3, 3, 4, 6)
    wide, thin = (3, 3, 8, 16), (3, 3, 8, 2)
    flat, solid = [4, 14, 14, 6], [2, 8, 8, 8, 4]  # shapes of the transposes' results
    table: dict[str, Any] = {  # the computation, and the shapes of its inputs
        "conv1d": (lambda x, k: nn.conv1d(x, k, 1, same), (6, 33, 5), (3, 5, 7)),
        "conv2d": (lambda x, k: nn.conv2d(x, k, 1, "VALID"), (8, 15, 15, 16), (3, 3, 16, 32)),
        "conv2d_image": (lambda x, k: nn.conv2d(x, k, 1, "VALID"), (32, 14, 14, 1), (3, 3, 1, 8)),
        "conv2d_1x1": (lambda x, k: nn.conv2d(x, k, 1, "VALID"), (8, 9, 9, 16), (1, 1, 16, 24)),
        "conv2d_strided": (lambda x, k: nn.conv2d(x, k, 2, same), image, wide),
        "conv2d_dilated": (lambda x, k: nn.conv2d(x, k, 1, same, dilations=2), image, wide),
        "depthwise_conv2d": (lambda x, k: depthwise(x, k, ones, same), image, thin),
        "conv2d_transpose": (lambda x, k: transposed(x, k, flat, 2, same), small, (3, 3, 6, 8)),
        "conv3d": (lambda x, k: nn.conv3d(x, k, [1] * 5, same), (2, 7, 7, 7, 4), cubes),
        "conv3d_transpose": (lambda x, k: nn.conv3d_transpose(x, k, solid, 2, same), cube, cubes),
        "separable_conv2d": (lambda *x: separable(*x, ones, same), image, thin, (1, 1, 16, 12)),
    }
    for name, (make, *shapes) in table.items():
        yield from rows("convolutions", {name: (" ".join(["real"] * len(shapes)), make)}, [shapes])


def pooling(tf: Any) -> Iterator[Operation]:
    """The largest or the mean of a window."""
    nn = tf.nn
    table = {
        "max_pool2d": ("real", lambda x: nn.max_pool2d(x, 2, 2, "VALID")),
        "max_pool2d_overlapping": ("real", lambda x: nn.max_pool2d(x, 3, 2, "SAME")),
        "avg_pool2d": ("real", lambda x: nn.avg_pool2d(x, 2, 2, "VALID")),
        "avg_pool2d_same": ("real", lambda x: nn.avg_pool2d(x, 3, 2, "SAME")),
        "global_average_pooling": ("real", lambda x: tf.reduce_mean(x, [1, 2])),
        "local_response_normalization": ("real", lambda x: nn.local_response_normalization(x)),
    }
    yield from rows("pooling", table, [[(6, 15, 15, 8)]])
    three = {
        "max_pool3d": ("real", lambda x: nn.max_pool3d(x, 2, 2, "VALID")),
        "avg_pool3d": ("real", lambda x: nn.avg_pool3d(x, 2, 2, "VALID")),
    }
    yield from rows("pooling", three, [[(2, 7, 7, 7, 4)]])
