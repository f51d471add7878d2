"""The certificate: a report, and the signed statements about it; replays add theirs.

It is one canonical JSON file. Statements are signed in DSSE envelopes, and the bytes in an envelope
are verified as they are; the report is bound to them by its digest.
"""

import base64
from collections.abc import Iterator
from itertools import islice
from typing import cast

from securesystemslib import dsse

from samebits.certificate import schema, statements
from samebits.certificate.schema import MalformedError
from samebits.certificate.types import Certificate, Envelope, Replay, ReplayEntry, Report
from samebits.errors import all_problems
from samebits.formats.names import CERTIFICATE_FORMAT, SIGNED, UNSIGNED
from samebits.signing import keys
from samebits.signing.keys import Signer

PAYLOAD_TYPE = "application/vnd.in-toto+json"


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
    content = schema.parse(data)
    if problems := list(islice(_inconsistencies(content), schema.MOST_ERRORS)):
        raise MalformedError(all_problems(problems))
    return content


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
