"""Canonical JSON: one spelling of a document, so that its digest says whether it changed.

The canonical form is UTF-8, keys sorted by code point, no insignificant white space, floats as
Python's shortest repr, no NaN or Infinity, one line feed at the end. The line feed is part of
the digested bytes, so ``sha256sum FILE`` prints the digest that the records name.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from pathlib import Path
from typing import Any, Mapping

from samebits.errors import SamebitsError
from samebits.formats import files


def dumps(value: Any) -> bytes:
    """The canonical bytes of a JSON value. Raises ValueError for NaN and infinities."""
    text = json.dumps(
        value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    )
    return (text + "\n").encode("utf-8")


def digest(value: Any) -> str:
    """SHA-256 (hex) of the canonical bytes."""
    return hashlib.sha256(dumps(value)).hexdigest()


_DIGEST = "embedded_digest"


def with_digest(content: Mapping[str, Any]) -> dict[str, Any]:
    """A document with its embedded digest: that of the document without it."""
    plain = {key: value for key, value in content.items() if key != _DIGEST}
    return dict(plain, **{_DIGEST: digest(plain)})


def digest_problem(content: Any) -> str:
    """The problem with the embedded digest of a document; empty: none."""
    if not isinstance(content, dict) or _DIGEST not in content:
        return f"it has no {_DIGEST}"
    expected, got = content[_DIGEST], with_digest(content)[_DIGEST]
    return "" if got == expected else f"{_DIGEST}: expected {expected}, got {got}"


def _no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        count = Counter(name for name, _ in pairs)
        twice = sorted(name for name in count if count[name] > 1)
        raise ValueError("the same key twice: {}".format(", ".join(twice)))
    return result


def _no_constants(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


def _finite(text: str) -> float:
    value = float(text)
    if value in (float("inf"), float("-inf")):
        raise ValueError(f"{text[:20]} is too large")
    return value


def loads(data: bytes) -> Any:
    """Parse JSON strictly: ValueError for a document that ``dumps`` could not write.

    That is: duplicate keys, NaN, infinities, numbers too large for a double, half a surrogate pair,
    a byte order mark. Nesting that is too deep raises RecursionError, as Python's parser does.
    """
    value = json.loads(
        data.decode("utf-8"),
        object_pairs_hook=_no_duplicates,
        parse_constant=_no_constants,
        parse_float=_finite,
    )
    if b"\\u" in data:
        dumps(value)  # only an escape can hold half a surrogate pair
    return value


_AS_ZERO = bytes.maketrans(b"-123456789", b"0000000000")


def most_values(data: bytes) -> int:
    """How many values a JSON document has at the most: found without parsing it.

    Three numbers of a list count as one value: a history has thousands, and they cost little.
    """
    zeros = data.translate(_AS_ZERO)
    numbers = zeros.count(b",0") + zeros.count(b"[0")
    return 1 + sum(data.count(mark) for mark in b",[{") - numbers * 2 // 3


def read_json(path: Path) -> Any:
    """Read a JSON file. Raises SamebitsError that names the file when it is not valid JSON."""
    try:
        return loads(Path(path).read_bytes())
    except (ValueError, RecursionError) as error:  # UnicodeDecodeError, JSONDecodeError, depth
        raise SamebitsError(
            f"{path}: expected valid JSON, got: {error}; delete it to have it made again"
        ) from error


def write_json(path: Path, value: Any) -> str:
    """Write the canonical bytes of ``value``; returns their digest."""
    data = dumps(value)
    files.write_bytes(path, data)
    return hashlib.sha256(data).hexdigest()
