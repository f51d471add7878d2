"""The battery of the atlas: TensorFlow ops that Keras layers, losses and optimizers use.

One line per op: what is computed, on which inputs. Each is computed in every dtype that it has, in
float32 with several shapes; the gradient with respect to every floating-point input belongs to it. Shapes
are odd enough to leave a remainder after any vector width, and those of reductions and
contractions large enough to be split among threads. Runs on Python 3.7 to 3.13, TensorFlow 2.8 to
2.21.
"""

from dataclasses import dataclass
from typing import Any, Callable, Dict, Iterator, List, Sequence, Tuple

Shape = Tuple[int, ...]
Make = Callable[..., Any]

FLOATS = ("float32", "float64", "bfloat16")
_NO_BFLOAT16 = ("float32", "float64")


@dataclass(frozen=True)
class Input:
    """One argument: values of a range (see battery.py), and its shape."""

    values: str
    shape: Shape


@dataclass(frozen=True)
class Operation:
    """One op on one set of shapes; ``make`` gets TensorFlow and the inputs as tensors."""

    name: str
    group: str
    make: Make
    inputs: Tuple[Input, ...]
    dtypes: Tuple[str, ...]


def _operations(
    group: str,
    table: Dict[str, Tuple[str, Make]],
    shapes: Sequence[Sequence[Shape]],
    dtypes: Sequence[str] = FLOATS,
) -> Iterator[Operation]:
    """``table``: name -> ranges of the inputs, what is computed. One Operation per set of shapes.

    float32 has all of them; the others, whose kernels are made from the same source, the last one.
    """
    for name, (ranges, make) in table.items():
        for chosen in shapes:
            inputs = tuple(map(Input, ranges.split(), chosen))
            kept = [dtype for dtype in dtypes if dtype == FLOATS[0] or chosen is shapes[-1]]
            yield Operation(name, group, make, inputs, tuple(kept))


def battery(tf: Any) -> List[Operation]:
    """All operations, group by group. ``tf``: some are asked for by what this TensorFlow has."""
    found = []  # type: List[Operation]
    for part in (
        _elementwise,
        _activations,
        _pairs,
        _divisions,
        _gradient_kernels,
        _reductions,
        _contractions,
        _convolutions,
        _pooling,
        _normalizations,
        _losses,
        _images,
        _arrangements,
        _random,
        _layers,
        _optimizers,
    ):
        found += part(tf)
    return found


# --- element by element ------------------------------------------------------------------------

_ONE = [[(5,)], [(33, 17)]]
_TWO = [[(5,)] * 2, [(33, 17), (17,)], [(33, 17)] * 2]
_THREE = [[(33, 17)] * 3]


def _elementwise(tf: Any) -> Iterator[Operation]:
    m = tf.math
    table = {
        "abs": ("real", m.abs),
        "negative": ("real", m.negative),
        "sign": ("real", m.sign),
        "square": ("real", m.square),
        "sqrt": ("positive", m.sqrt),
        "rsqrt": ("positive", m.rsqrt),
        "reciprocal": ("nonzero", m.reciprocal),
        "exp": ("real", m.exp),
        "expm1": ("real", m.expm1),
        "log": ("positive", m.log),
        "log1p": ("positive", m.log1p),
        "sin": ("real", m.sin),
        "cos": ("real", m.cos),
        "tan": ("unit", m.tan),
        "sinh": ("real", m.sinh),
        "cosh": ("real", m.cosh),
        "tanh": ("real", m.tanh),
        "asinh": ("real", m.asinh),
        "atan": ("real", m.atan),
        "erf": ("real", m.erf),
        "erfc": ("real", m.erfc),
        "floor": ("real", m.floor),
        "ceil": ("real", m.ceil),
        "round": ("real", m.round),
        "rint": ("real", m.rint),
        "lgamma": ("positive", m.lgamma),
        "digamma": ("positive", m.digamma),
        "clip_by_value": ("real", lambda x: tf.clip_by_value(x, -1, 1)),
        "cast_to_float32": ("real", lambda x: tf.cast(x, tf.float32)),
        "cast_to_float16": ("real", lambda x: tf.cast(tf.cast(x, tf.float16), tf.float32)),
    }
    yield from _operations("elementwise", table, _ONE)
    rarer = {
        "asin": ("unit", m.asin),
        "acos": ("unit", m.acos),
        "atanh": ("unit", m.atanh),
        "acosh": ("above_one", m.acosh),
        "erfinv": ("unit", m.erfinv),
        "ndtri": ("probability", m.ndtri),
    }
    yield from _operations("elementwise", rarer, _ONE[1:], _NO_BFLOAT16)


def _activations(tf: Any) -> Iterator[Operation]:
    nn = tf.nn
    table = {
        "sigmoid": ("real", tf.math.sigmoid),
        "log_sigmoid": ("real", tf.math.log_sigmoid),
        "softplus": ("real", tf.math.softplus),
        "softsign": ("real", nn.softsign),
        "relu": ("real", nn.relu),
        "relu6": ("real", nn.relu6),
        "elu": ("real", nn.elu),
        "selu": ("real", nn.selu),
        "leaky_relu": ("real", nn.leaky_relu),
        "silu": ("real", nn.silu),
        "gelu": ("real", nn.gelu),
        "gelu_approximate": ("real", lambda x: nn.gelu(x, approximate=True)),
        "gelu_by_erf": ("real", lambda x: 0.5 * x * (1.0 + tf.math.erf(x / _like(tf, x, 2**0.5)))),
        "mish": ("real", lambda x: x * tf.math.tanh(tf.math.softplus(x))),
        "hard_sigmoid": ("real", lambda x: nn.relu6(x + 3.0) / 6.0),
        "softmax": ("real", nn.softmax),
        "log_softmax": ("real", nn.log_softmax),
        "exponential_decay": ("positive", lambda x: 0.1 * 0.96**x),
    }
    yield from _operations("activations", table, _ONE)


def _like(tf: Any, x: Any, value: float) -> Any:
    return tf.constant(value, x.dtype)


def _pairs(tf: Any) -> Iterator[Operation]:
    m = tf.math
    table = {
        "add": ("real real", m.add),
        "subtract": ("real real", m.subtract),
        "multiply": ("real real", m.multiply),
        "maximum": ("real real", m.maximum),
        "minimum": ("real real", m.minimum),
        "squared_difference": ("real real", m.squared_difference),
        "floordiv": ("real nonzero", m.floordiv),
        "floormod": ("real nonzero", m.floormod),
        "pow": ("positive real", m.pow),
        "atan2": ("real nonzero", m.atan2),
        "xlogy": ("positive positive", m.xlogy),
        "where": ("real real", lambda x, y: tf.where(x > y, x, y)),
    }
    yield from _operations("pairs", table, _TWO)
    three = {
        "add_n": ("real real real", lambda *x: tf.add_n(list(x))),
        "lerp": ("real real unit", lambda x, y, w: x + (y - x) * w),
    }
    yield from _operations("pairs", three, _THREE)
    bias = {"bias_add": ("real real", tf.nn.bias_add)}
    yield from _operations("pairs", bias, [[(33, 17), (17,)]])


def _divisions(tf: Any) -> Iterator[Operation]:
    """How TensorFlow rewrites a division depends on what it divides, and by what."""
    table = {
        "divide": ("real nonzero", tf.math.divide),
        "divide_no_nan": ("real nonzero", tf.math.divide_no_nan),
        "xdivy": ("real nonzero", tf.math.xdivy),
        "x_over_sqrt": ("real positive", lambda x, y: x / tf.sqrt(y)),
        "x_over_sqrt_plus": ("real positive", lambda x, y: x / (tf.sqrt(y) + 1e-3)),
        "x_times_rsqrt": ("real positive", lambda x, y: x * tf.math.rsqrt(y)),
        "x_over_norm": ("real positive", lambda x, y: x / tf.sqrt(tf.reduce_sum(y * y))),
    }
    yield from _operations("divisions", table, _TWO)
    one = {
        "one_over_x": ("nonzero", lambda x: 1.0 / x),
        "one_over_sqrt": ("positive", lambda x: 1.0 / tf.sqrt(x)),
        "x_over_constant": ("real", lambda x: x / 3.0),
    }
    yield from _operations("divisions", one, _ONE)


def _gradient_kernels(tf: Any) -> Iterator[Operation]:
    """Kernels that only gradients use, each by itself; the second input is what comes back."""
    raw = tf.raw_ops
    table = {
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
    yield from _operations("gradient kernels", table, [[(5,)] * 2, [(33, 17)] * 2])


# --- many to one, and products -----------------------------------------------------------------


def _reductions(tf: Any) -> Iterator[Operation]:
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
    yield from _operations("reductions", table, [[(33, 17)], [(64, 2053)]])


def _contractions(tf: Any) -> Iterator[Operation]:
    einsum = tf.einsum
    square = lambda x: tf.matmul(x, x, transpose_b=True) + 8.0 * tf.eye(x.shape[-1], dtype=x.dtype)  # noqa: E731 - one line of a table
    table = {
        "matmul": ("real real", tf.matmul, [[(5, 7), (7, 3)], [(67, 259), (259, 130)]]),
        "matmul_transposed": (
            "real real",
            lambda x, y: tf.matmul(x, y, transpose_a=True),
            [[(7, 5), (7, 3)], [(259, 67), (259, 130)]],
        ),
        "matvec": ("real real", tf.linalg.matvec, [[(67, 259), (259,)]]),
        "batch_matmul": ("real real", tf.matmul, [[(3, 5, 7), (3, 7, 3)], [(8, 33, 65), (8, 65, 31)]]),
        "einsum_dense": (
            "real real", lambda x, y: einsum("abc,cde->abde", x, y), [[(4, 9, 33), (33, 4, 8)]]
        ),
        "einsum_attention": (
            "real real", lambda x, y: einsum("abcd,aecd->aceb", x, y), [[(4, 9, 4, 8)] * 2]
        ),
        "tensordot": ("real real", lambda x, y: tf.tensordot(x, y, 1), [[(4, 9, 33), (33, 12)]]),
    }  # fmt: skip
    for name, (ranges, make, shapes) in table.items():
        yield from _operations("contractions", {name: (ranges, make)}, shapes)
    linalg = {
        "cholesky": ("real", lambda x: tf.linalg.cholesky(square(x))),
        "inverse": ("real", lambda x: tf.linalg.inv(square(x))),
        "solve": ("real", lambda x: tf.linalg.solve(square(x), x)),
        "norm": ("real", tf.linalg.norm),
        "rfft": ("real", lambda x: tf.math.real(tf.signal.rfft(x))),
    }
    yield from _operations("contractions", linalg, [[(17, 17)]], _NO_BFLOAT16)


def _convolutions(tf: Any) -> Iterator[Operation]:
    nn = tf.nn
    same = "SAME"
    table = {
        "conv1d": (lambda x, k: nn.conv1d(x, k, 1, same), (6, 33, 5), (3, 5, 7)),
        "conv2d": (lambda x, k: nn.conv2d(x, k, 1, "VALID"), (8, 15, 15, 16), (3, 3, 16, 32)),
        "conv2d_image": (lambda x, k: nn.conv2d(x, k, 1, "VALID"), (32, 14, 14, 1), (3, 3, 1, 8)),
        "conv2d_1x1": (lambda x, k: nn.conv2d(x, k, 1, "VALID"), (8, 9, 9, 16), (1, 1, 16, 24)),
        "conv2d_strided": (lambda x, k: nn.conv2d(x, k, 2, same), (6, 15, 15, 8), (3, 3, 8, 16)),
        "conv2d_dilated": (
            lambda x, k: nn.conv2d(x, k, 1, same, dilations=2),
            (6, 15, 15, 8),
            (3, 3, 8, 16),
        ),
        "depthwise_conv2d": (
            lambda x, k: nn.depthwise_conv2d(x, k, [1, 1, 1, 1], same),
            (6, 15, 15, 8),
            (3, 3, 8, 2),
        ),
        "conv2d_transpose": (
            lambda x, k: nn.conv2d_transpose(x, k, [4, 14, 14, 6], 2, same),
            (4, 7, 7, 8),
            (3, 3, 6, 8),
        ),
        "conv3d": (lambda x, k: nn.conv3d(x, k, [1] * 5, same), (2, 7, 7, 7, 4), (3, 3, 3, 4, 6)),
        "conv3d_transpose": (
            lambda x, k: nn.conv3d_transpose(x, k, [2, 8, 8, 8, 4], 2, same),
            (2, 4, 4, 4, 6),
            (3, 3, 3, 4, 6),
        ),
    }
    for name, (make, *shapes) in table.items():
        yield from _operations("convolutions", {name: ("real real", make)}, [shapes])
    separable = {
        "separable_conv2d": (
            "real real real",
            lambda x, d, p: nn.separable_conv2d(x, d, p, [1, 1, 1, 1], same),
        ),
    }
    shapes = [[(6, 15, 15, 8), (3, 3, 8, 2), (1, 1, 16, 12)]]
    yield from _operations("convolutions", separable, shapes)


def _pooling(tf: Any) -> Iterator[Operation]:
    nn = tf.nn
    table = {
        "max_pool2d": ("real", lambda x: nn.max_pool2d(x, 2, 2, "VALID")),
        "max_pool2d_overlapping": ("real", lambda x: nn.max_pool2d(x, 3, 2, "SAME")),
        "avg_pool2d": ("real", lambda x: nn.avg_pool2d(x, 2, 2, "VALID")),
        "avg_pool2d_same": ("real", lambda x: nn.avg_pool2d(x, 3, 2, "SAME")),
        "global_average_pooling": ("real", lambda x: tf.reduce_mean(x, [1, 2])),
        "local_response_normalization": ("real", lambda x: nn.local_response_normalization(x)),
    }
    yield from _operations("pooling", table, [[(6, 15, 15, 8)]])
    three = {
        "max_pool3d": ("real", lambda x: nn.max_pool3d(x, 2, 2, "VALID")),
        "avg_pool3d": ("real", lambda x: nn.avg_pool3d(x, 2, 2, "VALID")),
    }
    yield from _operations("pooling", three, [[(2, 7, 7, 7, 4)]])


# --- what layers, losses and optimizers are made of ------------------------------------------


def _normalizations(tf: Any) -> Iterator[Operation]:
    table = {
        "batch_normalization": ("real positive real", lambda *x: _batch_normalization(tf, *x)),
        "batch_normalization_inference": (
            "real positive real",
            lambda x, g, b: tf.nn.batch_normalization(x, b, g, b, g, 1e-3),
        ),
        "layer_normalization": ("real positive real", lambda *x: _layer_normalization(tf, *x)),
        "rms_normalization": ("real positive real", lambda *x: _rms_normalization(tf, *x)),
        "normalization": ("real positive real", lambda x, g, b: (x - b) / tf.maximum(tf.sqrt(g), 1e-7)),
    }  # fmt: skip
    yield from _operations("normalizations", table, [[(33, 17), (17,), (17,)]])
    fused = {
        "fused_batch_norm": ("real positive real", lambda *x: _fused_batch_norm(tf, *x, True)),
        "fused_batch_norm_inference": (
            "real positive real",
            lambda *x: _fused_batch_norm(tf, *x, False),
        ),
    }
    yield from _operations("normalizations", fused, [[(6, 9, 9, 8), (8,), (8,)]], ("float32",))


def _batch_normalization(tf: Any, x: Any, gamma: Any, beta: Any) -> Any:
    mean, variance = tf.nn.moments(x, [0])
    return tf.nn.batch_normalization(x, mean, variance, beta, gamma, 1e-3)


def _layer_normalization(tf: Any, x: Any, gamma: Any, beta: Any) -> Any:
    mean, variance = tf.nn.moments(x, [-1], keepdims=True)
    scale = tf.math.rsqrt(variance + 1e-3) * gamma
    return x * scale + (beta - mean * scale)


def _rms_normalization(tf: Any, x: Any, gamma: Any, beta: Any) -> Any:
    return x * tf.math.rsqrt(tf.reduce_mean(x * x, -1, keepdims=True) + 1e-6) * gamma + beta


def _fused_batch_norm(tf: Any, x: Any, gamma: Any, beta: Any, training: bool) -> Any:
    mean, variance = (tf.zeros([0]), tf.zeros([0])) if training else (beta, gamma)
    return tf.compat.v1.nn.fused_batch_norm(
        x, gamma, beta, mean=mean, variance=variance, is_training=training
    )[0]


def _losses(tf: Any) -> Iterator[Operation]:
    nn = tf.nn
    labels = [i % 17 for i in range(33)]
    table = {
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
            lambda x, y: tf.reduce_sum(tf.math.l2_normalize(x, -1) * tf.math.l2_normalize(y, -1), -1),
        ),
        "poisson": ("positive positive", lambda x, y: tf.reduce_mean(x - y * tf.math.log(x), -1)),
    }  # fmt: skip
    yield from _operations("losses", table, [[(33, 17), (33, 17)]])


def _huber(tf: Any, error: Any) -> Any:
    size = tf.abs(error)
    return tf.where(size <= 1.0, 0.5 * size * size, size - 0.5)


def _images(tf: Any) -> Iterator[Operation]:
    image, v1 = tf.image, tf.compat.v1.image
    turned = [0.9, -0.1, 1.0, 0.1, 0.9, -1.0, 0.0, 0.0]
    boxes = [[0.1, 0.1, 0.8, 0.9], [0.0, 0.2, 0.7, 1.0]]
    table = {
        "resize_bilinear": lambda x: image.resize(x, [13, 11]),
        "resize_nearest": lambda x: image.resize(x, [13, 11], method="nearest"),
        "resize_bicubic": lambda x: v1.resize_bicubic(x, [13, 11]),
        "resize_area": lambda x: v1.resize_area(x, [5, 3]),
        "crop_and_resize": lambda x: image.crop_and_resize(x, boxes, [0, 1], [7, 7]),
        "projective_transform": lambda x: tf.raw_ops.ImageProjectiveTransformV3(
            images=x, transforms=[turned], output_shape=[9, 9], fill_value=0.0,
            interpolation="BILINEAR", fill_mode="REFLECT",
        ),
        "rgb_to_hsv": lambda x: image.rgb_to_hsv(x),
        "rgb_to_grayscale": lambda x: image.rgb_to_grayscale(x),
        "adjust_contrast": lambda x: image.adjust_contrast(x, 1.3),
        "adjust_saturation": lambda x: image.adjust_saturation(x, 1.3),
        "adjust_hue": lambda x: image.adjust_hue(x, 0.1),
        "per_image_standardization": lambda x: image.per_image_standardization(x),
        "flip_left_right": lambda x: image.flip_left_right(x),
        "extract_patches": lambda x: image.extract_patches(
            x, [1, 3, 3, 1], [1, 2, 2, 1], [1, 1, 1, 1], "SAME"
        ),
    }  # fmt: skip
    rows = {name: ("probability", make) for name, make in table.items()}
    yield from _operations("images", rows, [[(2, 9, 9, 3)]], ("float32",))


def _arrangements(tf: Any) -> Iterator[Operation]:
    """Nothing is computed, but gradients are added up."""
    indices = [0, 7, 3, 3, 2, 7, 1]
    table = {
        "gather": lambda x: tf.gather(x, indices),
        "gather_nd": lambda x: tf.gather_nd(x, [[i, 2 * i] for i in indices]),
        "scatter_nd": lambda x: tf.scatter_nd([[i] for i in indices], x[:7], [9, x.shape[1]]),
        "tensor_scatter_add": lambda x: tf.tensor_scatter_nd_add(
            x, [[i] for i in indices], x[8:15]
        ),
        "concat": lambda x: tf.concat([x, x], 1),
        "stack": lambda x: tf.stack([x, x], 1),
        "split": lambda x: tf.split(x, [5, x.shape[0] - 5])[1],
        "pad": lambda x: tf.pad(x, [[1, 2], [0, 3]]),
        "mirror_pad": lambda x: tf.pad(x, [[1, 2], [0, 3]], "REFLECT"),
        "transpose": tf.transpose,
        "reverse": lambda x: tf.reverse(x, [1]),
        "roll": lambda x: tf.roll(x, 3, 0),
        "tile": lambda x: tf.tile(x, [2, 3]),
        "repeat": lambda x: tf.repeat(x, 2, axis=0),
        "strided_slice": lambda x: x[1:-1:2, ::3],
        "top_k": lambda x: tf.math.top_k(x, 5)[0],
        "sort": lambda x: tf.sort(x, -1),
        "broadcast_to": lambda x: tf.broadcast_to(x, [3, *x.shape]),
        "space_to_depth": lambda x: tf.nn.space_to_depth(x[None, :16, :16, None], 2),
        "depth_to_space": lambda x: tf.nn.depth_to_space(x[None, None, :, :16], 2),
        "embedding_lookup": lambda x: tf.nn.embedding_lookup(x, indices),
    }
    rows = {name: ("real", make) for name, make in table.items()}
    yield from _operations("arrangements", rows, [[(33, 17)]])


def _random(tf: Any) -> Iterator[Operation]:
    """Random numbers follow from seed and counter; the bits of normal ones go through log, cos."""
    random, seed = tf.random, [1, 2]
    table = {
        "stateless_uniform": lambda x: x + random.stateless_uniform([33, 17], seed, dtype=x.dtype),
        "stateless_normal": lambda x: x + random.stateless_normal([33, 17], seed, dtype=x.dtype),
        "stateless_truncated_normal": lambda x: x
        + random.stateless_truncated_normal([33, 17], seed, dtype=x.dtype),
        "dropout": lambda x: tf.nn.experimental.stateless_dropout(x, 0.3, seed)
        if hasattr(tf.nn.experimental, "stateless_dropout")
        else tf.where(random.stateless_uniform([33, 17], seed) < 0.7, x / 0.7, tf.zeros_like(x)),
    }
    rows = {name: ("real", make) for name, make in table.items()}
    yield from _operations("random", rows, [[(33, 17)]])
    gamma = {"stateless_gamma": ("above_one", lambda a: random.stateless_gamma([33, 17], seed, a))}
    yield from _operations("random", gamma, [[(17,)]], ("float32",))


def _layers(tf: Any) -> Iterator[Operation]:
    """The arithmetic of layers that are more than one op."""
    table = {
        "lstm_cell": ("real real", lambda x, k: _lstm_cell(tf, x, k), [(33, 16), (16, 64)]),
        "gru_cell": ("real real", lambda x, k: _gru_cell(tf, x, k), [(33, 16), (16, 48)]),
        "attention": ("real real real", lambda *x: _attention(tf, *x), [(4, 9, 16)] * 3),
        "dense_relu": (
            "real real real",
            lambda x, k, b: tf.nn.relu(tf.nn.bias_add(tf.matmul(x, k), b)),
            [(33, 130), (130, 17), (17,)],
        ),
        "conv_batch_norm_relu": (
            "real real positive real",
            lambda x, k, g, b: tf.nn.relu(_batch_normalization_2d(tf, x, k, g, b)),
            [(6, 9, 9, 4), (3, 3, 4, 8), (8,), (8,)],
        ),
        "unit_normalization": ("real", lambda x: tf.math.l2_normalize(x, [1]), [(33, 17)]),
    }
    for name, (ranges, make, shapes) in table.items():
        yield from _operations("layers", {name: (ranges, make)}, [shapes])


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


def _optimizers(tf: Any) -> Iterator[Operation]:
    """Updates as Keras 3 writes them, and the kernels that Keras 2 calls.

    v, m, g: variable, slot, gradient. The step is large, so that its low bits are seen in v.
    """
    sqrt = tf.sqrt
    table = {
        "sgd_momentum": ("real real real", lambda v, m, g: v + (0.9 * m - 0.01 * g)),
        "adam": ("positive real", lambda m, g: g * 0.001 / (sqrt(m + g * g) + 1e-7)),
        "rmsprop": ("positive real", lambda m, g: g * 0.001 / sqrt(m + g * g + 1e-7)),
        "adagrad": ("positive real", lambda m, g: g * 0.001 / sqrt(m + 1e-7)),
        "adadelta": ("positive real", lambda m, g: sqrt(m + 1e-7) * g / sqrt(m + g * g + 1e-7)),
        "adamax": ("positive real", lambda m, g: g * 0.001 / (tf.maximum(m, abs(g)) + 1e-7)),
        "lion": ("real real", lambda m, g: 0.001 * tf.sign(0.9 * m + 0.1 * g)),
    }
    yield from _operations("optimizers", table, [[(33, 17)] * 3])
    kernels = {
        "ResourceApplyAdam": ("real positive real", lambda *x: _apply(tf, "Adam", *x)),
        "ResourceApplyRMSProp": ("real positive real", lambda *x: _apply(tf, "RMSProp", *x)),
        "ResourceApplyAdagradV2": ("real positive real", lambda *x: _apply(tf, "AdagradV2", *x)),
        "ResourceApplyKerasMomentum": (
            "real positive real",
            lambda *x: _apply(tf, "KerasMomentum", *x),
        ),
    }
    yield from _operations("optimizers", kernels, [[(33, 17)] * 3])


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
    made.update((name, _like(tf, value, number)) for name, number in zip(names, numbers))
    with tf.control_dependencies(before):
        step = getattr(raw, "ResourceApply" + kernel)(grad=gradient, **made)
    with tf.control_dependencies([step]):
        return raw.ReadVariableOp(resource=made["var"], dtype=dtype)
