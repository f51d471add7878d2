"""Whether a certificate holds, level by level. Nothing in it is executed, no network is opened.

Each level yields what is wrong, as sentences; all levels are looked at, whatever the first says.
What a certificate says about itself is not believed: its statements are made again from its
report, and the report from the evidence that it carries.
"""

import copy
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from google.protobuf import json_format
from google.protobuf import message as protobuf
from securesystemslib.dsse import Envelope
from securesystemslib.exceptions import VerificationError

from samebits.certificate import certificate, checks, replays, report, sampled, statements
from samebits.certificate.certificate import SIGNED, UNSIGNED
from samebits.certificate.signatories import NOT_REPRODUCED, extent
from samebits.errors import SamebitsError
from samebits.experiment.protocol import CONTROL
from samebits.formats import canonical
from samebits.signing import trusted as trust
from samebits.signing.trusted import Trusted
from samebits.verification.artifact_checks import Found

VERIFIED, DOES_NOT_HOLD, MALFORMED, NOT_TRUSTED = 0, 1, 2, 3
_MOST_PATHS = 20  # of what differs; the rest is counted

Certificate = Mapping[str, Any]


@dataclass(frozen=True)
class Check:
    """One level: what was looked at, and everything that is wrong with it."""

    level: str
    said: str
    problems: tuple[str, ...] = ()


@dataclass(frozen=True)
class Link:
    """One statement of the chain: who says what, when. ``holder``: what the user calls the key."""

    what: str
    keyid: str | None
    holder: str | None
    issued: str
    outside_scope: tuple[str, ...] = ()
    machine: str | None = None
    extent: str = ""  # how much was repeated, in words, where it was not all

    @property
    def said(self) -> str:
        """The verdict or outcome, never without how much it is about."""
        return f"{self.what} ({self.extent})" if self.extent else self.what


@dataclass(frozen=True)
class Verification:
    """What was checked, and the chain of those who certified and reproduced."""

    code: int
    verdict: str
    checks: tuple[Check, ...]
    chain: tuple[Link, ...]


def verify(content: Certificate, trusted: Sequence[Trusted], found: Found | None) -> Verification:
    """Check a certificate whose form ``certificate.parse`` has checked.

    ``found``: what the artefacts were checked to be; None: they were not looked at.
    """
    said = content["report"]
    chain = tuple(_chain(content, trusted))
    made = [
        Check("signature", _who(chain[0]), tuple(_signatures(content))),
        Check("statement", "the statements say what the report says", tuple(_statements(content))),
        Check("claim", f"{said['verdict']}, as its own evidence says", tuple(_claim(said))),
    ]
    for number, link in enumerate(chain[1:]):
        problems = tuple(_replay(content, number))
        made.append(Check("replay", f"{link.said} by {_holder(link)}", problems))
    if found is not None:
        made.append(Check("artefacts", found.said, found.problems))
    contradicted = tuple(_contradictions(chain))
    if contradicted:
        made.append(Check("chain", "no one you trust failed to reproduce it", contradicted))
    return Verification(_code(made, chain[0]), said["verdict"], tuple(made), chain)


def _code(made: Sequence[Check], first: Link) -> int:
    if any(check.problems for check in made):
        return DOES_NOT_HOLD
    return VERIFIED if first.holder is not None else NOT_TRUSTED


# --- signatures ------------------------------------------------------------------------------


def _signatures(content: Certificate) -> Iterator[str]:
    keyid = content["report"]["issuer"]["keyid"]
    if (content["signature"] == SIGNED) != (keyid is not None):
        yield f"it calls itself {content['signature']}, and its report says otherwise"
    for name, sealed in zip(("claim", "provenance"), content["statements"], strict=True):
        yield from _signature(f"the {name}", sealed, keyid, content)


def _signature(
    what: str, sealed: Mapping[str, Any], keyid: str | None, content: Certificate
) -> Iterator[str]:
    """Whether an envelope is signed by the key that its report names, and by no other."""
    signers = [signature["keyid"] for signature in sealed["signatures"]]
    if signers != ([] if keyid is None else [keyid]):
        yield f"{what} is signed by {_short(signers)}, its report names {_short([keyid])}"
    elif keyid is not None:
        key = certificate.public_keys(content)[keyid]
        try:
            # a copy: the library changes what it reads
            Envelope.from_dict(copy.deepcopy(dict(sealed))).verify([key.verifier()], 1)
        except (VerificationError, ValueError):
            yield f"the signature of {what} is not one of the key {keyid[:16]}… over these bytes"


def _short(keyids: Sequence[str | None]) -> str:
    return ", ".join(f"{keyid[:16]}…" for keyid in keyids if keyid) or "nobody"


# --- statements and claim ----------------------------------------------------------------------


def _statements(content: Certificate) -> Iterator[str]:
    makers = {"claim": statements.claim, "provenance": statements.provenance}
    for (name, make), sealed in zip(makers.items(), content["statements"], strict=True):
        yield from _derived(f"the {name}", sealed, lambda make=make: make(content["report"]))


def _derived(what: str, sealed: Mapping[str, Any], make: Any) -> Iterator[str]:
    try:
        expected = make()
    except _UNFIT as error:
        yield f"{what} cannot be made from the report: {type(error).__name__}"
        return
    got = certificate.payload(sealed)
    if got != expected:
        yield f"{what} is not what the report says{_where(_loaded(got), _loaded(expected))}"


# What the pure functions of this package raise for values that are no evidence: too large for a
# double, of a wrong type, not there. Whatever it is, the certificate does not hold.
_UNFIT = (
    *(ArithmeticError, AssertionError, AttributeError, LookupError, RecursionError, TypeError),
    *(ValueError, SamebitsError, protobuf.Error, json_format.Error),
)


def _loaded(data: bytes) -> Any:
    try:
        return canonical.loads(data)
    except (ValueError, RecursionError):
        return None


def _claim(said: Mapping[str, Any]) -> Iterator[str]:
    try:
        expected = report.rebuild(said)
    except _UNFIT as error:
        yield f"the report cannot be derived from its evidence: {type(error).__name__}"
        return
    if not checks.same(said, expected):
        verdicts = f"the evidence says {expected['verdict']}"
        yield f"{verdicts}, the report {said['verdict']}{_where(said, expected)}"


def _where(got: Any, expected: Any) -> str:
    """In which places two values differ, in words."""
    paths = sorted(_paths(got, expected, ""))
    more = f" and {len(paths) - _MOST_PATHS} more" if len(paths) > _MOST_PATHS else ""
    return f"; they differ in: {', '.join(paths[:_MOST_PATHS])}{more}"


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
    elif not checks.same(got, expected):
        yield path or "all"


# --- replays -----------------------------------------------------------------------------------


def _replay(content: Certificate, number: int) -> Iterator[str]:
    said, sealed = content["replays"][number]["report"], content["replays"][number]["statement"]
    yield from _signature("the replay", sealed, said["issuer"]["keyid"], content)
    original = content["report"]
    of = statements.of(content)
    if said["of"] != of:
        yield "the replay is one of another certificate"
    if said["record"]["process"]["id"] in _earlier_runs(content, number):
        yield "the replay is of a run that was certified, or is another replay, already"
    if "draw" in said and said["draw"] in _earlier_draws(content, number):
        yield "the draw of its epochs is that of another replay, so it was not random"
    yield from _derived("the replay", sealed, lambda: statements.replayed(original, said))
    try:
        wrong = [*_unfit(original, of, said)]
        rebuild = sampled.rebuild if said["format"] == sampled.FORMAT else replays.rebuild
        expected = None if wrong else rebuild(original, of, said)
    except _UNFIT as error:
        wrong = [f"the replay cannot be derived from its record: {type(error).__name__}"]
    yield from wrong
    if not wrong and not checks.same(said, expected):
        yield f"the replay is not what its record says{_where(said, expected)}"


def _unfit(original: Mapping[str, Any], of: str, said: Mapping[str, Any]) -> list[str]:
    """Why the certificate cannot be replayed so, or else why the run shows nothing about it."""
    unfit, record = [*replays.unfit(original)], said["record"]
    if said["format"] == sampled.FORMAT:
        return unfit or [*sampled.problems(original, of, record)]
    return unfit or [*replays.problems(original, record)]


def _earlier_runs(content: Certificate, number: int) -> set[str]:
    """The processes of all runs but the control, for which ``replay.problems`` has its words."""
    runs = content["report"]["records"]["runs"]
    records = [record for name, record in runs.items() if record and name != CONTROL]
    records += [entry["report"]["record"] for entry in content["replays"][:number]]
    return {record["process"]["id"] for record in records}


def _earlier_draws(content: Certificate, number: int) -> set[str]:
    return {e["report"]["draw"] for e in content["replays"][:number] if "draw" in e["report"]}


# --- the chain -------------------------------------------------------------------------------


def _chain(content: Certificate, trusted: Sequence[Trusted]) -> Iterator[Link]:
    said = content["report"]
    keyid = said["issuer"]["keyid"]
    yield Link(said["verdict"], keyid, _name(keyid, trusted), said["issued"])
    for entry in content["replays"]:
        again = entry["report"]
        keyid = again["issuer"]["keyid"]
        yield Link(
            again["outcome"],
            keyid,
            _name(keyid, trusted),
            again["issued"],
            tuple(again["outside_scope"]),
            again["record"].get("machine", {}).get("cpu"),  # not there in a run that was not tried
            extent(again),
        )


def _name(keyid: str | None, trusted: Sequence[Trusted]) -> str | None:
    return None if keyid is None else trust.name_of(keyid, trusted)


def _holder(link: Link) -> str:
    if link.keyid is None:
        return UNSIGNED
    return f"{link.holder or 'a key that you do not trust'} ({link.keyid[:16]}…)"


def _who(link: Link) -> str:
    if link.keyid is None:
        return "UNSIGNED: anyone can have made it"
    return f"signed by {_holder(link)}"


def _contradictions(chain: Sequence[Link]) -> Iterator[str]:
    """A claim that someone trusted could not reproduce, though inside of its scope."""
    for link in chain[1:]:
        failed = link.what == NOT_REPRODUCED and not link.outside_scope
        if failed and link.holder is not None:
            part = f": {link.extent}" if link.extent else ""
            yield f"{link.holder} did not reproduce it on {link.machine}, inside of its scope{part}"
