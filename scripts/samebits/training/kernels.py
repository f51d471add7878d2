"""What a training really executed: the kernels of its first batch, layer by layer.

TensorFlow rewrites a graph before it runs it (a / sqrt(b) becomes a * Rsqrt(b)), so the graphs are
asked for as they were executed, once; it hands out what it has anyway. No operation is added and no
random number drawn. A kernel that Grappler made of ops of two layers belongs to the one that its
name says.

Runs on Python 3.7 to 3.13, TensorFlow 2.8 to 2.21; with 2.1 it is not known what was executed.
"""

from __future__ import annotations

from collections import Counter
from contextlib import ExitStack
from typing import Any, Dict, Iterator

from samebits.text import say
from samebits.training import graph_kernels, scopes, task

OPTIMIZER, REST = "optimizer", "loss, metrics, input"

Entry = Dict[str, Any]


class Watch:
    """Of the first batch that a model trains; ``found`` says what it was.

    None: it cannot be known, or no batch was trained.
    """

    def __init__(self, tf: Any, model: Any) -> None:
        """Of a compiled model."""
        self.found: list[Entry] | None = None
        self._tf, self._model = tf, model
        self._scopes = scopes.Scopes(tf)
        self._collecting = ExitStack()
        self._wanted = scopes.can_watch(tf) and not model.run_eagerly

    def rest(self) -> None:
        """TensorFlow and Keras are as they were; also after a batch that raised an exception."""
        self._collecting.close()

    def callback(self) -> Any:
        """The callback to pass to ``fit``."""
        watch = self

        class Callback(self._tf.keras.callbacks.Callback):  # type: ignore[misc,name-defined]
            def on_train_batch_begin(self, batch: int, logs: Entry | None = None) -> None:
                watch._begin()

            def on_train_batch_end(self, batch: int, logs: Entry | None = None) -> None:
                watch.rest()

        return Callback()

    def _begin(self) -> None:
        """TensorFlow keeps the graphs of what it runs for the first time from now on."""
        if not self._wanted:
            return
        self._wanted = False
        context = _context()
        context.enable_graph_collection()
        self._collecting.callback(context.disable_graph_collection)
        self._collecting.enter_context(self._scopes.watched())
        self._collecting.callback(self._collect)

    def _collect(self) -> None:
        """The first thing when the batch has ended, or was left by an exception."""
        try:
            functions = _context().export_run_metadata().function_graphs
            if not self._scopes.ambiguous:
                self.found = _by_owner(functions, self._scopes, self._model, self._tf)
        except Exception as error:  # graphs may be larger than a message may be, to name one
            say(f"what was executed is not known: {error!r}")  # no fault of the training


def _context() -> Any:
    from tensorflow.python.eager import context

    return context.context()


class _Owners:
    """The layers of a model that kernels are told of: what is within a layer is the layer's."""

    def __init__(self, tf: Any, model: Any) -> None:
        self._names: dict[int, str] = {}
        self._tf = tf
        self._add(model, "")

    def _add(self, model: Any, path: str) -> None:
        """A model, and the layers of it. Models within it are taken apart, other layers are not."""
        self._names.setdefault(id(model), path or model.name)
        for layer in model.layers:
            name = f"{path}/{layer.name}" if path else layer.name
            if isinstance(layer, self._tf.keras.Model):
                self._add(layer, name)
            else:
                self._names.setdefault(id(layer), name)

    def name(self, layer: Any) -> str | None:
        """The path of a layer below the model; None where it is within another."""
        return self._names.get(id(layer))

    def innermost(self, layers: list[Any]) -> Any:
        """The first of these that kernels are told of; None when none is."""
        return next((layer for layer in layers if id(layer) in self._names), None)


def _by_owner(functions: Any, found: scopes.Scopes, model: Any, tf: Any) -> list[Entry] | None:
    """The record's part; None where it cannot be known."""
    owners, optimizer = _Owners(tf, model), task.optimizer_name(model)
    kernels: dict[Any, set[str]] = {}
    try:
        for node, kernel in _of_steps(functions, found):
            owner: Any = owners.innermost(found.layers_around(node))
            if owner is None:
                owner = OPTIMIZER if scopes.has_scope(node, optimizer) else REST
            kernels.setdefault(owner if isinstance(owner, str) else id(owner), set()).add(kernel)
    except graph_kernels.NotKnownError:
        return None
    return list(_entries(kernels, found, owners, model)) or None


def _of_steps(functions: Any, found: scopes.Scopes) -> Iterator[tuple[str, str]]:
    """The kernels of all functions; none where no function has something of a layer.

    A step may be several: one for the layers, and one that only applies gradients.
    """
    if any(found.layers_around(node.name) for function in functions for node in _nodes(function)):
        for function in functions:
            yield from graph_kernels.executed(function)


def _nodes(function: Any) -> Iterator[Any]:
    return (node for graph in function.partition_graphs for node in graph.node)


def _entries(
    kernels: dict[Any, set[str]], found: scopes.Scopes, owners: _Owners, model: Any
) -> Iterator[Entry]:
    """In forward order, then what is in no layer; what has no kernel is left out."""
    tensors = _Tensors(model)
    seen: Counter[str] = Counter()
    for layer in found.layers():
        if id(layer) in kernels:
            own = tensors.of(layer, owners)
            kind = type(layer).__name__
            yield _entry(seen, str(owners.name(layer)), kind, own, kernels[id(layer)])
    for name in (OPTIMIZER, REST):
        if name in kernels:
            yield _entry(seen, name, None, [], kernels[name])


def _entry(
    seen: Counter[str], name: str, kind: str | None, tensors: list[str], kernels: set[str]
) -> Entry:
    """A name that is there already gets its count."""
    seen[name] += 1
    unique = name if seen[name] == 1 else f"{name}#{seen[name]}"
    return {"layer": unique, "class": kind, "tensors": tensors, "kernels": sorted(kernels)}


class _Tensors:
    """What a model trains, under the names that its trace has."""

    def __init__(self, model: Any) -> None:
        named = task.named(model.trainable_variables)
        self._names = {id(variable): name for name, variable in named}

    def of(self, layer: Any, owners: _Owners) -> list[str]:
        """A layer's own: of a model that is taken apart, not those of its layers."""
        inner = [one for one in getattr(layer, "layers", []) if owners.name(one) is not None]
        taken = {id(variable) for one in inner for variable in one.trainable_variables}
        own = [v for v in layer.trainable_variables if id(v) not in taken]
        return [self._names[id(variable)] for variable in own if id(variable) in self._names]
