"""The certificate: a report, and the signed statements about it; replays add theirs.

It is one canonical JSON file. Statements are signed in DSSE envelopes, and the bytes in an envelope
are verified as they are; the report is bound to them by its digest.
"""

import base64
from collections.abc import Iterator
from itertools import islice
from typing import Any, cast

from securesystemslib import dsse

from samebits.certificate import schema, statements
from samebits.certificate.types import Certificate, Envelope, Replay, ReplayEntry, Report
from samebits.errors import SamebitsError, all_problems
from samebits.formats import canonical
from samebits.formats.names import CERTIFICATE_FORMAT, MOST_BYTES, MOST_VALUES, SIGNED, UNSIGNED
from samebits.signing import keys
from samebits.signing.keys import Signer

PAYLOAD_TYPE = "application/vnd.in-toto+json"
# Two runs need 4,000 values in 60 kB, thirty runs of many epochs some megabytes. More is no
# certificate, and is not read: to look at hostile gigabytes is what their maker wants.
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
    payload = statements.replayed(statements.subjects(certificate["report"]), replay)
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
    if canonical.most_values(data) > MOST_VALUES:
        raise MalformedError(
            f"expected a certificate of at most {MOST_VALUES:,} values, got more; is it one?"
        )
    try:
        content = canonical.loads(data)
    except (ValueError, RecursionError) as error:
        why = str(error)[:300]
        raise MalformedError(f"expected a certificate in JSON, got: {why}") from None
    if _is_deeper(content, _DEEPEST):
        raise MalformedError("expected a certificate, got JSON that is nested too deep")
    problems = [] if canonical.dumps(content) == data else [_NOT_CANONICAL]
    problems += islice(_problems(content), schema.MOST_ERRORS)
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
    wrong = [f"certificate: {e}" for e in schema.violations(content, schema.CERTIFICATE)]
    yield from wrong or _inconsistencies(content)


def _inconsistencies(content: Certificate) -> Iterator[str]:
    """Base64 in another spelling of the same bytes would make two files of one certificate.

    The keys are those that signed, no more, and each has the id that its bits say.
    """
    envelopes = [*content["statements"], *(replay["statement"] for replay in content["replays"])]
    signatures = [signature for envelope in envelopes for signature in envelope["signatures"]]
    texts = [*(envelope["payload"] for envelope in envelopes), *(s["sig"] for s in signatures)]
    for text in texts:
        try:
            keys.from_base64(text)
        except ValueError:
            yield "an envelope holds text that is not base64"
    for keyid, text in content["keys"].items():
        try:
            if keys.from_text(text).keyid != keyid:
                yield f"keys: {keyid[:16]}… is not the id of its key"
        except ValueError as error:
            yield f"keys: {keyid[:16]}…: {error}"
    if {signature["keyid"] for signature in signatures} != set(content["keys"]):
        yield "keys: expected exactly the keys that signed"
