"""All state of a model: weights, optimizers, and every other variable that it reaches.

Followed are the attributes of Keras objects, of modules of TensorFlow and of a user's own objects,
classes and modules, through lists, tuples, deques and dicts, and what a user's functions refer to
in closures, defaults and globals. Found are variables (of metrics, generators, stateful layers, in
Python attributes), lookup tables, and the numbers in the attributes of optimizers, which Keras 2
has in place of variables. Objects are looked at without a call of their code: a __getattr__ may
answer anything, and a __repr__ raise. Not reached: sets, which have no order, and what Python's own
generators and iterators refer to.

Runs on Python 3.7 to 3.13, TensorFlow 2.1 to 2.21.
"""

from __future__ import annotations

import json
import os
import sys
from collections import deque
from contextlib import suppress
from functools import partial
from pathlib import Path
from types import (
    CodeType,
    FunctionType,
    MemberDescriptorType,
    MethodType,
    ModuleType,
    SimpleNamespace,
)
from typing import Any, Iterable, Iterator, List, Mapping, Tuple

import numpy as np

from samebits.errors import SamebitsError
from samebits.formats.arrays import require_storable
from samebits.training import task

Variables = List[Tuple[str, Any]]  # each has a name, `numpy` and `assign`
_WRAPPERS = {  # the attributes in which they hold what they wrap
    partial: ("func", "args", "keywords"),
    MethodType: ("__func__", "__self__"),
    staticmethod: ("__func__",),
    classmethod: ("__func__",),
    property: ("fget", "fset"),
}
_OTHERS = ("stop_", "_self_", "__")  # Keras', TensorFlow's and Python's own attributes
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
    """The numbers in attributes of a user's own objects and in what a user's classes and functions
    refer to, which no checkpoint has, by name; of a list or the like its length and its numbers."""
    found = {}
    for path, one in _reached(model):
        code = isinstance(one, (FunctionType, type)) and _is_followed(one)
        if code or is_users(type(one).__module__):
            owner = one.__module__ if code else path or type(one).__name__
            for name, value in _held(one).items():
                if not name.startswith(_OTHERS) and _counts(name, value):
                    found[f"{owner}.{name}"] = _counts(name, value)
    return found


def _counts(name: str, found: Any) -> list[Any]:
    """What can count in an attribute; nothing in most, and in lists and dicts of Keras' own."""
    if isinstance(found, (list, deque, dict, set)) and not name.startswith("_"):
        inside = found.values() if isinstance(found, dict) else found
        return [len(found), *([] if isinstance(found, set) else filter(_is_number, inside))]
    return [found] if _is_number(found) else []


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
    if isinstance(found, (list, tuple, deque)):
        yield from ((f"[{position}]", inner) for position, inner in enumerate(found))
    elif isinstance(found, dict):
        for position, (key, inner) in enumerate(list(found.items())):
            # Of another object, the text may hold its address.
            yield f"[{key if isinstance(key, (str, int, float)) else position}]", inner
    if _is_followed(found):
        yield from ((f".{name}", inner) for name, inner in sorted(_held(found).items()))


def _is_followed(found: Any) -> bool:
    """Whether what an object holds is a model's: not a graph's, a library's, a variable's."""
    if isinstance(found, ModuleType):
        return is_users(found.__name__)
    if isinstance(found, FunctionType):
        return is_users(found.__globals__.get("__name__"))
    if isinstance(found, type):
        return is_users(found.__module__)
    if isinstance(found, (list, tuple, deque, dict)):  # Keras' own refer to what tracks them
        return is_users(type(found).__module__)
    if _is_variable(found):
        return False
    import tensorflow as tf

    # The base of everything of TensorFlow's that has attributes of its users'.
    kinds = tf.Module.__mro__[1], SimpleNamespace, *_WRAPPERS
    return isinstance(found, kinds) or any(map(_is_keras_or_users, type(found).__mro__))


def _held(found: Any) -> dict[str, Any]:
    """What an object holds by name: attributes, and what its code refers to."""
    try:
        held = dict(object.__getattribute__(found, "__dict__"))
    except AttributeError:
        held = {}
    if isinstance(found, (type, ModuleType)):
        held = {name: inner for name, inner in held.items() if not _is_pythons(name)}
        return dict(held, __bases__=found.__bases__ if isinstance(found, type) else ())
    if isinstance(found, FunctionType):
        held.update(_referred(found))
    for kind, names in _WRAPPERS.items():
        held.update((name, getattr(found, name)) for name in names if isinstance(found, kind))
    for kind in type(found).__mro__:
        if is_users(kind.__module__):
            held.setdefault("__class__", kind)
            for name, slot in vars(kind).items():
                if isinstance(slot, MemberDescriptorType):
                    with suppress(AttributeError):  # it is empty
                        held[name] = slot.__get__(found)
    return held


def _referred(function: FunctionType) -> Iterator[tuple[str, Any]]:
    """What a function refers to: its closure, its defaults, and the globals that it names."""
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or ()):
        with suppress(ValueError):  # it is empty
            yield name, cell.cell_contents
    yield "__defaults__", (function.__defaults__, function.__kwdefaults__)
    for name in _names(function.__code__):
        if name in function.__globals__ and not _is_pythons(name):
            yield name, function.__globals__[name]


def _names(code: CodeType) -> Iterator[str]:
    """The names that a function looks up, and those of the functions in it."""
    yield from code.co_names
    for inner in code.co_consts:
        if isinstance(inner, CodeType):
            yield from _names(inner)


def _is_pythons(name: str) -> bool:
    return name.startswith("__") and name.endswith("__")


def _is_keras_or_users(kind: type) -> bool:
    module = kind.__module__
    return ("keras" in module and _is_framework(module)) or is_users(module)


def _is_framework(module: str) -> bool:
    return module.split(".")[0] in _FRAMEWORK


def is_users(module: Any) -> bool:
    """Whether a module, by its name, is neither the framework's nor a library's."""
    file = getattr(sys.modules.get(module), "__file__", None)
    if file is None or _is_framework(module):
        return False
    libraries = {Path(sys.prefix), Path(os.__file__).parent}
    return libraries.isdisjoint(Path(os.path.abspath(file)).parents)  # noqa: PTH100


def forget_modules() -> None:
    """Have the user's modules imported anew: what they hold begins as in a new process."""
    for name in list(sys.modules):
        if name != "__main__" and is_users(name):
            del sys.modules[name]


def _is_number(found: Any) -> bool:
    return isinstance(found, (bool, int, float, np.number))


def _is_optimizer(found: Any) -> bool:
    import tensorflow as tf

    return isinstance(found, tf.keras.optimizers.Optimizer)


def _is_variable(found: Any) -> bool:
    kind = type(found)  # its own __getattr__ may have an answer to everything
    return hasattr(kind, "assign") and hasattr(kind, "numpy")


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
        """Replace what it holds. Raises SamebitsError where a table that cannot change must."""
        if np.array_equal(self.numpy(), value):
            return
        if not hasattr(self._table, "remove"):
            raise SamebitsError(
                f"checkpoint: the lookup table {self.name} holds something else than it did and "
                "cannot be restored; use trainer.checkpoint=none"
            )
        self._table.remove(self._table.export()[0])
        rows = json.loads(value.tobytes().decode("ascii"))
        if rows:
            dtypes = self._table.key_dtype, self._table.value_dtype
            self._table.insert(*(_tensor(part, dtype) for part, dtype in zip(zip(*rows), dtypes)))


def _tensor(content: Any, dtype: Any) -> Any:
    import tensorflow as tf

    return tf.constant(_encoded(list(content)) if dtype == tf.string else list(content), dtype)


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
