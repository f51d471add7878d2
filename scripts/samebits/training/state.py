"""All state of a model: weights, optimizers, and every other variable that it reaches.

Followed are the attributes of Keras objects, of modules of TensorFlow and of a user's own objects,
through lists, tuples and dicts. Found are variables (of metrics, generators, stateful layers, in
Python attributes), lookup tables, and the numbers in the attributes of optimizers, which Keras 2
has in place of variables. Not reached: variables that only a function or a module refers to.

Runs on Python 3.7 to 3.13, TensorFlow 2.1 to 2.21.
"""

from __future__ import annotations

import json
import os
import sys
from collections import deque
from pathlib import Path
from typing import Any, Iterable, Iterator, List, Mapping, Tuple

import numpy as np

from samebits.errors import SamebitsError
from samebits.formats.arrays import require_storable
from samebits.training import task

Variables = List[Tuple[str, Any]]  # each has a name, `numpy` and `assign`
_FRAMEWORK = ("tensorflow", "keras", "tf_keras", "samebits")


def parts(model: Any) -> dict[str, Variables]:
    """All state by name, each part in an order of its own that does not change.

    ``weights``: of the model; ``optimizer``: all variables of every optimizer that it reaches, its
    own first; ``state``: the rest.
    """
    return parts_of({"": model})


def parts_of(
    models: Mapping[str, Any], optimizers: Iterable[Any] = (), variables: Iterable[Any] = ()
) -> dict[str, Variables]:
    """The same of several models, by what the names of their weights begin with.

    ``optimizers``, ``variables``: more of them, reached or not. Each variable is in one part, once.
    """
    taken = Taken()
    weights: Variables = []
    reached: Variables = []
    found_optimizers: list[Any] = []
    for prefix, model in models.items():
        named = task.named(weights_of(model))
        weights += [(_prefixed(prefix, n), found) for n, found in named if taken.take(found)]
        inside = list(_reached(model))
        reached += inside
        found_optimizers += [getattr(model, "optimizer", None)]
        found_optimizers += [found for _, found in inside if _is_optimizer(found)]
    all_optimizers = [one for one in (*found_optimizers, *optimizers) if one is not None]
    of_optimizers: Variables = []
    numbers: Variables = []
    for optimizer in {id(one): one for one in all_optimizers}.values():
        inner = [(path, found) for path, found in _reached(optimizer) if _is_variable(found)]
        own = [("", variable) for variable in variables_of(optimizer)]
        of_optimizers += [(path, found) for path, found in [*own, *inner] if taken.take(found)]
        numbers += _numbers(optimizer)
    rest = [*reached, *(("", variable) for variable in variables)]
    others = [(path, found) for path, found in rest if _is_variable(found) and taken.take(found)]
    held = {id(found): (path, found) for path, found in reversed(reached) if _is_table(found)}
    tables = [(path, Table(path, found)) for path, found in reversed(list(held.values()))]
    return {
        "weights": list(zip(task.unique(name for name, _ in weights), (v for _, v in weights))),
        "optimizer": _named(of_optimizers),
        "state": _named([*others, *tables, *numbers]),
    }


def _prefixed(prefix: str, name: str) -> str:
    """A name after a model's number and name; Keras 3 has the latter in some names already."""
    own = prefix.partition(" ")[2]
    return prefix + name[len(own) if own and name.startswith(own) else 0 :]


def weights_of(model: Any) -> list[Any]:
    """The weights that a model has by now."""
    try:
        return list(model.weights)
    except ValueError:  # so says Keras 2 that there are none yet
        return []


def arrays(model: Any) -> dict[str, task.Named]:
    """All state as named arrays."""
    return {part: task.values(variables) for part, variables in parts(model).items()}


def optimizers(model: Any) -> list[Any]:
    """Every optimizer that a model reaches."""
    return [found for _, found in _reached(model) if _is_optimizer(found)]


def attributes(model: Any) -> dict[str, Any]:
    """The numbers in attributes of a user's own objects, which no checkpoint has, by name."""
    found = {}
    for path, one in _reached(model):
        if _is_users(type(one)) and hasattr(one, "__dict__"):
            owner = path or type(one).__name__
            for name, value in vars(one).items():
                if _is_number(value) and not name.startswith("stop_"):  # Keras' own
                    found[f"{owner}.{name}"] = value
    return found


def _named(found: Variables) -> Variables:
    """By their names; one that has none of its own by the attributes that lead to it."""
    names = [path if path and _is_anonymous(each) else task.name_of(each) for path, each in found]
    held = (Text(variable) if _is_text(variable) else variable for _, variable in found)
    return list(zip(task.unique(names), held))


def rehearsal(tf: Any, model: Any) -> Any:
    """A callback that tries, at its first step, what is done with the model at the very end.

    Before that step where the model is built, and after it, when Keras has made every variable.
    Raises SamebitsError for a variable whose dtype cannot be stored.
    """
    ahead = [True]  # the first step

    def rehearse(batch: int = 0, logs: Any = None) -> None:
        if ahead:
            task.describe(model)
            for name, variable in [pair for part in parts(model).values() for pair in part]:
                require_storable(name, np.asarray(variable.numpy()).dtype.name)

    def end(batch: int, logs: Any = None) -> None:
        rehearse()
        ahead.clear()

    begin = rehearse if model.built else lambda logs=None: None
    return task.callback(tf, on_train_begin=begin, on_train_batch_end=end)


# ---- what a model reaches ----------------------------------------------------------------------


def _reached(root: Any) -> Iterator[tuple[str, Any]]:
    """Every object with the attributes that lead to it, each once, the nearest first."""
    queue, seen = deque([("", root)]), {id(root)}
    while queue:
        path, found = queue.popleft()
        yield path, found
        for step, inner in _inside(found):
            if id(inner) not in seen:
                seen.add(id(inner))
                queue.append((f"{path}{step}".lstrip("."), inner))


def _inside(found: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(found, (list, tuple)):
        yield from ((f"[{position}]", inner) for position, inner in enumerate(found))
    elif isinstance(found, dict):
        yield from ((f"[{key}]", inner) for key, inner in list(found.items()))
    elif _is_followed(found):
        yield from ((f".{name}", inner) for name, inner in sorted(vars(found).items()))


def _is_followed(found: Any) -> bool:
    """Whether an object's attributes are a model's: not a graph's, a library's, a variable's."""
    if isinstance(found, type) or not hasattr(found, "__dict__") or _is_variable(found):
        return False
    import tensorflow as tf

    # The base of everything of TensorFlow's that has attributes of its users'.
    trackable = tf.Module.__mro__[1]
    return isinstance(found, trackable) or any(map(_is_keras_or_users, type(found).__mro__))


def _is_keras_or_users(kind: type) -> bool:
    return ("keras" in kind.__module__ and _is_framework(kind)) or _is_users(kind)


def _is_framework(kind: type) -> bool:
    return kind.__module__.split(".")[0] in _FRAMEWORK


def _is_users(kind: type) -> bool:
    file = getattr(sys.modules.get(kind.__module__), "__file__", None)
    if file is None or _is_framework(kind):
        return False
    libraries = {Path(sys.prefix), Path(os.__file__).parent}
    return libraries.isdisjoint(Path(os.path.abspath(file)).parents)  # noqa: PTH100


def _is_number(found: Any) -> bool:
    return isinstance(found, (bool, int, float, np.number))


def _is_optimizer(found: Any) -> bool:
    import tensorflow as tf

    return isinstance(found, tf.keras.optimizers.Optimizer)


def _is_variable(found: Any) -> bool:
    return not isinstance(found, type) and hasattr(found, "assign") and hasattr(found, "numpy")


def _is_table(found: Any) -> bool:
    from tensorflow.python.ops import lookup_ops

    return isinstance(found, lookup_ops.LookupInterface) and hasattr(found, "export")


def _is_text(found: Any) -> bool:
    return getattr(getattr(found, "dtype", None), "name", None) == "string"


def _is_anonymous(variable: Any) -> bool:
    return not hasattr(variable, "name") or variable.name.lower().startswith("variable")


def variables_of(optimizer: Any) -> Any:
    """Keras 2 has ``weights``, and ``variables`` is a method; Keras 3 has the latter."""
    return optimizer.weights if hasattr(optimizer, "weights") else optimizer.variables


class Taken:
    """Which variables are in a part already: Keras has one of TensorFlow's in some of its own."""

    def __init__(self) -> None:
        """None is."""
        self._seen: dict[int, Any] = {}

    def take(self, variable: Any) -> bool:
        """Whether it was not taken before."""
        held = {id(one): one for one in holders(variable)}
        fresh = self._seen.keys().isdisjoint(held)
        self._seen.update(held)
        return fresh


def holders(variable: Any) -> Iterator[Any]:
    """A variable with those in it: TensorFlow's, and one for each replica."""
    yield variable
    inner = (vars(variable).get(name) for name in ("_value", "_variable"))
    for one in [*filter(_is_variable, inner), *vars(variable).get("_values", ())]:
        yield from holders(one)


# ---- state that lies in no variable of numbers ---------------------------------------------------


class Number:
    """A number in an attribute."""

    def __init__(self, holder: Any, key: str) -> None:
        """``holder``: the dict that has it."""
        self._holder, self._key = holder, key

    def numpy(self) -> np.ndarray:
        """A scalar."""
        return np.asarray(self._holder[self._key])

    def assign(self, value: np.ndarray) -> None:
        """Replace it where it differs."""
        if self.numpy() != value:
            self._holder[self._key] = type(self._holder[self._key])(value)


def _numbers(optimizer: Any) -> Variables:
    """The numbers among an optimizer's attributes, and Keras 2's among its hyperparameters."""
    title = type(optimizer).__name__
    found: Variables = []
    for holder in (vars(optimizer), getattr(optimizer, "_hyper", {})):
        for key in sorted(key for key in holder if not key.startswith("_")):
            if _is_number(holder[key]):
                found.append((f"{title}.{key}", Number(holder, key)))
    return found


class Text:
    """A variable of texts, as the bytes of a JSON document."""

    def __init__(self, variable: Any) -> None:
        """Any shape."""
        self._variable = variable

    def numpy(self) -> np.ndarray:
        """Bytes, uint8 [n]."""
        return _json(np.asarray(self._variable.numpy()).tolist())

    def assign(self, value: np.ndarray) -> None:
        """Replace the texts."""
        text = json.loads(value.tobytes().decode("ascii"))
        self._variable.assign(_encoded(text))


class Table:
    """A lookup table, as the bytes of a JSON document: its keys with their values, sorted."""

    def __init__(self, path: str, table: Any) -> None:
        """``path``: the attributes that lead to it."""
        self.name, self._table = path, table

    def numpy(self) -> np.ndarray:
        """Bytes, uint8 [n]."""
        keys, found = (np.asarray(part.numpy()).tolist() for part in self._table.export())
        return _json(sorted(zip(_decoded(keys), _decoded(found))))

    def assign(self, value: np.ndarray) -> None:
        """Raises SamebitsError where the table holds something else: it is not replaced."""
        if not np.array_equal(self.numpy(), value):
            raise SamebitsError(
                f"checkpoint: the lookup table {self.name} changes during training and cannot be "
                "restored; use trainer.checkpoint=none"
            )


def _json(content: Any) -> np.ndarray:
    text = json.dumps(_decoded(content), sort_keys=True)
    return np.frombuffer(text.encode("ascii"), np.uint8)


def _decoded(content: Any) -> Any:
    if isinstance(content, (list, tuple)):
        return [_decoded(item) for item in content]
    return content.decode("utf-8", "surrogateescape") if isinstance(content, bytes) else content


def _encoded(content: Any) -> Any:
    if isinstance(content, list):
        return [_encoded(item) for item in content]
    return content.encode("utf-8", "surrogateescape")
