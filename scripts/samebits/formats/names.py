"""Words and names that cross a process boundary: statuses, verdicts, artifacts, formats."""

from __future__ import annotations

from collections import Counter
from typing import Any, Mapping

from samebits.errors import require_none

CERTIFICATE_FORMAT = "samebits-certificate-1"
TRAIN_FORMAT = "samebits-train-1"
SAMPLED_FORMAT = "samebits-sampled-1"  # nothing takes it for the record of a whole training
SWEEP_FORMAT = "samebits-sweep-1"
CERTIFICATE_FILE = "certificate.json"  # in the results, and in a bundle
MOST_BYTES, MOST_VALUES = 12 << 20, 200_000  # of a certificate
SIGNED, UNSIGNED = "SIGNED", "UNSIGNED"

COMPLETED, REFUSED, FAILED, NOT_TRIED = "completed", "unsupported", "failed", "not tried"
# Why TensorFlow refuses an op: reasons of a run that is unsupported.
NO_SEED = "TensorFlow refused a random op without a seed"
NO_VERSION = "TensorFlow refused an op without a deterministic version"
ARTIFACTS = ("history", "weights", "optimizer", "state", "predictions", "trace")
TITLES = {
    "history": "history",
    "weights": "final weights",
    "optimizer": "optimizer state",
    "state": "other variables",
    "predictions": "outputs",  # of a model that is asked, or of a program
    "trace": "trace",
}

REPRODUCIBLE = "REPRODUCIBLE"
WITHIN_TOLERANCE = "EQUAL WITHIN TOLERANCE"
NOT_REPRODUCIBLE = "NOT REPRODUCIBLE"
UNSUPPORTED = "UNSUPPORTED"
INCONCLUSIVE = "INCONCLUSIVE"
_VERDICTS = (REPRODUCIBLE, WITHIN_TOLERANCE, NOT_REPRODUCIBLE, UNSUPPORTED, INCONCLUSIVE)
VERDICT_WORDS = {verdict.lower().replace(" ", "-"): verdict for verdict in _VERDICTS}

RECEIVED = "the data set"  # what steps received
REPLACED = "computed differently from TensorFlow"  # ops whose own kernel is wrong
SAME, DIFFERENT = "same bits", "different bits"
NEEDED, NOT_NEEDED = "needed", "not needed"


def survived(report: Mapping[str, Any]) -> list[str]:
    """Titles of what was varied while the bits stayed the same, each once; not those with which
    alone another run differed, as in a race."""
    variations = report["scope"]["variations"]
    count = Counter(v["run"] for v in variations)
    alone = (v for v in variations if count[v["run"]] == 1)
    other = {v["what"] for v in alone if v["outcome"] not in (SAME, NOT_TRIED)}
    same = (v["what"] for v in variations if v["outcome"] == SAME)
    return [what for what in dict.fromkeys(same) if what not in other]


def expected_verdicts(text: str) -> list[str]:
    """Verdicts from their words, with commas between. Raises SamebitsError for other words."""
    words = [word.strip() for word in text.strip("[]").split(",")] if text else []
    require_none(
        f"expect: no such verdict {word!r}; valid: {', '.join(VERDICT_WORDS)}"
        for word in words
        if word not in VERDICT_WORDS
    )
    return [VERDICT_WORDS[word] for word in words]
