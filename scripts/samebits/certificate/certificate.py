"""The certificate: a report, and the signed statements about it; replays add theirs.

It is one canonical JSON file. What is signed is signed in DSSE envelopes, whose bytes are the ones
that are verified; the report is bound to them by its digest.
"""

import base64
import json
from collections.abc import Iterator
from functools import cache
from itertools import islice
from pathlib import Path
from typing import Any, cast

from jsonschema import Draft202012Validator
from securesystemslib import dsse

from samebits.certificate import evidence, replays, statements
from samebits.certificate.types import Certificate, Envelope, Replay, ReplayEntry, Report
from samebits.errors import SamebitsError, all_problems
from samebits.formats import canonical
from samebits.formats.names import (
    CERTIFICATE_FORMAT,
    MOST_BYTES,
    SIGNED,
    UNSIGNED,
)
from samebits.signing import keys
from samebits.signing.keys import PublicKey, Signer

SCHEMA = Path(__file__).with_name("certificate.schema.json")
PAYLOAD_TYPE = "application/vnd.in-toto+json"
# Two runs need 60 kB, thirty runs some megabytes. More is no certificate, and is not read.
_DEEPEST = 40  # levels of nesting: in protobuf's own parsers each takes two of a hundred


class MalformedError(SamebitsError):
    """Not a certificate at all, whoever signed it."""


def issue(report: Report, signer: Signer | None) -> Certificate:
    """The certificate of a report; UNSIGNED without a signer."""
    payloads = statements.claim(report), statements.provenance(report)
    return {
        "format": CERTIFICATE_FORMAT,
        "signature": SIGNED if signer else UNSIGNED,
        "keys": {signer.keyid: signer.public.text} if signer else {},
        "report": report,
        "statements": [envelope(payload, signer) for payload in payloads],
        "replays": [],
    }


def with_replay(certificate: Certificate, replay: Replay, signer: Signer | None) -> Certificate:
    """The certificate with one more replay at the end of its chain."""
    payload = statements.replayed(certificate["report"], replay)
    added: ReplayEntry = {"report": replay, "statement": envelope(payload, signer)}
    known = {signer.keyid: signer.public.text} if signer else {}
    return {
        **certificate,
        "keys": {**certificate["keys"], **known},
        "replays": [*certificate["replays"], added],
    }


def envelope(payload: bytes, signer: Signer | None) -> Envelope:
    """A payload in a DSSE envelope, as JSON."""
    made = dsse.Envelope(payload, PAYLOAD_TYPE, {})
    if signer:
        made.sign(signer.signer)
    return cast(Envelope, made.to_dict())


def payload(envelope: Envelope) -> bytes:
    """What an envelope carries."""
    return base64.b64decode(envelope["payload"])


# --- reading what may be hostile ---------------------------------------------------------------


def parse(data: bytes) -> Certificate:
    """A certificate from its bytes, its form checked and nothing else.

    Raises MalformedError, with everything that is wrong, for all other bytes.
    """
    if len(data) > MOST_BYTES:
        raise MalformedError(
            f"expected a certificate of at most {MOST_BYTES >> 20} MiB, got more; is it one?"
        )
    try:
        content = canonical.loads(data)
    except (ValueError, RecursionError) as error:
        said = str(error)[:300]
        raise MalformedError(f"expected a certificate in JSON, got: {said}") from None
    if _is_deeper(content, _DEEPEST):
        raise MalformedError("expected a certificate, got JSON that is nested too deep")
    problems = [] if canonical.dumps(content) == data else [_NOT_CANONICAL]
    problems += islice(_problems(content), evidence.MOST_ERRORS)
    if problems:
        raise MalformedError(all_problems(problems))
    return cast(Certificate, content)


def _is_deeper(value: Any, levels: int) -> bool:
    if not isinstance(value, dict | list):
        return False
    parts = value.values() if isinstance(value, dict) else value
    return levels == 0 or any(_is_deeper(part, levels - 1) for part in parts)


_NOT_CANONICAL = (
    "it is not in canonical form: it was written again by another program; get the file as it was"
)


def _problems(content: Any) -> Iterator[str]:
    wrong = [f"certificate: {said}" for said in evidence.described(_validator(), content)]
    if wrong:
        yield from wrong
        return
    yield from (f"report: {said}" for said in evidence.violations(content["report"]))
    for replay in (entry["report"] for entry in content["replays"]):
        record = "sampledRecord" if replay["format"] == replays.SAMPLED_FORMAT else "trainRecord"
        for part, definition in (("record", record), ("divergence", "divergence")):
            if replay.get(part) is not None:
                found = evidence.violations(replay[part], definition)
                yield from (f"replays: {part}: {said}" for said in found)
    for signed in _envelopes(content):
        yield from _envelope_problems(signed)
    yield from _key_problems(content)


def _envelopes(content: Certificate) -> list[Envelope]:
    return [*content["statements"], *(replay["statement"] for replay in content["replays"])]


def _envelope_problems(signed: Envelope) -> Iterator[str]:
    """Base64 in another spelling of the same bytes would make two files of one certificate."""
    texts = [signed["payload"], *(signature["sig"] for signature in signed["signatures"])]
    for text in texts:
        if not _is_base64(text):
            yield "an envelope holds text that is not base64"


def _is_base64(text: str) -> bool:
    try:
        return base64.b64encode(base64.b64decode(text, validate=True)).decode() == text
    except ValueError:
        return False


def _key_problems(content: Certificate) -> Iterator[str]:
    """The keys are those that signed, no more, and each has the id that its bits say."""
    for keyid, text in content["keys"].items():
        try:
            if keys.from_text(text).keyid != keyid:
                yield f"keys: {keyid[:16]}… is not the id of its key"
        except ValueError as error:
            yield f"keys: {keyid[:16]}…: {error}"
    used = {s["keyid"] for signed in _envelopes(content) for s in signed["signatures"]}
    if used != set(content["keys"]):
        yield "keys: expected those that signed, no others and none missing"


def public_keys(certificate: Certificate) -> dict[str, PublicKey]:
    """The keys that a certificate carries, by their ids."""
    return {keyid: keys.from_text(text) for keyid, text in certificate["keys"].items()}


@cache
def _validator() -> Draft202012Validator:
    return Draft202012Validator(json.loads(SCHEMA.read_text(encoding="utf-8")))
