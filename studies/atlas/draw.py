"""Computations whose shapes are drawn: which kernel runs is chosen by shape.

A seed and a number give one case, always the same one: what is computed, in which sizes, from which
values. Sizes are drawn evenly by their logarithm, every second one out of those that people like.
What would take long is drawn again.
"""

import itertools
import math
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

Shape = tuple[int, ...]
_Compute = Callable[..., Any]  # of TensorFlow and the inputs, all in one dtype
_Drawn = tuple[dict[str, Any], Sequence[Shape], float, _Compute]

_MOST_PRODUCTS = 2.5e7  # multiplications of the value; milliseconds, and seconds where emulated
_MANY_PRODUCTS = 1e6
_MOST_NUMBERS = 1.5e6  # of one input
_LIKED = (1, 2, 3, 4, 8, 10, 16, 28, 32, 64, 100, 128, 256, 300, 512, 784, 1024, 2048, 4096)
_CONVOLUTIONS = ("conv", "transposed", "depthwise")
PRODUCTS = ("dense", "matmul", "batch_matmul", "einsum", "tensordot", "recurrent")
_LAYOUTS = {1: "NWC", 2: "NHWC", 3: "NDHWC"}


@dataclass(frozen=True)
class Case:
    """One computation. ``compute`` gets TensorFlow and the inputs as tensors of one dtype."""

    seed: int
    index: int
    kind: str
    drawn: dict[str, Any]  # sizes and settings, by name
    inputs: tuple[Shape, ...]
    relu: bool  # of the result, which TensorFlow may fuse
    graph: bool  # computed in one with its gradients, or op by op
    compute: _Compute

    def values(self, number: int, shape: Sequence[int]) -> np.ndarray:
        """Of the input of this number: float32 in [-1, 1), whose bits no mathematical function
        decides. No two are equal where the largest of them is taken."""
        generator = np.random.default_rng([self.seed, self.index, number])
        if self.kind == "pool":
            size = math.prod(shape)
            return (generator.permutation(size) * 2 / size - 1).reshape(shape).astype(np.float32)
        return generator.random(tuple(shape), np.float32) * np.float32(2) - np.float32(1)


class _Dice(random.Random):
    """A source of sizes."""

    def size(self, most: int, least: int = 1) -> int:
        """Of a dimension, ``least`` to ``most``."""
        if self.random() < 0.5:
            return self.choice([size for size in _LIKED if least <= size <= most])
        return round(math.exp(self.uniform(math.log(least), math.log(most))))


def cases(seed: int, first: int, count: int, kinds: Sequence[str] = ()) -> Iterator[Case]:
    """So many cases from this number on; where kinds are given, those of other kinds left out."""
    drawn = (draw(seed, index) for index in itertools.count(first))
    return itertools.islice((case for case in drawn if not kinds or case.kind in kinds), count)


def draw(seed: int, index: int) -> Case:
    """One case."""
    dice = _Dice(f"{seed}/{index}")
    kind = dice.choices([*_KINDS], [weight for _, weight in _KINDS.values()])[0]
    # A large convolution takes long; what a large product is cut into depends on caches.
    most = _MOST_PRODUCTS * 0.1 ** (dice.uniform(0, 2) if kind in _CONVOLUTIONS else 0)
    least = _MANY_PRODUCTS if kind in PRODUCTS and dice.random() < 0.5 else 0
    while True:
        drawn, inputs, products, compute = _KINDS[kind][0](dice)
        if least <= products <= most and max(map(math.prod, inputs)) <= _MOST_NUMBERS:
            break
    relu = bool(drawn.get("bias")) and dice.random() < 0.5
    return Case(seed, index, kind, drawn, tuple(inputs), relu, dice.random() < 0.75, compute)


# --- convolutions --------------------------------------------------------------------------------


def _convolution(dice: _Dice) -> _Drawn:
    image = _image(dice)
    rank, sizes, padding = image["rank"], image["sizes"], image["padding"]
    groups = dice.choice([1, 1, 1, 1, 2, 4]) if rank == 2 else 1
    channels, filters = dice.size(512 // groups), dice.size(512 // groups)
    strides, dilations = [dice.choice([1, 1, 2, 3])] * rank, [1] * rank
    kernel = _kernel(dice, sizes)
    if strides[0] == 1 and dice.random() < 0.15:
        dilations = [dice.choice([2, 3])] * rank
        kernel = [
            k if (k - 1) * d < n else 1 for k, d, n in zip(kernel, dilations, sizes, strict=True)
        ]
    bias = dice.random() < 0.5
    inputs = [(image["batch"], *sizes, channels * groups), (*kernel, channels, filters * groups)]

    def compute(tf: Any, x: Any, f: Any, *b: Any) -> Any:
        layout = _LAYOUTS[rank]  # said, because gradients of Conv3D ask for it

        def convolved(x: Any, f: Any) -> Any:
            if tf.float64 != x.dtype:
                return tf.nn.convolution(x, f, strides, padding, layout, dilations)
            spread = _spread(tf, f, dilations)
            padded = _padded(tf, x, spread.shape, strides) if padding == "SAME" else x
            return tf.nn.convolution(padded, spread, strides, "VALID", layout)

        if x.dtype != tf.float64 or groups == 1:
            return _biased(tf, convolved(x, f), *b)
        parts = zip(tf.split(x, groups, -1), tf.split(f, groups, -1), strict=True)
        return _biased(tf, tf.concat([convolved(*part) for part in parts], -1), *b)

    drawn = dict(image, kernel=kernel, channels=channels * groups, filters=filters * groups)
    drawn.update(strides=strides, dilations=dilations, groups=groups, bias=bias)
    places = math.prod(-(-n // s) for n, s in zip(sizes, strides, strict=True))
    products = image["batch"] * places * math.prod(kernel) * channels * filters * groups
    return drawn, [*inputs, *[(filters * groups,)] * bias], products, compute


def _transposed(dice: _Dice) -> _Drawn:
    image = _image(dice)
    rank, sizes, padding = image["rank"], image["sizes"], image["padding"]
    channels, filters, bias = dice.size(256), dice.size(256), dice.random() < 0.5
    strides, kernel = [dice.choice([1, 2, 2, 3])] * rank, _kernel(dice, sizes)
    kernel = [max(k, s) if padding == "VALID" else k for k, s in zip(kernel, strides, strict=True)]
    made = [
        n * s if padding == "SAME" else (n - 1) * s + k
        for n, s, k in zip(sizes, strides, kernel, strict=True)
    ]
    output = [image["batch"], *made, filters]

    def compute(tf: Any, x: Any, f: Any, *b: Any) -> Any:
        layout = _LAYOUTS[rank]
        if x.dtype != tf.float64:
            return _biased(tf, tf.nn.conv_transpose(x, f, output, strides, padding, layout), *b)
        sides = zip(made, sizes, strides, kernel, strict=True)
        full = [max(n, (m - 1) * s + k) for n, m, s, k in sides]
        whole = [image["batch"], *full, filters]
        found = tf.nn.conv_transpose(x, f, whole, strides, "VALID", layout)
        begin = [0, *((a - n) // 2 for a, n in zip(full, made, strict=True)), 0]
        return _biased(tf, tf.slice(found, begin, output), *b)

    inputs = [(image["batch"], *sizes, channels), (*kernel, filters, channels)]
    drawn = dict(image, kernel=kernel, channels=channels, filters=filters, strides=strides)
    products = math.prod(inputs[0]) * math.prod(kernel) * filters
    return dict(drawn, bias=bias), [*inputs, *[(filters,)] * bias], products, compute


def _depthwise(dice: _Dice) -> _Drawn:
    batch, size, channels = dice.size(32), dice.size(64, 3), dice.size(512)
    times, stride, padding = dice.choice([1, 1, 2, 4]), dice.choice([1, 1, 2]), _padding(dice)
    kernel, bias = _kernel(dice, [size] * 2), dice.random() < 0.5
    inputs = [(batch, size, size, channels), (*kernel, channels, times)]

    def compute(tf: Any, x: Any, f: Any, *b: Any) -> Any:
        made = tf.nn.depthwise_conv2d(x, f, [1, stride, stride, 1], padding)
        return _biased(tf, made, *b)

    drawn = {"batch": batch, "sizes": [size] * 2, "channels": channels, "kernel": kernel}
    drawn.update(times=times, strides=[stride] * 2, padding=padding, bias=bias)
    products = math.prod(inputs[0]) * math.prod(inputs[1][:2]) * times
    return drawn, [*inputs, *[(channels * times,)] * bias], products * 8, compute  # they are slow


def _image(dice: _Dice) -> dict[str, Any]:
    """What a convolution reads, but for its channels."""
    rank, batch = dice.choice([1, 2, 2, 2, 2, 3]), dice.choice([1, 1, 2, 3, dice.size(64)])
    sizes = [dice.size({1: 1024, 2: 224, 3: 16}[rank], 3)] * rank
    if dice.random() < 0.1:
        sizes = [dice.size(64, 3) for _ in sizes]
    return {"rank": rank, "batch": batch, "sizes": sizes, "padding": _padding(dice)}


def _kernel(dice: _Dice, sizes: Sequence[int]) -> list[int]:
    """No larger than the image."""
    kernel = [dice.choice([1, 1, 2, 3, 3, 3, 4, 5, 7])] * len(sizes)
    if dice.random() < 0.1:
        kernel = [dice.choice([1, 3, 5]) for _ in sizes]
    return [min(*pair) for pair in zip(kernel, sizes, strict=True)]


def _padding(dice: _Dice) -> str:
    return dice.choice(["SAME", "VALID"])


def _biased(tf: Any, made: Any, *bias: Any) -> Any:
    return tf.nn.bias_add(made, *bias) if bias else made


def _padded(tf: Any, x: Any, kernel: Sequence[int], strides: Sequence[int]) -> Any:
    """An image with the zeros of SAME: TensorFlow's own, in three dimensions and without oneDNN,
    are wrong where strides are larger than the kernel."""
    pairs = []
    for n, k, s in zip(x.shape[1:-1], kernel, strides, strict=False):
        total = max((-(-n // s) - 1) * s + k - n, 0)
        pairs.append((total // 2, total - total // 2))
    return tf.pad(x, [(0, 0), *pairs, (0, 0)])


def _spread(tf: Any, f: Any, dilations: Sequence[int]) -> Any:
    """A filter with zeros in its gaps: in float64, TensorFlow has none with gaps on a CPU."""
    for axis, gap in enumerate(dilations):
        shape = f.shape.as_list()
        padded = tf.pad(tf.expand_dims(f, axis + 1), _only(len(shape) + 1, axis + 1, (0, gap - 1)))
        widened = [*shape[:axis], shape[axis] * gap, *shape[axis + 1 :]]
        used = [*shape[:axis], (shape[axis] - 1) * gap + 1, *shape[axis + 1 :]]
        f = tf.slice(tf.reshape(padded, widened), [0] * len(shape), used)
    return f


def _only(rank: int, axis: int, pair: tuple[int, int]) -> list[tuple[int, int]]:
    return [pair if at == axis else (0, 0) for at in range(rank)]


# --- products of matrices ------------------------------------------------------------------------


def _dense(dice: _Dice) -> _Drawn:
    m, k, n = dice.size(4096), dice.size(4096), dice.size(4096)

    def compute(tf: Any, x: Any, w: Any, b: Any) -> Any:
        return tf.nn.bias_add(tf.matmul(x, w), b)

    drawn = {"m": m, "k": k, "n": n, "bias": True}
    return drawn, [(m, k), (k, n), (n,)], m * k * n, compute


def _matmul(dice: _Dice) -> _Drawn:
    m, k, n, turned = dice.size(4096), dice.size(4096), dice.size(4096), dice.choices([0, 1], k=2)
    flags = {"transpose_a": bool(turned[0]), "transpose_b": bool(turned[1])}
    inputs = [(m, k)[:: -1 if turned[0] else 1], (k, n)[:: -1 if turned[1] else 1]]

    def compute(tf: Any, a: Any, b: Any) -> Any:
        return tf.matmul(a, b, **flags)

    return {"m": m, "k": k, "n": n, **flags}, inputs, m * k * n, compute


def _batch_matmul(dice: _Dice) -> _Drawn:
    m, k, n, turned = dice.size(2048), dice.size(2048), dice.size(2048), dice.choices([0, 1], k=2)
    batch = [dice.choice([1, dice.size(64)]) for _ in range(dice.choice([1, 1, 2]))]
    shared = dice.choice(["", "", "", "left", "right"])  # by all of the batch
    flags = {"transpose_a": bool(turned[0]), "transpose_b": bool(turned[1])}
    left, right = (m, k)[:: -1 if turned[0] else 1], (k, n)[:: -1 if turned[1] else 1]
    inputs = [left if shared == "left" else (*batch, *left)]
    inputs += [right if shared == "right" else (*batch, *right)]

    def compute(tf: Any, a: Any, b: Any) -> Any:
        return tf.matmul(a, b, **flags)

    drawn = {"batch": batch, "m": m, "k": k, "n": n, "shared": shared, **flags}
    return drawn, inputs, math.prod(batch) * m * k * n, compute


_EQUATIONS = [
    "ab,bc->ac",
    "ab,cb->ac",
    "ba,bc->ac",
    "abc,cd->abd",
    "abc,dc->abd",
    "abc,abd->cd",
    "abc,cde->abde",
    "abde,cde->abc",
    "abcd,cde->abe",
    "aecd,abcd->acbe",
    "acbe,aecd->abcd",
    "abc,acd->abd",
    "abc,adc->abd",
    "ab,b->a",
    "ab,ab->a",
    "abc,bcd->abd",
]


def _einsum(dice: _Dice) -> _Drawn:
    equation = dice.choice(_EQUATIONS)
    letters = sorted(set(equation) - set(",->"))
    sizes = {letter: dice.size(2048 if len(letters) < 4 else 512) for letter in letters}
    left, right = equation.partition("->")[0].split(",")
    inputs = [tuple(sizes[letter] for letter in part) for part in (left, right)]

    def compute(tf: Any, a: Any, b: Any) -> Any:
        return tf.einsum(equation, a, b)

    return {"equation": equation, **sizes}, inputs, math.prod(sizes.values()), compute


def _tensordot(dice: _Dice) -> _Drawn:
    axes = dice.choice([1, 1, 1, 2])
    outer = [dice.size(512) for _ in range(dice.choice([1, 2, 2]))]
    inner, last = [dice.size(2048) for _ in range(axes)], dice.size(2048)

    def compute(tf: Any, a: Any, b: Any) -> Any:
        return tf.tensordot(a, b, axes)

    products = math.prod(outer) * math.prod(inner) * last
    return (
        {"outer": outer, "inner": inner, "last": last},
        [(*outer, *inner), (*inner, last)],
        (products),
        compute,
    )


# --- layers --------------------------------------------------------------------------------------


def _recurrent(dice: _Dice) -> _Drawn:
    cell, steps, batch = dice.choice(["LSTM", "GRU"]), dice.choice([1, 2, 3]), dice.size(256)
    features, units = dice.size(1024), dice.size(512)
    gates = {"LSTM": 4, "GRU": 3}[cell] * units
    inputs = [(batch, steps, features), (features, gates), (units, gates), (gates,)]

    def compute(tf: Any, x: Any, kernel: Any, inner: Any, bias: Any) -> Any:
        step = _lstm if cell == "LSTM" else _gru
        state = (tf.zeros((batch, units), x.dtype),) * 2
        for at in range(steps):
            mine = tf.nn.bias_add(tf.matmul(x[:, at] * 0.1, kernel), bias)
            state = step(tf, mine, inner, *state)
        return state[0]

    drawn = {"cell": cell, "steps": steps, "batch": batch, "features": features, "units": units}
    return drawn, inputs, steps * batch * gates * (features + units), compute


def _lstm(tf: Any, mine: Any, inner: Any, hidden: Any, carry: Any) -> tuple[Any, Any]:
    i, f, g, o = tf.split(mine + tf.matmul(hidden, inner), 4, 1)
    carry = tf.sigmoid(f) * carry + tf.sigmoid(i) * tf.tanh(g)
    return tf.sigmoid(o) * tf.tanh(carry), carry


def _gru(tf: Any, mine: Any, inner: Any, hidden: Any, _: Any) -> tuple[Any, Any]:
    (z, r, h), (z_, r_, h_) = tf.split(mine, 3, 1), tf.split(tf.matmul(hidden, inner), 3, 1)
    update = tf.sigmoid(z + z_)
    hidden = update * hidden + (1 - update) * tf.tanh(h + tf.sigmoid(r + r_) * h_)
    return hidden, hidden


def _pool(dice: _Dice) -> _Drawn:
    image, channels, kind = _image(dice), dice.size(256), dice.choice(["MAX", "AVG"])
    rank = max(image["rank"], 2)
    sizes = (image["sizes"] * 2)[:rank]
    window = [min(dice.choice([2, 2, 3, 5]), min(sizes))] * rank
    stride, padding = [dice.randint(1, window[0])] * rank, image["padding"]

    def compute(tf: Any, x: Any) -> Any:
        if x.dtype != tf.float64 or rank == 2:
            return tf.nn.pool(x, window, kind, stride, padding)
        # One axis after the other: in float64 TensorFlow pools no more than two at once.
        batch, u, v, w, c = x.shape
        flat = tf.nn.pool(tf.reshape(x, (-1, v, w, c)), window[1:], kind, stride[1:], padding)
        long = tf.reshape(flat, (batch, u, -1, c))
        made = tf.nn.pool(long, [window[0], 1], kind, [stride[0], 1], padding)
        return tf.reshape(made, (batch, -1, *flat.shape[1:]))

    inputs = [(image["batch"], *sizes, channels)]
    drawn = dict(image, rank=rank, sizes=sizes, channels=channels, pooling=kind, window=window)
    products = math.prod(inputs[0]) * math.prod(window) * 8
    return dict(drawn, strides=stride), inputs, products, compute


def _norm(dice: _Dice) -> _Drawn:
    kind, batch, size = dice.choice(["batch", "layer"]), dice.size(64, 2), dice.size(64, 2)
    channels = dice.size(1024, 2)
    inputs = [(batch, size, size, channels), (channels,), (channels,)]

    def compute(tf: Any, x: Any, scale: Any, offset: Any) -> Any:
        if kind == "batch" and x.dtype == tf.float32:
            return tf.compat.v1.nn.fused_batch_norm(x, scale, offset, epsilon=1e-3)[0]
        axes = [0, 1, 2] if kind == "batch" else [-1]
        mean, variance = tf.nn.moments(x, axes, keepdims=True)
        return tf.nn.batch_normalization(x, mean, variance, offset, scale, 1e-3)

    drawn = {"norm": kind, "batch": batch, "sizes": [size] * 2, "channels": channels}
    return drawn, inputs, math.prod(inputs[0]) * 16, compute


def _embedding(dice: _Dice) -> _Drawn:
    words, width, batch, length = dice.size(4096), dice.size(512), dice.size(128), dice.size(128)
    seed, summed = dice.randrange(2**32), dice.random() < 0.3

    def compute(tf: Any, table: Any) -> Any:
        ids = np.random.default_rng(seed).integers(0, words, (batch, length))
        found = tf.gather(table, tf.constant(ids))
        return tf.reduce_mean(found, 1) if summed else found

    drawn = {"words": words, "width": width, "batch": batch, "length": length, "mean": summed}
    return drawn, [(words, width)], batch * length * width * 8.0, compute


_REDUCTIONS: dict[str, Callable[[Any, Any, Any], Any]] = {
    "sum": lambda tf, x, axis: tf.reduce_sum(x, axis),
    "mean": lambda tf, x, axis: tf.reduce_mean(x, axis),
    "max": lambda tf, x, axis: tf.reduce_max(x, axis),
    "variance": lambda tf, x, axis: tf.math.reduce_variance(x, axis),
    "logsumexp": lambda tf, x, axis: tf.reduce_logsumexp(x, axis),
    "cumsum": lambda tf, x, axis: tf.cumsum(x, axis[0]),
    "softmax": lambda tf, x, _: tf.nn.softmax(x),
    "log_softmax": lambda tf, x, _: tf.nn.log_softmax(x),
    "segments": lambda tf, x, _: tf.math.unsorted_segment_sum(
        x, np.arange(x.shape[0]) * 7919 % 13, 13
    ),
}


def _reduction(dice: _Dice) -> _Drawn:
    name, rank = dice.choice([*_REDUCTIONS]), dice.choice([1, 2, 2, 3, 4])
    shape = tuple(dice.size(4096 if rank < 3 else 128) for _ in range(rank))
    axes = sorted(dice.sample(range(rank), dice.randint(1, rank)))

    def compute(tf: Any, x: Any) -> Any:
        return _REDUCTIONS[name](tf, x, axes)

    return {"of": name, "sizes": list(shape), "axes": axes}, [shape], math.prod(shape) * 32, compute


_KINDS: dict[str, tuple[Callable[[_Dice], _Drawn], int]] = {  # and of how many it is one
    "conv": (_convolution, 8),
    "transposed": (_transposed, 3),
    "depthwise": (_depthwise, 2),
    "dense": (_dense, 5),
    "matmul": (_matmul, 5),
    "batch_matmul": (_batch_matmul, 4),
    "einsum": (_einsum, 4),
    "tensordot": (_tensordot, 2),
    "recurrent": (_recurrent, 2),
    "pool": (_pool, 2),
    "norm": (_norm, 2),
    "embedding": (_embedding, 1),
    "reduction": (_reduction, 3),
}
KINDS = tuple(_KINDS)
