"""Models without a planted dependence, for the zoo: what a certificate must not refuse."""

import os
import pathlib
import shutil

import tensorflow as tf


def lstm():
    return tf.keras.Sequential(
        [
            tf.keras.layers.Reshape((28, 28), input_shape=(28, 28)),
            tf.keras.layers.LSTM(16),
            tf.keras.layers.Dense(10),
        ]
    )


def augmented():
    """Random numbers at every step: dropout, flips and shifts of the images."""
    return tf.keras.Sequential(
        [
            tf.keras.layers.Reshape((28, 28, 1), input_shape=(28, 28)),
            tf.keras.layers.RandomFlip(),
            tf.keras.layers.RandomTranslation(0.1, 0.1),
            tf.keras.layers.Conv2D(8, 3, strides=2, activation="relu"),
            tf.keras.layers.Dropout(0.3),
            tf.keras.layers.Flatten(),
            tf.keras.layers.Dense(10),
        ]
    )


def normalized():
    """Batch normalization depends on the CPU model; on one machine it repeats.

    And a program that tidies up in its working folder.
    """
    logs = pathlib.Path(f"logs-{os.getpid()}")  # the runs are made side by side
    for _ in range(2):
        shutil.rmtree(logs, ignore_errors=True)
        logs.mkdir()
    logs.rename(f"{logs}-2").rmdir()
    return tf.keras.Sequential(
        [
            tf.keras.layers.Flatten(input_shape=(28, 28)),
            tf.keras.layers.Dense(32, activation="relu"),
            tf.keras.layers.BatchNormalization(),
            tf.keras.layers.Dense(10),
        ]
    )


def seeds_itself() -> tf.keras.Model:
    """As programs do that were written before anybody pinned anything for them."""
    tf.random.set_seed(7)
    layers = tf.keras.layers
    return tf.keras.Sequential([layers.Flatten(input_shape=(28, 28)), layers.Dense(10)])
