"""Preprocessing in a pool of processes, then training."""
import multiprocessing
import os

import numpy as np
from tensorflow import keras

FOLDER = "photos"


def read(path):
    """The bytes of a picture as a histogram."""
    with open(path, "rb") as f:
        data = np.frombuffer(f.read(), dtype=np.uint8)
    counts = np.bincount(data // 8, minlength=32).astype("float32")
    return counts / counts.sum()


def augment(job):
    number, features = job
    noise = np.random.RandomState(number).normal(0, 0.002, (4, len(features)))
    return (features + noise).astype("float32")


def main():
    paths, labels = [], []
    for label, name in enumerate(sorted(os.listdir(FOLDER))):
        for file in sorted(os.listdir(os.path.join(FOLDER, name))):
            paths.append(os.path.join(FOLDER, name, file))
            labels.append(label)
    with multiprocessing.Pool(processes=2) as pool:
        features = pool.map(read, paths)
        features = pool.map(augment, enumerate(features), chunksize=8)
    x = np.concatenate(features)
    y = np.repeat(np.array(labels), 4)
    x = (x - x.mean(axis=0)) / (x.std(axis=0) + 1e-6)

    model = keras.Sequential([
        keras.Input(shape=(x.shape[1],)),
        keras.layers.Dense(32, activation="relu"),
        keras.layers.Dense(1, activation="sigmoid"),
    ])
    model.compile(optimizer="nadam", loss="binary_crossentropy", metrics=["accuracy"])
    model.fit(x, y, epochs=4, batch_size=32, shuffle=True)
    print(model.predict(x[::40]).round(2).ravel())


if __name__ == "__main__":
    main()
