"""A model with every kind of state: what samebits.training.state finds, and whether it comes back.

Run in an environment with TensorFlow, which prints JSON for test_epochs.py.
"""

import json
import sys
from collections import deque
from functools import partial
from pathlib import Path
from types import SimpleNamespace

sys.path.insert(0, str(Path(__file__).parents[2] / "scripts"))

import numpy as np
import tensorflow as tf
from tensorflow.python.ops import lookup_ops

from samebits.errors import SamebitsError
from samebits.formats import arrays
from samebits.training import epochs, state

layers = tf.keras.layers
KERAS_3 = hasattr(tf.keras, "random")


def variable() -> "tf.Variable":
    """Which trains nothing."""
    return tf.Variable(0.5, trainable=False)


EVERYWHERE = variable()


class Helper:
    """A user's object that is nothing of Keras', and cannot be printed."""

    __slots__ = ("__dict__", "in_slot")
    in_class = variable()

    def __init__(self) -> None:
        self.threshold = tf.Variable([0.5, 0.25])
        self.words = tf.Variable(["one", "two"])
        self.in_slot, self.in_deque = variable(), deque([variable()])
        self.in_space, self.in_partial = SimpleNamespace(v=variable()), partial(max, variable())
        closed = variable()
        self.in_function = lambda: closed + EVERYWHERE
        self.by_object = {Unprintable(): variable()}

    def __repr__(self) -> str:
        raise RuntimeError


class Unprintable(Helper):
    """Whose attributes are those of its class alone."""

    def __init__(self) -> None:
        pass


class Settings(dict):  # type: ignore[type-arg]
    """As many programs have them: what is missing raises KeyError."""

    __getattr__ = dict.__getitem__


class Answering(dict):  # type: ignore[type-arg]
    """It has an answer to everything."""

    __getattr__ = dict.get


class Model(tf.keras.Model):  # type: ignore[misc]
    """Subclassed, as a GAN is."""

    def __init__(self) -> None:
        super().__init__()
        self.recurrent = layers.LSTM(3, stateful=True)
        self.head = layers.Dense(2)
        self.found = {"helper": Helper(), "asked": (Settings(), Answering(a=1))}
        self.others = [tf.keras.optimizers.SGD(0.1, momentum=0.9), tf.keras.optimizers.Adam(0.1)]
        keys = tf.lookup.KeyValueTensorInitializer(["a", "b"], [1, 2])
        self.vocabulary = tf.lookup.StaticHashTable(keys, -1)
        self.seen = lookup_ops.MutableHashTable(tf.string, tf.float32, 0.0)
        self.seen.insert(["a", "b"], [0.1, 2.0])
        self.average = tf.keras.metrics.Mean()
        if KERAS_3:
            self.generator = tf.keras.random.SeedGenerator(3)

    def call(self, x: object, training: bool = False) -> object:
        return self.head(self.recurrent(x))


def main() -> None:
    """Build, train with each optimizer, disturb all state, restore it."""
    x, y = np.ones((4, 5, 1), "f4"), np.zeros(4, "i8")
    model = Model()
    model(x)
    model.compile("sgd", tf.keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    model.fit(x, y, batch_size=4, verbose=0)
    weights = model.trainable_variables
    for optimizer in model.others:
        optimizer.apply_gradients([(tf.ones_like(variable), variable) for variable in weights])
    model.average.update_state(3.0)
    before = state.arrays(model)
    stored = {part: dict(named) for part, named in before.items()}
    for optimizer in [model.optimizer, *model.others]:
        optimizer.learning_rate = 0.03
    for variables in state.parts(model).values():
        for name, variable in variables:
            changed = stored_of(stored, name)
            if changed.dtype.kind in "fi" and not isinstance(variable, state.Table):
                variable.assign((changed + 1).astype(changed.dtype))
    model.seen.insert(["b", "c"], [3.0, 4.0])
    disturbed = digests(state.arrays(model))
    for part, variables in state.parts(model).items():
        for name, variable in variables:
            variable.assign(stored[part][name])
    after = state.arrays(model)
    names = {part: [name for name, _ in named] for part, named in before.items()}
    found = {"names": names, "before": digests(before), "after": digests(after)}
    print(json.dumps(dict(found, disturbed=disturbed, fits=[fits(model), fits(model, patched)])))


def patched(*given: object, **named: object) -> object:
    """Another fit, in the place of Keras' own."""


def fits(model: object, replaced: object = None) -> str:
    """Why its fit cannot be called once per epoch; empty: it can."""
    tf.keras.Model.fit = replaced or tf.keras.Model.fit
    try:
        epochs._require_published_fit(tf, model)
    except SamebitsError as error:
        return str(error)
    return ""


def stored_of(stored: "dict[str, dict[str, np.ndarray]]", name: str) -> np.ndarray:
    """The array with this name, of whatever part."""
    return next(named[name] for named in stored.values() if name in named)


def digests(found: "dict[str, list[tuple[str, np.ndarray]]]") -> "dict[str, str]":
    """Of each part's file."""
    return {part: arrays.digest(arrays.described(named)) for part, named in found.items()}


main()
