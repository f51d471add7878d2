"""The ops that compute every element by itself: functions, activations, arithmetic, gradients.

Runs on Python 3.7 to 3.13, TensorFlow 2.8 to 2.21.
"""

from __future__ import annotations

from typing import Any, Iterator

from atlas.ops import NO_BFLOAT16, Operation, Shapes, Table, like, named, rows

_ONE: Shapes = [[(5,)], [(33, 17)]]
_TWO: Shapes = [[(5,)] * 2, [(33, 17), (17,)], [(33, 17)] * 2]
_THREE: Shapes = [[(33, 17)] * 3]


def elementwise(tf: Any) -> Iterator[Operation]:
    """One number in, one out."""
    m = tf.math
    table: Table = {
        **named(m, "real", "abs negative sign square"),
        **named(m, "positive", "sqrt rsqrt"),
        **named(m, "nonzero", "reciprocal"),
        **named(m, "real", "exp expm1"),
        **named(m, "positive", "log log1p"),
        **named(m, "real", "sin cos"),
        **named(m, "unit", "tan"),
        **named(m, "real", "sinh cosh tanh asinh atan erf erfc floor ceil round rint"),
        **named(m, "positive", "lgamma digamma"),
        "clip_by_value": ("real", lambda x: tf.clip_by_value(x, -1, 1)),
        "cast_to_float32": ("real", lambda x: tf.cast(x, tf.float32)),
        "cast_to_float16": ("real", lambda x: tf.cast(tf.cast(x, tf.float16), tf.float32)),
    }
    yield from rows("elementwise", table, _ONE)
    rarer: Table = {
        **named(m, "unit", "asin acos atanh"),
        **named(m, "above_one", "acosh"),
        **named(m, "unit", "erfinv"),
        **named(m, "probability", "ndtri"),
    }
    yield from rows("elementwise", rarer, _ONE[1:], NO_BFLOAT16)


def activations(tf: Any) -> Iterator[Operation]:
    """As Keras has them, and as it spells them out."""
    nn = tf.nn
    table: Table = {
        **named(tf.math, "real", "sigmoid log_sigmoid softplus"),
        **named(nn, "real", "softsign relu relu6 elu selu leaky_relu silu gelu"),
        "gelu_approximate": ("real", lambda x: nn.gelu(x, approximate=True)),
        "gelu_by_erf": ("real", lambda x: 0.5 * x * (1.0 + tf.math.erf(x / like(tf, x, 2**0.5)))),
        "mish": ("real", lambda x: x * tf.math.tanh(tf.math.softplus(x))),
        "hard_sigmoid": ("real", lambda x: nn.relu6(x + 3.0) / 6.0),
        **named(nn, "real", "softmax log_softmax"),
        "exponential_decay": ("positive", lambda x: 0.1 * 0.96**x),
    }
    yield from rows("activations", table, _ONE)


def pairs(tf: Any) -> Iterator[Operation]:
    """Two or three numbers in, one out."""
    m = tf.math
    table: Table = {
        **named(m, "real real", "add subtract multiply maximum minimum squared_difference"),
        **named(m, "real nonzero", "floordiv floormod"),
        **named(m, "positive real", "pow"),
        **named(m, "real nonzero", "atan2"),
        **named(m, "positive positive", "xlogy"),
        "where": ("real real", lambda x, y: tf.where(x > y, x, y)),
    }
    yield from rows("pairs", table, _TWO)
    three: Table = {
        "add_n": ("real real real", lambda *x: tf.add_n(list(x))),
        "lerp": ("real real unit", lambda x, y, w: x + (y - x) * w),
    }
    yield from rows("pairs", three, _THREE)
    bias = {"bias_add": ("real real", tf.nn.bias_add)}
    yield from rows("pairs", bias, [[(33, 17), (17,)]])


def divisions(tf: Any) -> Iterator[Operation]:
    """TensorFlow rewrites divisions depending on dividend and divisor."""
    table: Table = {
        **named(tf.math, "real nonzero", "divide divide_no_nan xdivy"),
        "x_over_sqrt": ("real positive", lambda x, y: x / tf.sqrt(y)),
        "x_over_sqrt_plus": ("real positive", lambda x, y: x / (tf.sqrt(y) + 1e-3)),
        "x_times_rsqrt": ("real positive", lambda x, y: x * tf.math.rsqrt(y)),
        "x_over_norm": ("real positive", lambda x, y: x / tf.sqrt(tf.reduce_sum(y * y))),
    }
    yield from rows("divisions", table, _TWO)
    one: Table = {
        "one_over_x": ("nonzero", lambda x: 1.0 / x),
        "one_over_sqrt": ("positive", lambda x: 1.0 / tf.sqrt(x)),
        "x_over_constant": ("real", lambda x: x / 3.0),
    }
    yield from rows("divisions", one, _ONE)


def gradient_kernels(tf: Any) -> Iterator[Operation]:
    """Kernels that only gradients use, each by itself; the second input is what comes back."""
    raw = tf.raw_ops
    table: Table = {
        "RsqrtGrad": ("positive real", lambda y, dy: raw.RsqrtGrad(y=y, dy=dy)),
        "SqrtGrad": ("positive real", lambda y, dy: raw.SqrtGrad(y=y, dy=dy)),
        "ReciprocalGrad": ("nonzero real", lambda y, dy: raw.ReciprocalGrad(y=y, dy=dy)),
        "TanhGrad": ("unit real", lambda y, dy: raw.TanhGrad(y=y, dy=dy)),
        "SigmoidGrad": ("probability real", lambda y, dy: raw.SigmoidGrad(y=y, dy=dy)),
        "SoftplusGrad": ("real real", lambda x, dy: raw.SoftplusGrad(gradients=dy, features=x)),
        "SoftsignGrad": ("real real", lambda x, dy: raw.SoftsignGrad(gradients=dy, features=x)),
        "EluGrad": ("real real", lambda x, dy: raw.EluGrad(gradients=dy, outputs=x)),
        "SeluGrad": ("real real", lambda x, dy: raw.SeluGrad(gradients=dy, outputs=x)),
        "ReluGrad": ("real real", lambda x, dy: raw.ReluGrad(gradients=dy, features=x)),
        "LeakyReluGrad": ("real real", lambda x, dy: raw.LeakyReluGrad(gradients=dy, features=x)),
    }
    yield from rows("gradient kernels", table, [[(5,)] * 2, [(33, 17)] * 2])
