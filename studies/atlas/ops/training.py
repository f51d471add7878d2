"""What layers, losses and optimizers are made of: the arithmetic of more than one op.

Runs on Python 3.7 to 3.13, TensorFlow 2.8 to 2.21.
"""

from __future__ import annotations

from typing import Any, Iterator

from atlas.ops import Operation, Shaped, Table, like, rows, shaped_rows


def normalizations(tf: Any) -> Iterator[Operation]:
    """As layers write them, and the fused kernels."""
    table: Table = {
        "batch_normalization": ("real positive real", lambda *x: _batch_normalization(tf, *x)),
        "batch_normalization_inference": (
            "real positive real",
            lambda x, g, b: tf.nn.batch_normalization(x, b, g, b, g, 1e-3),
        ),
        "layer_normalization": ("real positive real", lambda *x: _layer_normalization(tf, *x)),
        "rms_normalization": ("real positive real", lambda *x: _rms_normalization(tf, *x)),
        "normalization": (
            "real positive real",
            lambda x, g, b: (x - b) / tf.maximum(tf.sqrt(g), 1e-7),
        ),
    }
    yield from rows("normalizations", table, [[(33, 17), (17,), (17,)]])
    fused: Table = {
        "fused_batch_norm": ("real positive real", lambda *x: _fused_batch_norm(tf, True, *x)),
        "fused_batch_norm_inference": (
            "real positive real",
            lambda *x: _fused_batch_norm(tf, False, *x),
        ),
    }
    yield from rows("normalizations", fused, [[(6, 9, 9, 8), (8,), (8,)]], ("float32",))


def _batch_normalization(tf: Any, x: Any, gamma: Any, beta: Any) -> Any:
    mean, variance = tf.nn.moments(x, [0])
    return tf.nn.batch_normalization(x, mean, variance, beta, gamma, 1e-3)


def _layer_normalization(tf: Any, x: Any, gamma: Any, beta: Any) -> Any:
    mean, variance = tf.nn.moments(x, [-1], keepdims=True)
    scale = tf.math.rsqrt(variance + 1e-3) * gamma
    return x * scale + (beta - mean * scale)


def _rms_normalization(tf: Any, x: Any, gamma: Any, beta: Any) -> Any:
    return x * tf.math.rsqrt(tf.reduce_mean(x * x, -1, keepdims=True) + 1e-6) * gamma + beta


def _fused_batch_norm(tf: Any, training: bool, x: Any, gamma: Any, beta: Any) -> Any:
    mean, variance = (tf.zeros([0]), tf.zeros([0])) if training else (beta, gamma)
    return tf.compat.v1.nn.fused_batch_norm(
        x, gamma, beta, mean=mean, variance=variance, is_training=training
    )[0]


def losses(tf: Any) -> Iterator[Operation]:
    """One number per sample."""
    nn = tf.nn
    labels, l2_normalize = [i % 17 for i in range(33)], tf.math.l2_normalize
    table: Table = {
        "softmax_cross_entropy": (
            "real probability",
            lambda x, p: nn.softmax_cross_entropy_with_logits(p, x),
        ),
        "sparse_softmax_cross_entropy": (
            "real real",
            lambda x, y: nn.sparse_softmax_cross_entropy_with_logits(labels, x + y),
        ),
        "sigmoid_cross_entropy": (
            "real probability",
            lambda x, p: nn.sigmoid_cross_entropy_with_logits(p, x),
        ),
        "binary_cross_entropy": (
            "probability probability",
            lambda x, p: -(p * tf.math.log(x) + (1 - p) * tf.math.log(1 - x)),
        ),
        "mean_squared_error": ("real real", lambda x, y: tf.reduce_mean((x - y) ** 2, -1)),
        "huber": ("real real", lambda x, y: _huber(tf, x - y)),
        "log_cosh": ("real real", lambda x, y: x - y + tf.math.softplus(-2.0 * (x - y))),
        "kl_divergence": (
            "probability probability",
            lambda x, y: tf.reduce_sum(x * tf.math.log(x / y), -1),
        ),
        "cosine_similarity": (
            "real real",
            lambda x, y: tf.reduce_sum(l2_normalize(x, -1) * l2_normalize(y, -1), -1),
        ),
        "poisson": ("positive positive", lambda x, y: tf.reduce_mean(x - y * tf.math.log(x), -1)),
    }
    yield from rows("losses", table, [[(33, 17), (33, 17)]])


def _huber(tf: Any, error: Any) -> Any:
    size = tf.abs(error)
    return tf.where(size <= 1.0, 0.5 * size * size, size - 0.5)


def layers(tf: Any) -> Iterator[Operation]:
    """The arithmetic of layers that are more than one op."""
    table: Shaped = {
        "lstm_cell": ("real real", lambda x, k: _lstm_cell(tf, x, k), [[(33, 16), (16, 64)]]),
        "gru_cell": ("real real", lambda x, k: _gru_cell(tf, x, k), [[(33, 16), (16, 48)]]),
        "attention": ("real real real", lambda *x: _attention(tf, *x), [[(4, 9, 16)] * 3]),
        "dense_relu": (
            "real real real",
            lambda x, k, b: tf.nn.relu(tf.nn.bias_add(tf.matmul(x, k), b)),
            [[(33, 130), (130, 17), (17,)]],
        ),
        "conv_batch_norm_relu": (
            "real real positive real",
            lambda x, k, g, b: tf.nn.relu(_batch_normalization_2d(tf, x, k, g, b)),
            [[(6, 9, 9, 4), (3, 3, 4, 8), (8,), (8,)]],
        ),
        "unit_normalization": ("real", lambda x: tf.math.l2_normalize(x, [1]), [[(33, 17)]]),
    }
    yield from shaped_rows("layers", table)


def _lstm_cell(tf: Any, x: Any, kernel: Any) -> Any:
    i, f, c, o = tf.split(tf.matmul(x, kernel), 4, 1)
    cell = tf.sigmoid(f) * x + tf.sigmoid(i) * tf.tanh(c)
    return tf.sigmoid(o) * tf.tanh(cell)


def _gru_cell(tf: Any, x: Any, kernel: Any) -> Any:
    z, r, h = tf.split(tf.matmul(x, kernel), 3, 1)
    update = tf.sigmoid(z)
    return update * x + (1 - update) * tf.tanh(h * tf.sigmoid(r))


def _attention(tf: Any, query: Any, key: Any, value: Any) -> Any:
    return tf.matmul(tf.nn.softmax(tf.matmul(query, key, transpose_b=True) * 0.25), value)


def _batch_normalization_2d(tf: Any, x: Any, kernel: Any, gamma: Any, beta: Any) -> Any:
    x = tf.nn.conv2d(x, kernel, 1, "SAME")
    mean, variance = tf.nn.moments(x, [0, 1, 2])
    return tf.nn.batch_normalization(x, mean, variance, beta, gamma, 1e-3)


def optimizers(tf: Any) -> Iterator[Operation]:
    """Updates as Keras 3 writes them, and the kernels that Keras 2 calls.

    v, m, g: variable, slot, gradient. The step is large, so that its low bits are seen in v.
    """
    sqrt = tf.sqrt
    table: Table = {
        "sgd_momentum": ("real real real", lambda v, m, g: v + (0.9 * m - 0.01 * g)),
        "adam": ("positive real", lambda m, g: g * 0.001 / (sqrt(m + g * g) + 1e-7)),
        "rmsprop": ("positive real", lambda m, g: g * 0.001 / sqrt(m + g * g + 1e-7)),
        "adagrad": ("positive real", lambda m, g: g * 0.001 / sqrt(m + 1e-7)),
        "adadelta": ("positive real", lambda m, g: sqrt(m + 1e-7) * g / sqrt(m + g * g + 1e-7)),
        "adamax": ("positive real", lambda m, g: g * 0.001 / (tf.maximum(m, abs(g)) + 1e-7)),
        "lion": ("real real", lambda m, g: 0.001 * tf.sign(0.9 * m + 0.1 * g)),
    }
    yield from rows("optimizers", table, [[(33, 17)] * 3])
    kernels: Table = {
        "ResourceApplyAdam": ("real positive real", lambda *x: _apply(tf, "Adam", *x)),
        "ResourceApplyRMSProp": ("real positive real", lambda *x: _apply(tf, "RMSProp", *x)),
        "ResourceApplyAdagradV2": ("real positive real", lambda *x: _apply(tf, "AdagradV2", *x)),
        "ResourceApplyKerasMomentum": (
            "real positive real",
            lambda *x: _apply(tf, "KerasMomentum", *x),
        ),
    }
    yield from rows("optimizers", kernels, [[(33, 17)] * 3])


_APPLY = {  # slots, and the numbers that follow them
    "Adam": (
        ("m", "v"),
        ("beta1_power", "beta2_power", "lr", "beta1", "beta2", "epsilon"),
        (0.9, 0.999, 1.0, 0.9, 0.999, 1e-7),
    ),
    "RMSProp": (("ms", "mom"), ("lr", "rho", "momentum", "epsilon"), (1.0, 0.9, 0.1, 1e-7)),
    "AdagradV2": (("accum",), ("lr", "epsilon"), (1.0, 1e-7)),
    "KerasMomentum": (("accum",), ("lr", "momentum"), (1.0, 0.9)),
}


def _apply(tf: Any, kernel: str, value: Any, slot: Any, gradient: Any) -> Any:
    """One step of an optimizer's kernel on variables of its own; what the variable then is."""
    raw, dtype, (slots, names, numbers) = tf.raw_ops, value.dtype, _APPLY[kernel]
    made, before = {}, []
    for name, initial in [("var", value), *((name, slot) for name in slots)]:
        shared = "/".join((kernel, name, dtype.name))
        made[name] = raw.VarHandleOp(dtype=dtype, shape=value.shape, shared_name=shared)
        before.append(raw.AssignVariableOp(resource=made[name], value=initial))
    made.update((name, like(tf, value, numbers[i])) for i, name in enumerate(names))
    with tf.control_dependencies(before):
        step = getattr(raw, "ResourceApply" + kernel)(grad=gradient, **made)
    with tf.control_dependencies([step]):
        return raw.ReadVariableOp(resource=made["var"], dtype=dtype)
