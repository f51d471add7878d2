"""Keys of a config, dotted as Hydra writes them, and where two configs differ."""

import difflib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from samebits.formats import canonical

# Compared and set as a whole: they have one of several forms, or keys that depend on each other.
KERAS_OBJECTS = ("trainer.optimizer", "trainer.loss")  # a name, or class_name and config
WHOLE = (*KERAS_OBJECTS, "protocol.tolerance")

_SHOWN = 80  # characters of a value in a message


class _Absent:
    """No value, which null is not."""


ABSENT = _Absent()


@dataclass(frozen=True)
class Difference:
    """One place where a config is not as expected."""

    path: tuple[str, ...]
    expected: Any
    got: Any

    @property
    def key(self) -> str:
        """As Hydra writes it."""
        return ".".join(self.path)


def differences(
    expected: Mapping[str, Any], got: Mapping[str, Any], above: tuple[str, ...] = ()
) -> Iterator[Difference]:
    """Where two configs differ, by canonical JSON: 1, 1.0 and true are three values."""
    for key in sorted({*expected, *got}):
        found = Difference((*above, key), expected.get(key, ABSENT), got.get(key, ABSENT))
        values = (found.expected, found.got)
        if all(isinstance(value, Mapping) for value in values) and found.key not in WHOLE:
            yield from differences(*values, found.path)
        elif ABSENT in values or canonical.dumps(values[0]) != canonical.dumps(values[1]):
            yield found


def units(path: Sequence[str], value: Any) -> Iterator[str]:
    """The dotted keys that setting a value at a path sets, as ``differences`` names them."""
    for whole in WHOLE:
        if ".".join(path[: whole.count(".") + 1]) == whole:
            yield whole
            return
    if isinstance(value, Mapping) and value:
        for key, inner in value.items():
            yield from units([*path, str(key)], inner)
    else:
        yield ".".join(path)


def nearest(name: str, valid: Iterable[str]) -> str:
    """A hint for a wrong name: the nearest valid one, and all of them."""
    valid = sorted(valid)
    near = difflib.get_close_matches(name, valid, n=1)
    return (f"did you mean {near[0]}? " if near else "") + f"valid: {', '.join(valid)}"


def shown(value: Any) -> str:
    """A value of unknown origin in a message; nothing in it steers a terminal."""
    if value is ABSENT or value == "???":  # Hydra's way to say that the user has to name it
        return "none"
    text = json.dumps(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"
