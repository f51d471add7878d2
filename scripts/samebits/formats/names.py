"""The words of a report that others decide by: verdicts, and how a variation or a pin came out."""

from __future__ import annotations

REPRODUCIBLE = "REPRODUCIBLE"
WITHIN_TOLERANCE = "EQUAL WITHIN TOLERANCE"
NOT_REPRODUCIBLE = "NOT REPRODUCIBLE"
UNSUPPORTED = "UNSUPPORTED"
INCONCLUSIVE = "INCONCLUSIVE"

SAME, DIFFERENT = "same bits", "different bits"
NEEDED, NOT_NEEDED = "needed", "not needed"
