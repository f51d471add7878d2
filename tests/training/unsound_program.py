"""Run in a framework's environment, with its oneDNN capped or not: what a guard lets pass.

    unsound_program.py CONFIG

Prints JSON: by case what was refused, empty if nothing. A kernel that is wrong may end the
process, so that a case that should have been refused prints nothing at all. Python 3.7 too.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any, Callable  # noqa: UP035 (Python 3.7)

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "scripts"))

import numpy as np
import tensorflow as tf

from samebits.formats import canonical
from samebits.training import settings, unsound

K, layers = tf.keras, tf.keras.layers


def numbers(*shape: int) -> Any:
    return np.random.RandomState(0).rand(*shape).astype(np.float32)


def fit(shape: tuple[int, ...], *stack: Any, **compiled: Any) -> Any:
    """A model of these layers, trained for one step."""
    model = K.Sequential([*stack, layers.Flatten(), layers.Dense(1)])
    model(numbers(2, *shape))
    model.compile("sgd", "mse", **compiled)
    return model, lambda: model.fit(numbers(4, *shape), numbers(4), verbose=0)


def conv(shape: tuple[int, ...], filters: int, size: Any, strides: Any, **more: Any) -> Any:
    compiled = {"run_eagerly": True} if more.pop("eagerly", False) else {}
    return fit(
        shape, layers.Conv2D(filters, size, strides=strides, name="here", **more), **compiled
    )


def nested() -> Any:
    inner = K.Sequential([layers.Conv2D(8, 3, padding="same"), layers.Conv2D(3, 1, name="narrow")])
    last = K.Sequential([layers.Conv2D(4, 1, strides=2, name="here")])
    return fit((8, 8, 3), inner, last)


def by_hand(channels: int) -> Any:
    """Without a layer, a model or Keras."""
    kernel, image = tf.Variable(numbers(1, 1, channels, 4)), numbers(4, 32, 32, channels)

    @tf.function  # type: ignore[untyped-decorator]
    def step() -> Any:
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(tf.nn.conv2d(image, kernel, 2, "VALID") ** 2)
        return tape.gradient(loss, kernel)

    return None, step


def raw(channels: int) -> Any:
    gradient, image = numbers(4, 16, 16, 4), numbers(4, 32, 32, channels)
    given = {"filter_sizes": [1, 1, channels, 4], "strides": [1, 2, 2, 1], "padding": "VALID"}
    op = tf.raw_ops.Conv2DBackpropFilter
    return None, lambda: op(input=image, out_backprop=gradient, **given)


def predicted() -> Any:
    model, _ = conv((32, 32, 3), 4, 1, 2)
    return model, lambda: model.predict(numbers(4, 32, 32, 3))


def half(dtype: str) -> Any:
    """A product without a policy."""
    return None, lambda: tf.matmul(tf.cast(numbers(4, 4), dtype), tf.cast(numbers(4, 4), dtype))


def policy(dtype: str) -> Any:
    stack = [layers.Dense(4, dtype=f"mixed_{dtype}"), layers.Dense(1, dtype="float32")]
    model = K.Sequential(stack)
    model.compile("sgd", "mse")
    return model, lambda: model.fit(numbers(4, 9), numbers(4), verbose=0)


CASES: dict[str, Callable[[], Any]] = {
    "wrong 1 channel": lambda: conv((28, 28, 1), 16, 1, 2),
    "wrong 7 channels": lambda: conv((32, 32, 7), 4, 1, 2),
    "wrong one stride": lambda: conv((32, 32, 3), 4, 1, (1, 2)),
    "wrong stride 3": lambda: conv((27, 27, 3), 4, 1, 3),
    "wrong eagerly": lambda: conv((32, 32, 3), 4, 1, 2, eagerly=True),
    "wrong 1-D": lambda: fit((512, 3), layers.Conv1D(4, 1, strides=2, name="here")),
    "wrong transposed": lambda: fit(
        (16, 16, 16), layers.Conv2DTranspose(3, 1, strides=2, name="here")
    ),
    "wrong in time": lambda: fit(
        (2, 32, 32, 3), layers.TimeDistributed(layers.Conv2D(4, 1, strides=2), name="here")
    ),
    "wrong nested": nested,
    "wrong by hand": lambda: by_hand(3),
    "wrong raw": lambda: raw(3),
    "right stride 1": lambda: conv((28, 28, 1), 4, 1, 1),
    "right 3 x 3": lambda: conv((28, 28, 1), 4, 3, 2),
    "right 1 x 3": lambda: conv((28, 28, 1), 4, (1, 3), 2),
    "right 8 channels": lambda: conv((32, 32, 8), 4, 1, 2),
    "right odd image": lambda: conv((27, 27, 3), 4, 1, 2, padding="same"),
    "right groups": lambda: conv((32, 32, 8), 4, 1, 2, groups=2),
    "right transposed": lambda: fit((16, 16, 3), layers.Conv2DTranspose(16, 1, strides=2)),
    "right 3-D": lambda: fit((8, 8, 8, 3), layers.Conv3D(4, 1, strides=2)),
    "right depthwise": lambda: fit((32, 32, 3), layers.DepthwiseConv2D(1, strides=2)),
    "right separable": lambda: fit((32, 32, 3), layers.SeparableConv2D(4, 1, strides=2)),
    "right predicted": predicted,
    "right by hand": lambda: by_hand(8),
    "right raw": lambda: raw(8),
    "bfloat16": lambda: half("bfloat16"),
    "bfloat16 policy": lambda: policy("bfloat16"),
}


def tried(case: Callable[[], Any], probed: Any) -> str:
    with unsound.Guard(tf, probed) as guard:
        model = None
        try:
            model, train = case()
            train()
        except Exception as error:
            refusal = guard.refusal(model)
            return repr(error) if refusal is None else f"{refusal.op}: {refusal.message}"
    return ""


def main() -> None:
    """Every case, or those whose names begin so."""
    profile = canonical.read_json(Path(sys.argv[1]))["determinism"]
    settings.apply_to_tensorflow(tf, profile)
    probed = settings.of_tensorflow(tf, {"tensorflow": None}, profile)
    said = {}
    for name, case in CASES.items():
        if name.startswith(tuple(sys.argv[2:]) or ""):
            K.backend.clear_session()
            settings.seed_everything(tf, profile["seeding"], 1)
            said[name] = tried(case, probed)
    print(json.dumps(said))


if __name__ == "__main__":
    main()
