"""The article's training: its model, its compile and its fit, on the images in mnist.npz."""

import numpy as np
import tensorflow as tf

with np.load("mnist.npz") as mnist:
    x, y = mnist["x"] / 255.0, mnist["y"]


def train():
    """The history of one training."""
    flatten = tf.keras.layers.Flatten(input_shape=(28, 28))
    hidden = tf.keras.layers.Dense(128, activation="relu")
    layers = [flatten, hidden, tf.keras.layers.Dense(10), tf.keras.layers.Softmax()]
    model = tf.keras.Sequential(layers)
    loss = tf.keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(optimizer="adam", loss=loss, metrics=["accuracy"])
    return model.fit(x, y, epochs=3, validation_split=0.2, verbose=0).history
