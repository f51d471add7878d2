"""The article's training: its model, its compile and its fit, on the images in mnist.npz."""

import numpy as np
import tensorflow as tf

with np.load("mnist.npz") as mnist:
    x, y = mnist["x"] / 255.0, mnist["y"]


def train():
    """The history of one training."""
    model = tf.keras.Sequential(
        [
            tf.keras.layers.Flatten(input_shape=(28, 28)),
            tf.keras.layers.Dense(128, activation="relu"),
            tf.keras.layers.Dense(10),
            tf.keras.layers.Softmax(),
        ]
    )
    model.compile(
        optimizer="adam",
        loss=tf.keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    return model.fit(x, y, epochs=3, validation_split=0.2, verbose=0).history
