"""How values break the schemas: with shortcuts, and as jsonschema says it without them."""

from collections.abc import Iterator
from typing import Any

import pytest
from jsonschema import Draft202012Validator

import attacks
from samebits.certificate import schema

Json = Any


@pytest.fixture(scope="module")
def plain() -> Any:
    """jsonschema's own validator of certificates."""
    ours = schema._validator(schema.CERTIFICATE)
    return Draft202012Validator(ours.schema, format_checker=ours.format_checker)


def changed(issued: Json) -> Iterator[Json]:
    """The certificate, changed in one place each, and with numbers of every kind in a history."""
    yield from (mutant.value for mutant in attacks.drawn(attacks.mutants(issued), 400))
    loss = ("report", "histories", "control", "metrics", "loss")
    rows: list[Json] = [[1.0, 2, 3], [1.0, "2", True], [10**400, None], [2.0, [3.0]], {}, ["a"]]
    for row in rows:
        yield attacks.replaced(issued, loss, row)


def test_the_errors_are_those_of_jsonschema_itself(issued: Json, plain: Any) -> None:
    broken = 0
    for content in changed(issued):
        expected = sorted(plain.iter_errors(content), key=lambda error: error.json_path)
        found = sorted(
            schema._validator(schema.CERTIFICATE).iter_errors(content),
            key=lambda error: error.json_path,
        )
        assert [_said(error) for error in found] == [_said(error) for error in expected]
        broken += bool(found)
    assert broken > 9


def _said(error: Any) -> tuple[Any, ...]:
    return error.json_path, error.message, list(error.schema_path), error.validator


def test_no_part_of_a_schema_is_prepared_twice(issued: Json) -> None:
    assert list(schema.violations(issued, schema.CERTIFICATE)) == []
    made = dict(schema._made)
    assert list(schema.violations(issued, schema.CERTIFICATE)) == []
    assert schema._made == made
