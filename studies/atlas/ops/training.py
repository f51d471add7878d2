"""What layers, losses and optimizers are made of: the arithmetic of more than one op.

Runs on Python 3.7 to 3.13, TensorFlow 2.8 to 2.21.
"""

from __future__ import annotations

from functools import partial
from typing import Any, Iterator

from atlas.ops import Operation, Shaped, Table, like, rows, shaped_rows


def normalizations(tf: Any) -> Iterator[Operation]:
    """As layers write them, and the fused kernels."""
    scaled, normalize = "real positive real", tf.nn.batch_normalization
    table: Table = {
        "batch_normalization": (scaled, partial(_batch_normalization, tf, [0])),
        "batch_normalization_inference": (scaled, lambda x, g, b: normalize(x, b, g, b, g, 1e-3)),
        "layer_normalization": (scaled, partial(_layer_normalization, tf)),
        "rms_normalization": (scaled, partial(_rms_normalization, tf)),
        "normalization": (scaled, lambda x, g, b: (x - b) / tf.maximum(tf.sqrt(g), 1e-7)),
    }
    yield from rows("normalizations", table, [[(33, 17), (17,), (17,)]])
    fused: Table = {
        "fused_batch_norm": (scaled, partial(_fused_batch_norm, tf, True)),
        "fused_batch_norm_inference": (scaled, partial(_fused_batch_norm, tf, False)),
    }
    yield from rows("normalizations", fused, [[(6, 9, 9, 8), (8,), (8,)]], ("float32",))


def _batch_normalization(tf: Any, over: list[int], x: Any, gamma: Any, beta: Any) -> Any:
    mean, variance = tf.nn.moments(x, over)
    return tf.nn.batch_normalization(x, mean, variance, beta, gamma, 1e-3)


def _layer_normalization(tf: Any, x: Any, gamma: Any, beta: Any) -> Any:
    mean, variance = tf.nn.moments(x, [-1], keepdims=True)
    scale = tf.math.rsqrt(variance + 1e-3) * gamma
    return x * scale + (beta - mean * scale)


def _rms_normalization(tf: Any, x: Any, gamma: Any, beta: Any) -> Any:
    return x * tf.math.rsqrt(tf.reduce_mean(x * x, -1, keepdims=True) + 1e-6) * gamma + beta


def _fused_batch_norm(tf: Any, training: bool, x: Any, gamma: Any, beta: Any) -> Any:
    mean, variance = (tf.zeros([0]), tf.zeros([0])) if training else (beta, gamma)
    fused = tf.compat.v1.nn.fused_batch_norm
    return fused(x, gamma, beta, mean=mean, variance=variance, is_training=training)[0]


def losses(tf: Any) -> Iterator[Operation]:
    """One number per sample."""
    nn, log, unit, total = tf.nn, tf.math.log, tf.math.l2_normalize, tf.reduce_sum
    labels, both = [i % 17 for i in range(33)], "probability probability"
    softmax, sigmoid = nn.softmax_cross_entropy_with_logits, nn.sigmoid_cross_entropy_with_logits
    sparse = nn.sparse_softmax_cross_entropy_with_logits
    table: Table = {
        "softmax_cross_entropy": ("real probability", lambda x, p: softmax(p, x)),
        "sparse_softmax_cross_entropy": ("real real", lambda x, y: sparse(labels, x + y)),
        "sigmoid_cross_entropy": ("real probability", lambda x, p: sigmoid(p, x)),
        "binary_cross_entropy": (both, lambda x, p: -(p * log(x) + (1 - p) * log(1 - x))),
        "mean_squared_error": ("real real", lambda x, y: tf.reduce_mean((x - y) ** 2, -1)),
        "huber": ("real real", lambda x, y: _huber(tf, x - y)),
        "log_cosh": ("real real", lambda x, y: x - y + tf.math.softplus(-2.0 * (x - y))),
        "kl_divergence": (both, lambda x, y: total(x * log(x / y), -1)),
        "cosine_similarity": ("real real", lambda x, y: total(unit(x, -1) * unit(y, -1), -1)),
        "poisson": ("positive positive", lambda x, y: tf.reduce_mean(x - y * log(x), -1)),
    }
    yield from rows("losses", table, [[(33, 17), (33, 17)]])


def _huber(tf: Any, error: Any) -> Any:
    size = tf.abs(error)
    return tf.where(size <= 1.0, 0.5 * size * size, size - 0.5)


def layers(tf: Any) -> Iterator[Operation]:
    """The arithmetic of layers that are more than one op."""
    dense, image = [(33, 130), (130, 17), (17,)], [(6, 9, 9, 4), (3, 3, 4, 8), (8,), (8,)]
    table: Shaped = {
        "lstm_cell": ("real real", lambda x, k: _lstm_cell(tf, x, k), [[(33, 16), (16, 64)]]),
        "gru_cell": ("real real", lambda x, k: _gru_cell(tf, x, k), [[(33, 16), (16, 48)]]),
        "attention": ("real real real", partial(_attention, tf), [[(4, 9, 16)] * 3]),
        "dense_relu": ("real real real", partial(_dense, tf), [dense]),
        "conv_batch_norm_relu": ("real real positive real", partial(_convolution, tf), [image]),
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


def _dense(tf: Any, x: Any, kernel: Any, bias: Any) -> Any:
    return tf.nn.relu(tf.nn.bias_add(tf.matmul(x, kernel), bias))


def _convolution(tf: Any, x: Any, kernel: Any, gamma: Any, beta: Any) -> Any:
    x = tf.nn.conv2d(x, kernel, 1, "SAME")
    return tf.nn.relu(_batch_normalization(tf, [0, 1, 2], x, gamma, beta))


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
        f"ResourceApply{name}": ("real positive real", partial(_apply, tf, name)) for name in _APPLY
    }
    yield from rows("optimizers", kernels, [[(33, 17)] * 3])


_POWERS = {"beta1_power": 0.9, "beta2_power": 0.999}  # of Adam after its first step
_APPLY = {  # slots, and the numbers that follow them
    "Adam": ("m v", {**_POWERS, "lr": 1.0, "beta1": 0.9, "beta2": 0.999, "epsilon": 1e-7}),
    "RMSProp": ("ms mom", {"lr": 1.0, "rho": 0.9, "momentum": 0.1, "epsilon": 1e-7}),
    "AdagradV2": ("accum", {"lr": 1.0, "epsilon": 1e-7}),
    "KerasMomentum": ("accum", {"lr": 1.0, "momentum": 0.9}),
}


def _apply(tf: Any, kernel: str, value: Any, slot: Any, gradient: Any) -> Any:
    """One step of an optimizer's kernel on its own variables; returns the variable's new value."""
    raw, dtype, (slots, numbers) = tf.raw_ops, value.dtype, _APPLY[kernel]
    made, before = {}, []
    for name, initial in [("var", value), *((name, slot) for name in slots.split())]:
        shared = "/".join((kernel, name, dtype.name))
        made[name] = raw.VarHandleOp(dtype=dtype, shape=value.shape, shared_name=shared)
        before.append(raw.AssignVariableOp(resource=made[name], value=initial))
    made.update((name, like(tf, value, number)) for name, number in numbers.items())
    with tf.control_dependencies(before):
        step = getattr(raw, "ResourceApply" + kernel)(grad=gradient, **made)
    with tf.control_dependencies([step]):
        return raw.ReadVariableOp(resource=made["var"], dtype=dtype)
