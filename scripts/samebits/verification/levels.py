"""Whether a certificate holds, level by level. Nothing in it is executed, no network is opened.

Each level lists its problems as sentences, and all levels are checked, whatever the first finds.
Nothing that a certificate says about itself is taken on trust: its statements are derived again
from its report, and the report from the evidence that it carries. A verdict that its own evidence
does not support is rejected, whoever signed it.
"""

import copy
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

from google.protobuf import json_format
from google.protobuf import message as protobuf
from securesystemslib import dsse
from securesystemslib.exceptions import VerificationError

from samebits import errors
from samebits.certificate import certificate, checks, replays, signatories, statements
from samebits.certificate import report as reports
from samebits.certificate.evidence import Evidence
from samebits.certificate.schema import MalformedError
from samebits.certificate.signatories import NOT_REPRODUCED, Signatory
from samebits.certificate.types import Certificate, Envelope, Report
from samebits.errors import SamebitsError, all_problems
from samebits.experiment.protocol import CONTROL
from samebits.formats import canonical
from samebits.formats.names import SIGNED, UNSIGNED
from samebits.signing import keys
from samebits.signing import trusted as trust
from samebits.signing.trusted import Trusted
from samebits.verification.artifacts import ArtifactCheck

Common = tuple[Evidence, statements.Subjects]
VERIFIED, DOES_NOT_HOLD, MALFORMED = 0, errors.FAILED, errors.USAGE
NOT_TRUSTED = errors.NOT_TRUSTED
_MOST_PATHS = 20  # of what differs; the rest is counted
_LONGEST = 80  # characters of a value that differs


@dataclass(frozen=True)
class Check:
    """One level: what was checked, and every problem."""

    level: str
    summary: str
    problems: tuple[str, ...] = ()


@dataclass(frozen=True)
class Verification:
    """What was checked, and who certified and who replayed, in order."""

    code: int
    verdict: str
    checks: tuple[Check, ...]
    signatories: tuple[Signatory, ...]


def verify(
    content: Certificate, trusted: Sequence[Trusted], artifacts: Sequence[ArtifactCheck] = ()
) -> Verification:
    """Check a certificate whose form ``certificate.parse`` has checked.

    ``artifacts``: the results of checking files, one for each folder, data set or bundle.
    """
    report = content["report"]
    signed = tuple(_signatories(content, trusted))
    supported = f"{report['verdict']}, which its own evidence supports"
    made = [
        Check("signature", _who(signed[0]), _all(_signatures(content))),
        Check("statement", "the statements match the report", _all(_statements(content))),
        Check("claim", supported, _all(_claim(report))),
    ]
    of, common = statements.of(content), cache(lambda: _common(report))
    for number, signatory in enumerate(signed[1:]):
        summary = f"{signatory.result} by {_holder(signatory)}"
        made.append(Check("replay", summary, _all(_replay(content, number, of, common))))
    made += [Check("artifacts", found.summary, found.problems) for found in artifacts]
    if contradicted := tuple(_contradictions(signed)):
        made.append(Check("replays", "nobody that you trust failed to reproduce it", contradicted))
    holds = NOT_TRUSTED if signed[0].holder is None else VERIFIED
    code = DOES_NOT_HOLD if any(check.problems for check in made) else holds
    return Verification(code, report["verdict"], tuple(made), signed)


# Raised by the pure functions that derive a certificate's parts again, for values that are too
# large for a double, of a wrong type, or absent. Whatever is raised, the certificate does not hold.
_UNFIT = (
    *(ArithmeticError, AssertionError, AttributeError, LookupError, RecursionError, TypeError),
    *(ValueError, SamebitsError, protobuf.Error, json_format.Error),
)


def _all(problems: Iterator[str]) -> tuple[str, ...]:
    """All problems of a level. One that cannot be checked to its end has that problem, too."""
    found = []
    try:
        for problem in problems:
            found.append(problem)
    except _UNFIT as error:
        found.append(f"it cannot be derived again: {type(error).__name__}")
    return tuple(found)


def require_verifiable(issued: Certificate) -> None:
    """Raise SamebitsError if a certificate that is to be issued would not verify."""
    try:
        checks = verify(certificate.parse(canonical.dumps(issued)), []).checks
        problems = [problem for check in checks for problem in check.problems]
    except MalformedError as error:
        problems = [str(error)]
    if problems:
        raise SamebitsError(
            "the certificate would not verify, so nothing was written; please report this\n"
            f"{all_problems(problems)}"
        )


# --- signatures ------------------------------------------------------------------------------


def _signatures(content: Certificate) -> Iterator[str]:
    keyid = content["report"]["issuer"]["keyid"]
    if (content["signature"] == SIGNED) != (keyid is not None):
        yield f"it is marked {content['signature']}, but its report says otherwise"
    for name, envelope in zip(("claim", "provenance"), content["statements"], strict=True):
        yield from _signature(f"the {name}", envelope, keyid, content)


def _signature(
    what: str, envelope: Envelope, keyid: str | None, content: Certificate
) -> Iterator[str]:
    """Whether an envelope is signed by the key that its report names, and by no other."""
    signers = [signature["keyid"] for signature in envelope["signatures"]]
    if signers != ([] if keyid is None else [keyid]):
        yield f"{what} is signed by {_short(signers)}, but its report names {_short([keyid])}"
    elif keyid is not None:
        key = keys.from_text(content["keys"][keyid])
        try:
            # a copy: the library changes what it reads
            dsse.Envelope.from_dict(copy.deepcopy(dict(envelope))).verify([key.verifier()], 1)
        except (VerificationError, ValueError):
            yield f"the signature of {what} by the key {keyid[:16]}… does not match its bytes"


def _short(keyids: Sequence[str | None]) -> str:
    return ", ".join(f"{keyid[:16]}…" for keyid in keyids if keyid) or "nobody"


# --- statements and claim ----------------------------------------------------------------------


def _statements(content: Certificate) -> Iterator[str]:
    makers = {"claim": statements.claim, "provenance": statements.provenance}
    for (name, make), envelope in zip(makers.items(), content["statements"], strict=True):
        got = certificate.payload(envelope)
        yield from _mismatch(f"the {name}", "the report", got, make(content["report"]))


def _claim(claimed: Report) -> Iterator[str]:
    got, expected = canonical.dumps(claimed), canonical.dumps(reports.rebuild(claimed))
    yield from _mismatch("the report", "its evidence", got, expected)


def _mismatch(what: str, basis: str, got: bytes, expected: bytes) -> Iterator[str]:
    """That canonical JSON is not what is derived from its basis, and where."""
    if got != expected:
        yield f"{what} does not match {basis}{_where(_loaded(got), canonical.loads(expected))}"


def _loaded(data: bytes) -> Any:
    try:
        return canonical.loads(data)
    except (ValueError, RecursionError):
        return None


def _where(got: Any, expected: Any) -> str:
    """In which places two values differ, in words."""
    paths = sorted(_paths(got, expected, ""))
    more = f" and {len(paths) - _MOST_PATHS} more" if len(paths) > _MOST_PATHS else ""
    return f"; they differ in: {', '.join(paths[:_MOST_PATHS]) or 'spelling'}{more}"


def _paths(got: Any, expected: Any, path: str) -> Iterator[str]:
    if isinstance(got, dict) and isinstance(expected, dict):
        for key in got.keys() | expected.keys():
            inner = f"{path}.{key}" if path else str(key)
            if key not in got or key not in expected:
                yield inner
            else:
                yield from _paths(got[key], expected[key], inner)
    elif isinstance(got, list) and isinstance(expected, list) and len(got) == len(expected):
        for position, pair in enumerate(zip(got, expected, strict=True)):
            yield from _paths(*pair, f"{path}[{position}]")
    elif (type(got), got) != (type(expected), expected) and not checks.same(got, expected):
        wanted, found = (checks.in_words(value)[:_LONGEST] for value in (expected, got))
        yield f"{path or 'all'} (expected {wanted}, got {found})"


def _common(report: Report) -> Common:
    return replays.certified(report), statements.subjects(report)


# --- replays -----------------------------------------------------------------------------------


def _replay(
    content: Certificate, number: int, of: str, common: Callable[[], Common]
) -> Iterator[str]:
    """Whether a replay follows from its record. ``common``: made once for all of them."""
    replay, envelope = content["replays"][number]["report"], content["replays"][number]["statement"]
    yield from _signature("the replay", envelope, replay["issuer"]["keyid"], content)
    original, earlier = content["report"], [e["report"] for e in content["replays"][:number]]
    runs = original["records"]["runs"]
    certified, subjects = common()
    if replay["of"] != of:
        yield "the replay is of another certificate"
    known = [record for name, record in runs.items() if record and name != CONTROL]
    known += [other["record"] for other in earlier]  # the control: see replays.problems
    if replay["record"]["process"]["id"] in {record["process"]["id"] for record in known}:
        yield "the run of the replay is a certified run, or already another replay"
    if "draw" in replay and replay["draw"] in {other.get("draw") for other in earlier}:
        yield "its epochs were drawn for another replay already, so the draw was not random"
    stated, expected = certificate.payload(envelope), statements.replayed(subjects, replay)
    yield from _mismatch("the statement of the replay", "its report", stated, expected)
    wrong = [*signatories.unfit(original)] or [
        *replays.problems(certified, original, of, replay["record"])
    ]
    yield from wrong
    if not wrong:
        rebuilt = canonical.dumps(replays.rebuild(original, of, replay))
        yield from _mismatch("the replay", "its record", canonical.dumps(replay), rebuilt)


# --- signatories -----------------------------------------------------------------------------


def _signatories(content: Certificate, trusted: Sequence[Trusted]) -> Iterator[Signatory]:
    """All signatories, with what the user calls their keys."""
    for signatory in signatories.listed(content):
        keyid = signatory.keyid
        holder = None if keyid is None else trust.name_of(keyid, trusted)
        yield replace(signatory, holder=holder)


def _holder(signatory: Signatory) -> str:
    if signatory.keyid is None:
        return UNSIGNED
    return f"{signatory.holder or 'a key you do not trust'} ({signatory.keyid[:16]}…)"


def _who(signatory: Signatory) -> str:
    if signatory.keyid is None:
        return "UNSIGNED: anyone could have made it"
    return f"signed by {_holder(signatory)}"


def _contradictions(signed: Sequence[Signatory]) -> Iterator[str]:
    """Claims that a trusted signatory could not reproduce, inside the certificate's scope."""
    for signatory in signed[1:]:
        failed = signatory.outcome == NOT_REPRODUCED and not signatory.outside_scope
        if failed and signatory.holder is not None:
            part = f": {signatory.extent}" if signatory.extent else ""
            yield (
                f"{signatory.holder} did not reproduce it on {signatory.machine}, "
                f"inside its scope{part}"
            )
