"""Run by an interpreter with TensorFlow: what a watch notes, and whether stalls change bits.

Prints one JSON object: by scenario, its threads, how they were timed, and a number from its draws.
"""

from __future__ import annotations

import json
import random
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "scripts"))

import numpy as np
import tensorflow as tf

from samebits.observation import threads


def alone() -> Any:
    """Ordinary training: no thread of Python's."""
    model = tf.keras.Sequential([tf.keras.layers.Dense(2, input_shape=(3,))])
    model.set_weights([np.ones((3, 2), "f"), np.zeros(2, "f")])
    model.compile("sgd", "mse")
    x = np.random.rand(20, 3).astype("f")
    model.fit(x, x[:, :2], verbose=0, batch_size=5, shuffle=False, validation_split=0.2)
    return model.get_weights()[0]


def draw(count: int) -> Any:
    return [np.random.random() for _ in range(count)]


def started() -> Any:
    """Threads that each draw some numbers."""
    drawn: Any = {}

    def work(place: int) -> None:
        drawn[place] = draw(20)

    made = [threading.Thread(target=work, args=(place,)) for place in range(4)]
    for thread in made:
        thread.start()
    for thread in made:
        thread.join()
    return [drawn[place] for place in range(4)]


def pooled() -> Any:
    """The workers of a pool, as a data pipeline has them."""
    with ThreadPoolExecutor(4) as pool:
        return list(pool.map(draw, [20] * 24))


def called_by_tensorflow() -> Any:
    """Python code that the threads of TensorFlow call."""
    noise = tf.data.Dataset.range(64).map(
        lambda _: tf.numpy_function(np.random.random, [], tf.float64), num_parallel_calls=4
    )
    return [float(value) for value in noise]


def tell(scenario: Any, stalled: bool) -> Any:
    np.random.seed(1)
    random.seed(1)  # Keras draws the seeds of its own generators from it
    interval, start = sys.getswitchinterval(), threading.Thread.start
    with threads.Watch(stalled) as watch:
        watch.follow(tf)
        values = scenario()
    assert (sys.getswitchinterval(), threading.Thread.start) == (interval, start)
    order = float(np.dot(np.ravel(values), np.arange(np.size(values))))
    return {
        "threads": watch.found,
        "observed": watch.observed,
        "drawn": order.hex(),
        "generators": threads.generators(tf),
    }


found = {
    scenario.__name__: [tell(scenario, stalled) for stalled in (False, *[True] * 4)]
    for scenario in (alone, started, pooled, called_by_tensorflow)
}
np.random.seed(1)
before = threads.generators(tf)
np.random.random()
found["one draw"] = [before, threads.generators(tf)]
print(json.dumps(found))
