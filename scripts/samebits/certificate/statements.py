"""What is signed: in-toto statements about a report. Pure functions, so verify makes them again.

The certificate's claim is a SCAI attribute report, version 0.3; SLSA provenance, version 1, tells
how the control run was made; a replay adds a SCAI attribute report of its own. docs/statements.md
says what each field holds.
Sources: in-toto Attestation Framework, spec/v1/statement.md, spec/predicates/scai.md and
spec/predicates/provenance.md.
"""

import base64
import hashlib
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from google.protobuf import json_format
from in_toto_attestation.predicates.provenance.v1 import provenance_pb2
from in_toto_attestation.predicates.scai.v0.scai import AttributeAssertion, AttributeReport
from in_toto_attestation.v1.resource_descriptor import ResourceDescriptor
from in_toto_attestation.v1.statement import Statement

from samebits.certificate import replays
from samebits.certificate.schema import MOMENT
from samebits.certificate.types import Certificate, Replay, Report, Repository, Source
from samebits.experiment.protocol import CONTROL
from samebits.formats import canonical, states
from samebits.formats.names import ARTIFACTS, COMPLETED, survived

SCAI = "https://in-toto.io/attestation/scai/attribute-report/v0.3"
PROVENANCE = "https://slsa.dev/provenance/v1"
# What docs/statements.md describes; the project has no address of its own to name.
BUILD_TYPE = "urn:samebits:build:train:1"
BUILDER = "urn:samebits:builder:1"
_JSON = "application/json"
Subjects = Sequence[ResourceDescriptor]


def claim(report: Report) -> bytes:
    """The payload of the certificate's first statement: the verdict, its conditions, evidence."""
    scope = report["scope"]
    conditions = {
        "cautions": scope["cautions"],
        "received": scope["received"],
        "runs": scope["runs"],
        "epochs": scope["epochs"],
        "resumed": scope["resumed"],
        "pinned": {fact["what"]: fact["value"] for fact in scope["pinned"]},
        "same": {fact["what"]: fact["value"] for fact in scope["same"]},
        "survived": survived(report),
        "not varied": scope["not_varied"],
        "only with": scope["conditions"],
        "depends on": scope["depends_on"],
        "repeatable": scope["repeatable"],
        "signature": "UNSIGNED" if report["issuer"]["keyid"] is None else "SIGNED",
        "issued": report["issued"],
    }
    kept = states.commitment(report)
    if kept is not None:
        conditions["checkpoints"] = {"epochs": len(kept["digests"]), "root": kept["root"]}
    # The report carries the comparisons and the records; the files are named by digest.
    files = {d["name"]: d["sha256"] for d in report["evidence"]}
    digest = canonical.digest(report)
    found = _descriptor("report.json", digest, media_type=_JSON, annotations={"files": files})
    verdict = report["verdict"].replace(" ", "_")
    attribute = AttributeAssertion(verdict, conditions=conditions, evidence=found.pb)
    return _scai(subjects(report), attribute, report["source"])


def replayed(subjects: Subjects, replay: Replay) -> bytes:
    """The payload of a replay's statement, which points to the first one by its digest.

    ``subjects``: those of the certificate's report, which all its replays have in common.
    """
    machine = replay["record"]["machine"]
    conditions = {
        "machine": {key: machine.get(key) for key in ("cpu", "cpus", "os", "libc")},
        "outside scope": replay["outside_scope"],
        **_compared(replay),
        "signature": "UNSIGNED" if replay["issuer"]["keyid"] is None else "SIGNED",
        "issued": replay["issued"],
    }
    found = _descriptor("replay.json", canonical.digest(replay), media_type=_JSON)
    first = _descriptor("statement of the certificate", replay["of"])
    attribute = AttributeAssertion(
        replay["outcome"].replace(" ", "_"),
        target=first.pb,
        conditions=conditions,
        evidence=found.pb,
    )
    return _scai(subjects, attribute, replay["source"])


def _compared(replay: Replay) -> dict[str, Any]:
    """What a replay compared with the certificate: the artifacts, or the sampled epochs."""
    if replay["format"] != replays.SAMPLED_FORMAT:
        return {"identical": {a["artifact"]: a["identical"] for a in replay["artifacts"]}}
    identical = {str(epoch["epoch"]): epoch["identical"] for epoch in replay["epochs"]}
    checked = {"checked": len(identical), "in all": replay["in_all"], "draw": replay["draw"]}
    return {"epochs": checked | {"identical": identical}}


def provenance(report: Report) -> bytes:
    """The payload of the second statement: how the control run was made."""
    control = report["records"]["runs"].get(CONTROL)
    record: Mapping[str, Any] = {} if control is None else control
    timing = record.get("timing")
    made = provenance_pb2.Provenance()
    definition, details = made.build_definition, made.run_details
    definition.build_type = BUILD_TYPE
    experiment = report["experiment"]
    definition.external_parameters.update(
        {"config": experiment["config"], "overridden": experiment["overridden"]}
    )
    settings = {s["name"]: s["effective"] for s in record.get("settings", ())}
    definition.internal_parameters.update({"run": CONTROL, "settings": settings})
    definition.resolved_dependencies.extend(d.pb for d in _dependencies(report, record))
    details.builder.id = BUILDER
    if record:
        details.metadata.invocation_id = f"urn:uuid:{record['process']['id']}"
    if timing is not None:
        ended = datetime.strptime(timing["started"], MOMENT) + timedelta(seconds=timing["seconds"])
        details.metadata.started_on.FromJsonString(timing["started"])
        details.metadata.finished_on.FromJsonString(ended.strftime(MOMENT))
    return _statement(subjects(report), PROVENANCE, json_format.MessageToDict(made))


# --- parts -----------------------------------------------------------------------------------


def _descriptor(name: str, sha256: str | None, **more: Any) -> ResourceDescriptor:
    digest = {"sha256": sha256} if sha256 is not None else None
    return ResourceDescriptor(name=name, digest=digest, **more)


def _source(name: str, source: Repository, **more: Any) -> ResourceDescriptor:
    digest = {"gitCommit": source["commit"]} if source["commit"] else None
    return ResourceDescriptor(name=name, digest=digest, **more)


def subjects(report: Report) -> Subjects:
    """What is talked about, by the digests that docs/digests.md defines."""
    control, load = report["records"]["runs"].get(CONTROL), report["records"]["load"]
    found: dict[str, str] = {}
    if control is not None and control["status"] == COMPLETED:
        found |= {artifact: control["digests"][artifact] for artifact in ARTIFACTS}
    if (kept := states.commitment(report)) is not None:
        found["checkpoints"] = kept["root"]
    if load is not None:
        found["dataset"] = load["digest"]
    if report["experiment"]["digest"] is not None:
        found["config"] = report["experiment"]["digest"]
    found["report"] = canonical.digest(report)
    return [_descriptor(name, sha256) for name, sha256 in found.items()]


def _dependencies(report: Report, record: Mapping[str, Any]) -> Iterator[ResourceDescriptor]:
    if report["records"]["load"] is not None:
        yield _descriptor("dataset", report["records"]["load"]["digest"])
    yield from (_descriptor(d["name"], d["sha256"]) for d in report["dependencies"])
    source = report["source"]
    yield _source("source", source, annotations=_changes(source))
    if source["model"] is not None:
        yield _source("model", source["model"], annotations=_changes(source["model"]))
    yield from (_descriptor(file["module"], file["sha256"]) for file in record.get("source", ()))


def _changes(found: Repository) -> dict[str, Any]:
    return {"changed": found["changed"], "inputs": found["inputs"]}


def _scai(about: Subjects, attribute: AttributeAssertion, source: Source) -> bytes:
    made = AttributeReport([attribute.pb], _source("samebits", source).pb)
    made.validate()
    return _statement(about, SCAI, json_format.MessageToDict(made.pb))


def _statement(about: Subjects, kind: str, predicate: dict[str, Any]) -> bytes:
    """The bytes that are signed: the canonical JSON of a statement."""
    made = Statement([subject.pb for subject in about], kind, predicate)
    made.validate()
    return canonical.dumps(_whole(json_format.MessageToDict(made.pb)))


def _whole(value: Any) -> Any:
    """Numbers without a fraction as integers: protobuf's Struct has doubles only."""
    if isinstance(value, dict):
        return {key: _whole(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_whole(item) for item in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def of(certificate: Certificate) -> str:
    """SHA-256 (hex) of the payload of a certificate's claim: how a replay points to it."""
    return hashlib.sha256(base64.b64decode(certificate["statements"][0]["payload"])).hexdigest()
