"""Reads its data, its settings and its modules by paths relative to itself and to where it runs."""
import json
import os
import pathlib

import numpy as np
from tensorflow import keras

from helpers import one_hot

HERE = pathlib.Path(__file__).resolve().parent

settings = json.loads((HERE / "data" / "settings.json").read_text())
features = np.load(os.path.join(os.path.dirname(os.path.abspath(__file__)), "data/features.npy"))
with open(HERE / "data/species.txt") as f:
    species = f.read().split()
names = sorted(set(species))
targets = one_hot(species, names)
print("%d flowers of %d species, in %s" % (len(species), len(names), os.path.basename(os.getcwd())))

order = np.random.permutation(len(features))
features, targets = features[order], targets[order]

model = keras.models.Sequential()
model.add(keras.layers.Dense(settings["units"], activation="tanh", input_shape=(4,)))
model.add(keras.layers.Dense(len(names), activation="softmax"))
model.compile(
    optimizer=keras.optimizers.Adadelta(0.5),
    loss="categorical_crossentropy",
    metrics=["categorical_accuracy"],
)
history = model.fit(
    features[:150], targets[:150], epochs=settings["epochs"], batch_size=10, verbose=0
)
scores = model.evaluate(features[150:], targets[150:], verbose=0)

results = pathlib.Path("results")
results.mkdir(exist_ok=True)
with open(results / "scores.txt", "w") as f:
    f.write("\n".join("%s %.9g" % pair for pair in zip(model.metrics_names, scores)) + "\n")
np.savez(results / "weights.npz", *model.get_weights())
