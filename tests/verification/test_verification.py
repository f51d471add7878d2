"""What verify believes: signatures by the key that is named, and nothing that it can derive."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import attacks
import factories
from factories import ISSUER, LABORATORY
from samebits.certificate import certificate
from samebits.certificate.schema import MalformedError
from samebits.formats import canonical
from samebits.signing.trusted import Trusted
from samebits.verification import levels
from samebits.verification.levels import DOES_NOT_HOLD, NOT_TRUSTED, VERIFIED, Verification

Json = Any
TRUSTED = [Trusted("the issuer", ISSUER.public)]
BOTH = [*TRUSTED, Trusted("a laboratory", LABORATORY.public)]


@pytest.fixture(scope="module")
def unsigned(issued: Json) -> Json:
    return certificate.issue(issued["report"] | {"issuer": {"keyid": None}}, None)


def verified(content: Json, trusted: list[Trusted] = TRUSTED) -> Verification:
    """The result for a certificate, which must have the form of one."""
    read = certificate.parse(canonical.dumps(content))
    return levels.verify(read, trusted)


def problems(found: Verification) -> dict[str, str]:
    return {check.level: " ".join(check.problems) for check in found.checks if check.problems}


# --- the four results --------------------------------------------------------------------------


def test_a_certificate_by_a_trusted_key_is_verified(issued: Json) -> None:
    found = verified(issued)
    assert found.code == VERIFIED
    assert [check.level for check in found.checks] == ["signature", "statement", "claim"]
    assert found.signatories[0].holder == "the issuer"


def test_a_certificate_by_another_key_is_valid_and_not_trusted(issued: Json) -> None:
    found = verified(issued, [Trusted("another", LABORATORY.public)])
    assert (found.code, problems(found)) == (NOT_TRUSTED, {})
    assert found.signatories[0].holder is None


def test_what_is_unsigned_is_never_verified(unsigned: Json) -> None:
    found = verified(unsigned, BOTH)
    assert (found.code, problems(found)) == (NOT_TRUSTED, {})
    assert "UNSIGNED" in found.checks[0].summary


def test_a_verdict_that_is_no_good_news_is_verified_like_any_other(tmp_path: Path) -> None:
    differing = factories.workspace(tmp_path / "1", optimizer=factories.weights())
    incomplete = factories.workspace(tmp_path / "2")
    incomplete.comparison.unlink()
    for space, verdict in ((differing, "NOT REPRODUCIBLE"), (incomplete, "INCONCLUSIVE")):
        found = verified(factories.certify(space, ISSUER))
        assert (found.code, found.verdict) == (VERIFIED, verdict)


def test_a_certificate_of_every_kind_of_run_is_verified(tmp_path: Path) -> None:
    content = factories.certify(factories.explained(tmp_path))
    assert content["report"]["scope"]["depends_on"] == ["CPU"]
    assert {pin["outcome"] for pin in content["report"]["scope"]["pins"]} == {
        "needed",
        "not needed",
    }
    assert verified(content).code == VERIFIED


# --- signatures --------------------------------------------------------------------------------


def test_unsigned_that_calls_itself_signed_does_not_hold(unsigned: Json) -> None:
    found = verified(unsigned | {"signature": "SIGNED"})
    assert "is marked SIGNED" in problems(found)["signature"]


def test_trust_is_in_the_key_and_not_in_what_calls_itself_so(issued: Json) -> None:
    """The id is the key's digest, so a trusted id with another key is not even a certificate."""
    attacker = factories.signer("attacker")
    content = factories.copied(issued)
    content["keys"] = {ISSUER.keyid: attacker.public.text}
    with pytest.raises(MalformedError, match="is not the id of its key"):
        verified(content)


# --- statements and claim ----------------------------------------------------------------------


def test_evidence_that_cannot_be_graded_does_not_hold(issued: Json, tmp_path: Path) -> None:
    """Values that the schema allows, and that no arithmetic can take, or no protocol."""
    contents = issued, factories.certify(factories.explained(tmp_path))
    for number, change in enumerate(ungradable()):
        for content in contents if number % 3 == 0 else contents[:1]:
            said = factories.copied(content["report"])
            change(said)
            found = verified(factories.signed_again(content, said, ISSUER))
            assert found.code == DOES_NOT_HOLD


def ungradable() -> Iterator[Callable[[Json], object]]:
    def timing(value: Json) -> Callable[[Json], object]:
        return lambda r: r["records"]["runs"]["control"]["timing"].update(seconds=value)

    yield from map(timing, (10**400, 1e300, 10**12))
    yield lambda r: r["records"]["runs"]["control"]["machine"].update(memory_bytes=10**400)
    yield lambda r: r["experiment"]["config"]["determinism"].update(op_determinism=None)
    yield lambda r: r["experiment"]["config"]["protocol"].update(alone=["unheard of"])
    yield lambda r: r["experiment"]["config"]["framework"].pop("gpus")


# --- replays -----------------------------------------------------------------------------------


def test_a_replay_is_shown_in_the_chain(issued: Json) -> None:
    found = verified(factories.replayed(issued, LABORATORY), BOTH)
    assert found.code == VERIFIED
    assert [link.outcome for link in found.signatories] == ["REPRODUCIBLE", "REPRODUCED"]
    assert found.signatories[1].holder == "a laboratory"
    assert found.signatories[1].machine.startswith("AMD EPYC 9R45, Linux")


def other_bits(content: Json, number: int = 7) -> Json:
    record = factories.another_run(content, number)
    record["digests"] |= {"weights": "5" * 64}
    return record


def test_a_contradiction_by_somebody_trusted_breaks_the_chain(issued: Json) -> None:
    content = factories.replayed(issued, LABORATORY, other_bits(issued))
    assert verified(content, BOTH).code == DOES_NOT_HOLD
    assert "a laboratory did not reproduce it" in problems(verified(content, BOTH))["replays"]


def test_a_contradiction_by_nobody_known_is_shown_and_breaks_nothing(issued: Json) -> None:
    """Else anybody could take a certificate's credit away."""
    for by in (LABORATORY, None):
        found = verified(factories.replayed(issued, by, other_bits(issued)))
        assert found.code == VERIFIED
        assert found.signatories[1].outcome == "NOT REPRODUCED"


def test_a_contradiction_outside_of_the_scope_is_none(issued: Json) -> None:
    record = other_bits(issued)
    record["machine"] |= {"flags": ["sse4_1"]}
    found = verified(factories.replayed(issued, LABORATORY, record), BOTH)
    assert found.code == VERIFIED
    assert "no avx2" in " ".join(found.signatories[1].outside_scope)


def test_a_replay_does_not_make_its_certificate_trusted(unsigned: Json, issued: Json) -> None:
    assert verified(factories.replayed(unsigned, ISSUER)).code == NOT_TRUSTED
    only_laboratory = [Trusted("a laboratory", LABORATORY.public)]
    assert verified(factories.replayed(issued, LABORATORY), only_laboratory).code == NOT_TRUSTED


def test_what_cannot_be_replayed_has_no_replays(tmp_path: Path, issued: Json) -> None:
    space = factories.workspace(tmp_path)
    (space.runs[0] / "record.json").unlink()
    borrowed = factories.replayed(issued, ISSUER)["replays"]
    found = verified(factories.certify(space) | {"replays": borrowed})
    assert "control run did not complete" in problems(found)["replay"]


def test_a_broken_lock_is_a_problem_of_the_replay_and_no_crash(tmp_path: Path) -> None:
    space = factories.workspace(tmp_path)
    space.lock.write_text("numpy")
    found = verified(factories.replayed(factories.certify(space), ISSUER))
    assert found.code == DOES_NOT_HOLD
    assert set(problems(found)) == {"replay"}


# --- certificates of every kind ------------------------------------------------------------------

KINDS = {
    "reproducible.json": (VERIFIED, ["REPRODUCIBLE"]),
    "not-reproducible.json": (VERIFIED, ["NOT REPRODUCIBLE"]),
    "inconclusive.json": (VERIFIED, ["INCONCLUSIVE"]),
    "unsigned.json": (NOT_TRUSTED, ["REPRODUCIBLE"]),
    "replayed.json": (VERIFIED, ["REPRODUCIBLE", "REPRODUCED", "NOT REPRODUCED"]),
    "reproducible.zip": (VERIFIED, ["REPRODUCIBLE"]),
}


@pytest.mark.parametrize("name", KINDS)
def test_a_certificate_of_each_kind_is_verified_as_such(name: str) -> None:
    key = factories.samples() / "issuer.pub"
    outcome = attacks.run(factories.samples() / name, "--key", key, "--json")
    code, outcomes = KINDS[name]
    assert outcome.code == code, outcome
    found = canonical.loads(outcome.out.encode())
    assert [signatory["outcome"] for signatory in found["signatories"]] == outcomes
