"""The values of a config that a certificate may set: a few numbers and words, never code.

Everything else comes from the checkout or from the user: code (``_target_``, and modules that Keras
would import for a nested description of an object), the environment of a process (LD_PRELOAD is a
variable), files and addresses, text that Hydra would resolve. Values are passed on as typed JSON,
quoted, and never as Hydra's notation.
"""

import json
import re
import shlex
from collections.abc import Container, Iterable, Iterator, Mapping
from typing import Any

from samebits.config import program as programs
from samebits.config.keys import ABSENT, Difference, shown
from samebits.config.overrides import OPTION, Override

Differences = Iterable[Difference]
TARGET = "model._target_"
_OBJECTS = ("trainer.optimizer", "trainer.loss")  # of Keras: a name, or a class and numbers
_OBJECT_LISTS = ("trainer.metrics",)
_NUMBERS = ("protocol.tolerance",)  # null, or numbers by name
_KEYS = {  # of each group
    "": "seed trace",
    "trainer": "epochs batch_size validation_split shuffle steps_per_execution checkpoint",
    # sha256 is text only for a user's own file, and the user names that file.
    "data": "scale shape classes seed samples sha256 x y",
    "determinism": "hash_seed seeding op_determinism onednn isa replacements rewriting "
    "intra_op_threads inter_op_threads",
    "protocol": "replica alone explain unpin cpu.models cpu.samples cpu.epochs",
}
_PLAIN = {f"{group}.{key}".lstrip(".") for group, keys in _KEYS.items() for key in keys.split()}
_ARGUMENT = re.compile(r"model\.[A-Za-z][A-Za-z0-9_]*")  # of the model's function
# No dot, slash, colon or space: neither a module nor a path nor an address.
_WORD = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
_CLASS = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,63}")
# Of a program: a path below the project, or a module; a flag, a number or a word.
_PATH = re.compile(r"[A-Za-z0-9_*?][A-Za-z0-9_.*?/-]{0,255}")
_ARGUMENT_WORD = re.compile(r"-{0,2}[A-Za-z0-9][A-Za-z0-9_.,=+-]{0,63}")
_LONGEST = 64  # values in a list
_SHOWN = 80  # characters of a value in a message


def taken(found: Differences, overridden: Iterable[str], allowed: str | None) -> Iterator[Override]:
    """The differences that a certificate may decide, as overrides.

    ``overridden``: the keys that its issuer set; other differences come from the checkouts.
    ``allowed``: the only function that the user lets the certificate name.
    """
    wanted = set(overridden)
    for difference in found:
        key, value = difference.key, difference.expected
        if key == TARGET and allowed is not None and value == allowed:
            yield Override(key, allowed)
        elif key in wanted and may_set(key, value):
            yield from _overrides(difference)


def program(found: Mapping[str, Any], users: Container[str]) -> Iterator[Override]:
    """A certificate's program where the user names none, found below the user's own project.

    Its words and the names of its files, if none leads elsewhere. Which file that is, is decided by
    its digest. ``users``: the keys that the user sets.
    """
    words, paths = found["words"], [path for path in found["inputs"] if isinstance(path, str)]
    first = words[:2] if words[0] == programs.MODULE else words[:1]
    plain = all(map(_is_below, [first[-1], *paths])) and len(paths) == len(found["inputs"])
    if not plain or not all(map(_ARGUMENT_WORD.fullmatch, words[len(first) :])):
        return
    yield Override(programs.SCRIPT, shlex.join(words))
    given = {programs.INPUTS: [*paths, *([programs.STRICT] if found["strict"] else [])]}
    if all(map(_is_below, found["outputs"] or ())):
        given[programs.OUTPUTS] = found["outputs"]
    yield from (Override(key, value) for key, value in given.items() if key not in users)


def _is_below(path: str) -> bool:
    """Whether a name or a pattern can only be one below the project."""
    return bool(_PATH.fullmatch(path)) and ".." not in path.split("/")


def _overrides(difference: Difference) -> Iterator[Override]:
    key, value = difference.key, difference.expected
    if isinstance(value, Mapping) and isinstance(difference.got, Mapping):
        yield Override(key, None)  # Hydra merges mappings: remove the old one first
    yield Override(key, value, "++" if difference.got is ABSENT else "")


def may_set(key: str, value: Any) -> bool:
    """Whether a certificate may give this key this value."""
    if key in _OBJECTS:
        return _is_object(value)
    if key in _OBJECT_LISTS:
        return _is_short_list(value) and all(map(_is_object, value))
    if key in _NUMBERS:
        return value is None or _is_flat(value, _is_number)
    if _ARGUMENT.fullmatch(key) and key != f"model.{OPTION}":
        return _is_plain(value)
    return key in _PLAIN and _is_plain(value)


def _is_number(value: Any) -> bool:
    return value is None or isinstance(value, bool | int | float)


def _is_scalar(value: Any) -> bool:
    return _is_number(value) or (isinstance(value, str) and bool(_WORD.fullmatch(value)))


def _is_short_list(value: Any) -> bool:
    return isinstance(value, list) and len(value) <= _LONGEST


def _is_plain(value: Any) -> bool:
    return _is_scalar(value) or (_is_short_list(value) and all(map(_is_scalar, value)))


def _is_flat(value: Any, fits: Any) -> bool:
    return (
        isinstance(value, Mapping)
        and len(value) <= _LONGEST
        and all(_CLASS.fullmatch(key) and fits(inner) for key, inner in value.items())
    )


def _is_object(value: Any) -> bool:
    """A Keras object by its name, or by a class and scalars.

    Keras builds whatever a nested description names, and imports its module; a list or a mapping
    in ``config`` may be one. https://keras.io/api/models/model_saving_apis/serialization_utils/
    """
    if isinstance(value, str):
        return bool(_CLASS.fullmatch(value))
    return (
        isinstance(value, Mapping)
        and set(value) <= {"class_name", "config"}
        and isinstance(value.get("class_name"), str)
        and bool(_CLASS.fullmatch(value["class_name"]))
        and _is_flat(value.get("config", {}), _is_scalar)
    )


# --- messages ------------------------------------------------------------------------------------


def lines(found: Differences, overridden: Iterable[str], allowed: str | None) -> Iterator[str]:
    """One line for each difference that keeps this checkout from repeating the certificate."""
    wanted = set(overridden)
    for difference in found:
        key, why = difference.key, ""
        if key == TARGET:
            why = _why_not_code(allowed)
        elif key.startswith("program"):
            why = f"; name it: {programs.SCRIPT}='…', with inputs, outputs and packages as there"
        elif _interpolates(difference.expected):
            why = "; a certificate's text is never resolved"
        elif key in wanted and not may_set(key, difference.expected):
            why = "; a certificate never sets this: to accept it, add overrides='KEY=VALUE'"
        path = ".".join(json.dumps(part[:_SHOWN])[1:-1] for part in difference.path)
        theirs, ours = shown(difference.expected), shown(difference.got)
        yield f"{path}: the certificate has {theirs}, this checkout {ours}{why}"


def _why_not_code(allowed: str | None) -> str:
    why = "; a certificate never chooses code: to run it, add allow=MODULE.FUNCTION"
    return why if allowed is None else f"{why}, now {allowed}"


def _interpolates(value: Any) -> bool:
    """Whether Hydra would resolve any of it."""
    if isinstance(value, Mapping):
        return any(_interpolates(part) for item in value.items() for part in item)
    if isinstance(value, list):
        return any(map(_interpolates, value))
    return isinstance(value, str) and "${" in value
