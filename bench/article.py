#!/usr/bin/env python3
"""The published experiment as a plain script: the article's steps, typed into a file.

What the pipeline is measured against (bench.py) and compared with (the tests). It shares no code
with the pipeline. `--recipe tf21` needs TF_DETERMINISTIC_OPS=1 and PYTHONHASHSEED=0 set before.

Source of the steps: the article of 2022 on reproducible results with Keras (its two recipes, its
model, its call of fit), see the README.
"""

import argparse
import json
import random

import numpy as np
import tensorflow as tf

parser = argparse.ArgumentParser()
parser.add_argument("--data", required=True, help=".npz file with x and y")
parser.add_argument("--recipe", required=True, choices=["tf21", "tf28"])
parser.add_argument("--output", help=".npz file for the first run's history and weights")
options = parser.parse_args()

data = np.load(options.data)
x_train, y_train = data["x"] / 255.0, data["y"]

if options.recipe == "tf28":
    tf.config.experimental.enable_op_determinism()

histories, models = [], []
for _ in range(2):
    if options.recipe == "tf28":
        tf.keras.utils.set_random_seed(1)
    else:
        np.random.seed(1)
        random.seed(1)
        tf.random.set_seed(1)
    model = tf.keras.models.Sequential(
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
    history = model.fit(x_train, y_train, epochs=3, validation_split=0.2)
    histories.append(history)
    models.append(model)

print(histories[0].history == histories[1].history)
if options.output:
    floats = {k: [float(v) for v in values] for k, values in histories[0].history.items()}
    weights = {"weight_{:03d}".format(i): w for i, w in enumerate(models[0].get_weights())}
    np.savez(options.output, history=np.array(json.dumps(floats)), **weights)
