"""Models that the tests trace, on every framework; Python 3.7 too."""

import tensorflow as tf


def noisy() -> tf.keras.Model:
    """Dropout and, where the framework has them, augmentation layers."""
    layers = tf.keras.layers
    stack = [layers.Reshape((12, 12, 1), input_shape=(12, 12))]
    if hasattr(layers, "RandomFlip"):
        stack += [layers.RandomFlip("horizontal"), layers.RandomRotation(0.1)]
    stack += [layers.Conv2D(4, 3, activation="relu"), layers.Dropout(0.3), layers.Flatten()]
    return tf.keras.Sequential([*stack, layers.Dense(10)])


def compiled_by_xla() -> tf.keras.Model:
    """It comes compiled, has no random layer, and is built by its first step."""
    layers = tf.keras.layers
    model = tf.keras.Sequential([layers.Flatten(), layers.Dense(16), layers.Dense(10)])
    loss = tf.keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile("adam", loss, metrics=["accuracy"], steps_per_execution=7, jit_compile=True)
    return model
