"""The words of a report that others decide by: verdicts, and how a variation or a pin came out."""

from __future__ import annotations

from typing import Any, Mapping

CERTIFICATE_FORMAT = "samebits-certificate-1"

REPRODUCIBLE = "REPRODUCIBLE"
WITHIN_TOLERANCE = "EQUAL WITHIN TOLERANCE"
NOT_REPRODUCIBLE = "NOT REPRODUCIBLE"
UNSUPPORTED = "UNSUPPORTED"
INCONCLUSIVE = "INCONCLUSIVE"

SAME, DIFFERENT = "same bits", "different bits"
NEEDED, NOT_NEEDED = "needed", "not needed"


def survived(report: Mapping[str, Any]) -> list[str]:
    """Titles of what was varied while the bits stayed the same, each once."""
    variations = report["scope"]["variations"]
    return list(dict.fromkeys(v["what"] for v in variations if v["outcome"] == SAME))
