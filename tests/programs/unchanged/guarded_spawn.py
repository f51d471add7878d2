"""Simulations in processes that are spawned, each of which imports this file again."""
import multiprocessing as mp
import random

import numpy as np

COUNT = 12


def simulate(seed):
    """One trajectory of a noisy pendulum."""
    rng = random.Random(seed)
    angle, speed, seen = rng.uniform(-1, 1), 0.0, []
    for _ in range(60):
        speed += -0.1 * np.sin(angle) - 0.01 * speed
        angle += 0.1 * speed
        seen.append(angle + rng.gauss(0, 0.01))
    return np.array(seen, dtype="float32")


def windows(trajectories, width=10):
    x = [t[i : i + width] for t in trajectories for i in range(len(t) - width)]
    y = [t[i + width] for t in trajectories for i in range(len(t) - width)]
    return np.stack(x), np.array(y)


def train(x, y):
    # TensorFlow is imported here, so that the simulating processes need not load it
    import keras

    model = keras.Sequential(
        [
            keras.Input((x.shape[1],)),
            keras.layers.Reshape((x.shape[1], 1)),
            keras.layers.SimpleRNN(12),
            keras.layers.Dense(1),
        ]
    )
    model.compile(optimizer=keras.optimizers.Lion(1e-3), loss="huber")
    model.fit(x, y, epochs=3, batch_size=32, validation_split=0.1, verbose=2)
    return model


if __name__ == "__main__":
    mp.set_start_method("spawn")
    with mp.Pool(2) as pool:
        trajectories = pool.map(simulate, range(COUNT))
    x, y = windows(trajectories)
    model = train(x, y)
    model.save("pendulum.keras")
