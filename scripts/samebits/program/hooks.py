"""Hooks in TensorFlow and Keras, set as soon as a program has imported them.

Models, optimizers and variables are noted when they are made, and kept: a program may forget them
before its end. What is set reads and counts, and changes nothing that a program computes: it draws
no random number, and in TensorFlow 2.1, which seeds an operation by how many a graph has, those
that are added are left out of the count.

Runs on Python 3.7 to 3.13, TensorFlow 2.1 to 2.21.
"""

from __future__ import annotations

import functools
import sys
from contextlib import suppress
from typing import Any, Callable

import numpy as np

from samebits.program import served
from samebits.training import fingerprint, graph_trace

LIBRARIES = ("keras", "tf_keras")


class Imports:
    """Tells when TensorFlow is there, with the Keras that it loads, and each Keras after it."""

    def __init__(self, tensorflow: Callable[[Any], None], keras: Callable[[Any], None]) -> None:
        """Both are called once for each module; to be made before the program's first line."""
        import wrapt

        self._tensorflow, self._keras = tensorflow, keras
        self._imported: set[str] = set()
        self._told: set[str] = set()
        for name in ("tensorflow", *LIBRARIES):
            wrapt.register_post_import_hook(self._imported_one, name)
        for name in served.MODULES:
            wrapt.register_post_import_hook(served.install, name)

    def _imported_one(self, module: Any) -> None:
        """TensorFlow imports a Keras, or a Keras TensorFlow: the outer one is complete last."""
        self._imported.add(module.__name__)
        begun = {name for name in LIBRARIES if name in sys.modules}
        if "tensorflow" not in self._imported or begun - self._imported:
            return
        tf = sys.modules["tensorflow"]
        self._tell("tensorflow", self._tensorflow, tf)
        for name in sorted(begun):
            module = sys.modules[name]
            public = name != "keras" or not module.__version__.startswith("2.")
            self._tell(name, self._keras, module if public else tf.keras)
        if not begun:  # TensorFlow 2.1 has its own
            self._tell("tensorflow.keras", self._keras, tf.keras)

    def _tell(self, name: str, tell: Callable[[Any], None], module: Any) -> None:
        if name not in self._told:
            self._told.add(name)
            tell(module)


class Made:
    """The models, optimizers and variables that a program makes, by identity, in this order."""

    def __init__(self) -> None:
        """None yet."""
        self.models: dict[int, Any] = {}
        self.optimizers: dict[int, Any] = {}
        self.variables: dict[int, Any] = {}
        self.first: dict[int, int] = {}  # fingerprints of trainable variables as they were made

    def follow(self, keras: Any) -> None:
        """Those of a Keras."""
        _follow_new(keras.Model, lambda model: self.models.setdefault(id(model), model))
        classes = graph_trace.optimizers(keras)
        for cls in classes:
            if not set(cls.__mro__[1:]).intersection(classes):
                _follow_new(cls, self._note_optimizer)

    def _note_optimizer(self, optimizer: Any) -> None:
        """A class that the program defines may have its own way to apply gradients."""
        self.optimizers[id(optimizer)] = optimizer
        for cls in type(optimizer).__mro__:
            graph_trace.follow_class(cls)

    def follow_variables(self, tf: Any) -> None:
        """Every variable of TensorFlow's."""
        from tensorflow.python.ops import resource_variable_ops

        cls = resource_variable_ops.BaseResourceVariable
        init = cls.__init__

        @functools.wraps(init)
        def noted(variable: Any, *args: Any, **options: Any) -> None:
            init(variable, *args, **options)
            self._note_variable(tf, variable)

        cls.__init__ = noted

    def _note_variable(self, tf: Any, variable: Any) -> None:
        own = variable.name.rpartition("/")[2].partition(":")[0] == graph_trace.OWN
        # What an assignment returns, and what a graph has of its own: of a model that is saved.
        if own or type(variable).__name__ == "_UnreadVariable" or variable._in_graph_mode:
            return
        self.variables[id(variable)] = variable
        if tf.executing_eagerly() and variable.trainable and variable.dtype.is_floating:
            with graph_trace.unrecorded(), suppress(tf.errors.FailedPreconditionError):
                self.first[id(variable)] = fingerprint.of_array(np.asarray(variable.numpy()))


def _follow_new(cls: Any, noted: Callable[[Any], object]) -> None:
    """Have every new object of a class and its subclasses noted."""
    make = cls.__new__

    def new(kind: Any, *args: Any, **options: Any) -> Any:
        made = make(kind) if make is object.__new__ else make(kind, *args, **options)
        noted(made)
        return made

    cls.__new__ = staticmethod(new)


def follow_functions(tf: Any, ended: Callable[[], None]) -> None:
    """Call ``ended`` whenever a call into a graph has ended that was made eagerly."""
    kind: Any = type(tf.function(lambda: None))
    call = kind.__call__

    @functools.wraps(call)
    def followed(function: Any, *args: Any, **options: Any) -> Any:
        result = call(function, *args, **options)
        if tf.executing_eagerly():
            ended()
        return result

    kind.__call__ = followed
