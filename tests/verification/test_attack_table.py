"""One table of attacks on a certificate: where, what is done, and the check that finds it.

Each runs through verify.py, which trusts whoever signed it: the issuer, a laboratory or nobody.
Attacks that are generated are in test_attacks.py, those on files in test_attacks_on_files.py.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import attacks
import factories
from factories import ISSUER, LABORATORY
from samebits.certificate import certificate
from samebits.formats import canonical
from samebits.verification.levels import DOES_NOT_HOLD, MALFORMED

Json = Any
Change = Callable[[Json], object]
Attack = Callable[[Json], Json]  # from a certificate to the one that is shown in its place


def in_place(change: Change) -> Attack:
    """A certificate that somebody edited."""

    def attack(issued: Json) -> Json:
        content = factories.copied(issued)
        change(content)
        return content

    return attack


def of_report(change: Change) -> Attack:
    """A report that its trusted issuer wrote, and signed again."""

    def attack(issued: Json) -> Json:
        said = factories.copied(issued["report"])
        change(said)
        return factories.signed_again(issued, said, ISSUER)

    return attack


def of_replay(change: Change) -> Attack:
    """A replay whose report was changed, and that a trusted laboratory signed again."""
    return lambda issued: replay_with(issued, change)


# --- signatures ----------------------------------------------------------------------------------


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


SIGNATURES: dict[str, Change] = {
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


def subjects_swapped(issued: Json) -> Json:
    payload = canonical.loads(certificate.payload(issued["statements"][0]))
    first, second, *_ = payload["subject"]
    first["digest"], second["digest"] = second["digest"], first["digest"]
    content = factories.copied(issued)
    content["statements"][0] = certificate.envelope(canonical.dumps(payload), ISSUER)
    return content


def of_another_report(issued: Json) -> Json:
    return issued | {"report": issued["report"] | {"issued": "2026-11-23T12:00:01Z"}}


def unsigned_report_signed_by_somebody_else(issued: Json) -> Json:
    content = certificate.issue(issued["report"] | {"issuer": {"keyid": None}}, None)
    return in_place(lambda c: sign_with(c, "attacker"))(content)


STATEMENTS: dict[str, Attack] = {
    "unsigned report, signed by somebody else": unsigned_report_signed_by_somebody_else,
    "subjects swapped": subjects_swapped,
    "of another report": of_another_report,
}


# --- the report, by its trusted issuer -----------------------------------------------------------


def _as_flag(value: Json) -> bool:
    """What Python calls equal to a number, and JSON does not."""
    assert value in (0, 1)
    assert not isinstance(value, bool)
    return bool(value)


REPORTS: dict[str, Change] = {
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


# --- replays -------------------------------------------------------------------------------------


def replay_with(content: Json, change: Change) -> Json:
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


REPLAYS: dict[str, Change] = {
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


NOT_REPLAYS: dict[str, Attack] = {
    "the control": lambda c: certified_run(c, "control"),
    "the replica": lambda c: certified_run(c, "replica"),
    "one run twice": one_run_twice,
    "one replay twice": one_replay_twice,
    "a replay of another certificate": of_another,
    "the signature of another statement": signature_of_another_statement,
    "unsigned in the issuer's name": unsigned_in_the_issuers_name,
}


# --- the table ---------------------------------------------------------------------------------

# Where another check than that of the place finds it, or also; none: it is malformed.
ELSEWHERE: dict[str, set[str]] = {
    "statements swapped": {"statement"},
    "one statement twice": {"statement"},
    "UNSIGNED but for the statements": {"statement"},
    "another payload": {"signature", "statement"},
    "comparison": set(),  # which the schema refuses
    "unsigned report, signed by somebody else": {"signature"},
}


def table(where: str, attacks: dict[str, Attack], level: str) -> list[Any]:
    return [
        pytest.param(attack, ELSEWHERE.get(what, {level}), id=f"{where}-{what}")
        for what, attack in attacks.items()
    ]


ATTACKS = [
    *table("signatures", {w: in_place(c) for w, c in SIGNATURES.items()}, "signature"),
    *table("statement", STATEMENTS, "statement"),
    *table("report", {w: of_report(c) for w, c in REPORTS.items()}, "claim"),
    *table("replay's report", {w: of_replay(c) for w, c in REPLAYS.items()}, "replay"),
    *table("replay", NOT_REPLAYS, "replay"),
]
TRUST = {"both": ("issuer", "laboratory"), "nobody known": ("stranger",), "attacker": ("attacker",)}


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("keys")
    names = {name for names in TRUST.values() for name in names}
    return {name: factories.key_file(folder, name) for name in names}


@pytest.mark.parametrize(("attack", "levels"), ATTACKS)
def test_an_attack_is_found_where_it_was_made_whoever_is_trusted(
    issued: Json, keys: dict[str, Path], tmp_path: Path, attack: Attack, levels: set[str]
) -> None:
    path = tmp_path / "certificate.json"
    path.write_bytes(canonical.dumps(attack(issued)))
    for trusted in TRUST.values():
        flags = [part for name in trusted for part in ("--key", keys[name])]
        outcome = attacks.run(path, *flags, "--json")
        if not levels:
            assert outcome.code == MALFORMED
            continue
        assert outcome.code == DOES_NOT_HOLD
        checks = canonical.loads(outcome.out.encode())["checks"]
        found = {check["level"] for check in checks if not check["holds"]}
        assert found - {"replays"} == levels  # "replays": whoever is trusted contradicts
