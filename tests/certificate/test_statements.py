"""Statements are what in-toto defines, say what the report says, and no more."""

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import attacks
import factories
from samebits.certificate import certificate, statements
from samebits.formats import canonical

COMMIT = factories.COMMIT


@pytest.fixture(scope="module")
def report(issued: Any) -> Any:
    return issued["report"]


def loaded(payload: bytes) -> Any:
    return canonical.loads(payload)


def digests(resources: list[Any]) -> dict[str, str]:
    return {resource["name"]: resource["digest"]["sha256"] for resource in resources}


# --- the libraries that define them ------------------------------------------------------------

# What somebody does who has a certificate and these two libraries, and nothing of this project.
STRANGER = """
import base64, hashlib, json, sys
from google.protobuf import json_format
from in_toto_attestation.predicates.provenance.v1 import provenance_pb2
from in_toto_attestation.predicates.scai.v0 import scai_pb2
from in_toto_attestation.predicates.scai.v0.scai import AttributeReport
from in_toto_attestation.v1 import statement_pb2
from in_toto_attestation.v1.statement import Statement
from securesystemslib.dsse import Envelope
from securesystemslib.signer import SSlibKey

with open(sys.argv[1], encoding="utf-8") as file:
    certificate = json.load(file)
envelopes = certificate["statements"] + [r["statement"] for r in certificate["replays"]]
keys = []
for keyid, text in certificate["keys"].items():
    raw = base64.b64decode(text)
    value = {"keytype": "ed25519", "scheme": "ed25519", "keyval": {"public": raw.hex()}}
    keys.append(SSlibKey.from_dict(keyid, value))
kinds = []
for given in envelopes:
    envelope = Envelope.from_dict(given)
    kinds.append(len(envelope.verify(keys, 1)) if envelope.signatures else "UNSIGNED")
    parsed = json_format.Parse(envelope.payload, statement_pb2.Statement())
    Statement.copy_from_pb(parsed).validate()
    predicate = json.loads(envelope.payload)["predicate"]
    if parsed.predicate_type == "https://slsa.dev/provenance/v1":
        made = json_format.ParseDict(predicate, provenance_pb2.Provenance())
        assert made.build_definition.build_type and made.run_details.builder.id
    else:
        assert parsed.predicate_type == "https://in-toto.io/attestation/scai/attribute-report/v0.3"
        made = json_format.ParseDict(predicate, scai_pb2.AttributeReport())
        AttributeReport(list(made.attributes), made.producer).validate()
        kinds.append(made.attributes[0].attribute)
assert not [name for name in sys.modules if name.split(".")[0] in ("samebits", "verify")]
print(json.dumps(kinds))
"""


def strangers_result(folder: Path, issued: Any) -> Any:
    path = folder / "certificate.json"
    canonical.write_json(path, issued)
    variables = {k: v for k, v in os.environ.items() if not k.startswith("PYTHON")}
    done = subprocess.run(
        [sys.executable, "-I", "-c", STRANGER, str(path)],
        cwd=folder,
        env=variables,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def without_evidence(folder: Path) -> Any:
    space = factories.workspace(folder)
    for path in (space.config, space.load_record, space.runs[0] / "record.json"):
        path.unlink()
    return factories.certify(space)


@pytest.mark.process
@pytest.mark.parametrize(
    ("make", "kinds"),
    [
        (lambda _: factories.replayed(factories.issued()),
         [1, "REPRODUCIBLE", 1, 1, "REPRODUCED"]),
        (lambda folder: factories.certify(factories.workspace(folder), None),
         ["UNSIGNED", "REPRODUCIBLE", "UNSIGNED"]),
        (without_evidence, [1, "INCONCLUSIVE", 1]),
    ],
    ids=["replayed", "unsigned", "without evidence"],
)  # fmt: skip
def test_the_libraries_alone_accept_the_envelopes(
    tmp_path: Path, make: Callable[[Path], Any], kinds: list[Any]
) -> None:
    assert strangers_result(tmp_path, make(tmp_path / "space")) == kinds


@pytest.mark.process
def test_the_libraries_alone_refuse_a_changed_payload(tmp_path: Path, issued: Any) -> None:
    changed = factories.copied(issued)
    payload = certificate.payload(changed["statements"][0]).replace(
        b"REPRODUCIBLE", b"reproducible"
    )
    changed["statements"][0]["payload"] = certificate.envelope(payload, None)["payload"]
    with pytest.raises(AssertionError, match="VerificationError"):
        strangers_result(tmp_path, changed)


# --- the claim -------------------------------------------------------------------------------


def test_a_statement_is_a_function_of_the_report(report: Any) -> None:
    copy = canonical.loads(canonical.dumps(report))
    assert statements.claim(copy) == statements.claim(report)
    assert statements.provenance(copy) == statements.provenance(report)


def test_a_payload_is_canonical_json(report: Any) -> None:
    for payload in (statements.claim(report), statements.provenance(report)):
        assert canonical.dumps(canonical.loads(payload)) == payload


def test_the_subjects_are_the_artifacts_the_data_the_config_and_the_report(report: Any) -> None:
    control = report["records"]["runs"]["control"]
    expected = control["digests"] | {
        "dataset": report["records"]["load"]["digest"],
        "config": report["experiment"]["digest"],
        "report": canonical.digest(report),
    }
    for payload in (statements.claim(report), statements.provenance(report)):
        assert digests(loaded(payload)["subject"]) == expected


def test_the_claim_says_the_verdict_its_conditions_and_its_evidence(report: Any) -> None:
    (attribute,) = loaded(statements.claim(report))["predicate"]["attributes"]
    assert attribute["attribute"] == "REPRODUCIBLE"
    conditions = attribute["conditions"]
    assert conditions["runs"] == 2
    assert conditions["pinned"]["oneDNN ISA"] == "AVX2"
    assert conditions["same"]["CPU model"] == "AMD EPYC 9R45"
    assert "locale" in conditions["survived"]
    assert conditions["signature"] == "SIGNED"
    assert conditions["issued"] == report["issued"]
    assert attribute["evidence"]["digest"] == {"sha256": canonical.digest(report)}
    files = {d["name"]: d["sha256"] for d in report["evidence"]}
    assert attribute["evidence"]["annotations"]["files"] == files


def test_the_claim_names_the_commit_that_issued_it(report: Any) -> None:
    producer = loaded(statements.claim(report))["predicate"]["producer"]
    assert producer == {"name": "samebits", "digest": {"gitCommit": COMMIT}}


def test_an_unsigned_claim_says_so(tmp_path: Path) -> None:
    made = factories.report_of(factories.workspace(tmp_path), None)
    (attribute,) = loaded(statements.claim(made))["predicate"]["attributes"]
    assert attribute["conditions"]["signature"] == "UNSIGNED"


def test_a_run_that_did_not_complete_is_no_subject(tmp_path: Path) -> None:
    space = factories.workspace(tmp_path)
    (space.runs[0] / "record.json").unlink()
    names = digests(loaded(statements.claim(factories.report_of(space, None)))["subject"])
    assert sorted(names) == ["config", "dataset", "report"]


# --- provenance ------------------------------------------------------------------------------


def test_provenance_tells_how_the_control_run_was_made(report: Any) -> None:
    predicate = loaded(statements.provenance(report))["predicate"]
    definition, details = predicate["buildDefinition"], predicate["runDetails"]
    assert definition["externalParameters"]["config"] == factories.CONFIG | {
        "data": factories.CONFIG["data"] | {"scale": 255}
    }
    assert definition["externalParameters"]["overridden"] == ["seed", "trainer.epochs"]
    assert definition["internalParameters"]["settings"]["oneDNN ISA"] == "AVX2"
    control = report["records"]["runs"]["control"]
    assert details["metadata"]["invocationId"] == f"urn:uuid:{control['process']['id']}"
    assert details["metadata"]["startedOn"] == "2026-11-23T11:00:00Z"
    assert details["metadata"]["finishedOn"] == "2026-11-23T11:00:08Z"


def test_provenance_names_everything_that_the_run_was_made_of(report: Any) -> None:
    definition = loaded(statements.provenance(report))["predicate"]["buildDefinition"]
    made_of = {d["name"]: d.get("digest") for d in definition["resolvedDependencies"]}
    assert made_of["dataset"] == {"sha256": report["records"]["load"]["digest"]}
    assert made_of["envs/load.lock.txt"] == {
        "sha256": hashlib.sha256(factories.LOAD_LOCK.encode()).hexdigest()
    }
    assert made_of["samebits.models"] == {"sha256": "c" * 64}
    assert made_of["source"] == {"gitCommit": COMMIT}
    (source,) = [d for d in definition["resolvedDependencies"] if d["name"] == "source"]
    assert source["annotations"] == {"changed": [], "inputs": []}


def test_provenance_of_no_run_names_none(tmp_path: Path) -> None:
    space = factories.workspace(tmp_path)
    (space.runs[0] / "record.json").unlink()
    made = loaded(statements.provenance(factories.report_of(space, None)))
    assert made["predicate"]["runDetails"] == {"builder": {"id": statements.BUILDER}}


# --- replays ---------------------------------------------------------------------------------


def test_a_replay_points_to_the_claim_by_its_digest(issued: Any) -> None:
    made = factories.replayed(issued, factories.signer("laboratory"))
    (attribute,) = loaded(certificate.payload(made["replays"][0]["statement"]))["predicate"][
        "attributes"
    ]
    first = hashlib.sha256(certificate.payload(issued["statements"][0])).hexdigest()
    assert attribute["target"]["digest"] == {"sha256": first}
    assert attribute["attribute"] == "REPRODUCED"
    assert attribute["conditions"]["machine"]["cpu"] == "AMD EPYC 9R45"
    assert all(attribute["conditions"]["identical"].values())
    found = canonical.digest(made["replays"][0]["report"])
    assert attribute["evidence"]["digest"] == {"sha256": found}


def test_every_change_of_a_report_changes_both_statements(report: Any) -> None:
    before = {statements.claim(report), statements.provenance(report)}
    for mutant in attacks.drawn(attacks.mutants(report), 97):
        try:
            after = {statements.claim(mutant.value), statements.provenance(mutant.value)}
        except Exception:  # noqa: S112 (what no statement can be made of is not issued)
            continue
        assert not before & after, str(mutant)
