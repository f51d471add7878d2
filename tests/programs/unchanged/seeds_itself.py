"""
Title: Reproducibility in Keras Models
Description: The program seeds everything itself, and says so.
"""

import json

import keras
import numpy as np
import tensorflow as tf
from keras import initializers

# Set the seed using keras.utils.set_random_seed. This will set:
# 1) `numpy` seed
# 2) backend random seed
# 3) `python` random seed
keras.utils.set_random_seed(812)

# If using TensorFlow, this will make GPU ops as deterministic as possible,
# but it will affect the overall performance, so be mindful of that.
tf.config.experimental.enable_op_determinism()


def print_result(*values):
    print([round(float(value), 6) for value in values])


seed_generator = keras.random.SeedGenerator(seed=1337)
print_result(keras.random.uniform((), seed=42), keras.random.normal((), seed=seed_generator))
print_result(*initializers.RandomNormal(seed=seed_generator)((3,)))

with np.load("digits.npz") as f:
    x_train, y_train = f["images"].reshape(-1, 64) / 16.0, f["labels"]


def train_model():
    model = keras.Sequential(
        [
            keras.Input(shape=(64,)),
            keras.layers.GaussianNoise(0.1, seed=7),
            keras.layers.Dense(32, activation="relu"),
            keras.layers.Dropout(0.3),
            keras.layers.Dense(10, activation="softmax"),
        ]
    )
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    history = model.fit(x_train, y_train, batch_size=64, epochs=3, validation_split=0.2, verbose=0)
    return history.history


first = train_model()
keras.utils.set_random_seed(812)
second = train_model()
print("same history:", first == second)
with open("histories.json", "w") as f:
    json.dump([first, second], f, indent=2)
