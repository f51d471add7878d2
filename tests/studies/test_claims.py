"""The article's claims: how measurements are judged, and the page that shows them."""

import ast
from pathlib import Path
from typing import Any

import pytest

import claim_factory
from claim_factory import error, program, training, value
from samebits import claims, claims_page
from samebits.claims import NO, NOT_APPLICABLE, NOT_SHOWN, YES
from samebits.errors import SamebitsError


def judged(key: str, *measured: dict[str, Any]) -> str:
    """The outcome that a claim's programs would have with these measurements."""
    return claims.outcome(claims.BY_KEY[key], list(measured))[0]


def test_a_recipe_holds_only_when_both_histories_are_equal() -> None:
    assert judged("recipe-2.1", program(training("a"), training("a"))) == YES
    assert judged("recipe-2.1", program(training("a"), training("b"))) == NO
    assert judged("recipe-2.1", program(training("a"), training("", error()))) == NO


def test_a_framework_without_what_a_claim_is_about_is_not_applicable() -> None:
    word, reason = claims.outcome(claims.BY_KEY["recipe-2.8"], [program(unmet=("hasattr(…)",))])
    assert (word, reason) == (NOT_APPLICABLE, "hasattr(…) is false")


def test_equal_histories_show_nothing_when_the_hash_seeds_did_not_differ() -> None:
    first = program(training("a"), training("a"), values=(value("1"),))
    other = program(training("a"), training("a"), values=(value("2"),))
    assert judged("hash-seed-not-needed", first, other) == YES
    assert judged("hash-seed-not-needed", first, first) == NOT_SHOWN
    assert judged("hash-seed-not-needed", first, program(training("b"), values=(value("2"),))) == NO


@pytest.mark.parametrize("key", ["python-seed-not-needed", "numpy-seed-not-needed"])
def test_a_seed_is_not_needed_only_when_it_was_really_left_out(key: str) -> None:
    first, other = program(training("a", before="1")), program(training("a", before="2"))
    assert judged(key, first, other) == YES
    assert judged(key, first, first) == NOT_SHOWN
    assert judged(key, first, program(training("b", before="2", drawn=True))) == NO


def test_only_a_refusal_for_want_of_a_seed_counts_as_one() -> None:
    assert judged("seed-required", program(training("", error(refusal=claims.NO_SEED)))) == YES
    assert judged("seed-required", program(training("", error("MemoryError")))) == NOT_SHOWN
    assert judged("seed-required", program(training("a"))) == NO


@pytest.mark.parametrize(
    ("inside", "before", "outcome"),
    [
        ((("1", "1"), ("2", "2")), ("7", "7"), YES),
        ((("1", "7"), ("2", "7")), ("7", "7"), NO),
        ((("7", "7"), ("7", "7")), ("7", "7"), NO),
        ((("1", "1"), ("2", "2")), ("7", "8"), NOT_SHOWN),
    ],
)
def test_too_late_means_that_nothing_changes_and_that_before_the_start_it_does(
    inside: tuple[tuple[str, str], ...], before: tuple[str, str], outcome: str
) -> None:
    late = [program(values=(value(a), value("0"), value(b))) for a, b in inside]
    early = [program(values=(value(v),)) for v in before]
    assert judged("hash-seed-inside-too-late", *late, *early) == outcome


def test_an_op_that_raises_something_else_does_not_show_that_ops_raise_unimplemented() -> None:
    refused = value("", error("FailedPreconditionError"))
    assert judged("unimplemented-op-raises", program(values=(refused, value("1")))) == NOT_SHOWN
    raised = value("", error("UnimplementedError"))
    assert judged("unimplemented-op-raises", program(values=(refused, raised))) == YES


def test_an_op_is_silently_nondeterministic_when_its_values_differ_without_an_error() -> None:
    one, two = program(values=(value("1"),)), program(values=(value("2"),))
    assert judged("silent-op-exists", one, two) == YES
    assert judged("silent-op-exists", one, one) == NOT_SHOWN
    twice = [program(values=(value("0"), value(last))) for last in ("1", "2")]
    assert judged("silent-op-exists", *twice) == YES
    assert judged("silent-op-exists", one, program(values=(value("", error()),))) == NOT_SHOWN


def test_the_negative_control_wants_every_history_to_differ() -> None:
    assert judged("nothing-pinned-differs", program(training("a")), program(training("b"))) == YES
    assert judged("nothing-pinned-differs", program(training("a")), program(training("a"))) == NO


def test_every_line_of_every_program_is_python_that_3_7_can_read() -> None:
    for claim in claims.CLAIMS:
        for text in (text for _, text in claims_page.programs(claim_result(claim.key))):
            ast.parse(text.partition("\n")[2], feature_version=(3, 7))


def claim_result(key: str) -> dict[str, Any]:
    """One claim of the made-up results, as collected."""
    collected = claims_page.collect(claim_factory.results())
    found: dict[str, Any] = next(c for c in collected["claims"] if c["claim"] == key)
    return found


def test_every_line_has_its_function_and_every_function_its_line() -> None:
    programs = [program for claim in claims.CLAIMS for program in claim.programs]
    used = {line for p in programs for line in (*p.needs, *p.setup, *p.values, *p.before_each)}
    assert used == set(claims.LINES)


def test_what_runs_for_a_line_is_what_the_line_says() -> None:
    source = Path(claims.__file__).read_text(encoding="utf-8")
    said = {
        key.value: ast.unparse(function.body)
        for table in ast.walk(ast.parse(source))
        if isinstance(table, ast.Dict)
        for key, function in zip(table.keys, table.values, strict=True)
        if isinstance(key, ast.Constant) and isinstance(function, ast.Lambda)
    }
    assert said == {line: ast.unparse(ast.parse(line)) for line in claims.LINES}


def test_results_are_in_the_claims_order_and_by_version_number() -> None:
    collected = claims_page.collect(claim_factory.results()[::-1])
    assert [c["claim"] for c in collected["claims"]] == list(claims.BY_KEY)
    for claim in collected["claims"]:
        versions = [result["versions"]["tensorflow"] for result in claim["results"]]
        assert versions == ["2.1.0", "2.8.0", "2.21.0"]


def test_a_missing_and_a_repeated_result_are_refused() -> None:
    results = claim_factory.results()
    with pytest.raises(SamebitsError, match=r"recipe-2\.1 \(2\.1\.0\)"):
        claims_page.collect(results[1:])
    with pytest.raises(SamebitsError, match=r"recipe-2\.1 \(2\.1\.0\)"):
        claims_page.collect([results[0], *results])


def test_results_of_different_data_are_refused() -> None:
    results = claim_factory.results()
    results[0]["experiment"] = results[0]["experiment"] | {"samples": 1}
    with pytest.raises(SamebitsError, match="same data"):
        claims_page.collect(results)


def test_the_page_quotes_what_was_measured_and_escapes_it() -> None:
    html = claims_page.render(claims_page.collect(claim_factory.results("<b>& that</b>")))
    assert "&lt;b&gt;&amp; that&lt;/b&gt;" in html
    assert "<b>& that" not in html
    assert "6,400" in html
    for claim in claims.CLAIMS:
        assert f'id="{claim.key}"' in html
