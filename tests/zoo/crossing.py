"""Models with the same bits on every CPU under determinism=portable, for 28 x 28 images."""

import tensorflow as tf


def _images(*layers):
    shape = tf.keras.layers.Reshape((28, 28, 1), input_shape=(28, 28))
    return tf.keras.Sequential([shape, *layers, tf.keras.layers.Dense(10)])


def _rows(*layers):
    return tf.keras.Sequential([tf.keras.Input((28, 28)), *layers, tf.keras.layers.Dense(10)])


def mlp():
    layers = tf.keras.layers
    return _images(layers.Flatten(), layers.Dense(64, activation="relu"))


def wide():
    """Products that are cut by the sizes of caches, with several threads."""
    layers = tf.keras.layers
    return _images(layers.Flatten(), layers.Dense(2304), layers.Dense(32, activation="relu"))


def cnn():
    layers = tf.keras.layers
    return _images(
        layers.Conv2D(8, 3, activation="relu"),
        layers.MaxPooling2D(),
        layers.Dropout(0.25),
        layers.Flatten(),
    )


def normalized_cnn():
    """Augmented, with batch normalization and gelu."""
    layers = tf.keras.layers
    return _images(
        layers.RandomFlip(),
        layers.RandomTranslation(0.1, 0.1),
        layers.Conv2D(8, 3),
        layers.BatchNormalization(),
        layers.Activation("gelu"),
        layers.MaxPooling2D(),
        layers.Conv2D(12, 3, strides=2, activation="gelu"),
        layers.BatchNormalization(),
        layers.Flatten(),
    )


def lstm():
    return _rows(tf.keras.layers.LSTM(16))


def gru():
    return _rows(tf.keras.layers.GRU(16))


def attention():
    """Multi-head attention between layer normalizations."""
    layers = tf.keras.layers
    rows = tf.keras.Input((28, 28))
    x = layers.LayerNormalization()(rows)
    x = layers.Add()([rows, layers.MultiHeadAttention(2, 8)(x, x)])
    x = layers.LayerNormalization()(x)
    x = layers.Dense(32, activation="gelu")(x)
    x = layers.GlobalAveragePooling1D()(x)
    return tf.keras.Model(rows, layers.Dense(10)(x))


def embedding():
    """The images' values as words."""
    layers = tf.keras.layers
    words = tf.keras.Input((28, 28))
    x = layers.Flatten()(words)
    x = layers.Rescaling(15.0)(x)
    x = layers.Embedding(16, 8)(x)
    x = layers.GlobalAveragePooling1D()(x)
    return tf.keras.Model(words, layers.Dense(10)(x))


ALL = (mlp, wide, cnn, normalized_cnn, lstm, gru, attention, embedding)
