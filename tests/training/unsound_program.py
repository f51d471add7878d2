"""Run in a framework's environment, with its oneDNN capped or not: what a guard makes of ops.

    unsound_program.py CONFIG [--told] [CASE ...]

Prints JSON: by case what was refused, which filters had a gradient with a wrong kernel, and how far
the gradients of filters are from float64, of the largest of each. A kernel that is wrong may end
the process, so that a case which runs it prints nothing at all. With --told nothing is replaced,
and functions are traced without being run. Python 3.7 too.
"""

from __future__ import annotations

import inspect
import json
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Callable  # noqa: UP035 (Python 3.7)

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "scripts"))

import numpy as np
import tensorflow as tf
from tensorflow.python.ops import gen_nn_ops

from samebits.formats import canonical
from samebits.training import settings, task, unsound

K, layers = tf.keras, tf.keras.layers
TOLD = "--told" in sys.argv
UNCHECKED = ("compiled", "groups", "predicted", "3-D")  # or no such op in float64
OFF: list[float] = []  # how far each gradient of a filter was from float64


def note(got: Any, wanted: Any) -> None:
    OFF.append(float(np.max(np.abs(got - wanted)) / np.max(np.abs(wanted))))


def numbers(*shape: int) -> Any:
    return np.random.RandomState(0).rand(*shape).astype(np.float32)


def fit(shape: tuple[int, ...], *stack: Any, **compiled: Any) -> Any:
    """A model of these layers, trained for one step."""
    model = K.Sequential([*stack, layers.Flatten(), layers.Dense(1)])
    model(numbers(2, *shape))
    model.compile("sgd", "mse", **compiled)
    if not TOLD:
        return model, lambda: model.fit(numbers(4, *shape), numbers(4), verbose=0)

    @tf.function  # type: ignore[untyped-decorator]
    def step() -> Any:
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(model(numbers(4, *shape)))
        return tape.gradient(loss, model.trainable_variables)

    return model, step.get_concrete_function


def conv(shape: tuple[int, ...], filters: int, size: Any, strides: Any, **more: Any) -> Any:
    compiled = {"run_eagerly": True} if more.pop("eagerly", False) else {}
    return fit(
        shape, layers.Conv2D(filters, size, strides=strides, name="here", **more), **compiled
    )


def nested() -> Any:
    inner = K.Sequential([layers.Conv2D(8, 3, padding="same"), layers.Conv2D(3, 1, name="narrow")])
    last = K.Sequential([layers.Conv2D(4, 1, strides=2, name="here")])
    return fit((8, 8, 3), inner, last)


def traced(step: Any, *given: Any) -> Any:
    """Run a function, or only trace it."""
    return step.get_concrete_function(*given) if TOLD else step(*given)


def by_hand(
    image: tuple[int, ...], filters: tuple[int, ...], strides: Any = 2, padding: Any = "VALID",
    unknown: str = "", **more: Any
) -> Any:  # fmt: skip
    """Without a layer, a model or Keras. ``unknown``: of which argument no size is known."""
    known = {"image": list(image), "kernel": list(filters)}
    given = {n: [None] * 4 if n in unknown else sizes for n, sizes in known.items()}

    @tf.function(  # type: ignore[untyped-decorator]
        input_signature=[tf.TensorSpec(given[name], tf.float32) for name in known]
    )
    def step(image: Any, kernel: Any) -> Any:
        with tf.GradientTape() as tape:
            tape.watch(kernel)
            loss = tf.reduce_sum(tf.nn.conv2d(image, kernel, strides, padding, **more) ** 2)
        return tape.gradient(loss, kernel)

    return None, lambda: traced(step, numbers(*image), numbers(*filters))


def eagerly(channels: int) -> Any:
    kernel, image = tf.Variable(numbers(1, 1, channels, 4)), numbers(4, 32, 32, channels)

    def step() -> Any:
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(tf.nn.conv2d(image, kernel, 2, "VALID") ** 2)
        return tape.gradient(loss, kernel)

    return None, step


def twice() -> Any:
    """The gradient of a gradient."""
    image, kernel = numbers(4, 16, 16, 3), tf.Variable(numbers(1, 1, 3, 4))

    @tf.function  # type: ignore[untyped-decorator]
    def step() -> Any:
        with tf.GradientTape() as outer:
            with tf.GradientTape() as inner:
                loss = tf.reduce_sum(tf.nn.conv2d(image, kernel, 2, "SAME") ** 3)
            penalty = tf.reduce_sum(inner.gradient(loss, kernel) ** 2)
        return outer.gradient(penalty, kernel)

    return None, lambda: traced(step)


def compiled(channels: int) -> Any:
    """By XLA, whose kernel is another; compared here, where a check inside of it cannot be."""
    image, kernel = numbers(4, 16, 16, channels), numbers(1, 1, channels, 4)

    @tf.function(jit_compile=True)  # type: ignore[untyped-decorator]
    def step(kernel: Any) -> Any:
        with tf.GradientTape() as tape:
            tape.watch(kernel)
            loss = tf.reduce_sum(tf.nn.conv2d(image, kernel, 2, "SAME") ** 2)
        return tape.gradient(loss, kernel)

    def compared() -> None:
        met = image[:, ::2, ::2].reshape(-1, channels).astype(np.float64)
        note(traced(step, tf.constant(kernel)).numpy(), 2 * met.T @ (met @ kernel[0, 0]))

    return None, compared


def raw(channels: int) -> Any:
    gradient, image = numbers(4, 16, 16, 4), numbers(4, 32, 32, channels)
    given = {"filter_sizes": [1, 1, channels, 4], "strides": [1, 2, 2, 1], "padding": "VALID"}
    op = tf.raw_ops.Conv2DBackpropFilter
    return None, lambda: op(input=image, out_backprop=gradient, **given)


def old(channels: int) -> Any:
    """All arguments by their places."""
    gradient, image = numbers(4, 16, 16, 4), numbers(4, 32, 32, channels)
    op, sizes = tf.compat.v1.nn.conv2d_backprop_filter, [1, 1, channels, 4]
    return None, lambda: op(image, sizes, gradient, [1, 2, 2, 1], "VALID", True, "NHWC", [1] * 4)


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


def solid(size: int, kernel: int, stride: int, dtype: str = "float32", known: bool = True) -> Any:
    """A 3-D convolution and its deviation from one that is summed up here."""

    def train() -> None:
        random = np.random.RandomState(1)
        image = random.standard_normal((2, size, size, size, 3)).astype(dtype)
        filters = random.standard_normal((kernel, kernel, kernel, 3, 4)).astype(dtype)
        shape = [None if not known else 2, *([size if known else None] * 3), 3]
        function = tf.function(
            lambda x, f: tf.nn.conv3d(x, f, [1, stride, stride, stride, 1], "SAME"),
            input_signature=[tf.TensorSpec(shape, dtype), tf.TensorSpec(filters.shape, dtype)],
        )
        got, outputs = function(image, filters).numpy(), -(-size // stride)
        missing = max((outputs - 1) * stride + kernel - size, 0)
        ends = [(0, 0), *[(missing // 2, missing - missing // 2)] * 3, (0, 0)]
        padded, right = np.pad(image, ends), np.zeros((2, outputs, outputs, outputs, 4))
        for at in np.ndindex(outputs, outputs, outputs):
            where = tuple(slice(n * stride, n * stride + kernel) for n in at)
            right[(slice(None), *at)] = np.tensordot(padded[(slice(None), *where)], filters, 4)
        OFF.append(float(np.max(np.abs(got - right)) / np.max(np.abs(right))))

    return None, train


ORIGINALS = {
    gen_nn_ops.conv2d_backprop_filter: "Conv2DBackpropFilter",
    gen_nn_ops.depthwise_conv2d_native_backprop_filter: "DepthwiseConv2dNativeBackpropFilter",
}
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
    "wrong depthwise": lambda: fit(
        (32, 32, 1), layers.DepthwiseConv2D(1, strides=2, depth_multiplier=4, name="here")
    ),
    "wrong in time": lambda: fit(
        (2, 32, 32, 3), layers.TimeDistributed(layers.Conv2D(4, 1, strides=2), name="here")
    ),
    "wrong nested": nested,
    "wrong by hand": lambda: by_hand((4, 32, 32, 3), (1, 1, 3, 4)),
    "wrong unequal strides": lambda: by_hand((4, 27, 32, 3), (1, 1, 3, 4), [1, 3, 2, 1], "SAME"),
    "wrong dilated": lambda: by_hand((4, 32, 32, 3), (1, 1, 3, 4), 2, dilations=[1, 1, 1, 1]),
    "wrong explicitly not padded": lambda: by_hand((4, 32, 32, 3), (1, 1, 3, 4), 2, [[0, 0]] * 4),
    "wrong unknown image": lambda: by_hand((4, 32, 32, 3), (1, 1, 3, 4), unknown="image"),
    "wrong unknown odd image": lambda: by_hand(
        (4, 31, 33, 3), (1, 1, 3, 4), 2, "SAME", unknown="image"
    ),
    "wrong unknown filter": lambda: by_hand((4, 32, 32, 3), (1, 1, 3, 4), unknown="kernel"),
    "wrong nothing known": lambda: by_hand((4, 32, 32, 3), (1, 1, 3, 4), unknown="image kernel"),
    "wrong unknown 3 x 3": lambda: by_hand(
        (4, 32, 32, 3), (3, 3, 3, 4), 2, "SAME", unknown="image kernel"
    ),
    "wrong tape": lambda: eagerly(3),
    "wrong twice": twice,
    "wrong raw": lambda: raw(3),
    "wrong old": lambda: old(3),
    "wrong compiled": lambda: compiled(3),
    "solid wrong": lambda: solid(6, 1, 3),
    "solid wrong 2": lambda: solid(8, 2, 4),
    "solid wrong of unknown size": lambda: solid(6, 1, 3, known=False),
    "solid wrong float64": lambda: solid(9, 1, 3, "float64"),
    "solid right": lambda: solid(7, 1, 3),
    "solid right, padded": lambda: solid(8, 2, 3),
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
    "right by hand": lambda: by_hand((4, 32, 32, 8), (1, 1, 8, 4)),
    "right padded": lambda: by_hand(
        (4, 32, 32, 3), (1, 1, 3, 4), 2, [[0, 0], [1, 0], [0, 1], [0, 0]]
    ),
    "right raw": lambda: raw(8),
    "bfloat16": lambda: half("bfloat16"),
    "bfloat16 policy": lambda: policy("bfloat16"),
}


def checked(op: Any, in_float64: Any) -> Any:
    """The op, which also notes how far it is off."""

    def checking(*given: Any, **named: Any) -> Any:
        got = op(*given, **named)
        values = dict(inspect.signature(in_float64).bind(*given, **named).arguments)
        values.update({n: tf.cast(values[n], tf.float64) for n in ("input", "out_backprop")})
        noted = tf.numpy_function(note, [tf.cast(got, tf.float64), in_float64(**values)], [])
        with tf.control_dependencies([noted] if noted is not None else []):
            return tf.identity(got)

    return checking


def tried(name: str, case: Callable[[], Any], probed: Any) -> dict[str, Any]:
    del OFF[:]
    with unsound.Guard(tf, probed, not TOLD, name) as guard, ExitStack() as ends:
        if not TOLD and not name.endswith(UNCHECKED):
            for original, op in ORIGINALS.items():
                for holder, at in ((gen_nn_ops, original.__name__), (tf.raw_ops, op)):
                    ends.callback(setattr, holder, at, getattr(holder, at))
                    setattr(holder, at, checked(getattr(holder, at), original))
        try:
            model, train = case()
            guard.trained = lambda: task.trainable_variables(model) if model is not None else ()
            train()
            refused = ""
        except Exception as error:
            refusal = guard.refusal
            refused = repr(error) if refusal is None else f"{refusal.op}: {refusal.message}"
    return {"refused": refused, "wrong": guard.describe(), "off": max(OFF, default=None)}


def main() -> None:
    """Every case, or those whose names begin so."""
    profile = canonical.read_json(Path(sys.argv[1]))["determinism"]
    settings.apply_to_tensorflow(tf, profile)
    probed = settings.of_tensorflow(tf, {"tensorflow": None}, profile)
    wanted = tuple(word for word in sys.argv[2:] if word != "--told")
    said = {}
    for name, case in CASES.items():
        if name.startswith(wanted or ""):
            print(name, file=sys.stderr)  # the last one, if its kernel ends the process
            K.backend.clear_session()
            settings.seed_everything(tf, profile["seeding"], 1)
            said[name] = tried(name, case, probed)
    print(json.dumps(said))


if __name__ == "__main__":
    main()
