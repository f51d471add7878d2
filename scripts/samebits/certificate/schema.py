"""The schemas of certificates and of the report in them, and how bytes or a value break one."""

import json
from collections.abc import Iterator
from datetime import datetime
from functools import cache
from itertools import islice
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator, FormatChecker
from jsonschema.validators import extend

from samebits.certificate.types import Certificate
from samebits.errors import SamebitsError, all_problems
from samebits.formats import canonical
from samebits.formats.names import MOST_BYTES, MOST_VALUES
from samebits.text import plain

CERTIFICATE, REPORT = "certificate.schema.json", "report.schema.json"
MOMENT = "%Y-%m-%dT%H:%M:%SZ"  # how a certificate writes a moment: UTC, to the second
MOST_ERRORS = 100
_LONGEST = 300  # characters of what is quoted
_DEEPEST = 40  # levels of nesting: in protobuf's own parsers each takes two of a hundred
_FORMATS = FormatChecker(["uuid"])


@_FORMATS.checks("date-time", raises=ValueError)
def _is_moment(value: object) -> bool:
    """A moment in UTC, to the second; jsonschema itself would need one more package for dates."""
    return not isinstance(value, str) or bool(datetime.strptime(value, MOMENT))


def _items(validator: Any, items: Any, instance: Any, schema: Any) -> Iterator[Any]:
    """Of many numbers, the least and the greatest are checked: a history has thousands.

    These schemas ask of a number in a list its type and its range, and nothing else.
    """
    if not validator.is_type(instance, "array"):
        return
    checked = instance
    for kind in (int, float):
        numbers = [value for value in checked if type(value) is kind]
        ends = (min(numbers), max(numbers)) if numbers else ()
        if all(validator.evolve(schema=items).is_valid(end) for end in ends):
            checked = [value for value in checked if type(value) is not kind]
    if checked:
        yield from Draft202012Validator.VALIDATORS["items"](validator, items, instance, schema)


_Validator: Any = extend(Draft202012Validator, {"items": _items})  # type: ignore[no-untyped-call]
_made: dict[int, Any] = {}  # by the address of a part of a schema, which is kept as well


def _evolve(validator: Any, schema: Any, **_: Any) -> Any:
    """The validator of a part of a schema, made once and not at each value.

    Without references, which ``_inline`` has replaced, it needs no place to look them up from.
    """
    if id(schema) not in _made:
        _made[id(schema)] = _Validator(schema, format_checker=validator.format_checker)
    return _made[id(schema)]


_Validator.evolve = _evolve


@cache
def load(name: str) -> Any:
    """A schema as JSON."""
    return json.loads(Path(__file__).with_name(name).read_text(encoding="utf-8"))


def definition(name: str) -> str:
    """The place of a definition in the report's schema."""
    return f"{REPORT}#/$defs/{name}"


@cache
def _validator(place: str) -> Any:
    return _Validator(_inline({"$ref": place}, ""), format_checker=_FORMATS)


def _inline(node: Any, name: str) -> Any:
    """A part of the schema with this name, with the definitions themselves in place of references.

    So a value is checked in half the time: jsonschema looks each reference up at each value.
    """
    if isinstance(node, list):
        return [_inline(part, name) for part in node]
    if not isinstance(node, dict):
        return node
    made = {key: _inline(part, name) for key, part in node.items() if key not in ("$defs", "$ref")}
    if "$ref" not in node:
        return made
    other, _, pointer = node["$ref"].partition("#")
    target = load(other or name)
    for key in pointer.split("/")[1:]:
        target = target[key]
    inlined = _inline(target, other or name)
    return {"allOf": [inlined], **made} if made else inlined


def violations(content: Any, place: str) -> Iterator[str]:
    """How a value breaks a schema or a definition; nothing when it does not.

    The first hundred errors: of a hostile file all would take a thousand times its memory.
    """
    found = islice(_validator(place).iter_errors(content), MOST_ERRORS)
    for error in sorted(found, key=lambda error: error.json_path):
        yield f"at {error.json_path[:_LONGEST]}: {error.message[:_LONGEST]}"


# --- a certificate, which may be hostile ---------------------------------------------------------


class MalformedError(SamebitsError):
    """Not a certificate at all, whoever signed it."""


def parse(data: bytes) -> Certificate:
    """A certificate from its bytes, as the schema has it. Raises MalformedError for all others.

    Two runs need 4,000 values in 60 kB, thirty runs of many epochs some megabytes. More is no
    certificate, and is not read: to look at hostile gigabytes is what their maker wants.
    """
    if len(data) > MOST_BYTES:
        raise MalformedError(
            f"expected a certificate of at most {MOST_BYTES >> 20} MiB, got more; is it one?"
        )
    if canonical.most_values(data) > MOST_VALUES:
        raise MalformedError(
            f"expected a certificate of at most {MOST_VALUES:,} values, got more; is it one?"
        )
    try:
        content = canonical.loads(data)
    except (ValueError, RecursionError) as error:
        why = plain(str(error)[:_LONGEST])
        raise MalformedError(f"expected a certificate in JSON, got: {why}") from None
    if _is_deeper(content, _DEEPEST):
        raise MalformedError("expected a certificate, got JSON that is nested too deep")
    problems = [] if canonical.dumps(content) == data else [_NOT_CANONICAL]
    problems += (plain(f"certificate: {said}") for said in violations(content, CERTIFICATE))
    if problems:
        raise MalformedError(all_problems(problems))
    certificate: Certificate = content
    return certificate


def _is_deeper(value: Any, levels: int) -> bool:
    if not isinstance(value, dict | list):
        return False
    parts = value.values() if isinstance(value, dict) else value
    return levels == 0 or any(_is_deeper(part, levels - 1) for part in parts)


_NOT_CANONICAL = (
    "it is not in canonical form: it was written again by another program; get the file as it was"
)
