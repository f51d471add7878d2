"""A model that is hard to resume: its own schedule, built late, random numbers in the graph."""

import tensorflow as tf


class Noise(tf.keras.layers.Layer):
    def call(self, x, training=None):
        return x + tf.random.normal(tf.shape(x), stddev=0.1)


def scheduled():
    layers = tf.keras.layers
    model = tf.keras.Sequential(
        [
            layers.Flatten(),
            Noise(),
            layers.Dense(16, activation="relu"),
            layers.BatchNormalization(),
            layers.Dropout(0.2, seed=4),
            layers.Dense(10),
        ]
    )
    rate = tf.keras.optimizers.schedules.ExponentialDecay(0.01, 7, 0.9)
    loss = tf.keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(tf.keras.optimizers.SGD(rate, momentum=0.9), loss, metrics=["accuracy"])
    return model
