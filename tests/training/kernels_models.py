"""Models whose executed kernels the tests look at, on every framework; Python 3.7 too."""

from typing import Any

import tensorflow as tf

layers = tf.keras.layers


def dense() -> tf.keras.Model:
    """Three layers whose names differ in a number, as Keras' scopes do."""
    stack = [layers.Flatten(input_shape=(12, 12)), layers.Dense(4, name="dense")]
    stack += [layers.Dense(5, activation="tanh", name="dense_1"), layers.Dense(10, name="dense_2")]
    return tf.keras.Sequential(stack)


def convolution() -> tf.keras.Model:
    """Batch normalization and exact gelu."""
    stack = [layers.Reshape((12, 12, 1), input_shape=(12, 12)), layers.Conv2D(4, 3, name="conv")]
    stack += [layers.BatchNormalization(name="norm"), layers.Activation("gelu", name="act")]
    return tf.keras.Sequential([*stack, layers.Flatten(), layers.Dense(10, name="dense")])


def lstm() -> tf.keras.Model:
    """A loop, and two in a wrapper."""
    first = layers.LSTM(4, input_shape=(12, 12), return_sequences=True, name="lstm")
    both = layers.Bidirectional(layers.LSTM(3), name="both")
    return tf.keras.Sequential([first, both, layers.Dense(10, name="dense")])


def nested() -> tf.keras.Model:
    """A model within a model, with a layer of the same name, and one layer that is used twice."""
    inner = tf.keras.Sequential(
        [layers.Dense(4, activation="tanh", name="dense"), layers.Dense(6, name="dense_1")],
        name="inner",
    )
    shared = layers.Dense(6, activation="sigmoid", name="shared")
    start = tf.keras.Input((12, 12))
    x = shared(shared(inner(layers.Flatten()(start))))
    return tf.keras.Model(start, layers.Dense(10, name="dense")(x), name="outer")


class OfItsOwn(tf.keras.Model):  # type: ignore[misc]
    """It computes something itself, between two layers."""

    def __init__(self) -> None:
        super().__init__(name="own")
        self.flatten = layers.Flatten()
        self.first, self.second = layers.Dense(4, name="first"), layers.Dense(10, name="second")

    def call(self, x: Any) -> Any:
        x = self.first(self.flatten(x))
        return self.second(x / tf.sqrt(1.5 + tf.reduce_sum(x * x, axis=-1, keepdims=True)))


def subclassed() -> tf.keras.Model:
    return OfItsOwn()


class InTwoFunctions(tf.keras.Model):  # type: ignore[misc]
    """Its gradients are applied by a function that has nothing of a layer."""

    def train_step(self, data: Any) -> Any:
        return self._gradients(*data)[0]

    def make_train_function(self, force: bool = False) -> Any:
        step, apply = tf.function(self._gradients), tf.function(self._apply)

        def train(iterator: Any) -> Any:
            logs, gradients = step(*next(iterator))
            apply(gradients)
            return logs

        self.train_function = train
        return train

    def _gradients(self, x: Any, y: Any) -> Any:
        with tf.GradientTape() as tape:
            scores = tf.keras.losses.sparse_categorical_crossentropy(y, self(x, training=True))
            loss = tf.reduce_mean(scores)
        return {"loss": loss}, tape.gradient(loss, self.trainable_variables)

    def _apply(self, gradients: Any) -> None:
        named = zip(gradients, self.trainable_variables)  # noqa: B905 (Python 3.7 has no strict)
        self.optimizer.apply_gradients(named)


def in_two_functions() -> tf.keras.Model:
    start = tf.keras.Input((12, 12))
    dense = layers.Dense(10, activation="softmax", name="dense")
    model = InTwoFunctions(start, dense(layers.Flatten()(start)))
    model.compile("rmsprop", "sparse_categorical_crossentropy")
    return model


def eager() -> tf.keras.Model:
    """Nothing of it is a graph."""
    model = dense()
    loss = tf.keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile("rmsprop", loss, metrics=["accuracy"], run_eagerly=True)
    return model


def compiled_by_xla() -> tf.keras.Model:
    """No kernel of TensorFlow's computes its step."""
    model = dense()
    loss = tf.keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile("rmsprop", loss, metrics=["accuracy"], jit_compile=True)
    return model
