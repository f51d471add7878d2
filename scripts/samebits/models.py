"""The built-in models. Runs on Python 3.7 to 3.13, TensorFlow 2.1 to 2.21."""

from __future__ import annotations

import tensorflow as tf


def mlp(input_shape: list[int], classes: int, units: int) -> tf.keras.Model:
    """The article's model: Flatten, Dense(units, relu), Dense(classes), Softmax.

    Input: float, (batch, *input_shape). Output: float32, (batch, classes).
    """
    return tf.keras.Sequential(
        [
            tf.keras.layers.Flatten(input_shape=tuple(input_shape)),
            tf.keras.layers.Dense(units, activation="relu"),
            tf.keras.layers.Dense(classes),
            tf.keras.layers.Softmax(),
        ]
    )


def cnn(
    input_shape: list[int], classes: int, filters: int, units: int, dropout: float
) -> tf.keras.Model:
    """Two convolutions (3x3, relu), pooling, dropout, two dense layers; gives logits.

    Input: float, (batch, height, width) or (batch, height, width, channels).
    Output: float32, (batch, classes).
    """
    layers = tf.keras.layers
    height, width, channels = [*input_shape, 1][:3]
    return tf.keras.Sequential(
        [
            layers.Reshape((height, width, channels), input_shape=tuple(input_shape)),
            layers.Conv2D(filters, 3, activation="relu"),
            layers.Conv2D(2 * filters, 3, activation="relu"),
            layers.MaxPooling2D(),
            layers.Dropout(dropout),
            layers.Flatten(),
            layers.Dense(units, activation="relu"),
            layers.Dropout(dropout),
            layers.Dense(classes),
        ]
    )
