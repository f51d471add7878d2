"""What an attacker can change in a certificate, generated: every leaf, every list, every key.

Nothing is listed by hand, so that a field that is added to a format is attacked as well. Mutants
are made and drawn without chance: a test that fails names its mutant, and finds it again.
"""

import hashlib
import io
import math
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import factories
import verify
from samebits import errors
from samebits.formats import bundle, canonical
from samebits.verification.levels import DOES_NOT_HOLD, MALFORMED, NOT_TRUSTED, VERIFIED

Json = Any
Keys = tuple[str | int, ...]


def bundled(folder: Path, content: dict[str, bytes]) -> Path:
    """A bundle as samebits writes it, of any content."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = {name: folder / str(number) for number, name in enumerate(content)}
    for name, path in paths.items():
        path.write_bytes(content[name])
    bundle.write(folder / "made.zip", paths)
    return folder / "made.zip"


# --- mutations ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class Mutant:
    """A value that differs from the original in one place, and where and how."""

    keys: Keys
    kind: str
    make: Callable[[], Json]

    @property
    def value(self) -> Json:
        """Made when it is asked for: of most mutants, nobody asks."""
        return self.make()

    @property
    def path(self) -> str:
        """Where, positions and names of runs replaced by a star: one text per kind of place."""
        return ".".join("*" if isinstance(key, int) else key for key in self.keys)

    def __str__(self) -> str:
        """To be found again by."""
        return f"{'.'.join(map(str, self.keys))}: {self.kind}"


def mutants(value: Json) -> Iterator[Mutant]:
    """Everything that differs from a JSON value in one leaf, one key, one item or one pair."""
    yield from _mutants(value, (), lambda changed: changed)


def _mutants(value: Json, keys: Keys, whole: Callable[[Json], Json]) -> Iterator[Mutant]:
    """``whole``: the value that a part belongs to, made of another such part."""
    for kind, changed in _changed(value):
        yield Mutant(keys, kind, partial(whole, changed))
    for key, inner in _items(value):
        yield from _mutants(inner, (*keys, key), _put(value, key, whole))


def _items(value: Json) -> list[tuple[Any, Json]]:
    if isinstance(value, dict):
        return list(value.items())
    return list(enumerate(value)) if isinstance(value, list) else []


def _put(value: Json, key: Any, whole: Callable[[Json], Json]) -> Callable[[Json], Json]:
    def put(changed: Json) -> Json:
        copy = value.copy()
        copy[key] = changed
        return whole(copy)

    return put


def _changed(value: Json) -> Iterator[tuple[str, Json]]:
    """A value's neighbours, by its type."""
    if isinstance(value, dict):
        yield from _changed_object(value)
    elif isinstance(value, list):
        yield from _changed_list(value)
    else:
        for kind, changed in (("null", None), *_CHANGED[type(value)](value)):
            if repr(changed) != repr(value):
                yield kind, changed


def _changed_object(value: dict[str, Json]) -> Iterator[tuple[str, Json]]:
    yield "null", None
    yield "list", []
    yield "key added", {**value, "more": 1}
    for key in value:
        yield f"without {key}", {k: v for k, v in value.items() if k != key}


def _changed_list(value: list[Json]) -> Iterator[tuple[str, Json]]:
    yield "null", None
    yield "object", {}
    yield "item added", [*value, None]
    for i, item in enumerate(value):
        yield f"without item {i}", value[:i] + value[i + 1 :]
        yield f"item {i} twice", [*value[: i + 1], *value[i:]]
        if i and value[i - 1] != item:
            swapped = [*value[: i - 1], item, value[i - 1], *value[i + 1 :]]
            yield f"items {i - 1} and {i} swapped", swapped


def _changed_text(value: str) -> Iterator[tuple[str, Json]]:
    yield "one character", value[:-1] + _other_character(value[-1:])
    yield "first character", _other_character(value[:1]) + value[1:]
    yield "other text", "other"
    yield "empty", ""
    yield "longer", value + "\n"
    yield "number", 1
    if value.upper() != value:
        yield "upper case", value.upper()


def _other_character(character: str) -> str:
    """One that is as good a hexadecimal digit, letter or sign."""
    return "1" if character == "0" else "0" if character in set("123456789") else "a"


def _changed_number(value: float) -> Iterator[tuple[str, Json]]:
    yield "one more", value + 1
    yield "negative", -value - 1
    yield "other type", float(value) if isinstance(value, int) else int(value)
    yield "text", str(value)
    yield "true", True
    yield "huge", 10**400
    if isinstance(value, float):
        yield "next", math.nextafter(value, math.inf)


def _changed_flag(value: bool) -> Iterator[tuple[str, Json]]:
    yield "toggled", not value
    yield "as number", int(value)
    yield "as text", str(value).lower()


def _changed_null(value: None) -> Iterator[tuple[str, Json]]:
    yield from (("zero", 0), ("false", False), ("text", "other"), ("list", []), ("object", {}))


_CHANGED: dict[type, Callable[[Any], Iterator[tuple[str, Json]]]] = {
    str: _changed_text,
    int: _changed_number,
    float: _changed_number,
    bool: _changed_flag,
    type(None): _changed_null,
}


def drawn(made: Iterable[Mutant], one_in: int) -> Iterator[Mutant]:
    """Some of many, always the same ones, spread over all places."""
    for mutant in made:
        if int(hashlib.sha256(str(mutant).encode()).hexdigest(), 16) % one_in == 0:
            yield mutant


def replaced(value: Json, keys: Keys, by: Json) -> Json:
    """A value with another part in one place."""
    if not keys:
        return by
    copy = value.copy()
    copy[keys[0]] = replaced(value[keys[0]], keys[1:], by)
    return copy


# --- verify ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Outcome:
    """What verify.py said, and the code that it left with."""

    code: int
    out: str
    err: str


def run(*arguments: object) -> Outcome:
    """verify.py in this process. What it would show as a traceback is raised."""
    streams = [io.TextIOWrapper(io.BytesIO(), "utf-8") for _ in range(2)]
    before, sys.argv = sys.argv, ["verify.py", *map(str, arguments)]
    code = 0
    try:
        with redirect_stdout(streams[0]), redirect_stderr(streams[1]):
            errors.run(verify.main, MALFORMED)
    except SystemExit as error:
        code = int(error.code or 0)
    finally:
        sys.argv = before
    return Outcome(code, *(_written(stream) for stream in streams))


def _written(stream: io.TextIOWrapper) -> str:
    stream.flush()
    data: bytes = stream.buffer.getvalue()  # type: ignore[attr-defined]
    return data.decode("utf-8")


class Place:
    """A folder with the issuer's public key, in which certificates are verified."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.key = factories.key_file(folder)
        self.path = folder / "certificate.json"

    def verify(self, content: Json | bytes, *flags: object) -> Outcome:
        """What verify.py says of a certificate, which the issuer alone is trusted to sign."""
        data = content if isinstance(content, bytes) else canonical.dumps(content)
        self.path.write_bytes(data)
        return run(self.path, "--key", self.key, *flags)

    def code(self, content: Json | bytes, *flags: object) -> int:
        """The exit code, which is one of those that are documented."""
        outcome = self.verify(content, *flags)
        assert outcome.code in (VERIFIED, DOES_NOT_HOLD, MALFORMED, NOT_TRUSTED)
        assert (outcome.err != "") == (outcome.code == MALFORMED)
        return outcome.code
