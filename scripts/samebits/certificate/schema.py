"""The schemas of certificates and of the report in them, and how a value breaks one."""

import json
from collections.abc import Iterator
from datetime import datetime
from functools import cache
from itertools import islice
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator, FormatChecker
from referencing import Registry
from referencing.jsonschema import DRAFT202012

CERTIFICATE, REPORT = "certificate.schema.json", "report.schema.json"
MOMENT = "%Y-%m-%dT%H:%M:%SZ"  # how a certificate writes a moment: UTC, to the second
MOST_ERRORS = 100
_LONGEST = 300  # characters of what is quoted
_FORMATS = FormatChecker(["uuid"])


@_FORMATS.checks("date-time", raises=ValueError)
def _is_moment(value: object) -> bool:
    """A moment in UTC, to the second; jsonschema itself would need one more package for dates."""
    return not isinstance(value, str) or bool(datetime.strptime(value, MOMENT))


def load(name: str) -> Any:
    """A schema as JSON."""
    return json.loads(Path(__file__).with_name(name).read_text(encoding="utf-8"))


def definition(name: str) -> str:
    """The place of a definition in the report's schema."""
    return f"{REPORT}#/$defs/{name}"


@cache
def _validator(place: str) -> Draft202012Validator:
    resources = [(n, DRAFT202012.create_resource(load(n))) for n in (CERTIFICATE, REPORT)]
    registry = Registry[Any]().with_resources(resources)
    return Draft202012Validator({"$ref": place}, registry=registry, format_checker=_FORMATS)


def violations(content: Any, place: str) -> Iterator[str]:
    """How a value breaks a schema or a definition; nothing when it does not.

    The first hundred errors: of a hostile file all would take a thousand times its memory.
    """
    found = islice(_validator(place).iter_errors(content), MOST_ERRORS)
    for error in sorted(found, key=lambda error: error.json_path):
        yield f"at {error.json_path[:_LONGEST]}: {error.message[:_LONGEST]}"
