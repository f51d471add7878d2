"""What verify believes: signatures by the key that is named, and nothing that it can derive."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import attacks
import factories
from factories import ISSUER, LABORATORY
from samebits.certificate import certificate
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


def flip(text: str) -> str:
    """The same length of base64, another first byte."""
    return ("A" if text[0] != "A" else "B") + text[1:]


def signature(content: Json, position: int = 0) -> Json:
    return content["statements"][position]["signatures"][0]


def swap_signatures(content: Json) -> None:
    one, other = signature(content, 0), signature(content, 1)
    one["sig"], other["sig"] = other["sig"], one["sig"]


def strip(content: Json, says: str = "SIGNED") -> None:
    content |= {"keys": {}, "signature": says}
    for sealed in content["statements"]:
        sealed["signatures"] = []


def strip_everything(content: Json) -> None:
    """UNSIGNED throughout, but for the statements, which say who signed them."""
    strip(content, "UNSIGNED")
    content["report"]["issuer"]["keyid"] = None


def sign_with(content: Json, name: str) -> None:
    """Signed by another key, which the certificate carries."""
    by = factories.signer(name)
    payloads = [certificate.payload(sealed) for sealed in content["statements"]]
    content["statements"] = [certificate.envelope(payload, by) for payload in payloads]
    content["keys"] = {by.keyid: by.public.text}


def sign_as_issuer(content: Json) -> None:
    """Signed by another key under the id of the issuer's."""
    keys_before = content["keys"]
    sign_with(content, "attacker")
    content["keys"] = keys_before
    for position in range(2):
        signature(content, position)["keyid"] = ISSUER.keyid


def change_payload(content: Json) -> None:
    payload = certificate.payload(content["statements"][0])
    changed = payload.replace(b'"runs":2', b'"runs":3')
    assert changed != payload
    content["statements"][0]["payload"] = certificate.envelope(changed, None)["payload"]


SIGNATURES: dict[str, Callable[[Json], object]] = {
    "signatures swapped": swap_signatures,
    "statements swapped": lambda c: c["statements"].reverse(),
    "one statement twice": lambda c: c.update(statements=c["statements"][:1] * 2),
    "another first byte": lambda c: signature(c).update(sig=flip(signature(c)["sig"])),
    "an empty signature": lambda c: signature(c).update(sig=""),
    "zeros": lambda c: signature(c).update(sig="A" * 86 + "=="),
    "SIGNED by its own words alone": strip,
    "one statement unsigned": lambda c: c["statements"][1].update(signatures=[]),
    "signed and called UNSIGNED": lambda c: c.update(signature="UNSIGNED"),
    "stripped and called UNSIGNED": lambda c: strip(c, "UNSIGNED"),
    "UNSIGNED but for the statements": strip_everything,
    "another key": lambda c: sign_with(c, "attacker"),
    "another key under the issuer's id": sign_as_issuer,
    "another payload": change_payload,
}


@pytest.mark.parametrize("harm", SIGNATURES)
def test_games_with_signatures_do_not_hold(issued: Json, harm: str) -> None:
    content = factories.copied(issued)
    SIGNATURES[harm](content)
    for trusted in (TRUSTED, [], [Trusted("x", factories.signer("attacker").public)]):
        assert verified(content, trusted).code == DOES_NOT_HOLD


def test_unsigned_that_calls_itself_signed_does_not_hold(unsigned: Json) -> None:
    found = verified(unsigned | {"signature": "SIGNED"})
    assert "is marked SIGNED" in problems(found)["signature"]


def test_a_signature_by_somebody_else_over_an_unsigned_report_does_not_hold(unsigned: Json) -> None:
    content = factories.copied(unsigned)
    sign_with(content, "attacker")
    found = verified(content, [Trusted("attacker", factories.signer("attacker").public)])
    assert found.code == DOES_NOT_HOLD


def test_trust_is_in_the_key_and_not_in_what_calls_itself_so(issued: Json) -> None:
    """The id is the key's digest, so a trusted id with another key is not even a certificate."""
    attacker = factories.signer("attacker")
    content = factories.copied(issued)
    content["keys"] = {ISSUER.keyid: attacker.public.text}
    with pytest.raises(certificate.MalformedError, match="is not the id of its key"):
        verified(content)


# --- statements and claim ----------------------------------------------------------------------


def test_a_statement_about_another_report_does_not_hold(issued: Json) -> None:
    said = issued["report"] | {"issued": "2026-11-23T12:00:01Z"}
    content = issued | {"report": said}
    found = verified(content)
    assert set(problems(found)) == {"statement"}
    assert "issued" in problems(found)["statement"]


def _as_flag(value: Json) -> bool:
    """What Python calls equal to a number, and JSON does not."""
    assert value in (0, 1)
    assert not isinstance(value, bool)
    return bool(value)


def test_a_trusted_issuer_cannot_swap_what_the_statement_is_about(issued: Json) -> None:
    payload = canonical.loads(certificate.payload(issued["statements"][0]))
    first, second, *_ = payload["subject"]
    first["digest"], second["digest"] = second["digest"], first["digest"]
    content = factories.copied(issued)
    content["statements"][0] = certificate.envelope(canonical.dumps(payload), ISSUER)
    found = verified(content)
    assert set(problems(found)) == {"statement"}
    said = problems(found)["statement"]
    assert all(f"subject[{place}].digest.sha256 (expected " in said for place in (0, 1))


FORGED: dict[str, Callable[[Json], object]] = {
    "verdict": lambda r: r.update(verdict="NOT REPRODUCIBLE"),
    "reasons": lambda r: r["reasons"].append("It was checked by an authority."),
    "runs": lambda r: r["scope"].update(runs=30),
    "pinned": lambda r: r["scope"]["pinned"][0].update(value=1),
    "same": lambda r: r["scope"]["same"].pop(),
    "outcome": lambda r: r["scope"]["variations"][0].update(outcome="not tried"),
    "true for one": lambda r: r["scope"]["pinned"][0].update(
        value=_as_flag(r["scope"]["pinned"][0]["value"])
    ),
    "conditions": lambda r: r["scope"]["conditions"].append("seed"),
    "digest of the config": lambda r: r["experiment"].update(digest="0" * 64),
    "digest of a record": lambda r: r["evidence"][3].update(sha256="0" * 64),
    "a document more": lambda r: r["evidence"].append(
        {"name": "audit.pdf", "sha256": "0" * 64, "problem": None}
    ),
    "a document less": lambda r: r["evidence"].pop(3),
    "documents in another order": lambda r: r["evidence"].reverse(),
    "a run more": lambda r: r["records"]["runs"].update(more=r["records"]["runs"]["replica"]),
    "digest of a file of arrays": lambda r: next(
        d for d in r["evidence"] if d["name"].endswith("control/weights.safetensors")
    ).update(sha256="0" * 64),
    "a record without its embedded digest's text": lambda r: r["records"]["runs"]["control"].update(
        dataset="1" * 64
    ),
    "other tensors in a record": lambda r: r["records"]["runs"]["replica"]["tensors"][
        "weights"
    ].reverse(),
    "a history more": lambda r: r["histories"].update(more=r["histories"]["control"]),
    "histories exchanged for others": lambda r: r["histories"]["replica"]["metrics"].popitem(),
    "the lock": lambda r: r["lock"].update(text=r["lock"]["text"] + "# more\n"),
    "no lock": lambda r: r["lock"].update(text=None),
    "config": lambda r: r["experiment"]["config"].update(seed=2),
    "comparison": lambda r: r["comparisons"][0].update(identical=False),
    "comparisons twice": lambda r: r["comparisons"].append(r["comparisons"][0]),
}


@pytest.mark.parametrize("what", FORGED)
def test_a_trusted_issuer_cannot_say_what_its_evidence_does_not(issued: Json, what: str) -> None:
    said = factories.copied(issued["report"])
    FORGED[what](said)
    content = factories.signed_again(issued, said, ISSUER)
    try:
        found = verified(content)
    except certificate.MalformedError:
        return
    assert found.code == DOES_NOT_HOLD
    assert set(problems(found)) == {"claim"}


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


def replay_with(content: Json, change: Callable[[Json], object]) -> Json:
    """A certificate with a replay whose report was changed, and that was signed again."""
    made = factories.replayed(content)
    said = made["replays"][0]["report"]
    change(said)
    said["record"] = canonical.with_digest(said["record"])
    return factories.replay_again(made, said)


def never_trained(said: Json) -> None:
    said["record"] |= {"status": "not tried", "digests": {}, "tensors": {}}
    for key in ("settings", "framework", "source"):
        del said["record"][key]


REPLAYS: dict[str, Callable[[Json], object]] = {
    "of another certificate": lambda s: s.update(of="0" * 64),
    "another outcome": lambda s: s.update(outcome="NOT REPRODUCED"),
    "an artifact less": lambda s: s["artifacts"].pop(),
    "other digests": lambda s: s["artifacts"][0].update(expected="0" * 64, got="0" * 64),
    "called identical": lambda s: s["record"]["digests"].update(weights="5" * 64),
    "called outside": lambda s: s["outside_scope"].append("I say so"),
    "another experiment": lambda s: s["record"].update(experiment="0" * 64),
    "another config": lambda s: s["record"]["config"].update(seed=2),
    "other data": lambda s: s["record"].update(dataset="0" * 64),
    "another lock": lambda s: s["record"].update(lock="0" * 64),
    "other packages": lambda s: s["record"]["packages"][0].update(version="0"),
    "other code": lambda s: s["record"]["source"][0].update(sha256="0" * 64),
    "a pin not in effect": lambda s: s["record"]["settings"][8].update(effective="SSE41"),
    "a pin unpinned": lambda s: s["record"].update(unpinned=["isa"]),
    "a part of the data": lambda s: s["record"].update(subset={"samples": 1, "epochs": 3}),
    "a varied run": lambda s: s["record"]["variations"]["applied"].update(locale="C"),
    "never trained": never_trained,
    "the issuer's keyid": lambda s: s["issuer"].update(keyid=ISSUER.keyid),
    "no keyid": lambda s: s["issuer"].update(keyid=None),
}


@pytest.mark.parametrize("what", REPLAYS)
def test_a_replay_that_says_what_its_record_does_not_breaks_the_certificate(
    issued: Json, what: str
) -> None:
    found = verified(replay_with(issued, REPLAYS[what]), BOTH)
    assert found.code == DOES_NOT_HOLD
    assert "replay" in problems(found)


def certified_run(issued: Json, run: str) -> Json:
    record = factories.copied(issued["report"]["records"]["runs"][run])
    record["variations"] = {"applied": {}, "not_tried": {}}
    return factories.replayed(issued, ISSUER, record)


def one_run_twice(issued: Json) -> Json:
    record = factories.another_run(issued)
    return factories.replayed(factories.replayed(issued, ISSUER, record), LABORATORY, record)


def one_replay_twice(issued: Json) -> Json:
    once = factories.replayed(issued)
    return once | {"replays": once["replays"] * 2}


def of_another(issued: Json) -> Json:
    report = issued["report"] | {"issued": "2026-11-23T13:00:00Z"}
    other = factories.replayed(certificate.issue(report, ISSUER))
    return factories.replayed(issued) | {"replays": other["replays"]}


def signature_of_another_statement(issued: Json) -> Json:
    content = factories.replayed(issued, ISSUER)
    content["replays"][0]["statement"] = issued["statements"][0]
    return content


def unsigned_in_the_issuers_name(issued: Json) -> Json:
    content = factories.replayed(issued, None)
    content["replays"][0]["report"]["issuer"]["keyid"] = ISSUER.keyid
    return content


NO_REPLAYS: dict[str, tuple[Callable[[Json], Json], str]] = {
    "the control": (lambda c: certified_run(c, "control"), ""),
    "the replica": (lambda c: certified_run(c, "replica"), ""),
    "one run twice": (one_run_twice, "already another replay"),
    "one replay twice": (one_replay_twice, ""),
    "a replay of another certificate": (of_another, "is of another certificate"),
    "the signature of another statement": (signature_of_another_statement, ""),
    "unsigned in the issuer's name": (unsigned_in_the_issuers_name, ""),
}


@pytest.mark.parametrize("what", NO_REPLAYS)
def test_what_is_no_replay_of_it_breaks_the_certificate(issued: Json, what: str) -> None:
    made, said = NO_REPLAYS[what]
    found = verified(made(issued), BOTH)
    assert found.code == DOES_NOT_HOLD
    assert set(problems(found)) == {"replay"}
    assert said in problems(found)["replay"]


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
