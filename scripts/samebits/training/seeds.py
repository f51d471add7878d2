"""All random state of a training, set from (seed, epoch): an epoch draws the same numbers
whatever was drawn before it, so a process that begins with it does as one that comes to it.

The seed of an epoch is the first four bytes, big-endian, of SHA-256 over the canonical JSON
``{"epoch":E,"seed":S}``; that of the N-th generator of the model's layers over
``{"epoch":E,"generator":N,"seed":S}``. Epochs and generators count from 0.

Set are: Python, NumPy, TensorFlow's global seed with its operations' counters, Keras 3's generators
of the layers and its global one, TensorFlow's generators in layers (Keras 2) and its global one.
A seed that TensorFlow writes into a graph (dropout of Keras 2, ``tf.random.uniform`` in a layer)
stays there: where there is one, the graph is made anew for each epoch. Not reached are generators
that a model keeps elsewhere, and numbers that it draws while its graph is made.

Runs on Python 3.7 to 3.13, TensorFlow 2.1 to 2.21.
"""

from __future__ import annotations

import hashlib
from typing import Any, Iterable

from samebits.formats import canonical
from samebits.training import settings, task


def seed_of(seed: int, epoch: int, generator: int | None = None) -> int:
    """The seed of an epoch, or of one generator in it; below 2**32."""
    key = {"seed": seed, "epoch": epoch}
    if generator is not None:
        key["generator"] = generator
    return int.from_bytes(hashlib.sha256(canonical.dumps(key)).digest()[:4], "big")


class Seeds:
    """The random state of one model's training."""

    def __init__(
        self, tf: Any, model: Any, seeding: str | None, seed: int, unpinned: Iterable[str] = ()
    ) -> None:
        """Of a model as its function returned it. ``seeding``: None leaves all as it is."""
        self._tf, self._model, self._seeding = tf, model, seeding
        self._seed, self._unpinned = seed, list(unpinned)
        self._global = _keras_global_generator(tf) if seeding else None
        self._counters = [(g, g._seed) for one in _layers(model) for g in _wrappers_in(one)]
        self._in_graph = _SeedsInGraph(tf)

    def callback(self) -> Any:
        """To be passed to ``fit``, first of all: it sees whether a graph is made with seeds."""
        return task.callback(
            self._tf,
            on_train_begin=lambda logs=None: self._in_graph.watch(),
            on_train_end=lambda logs=None: self._in_graph.restore(),
        )

    def set(self, epoch: int) -> None:
        """Before the epoch with this number, from 0."""
        self._in_graph.restore()  # also after an epoch that was left by an exception
        if self._seeding is None:
            return
        for position, generator in enumerate(self._generators()):
            _set_state(generator, seed_of(self._seed, epoch, position))
        for wrapper, seed in self._counters:
            wrapper._seed = seed  # Keras 2 counts a user's seed up each time a graph is made
        if self._in_graph.found:
            forget_graphs(self._model)
        seed = seed_of(self._seed, epoch)
        found = settings.seed_everything(self._tf, self._seeding, seed, self._unpinned)
        settings.require_pinned(found)
        _set_keras_global_generator(self._global)

    def _generators(self) -> list[Any]:
        """Each once, in an order that does not change."""
        from tensorflow.python.ops import stateful_random_ops

        found = [self._global]
        for layer in _layers(self._model):
            found += getattr(layer, "_seed_generators", [])
            values = [v for _, v in sorted(vars(layer).items())]
            found += [v for v in values if isinstance(v, stateful_random_ops.Generator)]
            found += [getattr(wrapper, "_generator", None) for wrapper in _wrappers_in(layer)]
        found.append(stateful_random_ops.global_generator)
        return list({id(one): one for one in found if one is not None}.values())


class _SeedsInGraph:
    """Whether TensorFlow was asked for an operation's seed while Keras made a graph."""

    def __init__(self, tf: Any) -> None:
        self.found = False
        self._tf = tf
        self._get_seed: Any = None  # TensorFlow's own function, while it is watched

    def watch(self) -> None:
        from tensorflow.python.framework import random_seed

        self._get_seed = get_seed = random_seed.get_seed

        def watched(op_seed: int | None) -> tuple[Any, Any]:
            self.found = self.found or not self._tf.executing_eagerly()
            result: tuple[Any, Any] = get_seed(op_seed)
            return result

        random_seed.get_seed = watched

    def restore(self) -> None:
        if self._get_seed is not None:
            from tensorflow.python.framework import random_seed

            random_seed.get_seed, self._get_seed = self._get_seed, None


def forget_graphs(model: Any) -> None:
    """Have Keras make its training and test functions again."""
    if hasattr(model, "_distributed_function_cache"):  # TensorFlow 2.1
        model._distributed_function_cache.clear()
    else:
        model.train_function = model.test_function = None


def _set_state(generator: Any, seed: int) -> None:
    if hasattr(generator, "reset_from_seed"):  # TensorFlow's
        generator.reset_from_seed(seed)
    else:
        generator.state.assign([seed, 0])


def _layers(model: Any) -> list[Any]:
    """The model and all layers in it, at any depth, in an order that does not change."""
    if hasattr(model, "_flatten_layers"):
        return list(model._flatten_layers())
    import tensorflow as tf

    inner = getattr(model, "_layers", [])  # TensorFlow 2.1: a list or dict of layers is one, too
    own = [model] if isinstance(model, tf.Module) else []
    return own + [found for layer in inner for found in _layers(layer)]


def _wrappers_in(layer: Any) -> list[Any]:
    """Keras 2's own generators, which hold one of TensorFlow's, or a seed for its operations."""
    values = (value for _, value in sorted(vars(layer).items()))
    return [value for value in values if type(value).__name__ == "RandomGenerator"]


def _keras_global_generator(tf: Any) -> Any:
    """The one that ``keras.random`` takes without a seed, made if need be; None in Keras 2."""
    if not hasattr(tf.keras, "random"):
        return None
    from keras.src.random import seed_generator

    return seed_generator.global_seed_generator()


def _set_keras_global_generator(generator: Any) -> None:
    """Seeding drops it, but the graphs that were made with it use it still."""
    if generator is not None:
        from keras.src.backend.common import global_state
        from keras.src.random import seed_generator

        global_state.set_global_attribute(seed_generator.GLOBAL_SEED_GENERATOR, generator)
