"""Models of which Keras cannot say as much as of most, on every framework; Python 3.7 too.

Each takes 9 numbers and gives one, unless its name says otherwise.
"""

from __future__ import annotations

from typing import Any

import tensorflow as tf

layers, losses = tf.keras.layers, tf.keras.losses
KERAS_3 = not hasattr(tf.keras.optimizers.Optimizer, "get_weights")


def _dense(outputs: int = 1) -> Any:
    return tf.keras.Sequential([layers.Dense(outputs, input_shape=(9,))])


class Subclassed(tf.keras.Model):  # type: ignore[misc]
    """Its layers get their variables when it is called."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = layers.Dense(4, activation="relu"), layers.Dense(1)

    def call(self, x: Any) -> Any:
        return self.second(self.first(x))


class Built(Subclassed):
    """Called built before a variable is made."""

    def build(self, shape: Any) -> None:
        self.built = True


class HalfBuilt(Built):
    """As it, but one of its layers has its variables by then."""

    def build(self, shape: Any) -> None:
        self.first.build(shape)
        self.built = True


class NoCall(tf.keras.Model):  # type: ignore[misc]
    """It has a step of its own, which calls what is within it."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = _dense()

    def train_step(self, data: Any) -> Any:
        x, y = data
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean((self.inner(x)[:, 0] - tf.cast(y, tf.float32)) ** 2)
        gradients = tape.gradient(loss, self.trainable_variables)
        self.optimizer.apply_gradients(zip(gradients, self.trainable_variables))  # noqa: B905
        return {"loss": loss}


class ManyNumbers(NoCall):
    """One of its metrics is an array."""

    def train_step(self, data: Any) -> Any:
        return dict(super().train_step(data), each=tf.constant([[1.0, 2.5]]))


class Words(NoCall):
    """One of its metrics is text."""

    def train_step(self, data: Any) -> Any:
        return dict(super().train_step(data), note=tf.constant("fine"))


class Text(NoCall):
    """One of its weights is text."""

    def __init__(self) -> None:
        super().__init__()
        self.words = self.add_weight(
            name="words", shape=(), dtype="string", trainable=False, initializer=lambda *a, **k: "a"
        )


class SameNames(NoCall):
    """Its weights have the names that repeated ones get, too."""

    def __init__(self) -> None:
        super().__init__()
        for name in ("a", "a", "a#2"):
            shape, zeros = (2,), "zeros"
            self.add_weight(name=name, shape=shape, initializer=zeros, trainable=False)


def _compiled(model: Any, loss: Any = "mse") -> Any:
    model.compile("adam", loss)
    return model


def subclassed() -> Any:
    return Subclassed()


def sequential_without_a_shape() -> Any:
    return tf.keras.Sequential([layers.Dense(4), layers.Dense(1)])


def built_empty() -> Any:
    model = Built()
    model.build((None, 9))
    return model


def built_by_half() -> Any:
    model = HalfBuilt()
    model.build((None, 9))
    return model


def no_call() -> Any:
    return _compiled(NoCall())


def array_metric() -> Any:
    return _compiled(ManyNumbers())


def text_metric() -> Any:
    return _compiled(Words())


def text_weight() -> Any:
    return _compiled(Text())


def same_names() -> Any:
    return _compiled(SameNames())


def slashes() -> Any:
    """Keras 3 has no such names of layers, but of models."""
    name = "a-b" if KERAS_3 else "a/b"
    stack = [layers.Dense(4, name=name, input_shape=(9,)), layers.Dense(1, name="c")]
    return tf.keras.Sequential([*stack, tf.keras.Sequential([layers.Dense(1, name="c")])])


# ---- labels: what each loss can mean ----------------------------------------------------------


def regression() -> Any:
    return _dense()


def compiled_regression() -> Any:
    return _compiled(_dense(), losses.MeanSquaredError())


def compiled_by_name_in_list() -> Any:
    return _compiled(_dense(), ["mae"])


def compiled_by_function() -> Any:
    return _compiled(_dense(), lambda y, p: tf.reduce_mean(tf.abs(tf.cast(y, p.dtype) - p)))


def one_of_two() -> Any:
    return _compiled(_dense(), "binary_crossentropy")


def one_of_two_from_logits() -> Any:
    return _compiled(_dense(), losses.BinaryCrossentropy(from_logits=True))


def classes(outputs: int, kind: str) -> Any:
    """With one of the ways to ask for the loss that takes a class's number."""
    name = "sparse_categorical_crossentropy"
    ways = {
        "name": name,
        "function": getattr(losses, name),
        "list": [name],
        "object": losses.SparseCategoricalCrossentropy(from_logits=True),
        "trainer": None,
    }
    model = _dense(outputs)
    return model if ways[kind] is None else _compiled(model, ways[kind])


def ignoring(outputs: int) -> Any:
    """Class 50 is no class."""
    loss = losses.SparseCategoricalCrossentropy(from_logits=True, ignore_class=50)
    return _compiled(_dense(outputs), loss)


def two_outputs() -> Any:
    """The labels may be those of the second output."""
    start = tf.keras.Input((9,))
    model = tf.keras.Model(
        start, [layers.Dense(3, name="a")(start), layers.Dense(1, name="b")(start)]
    )
    return _compiled(model, {"a": losses.SparseCategoricalCrossentropy(), "b": "mse"})


class Shifted(NoCall):
    """It makes labels of its own of those that it is given."""


def step_of_this_model() -> Any:
    """The same, without a class of its own."""
    model = _compiled(_dense(3), losses.SparseCategoricalCrossentropy())
    model.train_step = lambda data: {}
    return model


def own_step() -> Any:
    model = Shifted()
    model.compile("adam", losses.SparseCategoricalCrossentropy())
    return model
