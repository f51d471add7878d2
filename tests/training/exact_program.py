"""What replaced_ops makes of TensorFlow's ops, measured against float64; printed as JSON."""

import json
import math
import sys
from pathlib import Path
from statistics import NormalDist
from typing import Any

import numpy as np
import tensorflow as tf

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "scripts"))

from samebits.comparison.difference import ulp_distance
from samebits.training import exact_ops, replaced_ops

POSITIVE = np.geomspace(1e-30, 1e30, 4001)
BOTH = np.concatenate([-POSITIVE, POSITIVE])
OPEN = np.linspace(-0.999, 0.999, 4000)  # without zero, near which the formulas below are coarse
normal = np.vectorize(NormalDist().inv_cdf)
density = np.vectorize(NormalDist().pdf)


def inverse_erf(x: Any) -> Any:
    return normal((x + 1) / 2) / math.sqrt(2)


# name -> numbers, what the op gives and its derivative, in float64
WANTED: dict[str, tuple[Any, Any, Any]] = {
    "rsqrt": (POSITIVE, lambda x: x**-0.5, lambda x: -0.5 * x**-1.5),
    "reciprocal": (BOTH, lambda x: 1 / x, lambda x: -1 / x**2),
    "erfc": (
        np.linspace(-6, 9, 4001),
        np.vectorize(math.erfc),
        lambda x: -2 / math.sqrt(math.pi) * np.exp(-(x**2)),
    ),
    "erfinv": (OPEN, inverse_erf, lambda x: math.sqrt(math.pi) / 2 * np.exp(inverse_erf(x) ** 2)),
    "ndtri": ((OPEN + 1) / 2, normal, lambda p: 1 / density(normal(p))),
    "atan": (BOTH, np.arctan, lambda x: 1 / (1 + x**2)),
    "atan2": (BOTH, lambda x: np.arctan2(x, 0.25), lambda x: 0.25 / (x**2 + 0.0625)),
}
SECOND = {"atan2": 0.25}  # argument


def by_name(name: str) -> Any:
    """The op as a layer looks it up, when it is called."""
    return getattr(tf.math, name)


def call(name: str, x: Any) -> Any:
    if name in SECOND:
        return by_name(name)(x, tf.fill(tf.shape(x), SECOND[name]))
    return by_name(name)(x)


def accuracy(name: str) -> dict[str, int]:
    """The largest distance from float64, rounded once, in ULP: of values and of gradients."""
    numbers, value, slope = WANTED[name]
    x = numbers.astype(np.float32)

    def computed(x: Any) -> Any:
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = call(name, x)
        return y, tape.gradient(y, x)

    found = [result.numpy() for result in tf.function(computed)(tf.constant(x))]
    wide = x.astype(np.float64)
    return {
        what: _largest(got, wanted(wide))
        for what, got, wanted in zip(("value", "gradient"), found, (value, slope), strict=True)
    }


def _largest(got: Any, wanted: Any) -> int:
    with np.errstate(over="ignore", under="ignore"):
        rounded = wanted.astype(np.float32)
    # TensorFlow flushes float32 numbers this small to zero.
    usual = np.isfinite(rounded) & (np.abs(rounded) >= np.finfo(np.float32).tiny)
    return int(ulp_distance(rounded[usual], got[usual]).max())


def divisions() -> dict[str, int]:
    """Elements of divisions that are not rounded exactly: Grappler makes rsqrt and reciprocal of
    them."""
    y = np.geomspace(1e-3, 1e3, 4001).astype(np.float32)
    x = np.linspace(-2, 2, 4001).astype(np.float32)
    one = tf.function(lambda y: 1.0 / y)(tf.constant(y)).numpy()
    root = tf.function(lambda x, y: x / tf.sqrt(y))(tf.constant(x), tf.constant(y)).numpy()
    return {
        "one_over_x": int((one != np.float32(1) / y).sum()),
        "x_over_sqrt": int((root != x / np.sqrt(y)).sum()),
    }


def layers() -> dict[str, dict[str, list[str]]]:
    """Which of the ops layers of Keras call, and in which dtype: replaced, and not."""
    keras = tf.keras
    made = {
        "gelu": keras.activations.gelu,
        "batch_normalization": keras.layers.BatchNormalization(),
        "layer_normalization": keras.layers.LayerNormalization(),
        "group_normalization": keras.layers.GroupNormalization(2),
    }
    found = {}
    for name, layer in made.items():
        with replaced_ops.replaced(tf, exact_ops.NAMES):
            replaced = _called(layer)
        found[name] = {"replaced": replaced, "plain": _called(layer)}
    return found


def _called(layer: Any) -> list[str]:
    function = tf.function(lambda x: layer(x)).get_concrete_function(tf.ones((33, 10)))
    nodes = [
        node for node in function.graph.get_operations() if node.type.lower() in exact_ops.NAMES
    ]
    return sorted({f"{node.type} {node.outputs[0].dtype.name}" for node in nodes})


def main() -> None:
    before = {name: by_name(name) for name in exact_ops.NAMES}
    found: dict[str, Any] = {"rewriting before": replaced_ops.rewriting(tf)}
    replaced_ops.stop_rewriting(tf)
    with replaced_ops.replaced(tf, exact_ops.NAMES):
        found["in force"] = replaced_ops.in_force(tf)
        found["accuracy"] = {name: accuracy(name) for name in exact_ops.NAMES}
        found["wide"] = str(tf.math.rsqrt(tf.constant(2.0, tf.float64)).dtype.name)
        found["raw"] = str(tf.raw_ops.Rsqrt(x=tf.constant(2.0)).numpy())
        found["half"] = str(tf.math.rsqrt(tf.constant(2.0, tf.bfloat16)).dtype.name)
        found["number"] = float(tf.math.rsqrt(4.0))
        found["plain"] = [
            tf.math.reciprocal(given).dtype.name
            for given in (4.0, [4.0, 2.0], [tf.constant(4.0, tf.float64)], 4 + 0j, np.float64(4))
        ]
    with replaced_ops.replaced(tf, ["erfc"]):
        found["one alone"] = replaced_ops.in_force(tf)
    try:
        with replaced_ops.replaced(tf, exact_ops.NAMES):
            raise RuntimeError
    except RuntimeError:
        found["after a failure"] = replaced_ops.in_force(tf)
    found["restored"] = all(by_name(name) is before[name] for name in exact_ops.NAMES)
    found["rewriting after"] = replaced_ops.rewriting(tf)
    found["divisions"] = divisions()
    found["layers"] = layers()
    print(json.dumps(found))


if __name__ == "__main__":
    main()
