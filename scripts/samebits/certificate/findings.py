"""What sound evidence shows: which variations the bits survived, which pins they need, and why not.

A variation counts only when control and run really saw something different: what was asked for but
had no effect is listed as not tried.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from samebits.certificate.comparison_checks import plan
from samebits.certificate.evidence import Evidence
from samebits.certificate.types import Pin, RunRecord, Variation
from samebits.experiment import pins, protocol, variations
from samebits.experiment.protocol import PlannedComparison, PlannedRun
from samebits.formats.names import COMPLETED, DIFFERENT, NEEDED, NOT_NEEDED, NOT_TRIED, SAME

# Where an earlier run can leave something for a later one.
_KEEPS_STATE = ("home", "folder")


@dataclass(frozen=True)
class Findings:
    """What the runs show beside the verdict."""

    variations: tuple[Variation, ...]
    pins: tuple[Pin, ...]
    repeatable: bool | None  # under identical conditions; None: not tried
    depends_on: tuple[str, ...]  # titles of what the bits were seen to depend on
    differing: tuple[tuple[str, str], ...]  # (control, run) that should be identical and are not


def findings(evidence: Evidence) -> Findings:
    """Read off the comparisons. The evidence must have passed all checks."""
    comparisons = plan(evidence)
    tried = [v for comparison in comparisons for v in _variations(evidence, comparison)]
    repeat = _outcome(evidence, "each", protocol.REPEAT)
    first = _outcome(evidence, protocol.FIRST, protocol.REPLICA)
    repeatable = repeat if repeat is not None else (first or None)
    return Findings(
        variations=tuple(tried),
        pins=tuple(_pins(evidence, comparisons, repeatable)),
        repeatable=repeatable,
        depends_on=tuple(dict.fromkeys(_culprits(tried, repeatable))),
        differing=tuple(_differing(evidence, comparisons)),
    )


def _outcome(evidence: Evidence, comparison: str, run: str) -> bool | None:
    """Whether a run has its control's bits; None when there is no such run or it was not tried."""
    content = evidence.comparison(comparison)
    if content is None or content["status"].get(run, NOT_TRIED) == NOT_TRIED:
        return None
    found = next((r for r in content["runs"] if r["run"] == run), None)
    return None if found is None else bool(found["identical"])


# --- variations ----------------------------------------------------------------------------


def _variations(evidence: Evidence, comparison: PlannedComparison) -> Iterator[Variation]:
    control = evidence.records[comparison.control.name]
    for run in comparison.runs:
        record = evidence.records[run.name]
        identical = _outcome(evidence, comparison.name, run.name)
        for key in run.variations:
            yield _variation(key, run, control, record, identical)


def _variation(
    key: str, run: PlannedRun, control: RunRecord, record: RunRecord, identical: bool | None
) -> Variation:
    before, after = control["observed"].get(key), record["observed"].get(key)
    why = record["variations"]["not_tried"].get(key)
    if why is None and (before == after or variations.UNKNOWN in (before, after)):
        why = "it changed nothing that the run could see"
    tried = why is None and identical is not None
    return {
        "key": key,
        "what": _title(key, run),
        "run": run.name,
        "outcome": (SAME if identical else DIFFERENT) if tried else NOT_TRIED,
        "control": before,
        "value": after if tried else None,
        "why": _failure(record) if tried else why,
    }


def _title(key: str, run: PlannedRun) -> str:
    values = dict(variation.partition("=")[::2] for variation in run.vary)
    return f"{variations.TITLES[key]} ({values[key]})" if values[key] else variations.TITLES[key]


def _failure(record: RunRecord) -> str | None:
    if record["status"] == COMPLETED:
        return None
    refusal = record["unsupported"]
    return failed(record) if refusal is None else refusal["reason"]


def failed(record: RunRecord) -> str:
    """The error that ended a run."""
    failure = record["failure"] or {"error": "none", "message": "none"}  # by the schema it is there
    return f"{failure['error']}: {failure['message']}"


# --- what the bits depend on -----------------------------------------------------------------


def _culprits(tried: Sequence[Variation], repeatable: bool | None) -> Iterator[str]:
    """Variations whose run alone has other bits. Of a training that differs without any, only
    this can be said: whether it agrees again when it cannot see what an earlier run left."""
    alone = [v for v in tried if v["run"] != protocol.REPLICA]
    if repeatable is False:
        for variation in alone:
            if variation["outcome"] == SAME and variation["key"] in _KEEPS_STATE:
                yield f"what an earlier run left in the {variation['what']}"
        return
    for variation in alone:
        if variation["outcome"] == DIFFERENT:
            yield variations.TITLES[variation["key"]]


def _differing(
    evidence: Evidence, comparisons: Sequence[PlannedComparison]
) -> Iterator[tuple[str, str]]:
    for comparison in comparisons:
        for run in comparison.runs:
            if not run.unpin and _outcome(evidence, comparison.name, run.name) is False:
                yield comparison.control.name, run.name


# --- pins ------------------------------------------------------------------------------------


def _pins(
    evidence: Evidence, comparisons: Sequence[PlannedComparison], repeatable: bool | None
) -> Iterator[Pin]:
    for run in (run for comparison in comparisons for run in comparison.runs if run.unpin):
        record, key = evidence.records[run.name], run.unpin[0]
        identical = _outcome(evidence, "each", run.name)
        if repeatable is False:
            why: str | None = "the runs differ with it as well"
            outcome = NOT_TRIED
        else:
            why, outcome = _failure(record), NOT_NEEDED if identical else NEEDED
        title = pins.TITLES[key]
        yield {"key": key, "what": title, "run": run.name, "outcome": outcome, "why": why}
