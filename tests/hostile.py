"""Certificates that cost as much as possible: each list, and each table of names, is filled up.

Generated from a sound certificate, so that a list that is added to a format is filled as well.
"""

from collections.abc import Iterator
from functools import partial
from typing import Any

import attacks
import factories
from attacks import Keys
from samebits.formats import canonical
from samebits.formats.names import MOST_BYTES, MOST_VALUES

Json = Any


def _lists(value: Json, keys: Keys = ()) -> Iterator[tuple[Keys, Json]]:
    """Every list and table that holds something: of the items of one list, in the first."""
    if isinstance(value, dict | list) and value:
        yield keys, value
        parts = value.items() if isinstance(value, dict) else enumerate(value[:1])
        for key, part in parts:
            yield from _lists(part, (*keys, key))


def _filled(value: Json, count: int) -> Json:
    """As many of its first item, or under as many names, as ``count`` values allow."""
    first = value[0] if isinstance(value, list) else next(iter(value.values()))
    if isinstance(value, list):
        each = canonical.most_values(canonical.dumps([first] * 1000)) / 1000  # of numbers, a part
        return [first] * max(2, int(count / each))
    number = max(2, count // canonical.most_values(canonical.dumps(first)))
    return {**value, **{f"more{i}": first for i in range(number)}}


def filled(content: Json, count: int, one_in: int) -> Iterator[tuple[str, bytes]]:
    """Certificates with ``count`` more values in one place, and the place: of some places."""
    for keys, value in list(_lists(content))[::one_in]:
        made = attacks.replaced(content, keys, _filled(value, count))
        yield ".".join(map(str, keys)), canonical.dumps(made)


def extremes() -> Iterator[tuple[str, bytes]]:
    """Documents as large as may be, of few values or of many, and some that are no certificates."""
    issued = factories.issued()
    put = partial(attacks.replaced, issued)
    room = MOST_BYTES - len(canonical.dumps(issued)) - 100
    name = ("report", "experiment", "name")
    yield "one text", canonical.dumps(put(name, "x" * room))
    yield "one wide text", canonical.dumps(put(name, "\N{GRINNING FACE}" + "x" * (room - 9)))
    yield "a command", canonical.dumps(put(("report", "how_to_repeat"), ["\u00e9" * (room // 2)]))
    yield "a lock", canonical.dumps(put(("report", "lock", "text"), "a==1\n" * (room // 6)))
    yield "a payload", canonical.dumps(put(("statements", 0, "payload"), "A" * (room // 4 * 4)))
    yield "lists", b"[" + b"[]," * (MOST_BYTES // 3 - 2) + b"[]]"
    yield "objects", b"[" + b"{}," * (MOST_VALUES // 2 - 9) + b"{}]"
    yield "nesting", b"[" * (MOST_BYTES - 1)
    yield "deep pairs", b'{"a":' * (MOST_VALUES // 2)
    yield "a number", b"[" + b"1" * (MOST_BYTES - 2) + b"]"
    yield "numbers", b"[" + b"7," * (3 * MOST_VALUES - 99) + b"7]"
    yield "too long", b"[" + b"7" * MOST_BYTES + b"]"
    yield "backslashes", b'["' + b"\\\\" * (MOST_BYTES // 2 - 2) + b'"]'
    yield "escapes", b'["' + b"\\u0041" * (MOST_BYTES // 6 - 2) + b'"]'


def replayed_to_the_limit(folder: Any) -> bytes:
    """As many replays of sampled epochs as there may be, of a training of many epochs."""
    made = factories.certify(factories.with_checkpoints(folder))
    control = made["report"]["records"]["runs"]["control"]
    control["checkpoints"]["digests"] *= 3_000
    record = factories.sampled_record(made)
    record["settings"], record["source"], record["packages"] = (
        record[key][:1] for key in ("settings", "source", "packages")
    )
    once = factories.replayed(made, None, record)
    return canonical.dumps({**once, "replays": once["replays"] * 100})
