import tensorflow as tf

from spirals.settings import HIDDEN


class Sine(tf.keras.layers.Layer):
    def call(self, inputs):
        return tf.sin(inputs)


def build():
    inputs = tf.keras.Input((2,))
    x = inputs
    for units in HIDDEN:
        x = Sine()(tf.keras.layers.Dense(units)(x))
    outputs = tf.keras.layers.Dense(1, activation="sigmoid")(x)
    return tf.keras.Model(inputs, outputs)
