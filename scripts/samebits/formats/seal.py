"""A document that tells when it is not as it was written: it carries its own digest.

Arrays and histories are named by digest in a run's record; the record itself, and what the other
stages record, are named by nothing that was written before they could be damaged. Documents of
earlier versions have no seal. Runs on Python 3.7 to 3.13.
"""

from __future__ import annotations

from typing import Any, Mapping

from samebits.formats import canonical

_KEY = "seal"


def sealed(content: Mapping[str, Any]) -> dict[str, Any]:
    """The document with its seal: the SHA-256 of its canonical JSON without that key."""
    plain = {key: value for key, value in content.items() if key != _KEY}
    return dict(plain, seal=canonical.digest(plain))


def is_there(content: Any) -> bool:
    """Whether a document has a seal, whole or broken."""
    return isinstance(content, dict) and _KEY in content


def problem(content: Any) -> str:
    """What is wrong with the seal, in words; empty when it is whole, or was never there."""
    if not is_there(content):
        return ""
    expected = sealed(content)[_KEY]
    if content[_KEY] == expected:
        return ""
    return f"expected the content that was sealed as {content[_KEY]}, got {expected}"
