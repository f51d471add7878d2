"""Which part of a model a node of its executed graph belongs to, by the scopes in the node's name.

A name alone does not tell: Keras 3 opens a scope twice per call, so that ``dense_1`` is the layer
``dense`` and ``dense_1_2`` the layer ``dense_1``. So it is noted which scope a layer is given,
while Keras makes the graph. Runs on Python 3.7 to 3.13, TensorFlow 2.8 to 2.21.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import Any, Iterator, Tuple

_KERAS_3, _KERAS_2 = "_open_name_scope", "_name_scope"

Components = Tuple[str, ...]


def can_watch(tf: Any) -> bool:
    """Whether this Keras says which scope it gives a layer: not that of TensorFlow 2.1."""
    return hasattr(tf.keras.layers.Layer, _KERAS_3) or hasattr(tf, "__internal__")


class Scopes:
    """The scopes that layers were given, and whose each of them is."""

    def __init__(self, tf: Any) -> None:
        """None so far."""
        self._tf = tf
        self._found: dict[Components, Any] = {}
        self.ambiguous = False  # two layers were given the same scope

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Note what Keras opens meanwhile. Nothing that it computes is another one."""
        layer = self._tf.keras.layers.Layer
        method = _KERAS_3 if hasattr(layer, _KERAS_3) else _KERAS_2
        original = getattr(layer, method)
        noting = self._entering if method == _KERAS_3 else self._asking
        setattr(layer, method, self._tf.autograph.experimental.do_not_convert(noting(original)))
        try:
            yield
        finally:
            setattr(layer, method, original)

    def _entering(self, original: Any) -> Any:
        """Keras 3 gives the scope itself, whose full name is known once it was entered."""

        @contextmanager
        def entered(layer: Any) -> Iterator[Any]:
            with original(layer) as scope:
                self._note(self._tf.get_current_name_scope(), layer)
                yield scope

        def watched(layer: Any) -> Any:
            return entered(layer)

        return watched

    def _asking(self, original: Any) -> Any:
        """Keras 2 gives the full name of the scope, with a slash at its end."""

        def watched(layer: Any) -> Any:
            name = original(layer)
            self._note(name, layer)
            return name

        return watched

    def _note(self, name: str, layer: Any) -> None:
        scope = tuple(name.strip("/").split("/"))
        if self._found.setdefault(scope, layer) is not layer:
            self.ambiguous = True

    def layers(self) -> list[Any]:
        """All layers that were given a scope, in the order in which they were first called."""
        found: list[Any] = []
        for layer in self._found.values():
            if not any(layer is other for other in found):
                found.append(layer)
        return found

    def layers_around(self, name: str) -> list[Any]:
        """The layers whose scopes are in a node's name, the innermost first.

        What TensorFlow puts before a scope differs: where it was called from, that it is a
        gradient's, which optimization made the node. So a scope may begin anywhere.
        """
        parts, found = tuple(name.split("/")[:-1]), []
        for length in range(len(parts), 0, -1):
            for start in range(len(parts) - length + 1):
                layer = self._found.get(parts[start : start + length])
                if layer is not None:
                    found.append(layer)
        return found


def is_scope_of(name: str, component: str) -> bool:
    """Whether a component of a name is this scope, or a later one of the same name."""
    begin, _, number = component.rpartition("_")
    return component == name or (begin == name and number.isdigit())


def has_scope(node: str, name: str | None) -> bool:
    """Whether a scope of this name is anywhere in a node's name."""
    return name is not None and any(is_scope_of(name, part) for part in node.split("/")[:-1])
