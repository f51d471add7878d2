"""What sound evidence shows: which variations the bits survived, which pins they need, and why not.

A variation counts only when control and run really saw something different: a variation that
had no effect is listed as not tried. Where a program has several ways to ask and not every one got
another answer, the variation is named by those that did. The bits depend on a variation where two
runs have other bits under it, and no two runs show that the same conditions give two results.
"""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from samebits.certificate.comparison_checks import plan
from samebits.certificate.evidence import Evidence
from samebits.certificate.handed_on import handed_on
from samebits.certificate.interruptions import between
from samebits.certificate.types import ComparedRun, Pin, RunRecord, Variation
from samebits.experiment import pins, protocol, variations
from samebits.experiment.protocol import PlannedRun
from samebits.formats.names import (
    COMPLETED,
    DIFFERENT,
    FAILED,
    NEEDED,
    NOT_NEEDED,
    NOT_TRIED,
    SAME,
)
from samebits.text import listed


@dataclass(frozen=True)
class Compared:
    """A planned run, and how it compares with its control."""

    planned: PlannedRun
    control: RunRecord
    record: RunRecord
    result: ComparedRun

    @property
    def interrupted(self) -> str | None:
        """How the two were interrupted differently, so that it may be why they differ."""
        return None if self.result["identical"] else between(self.control, self.record)

    @property
    def identical(self) -> bool | None:
        """Whether it has its control's bits; None: it was not tried, or it shows nothing."""
        tried = self.record["status"] != NOT_TRIED and self.interrupted is None
        return self.result["identical"] if tried else None


@dataclass(frozen=True)
class Findings:
    """What the runs show beside the verdict."""

    variations: tuple[Variation, ...]
    pins: tuple[Pin, ...]
    repeatable: bool | None  # under identical conditions; None: not tried
    depends_on: tuple[str, ...]  # titles of what the bits were seen to depend on
    compared: tuple[Compared, ...]  # all runs but the controls
    left: tuple[str, ...]  # files that a run wrote outside of its output, and that a run read
    handed_on: tuple[str, ...]  # of these, those by which all may have their bits from one run

    @property
    def differing(self) -> list[Compared]:
        """The runs that should be identical to their controls and are not."""
        return [compared for compared in self.compared if _differs(compared)]


def findings(evidence: Evidence) -> Findings:
    """Read off the comparisons. The evidence must have passed all checks."""
    compared = list(_compared(evidence))
    tried = [variation for each in compared for variation in _variations(each)]
    left = list(dict.fromkeys(path for c in evidence.comparisons for path in c.content["left"]))
    control = compared[0].control
    alike = [c.record for c in compared if c.identical and c.control == control]
    same = [c.identical for c in compared if c.planned.name in (protocol.REPLICA, protocol.REPEAT)]
    repeatable = False if two_results(compared) else True in same or None
    return Findings(
        variations=tuple(tried),
        pins=tuple(_pin(each, repeatable) for each in compared if each.planned.unpin),
        repeatable=repeatable,
        depends_on=tuple(dict.fromkeys(_culprits(tried, compared, repeatable, left))),
        compared=tuple(compared),
        left=tuple(left),
        handed_on=tuple(handed_on([control, *alike], left)),
    )


def two_results(compared: Sequence[Compared]) -> list[list[str]]:
    """Runs that were made under the same conditions, the control among them, and have not the same
    outcome: identical to the control and different from it."""
    alike: dict[Any, dict[str, bool | None]] = {}
    for c in compared:
        conditions = c.control["run"], c.planned.vary, c.planned.unpin
        runs = alike.setdefault(conditions, {} if any(conditions[1:]) else {c.control["run"]: True})
        runs[c.planned.name] = None if own_failure(c.record) else c.identical
    return [list(runs) for runs in alike.values() if {True, False} <= set(runs.values())]


def _differs(compared: Compared) -> bool:
    """Whether it should be identical to its control and is not."""
    alone = compared.planned.name != protocol.REPLICA  # which every verdict needs
    excused = compared.planned.unpin or (alone and own_failure(compared.record))
    tried = compared.record["status"] != NOT_TRIED
    return tried and not compared.result["identical"] and not excused


def _compared(evidence: Evidence) -> Iterator[Compared]:
    """Every run but the controls, as planned; the replica is the first."""
    contents = [comparison.content for comparison in evidence.comparisons]
    results = {(c["control"], run["run"]): run for c in contents for run in c["runs"]}
    for comparison in plan(evidence):
        control = comparison.control.name
        for run in comparison.runs:
            records = evidence.records[control], evidence.records[run.name]
            yield Compared(run, *records, results[control, run.name])


# --- variations ----------------------------------------------------------------------------


def _variations(compared: Compared) -> Iterator[Variation]:
    control, record, identical = compared.control, compared.record, compared.identical
    for key in compared.planned.variations:
        before, after = control["observed"].get(key), record["observed"].get(key)
        if key == variations.THREADS and before is None and after is None:
            continue  # the program has none
        why = record["variations"]["not_tried"].get(key) or compared.interrupted
        changed, unchanged = ways(before, after)
        if why is None and (found := own_failure(record)):
            why = f"making it may have failed the run: {found}"
        if why is None and not changed:
            why = _NO_EFFECT.get(key, "it changed nothing that the run could see")
        tried = why is None and identical is not None
        yield {
            "key": key,
            "what": _title(key, compared.planned, changed if tried and unchanged else []),
            "run": compared.planned.name,
            "outcome": _outcome(compared) if tried else NOT_TRIED,
            "control": before,
            "value": after if tried else None,
            "why": _failure(record) if tried else why,
        }


def _outcome(compared: Compared) -> str:
    if compared.record["status"] != COMPLETED:
        return compared.record["status"]
    return SAME if compared.identical else DIFFERENT


_NO_EFFECT = {"interrupt": "no epoch was trained after a resume"}


def ways(before: Any, after: Any) -> tuple[list[str], list[str]]:
    """The ways of asking that got another answer in the run, and those that got the same one."""
    known, found = (v if isinstance(v, dict) else {"": v} for v in (before, after))
    answers = {way: (known.get(way), found.get(way)) for way in sorted({*known, *found})}
    changed, unchanged = list[str](), list[str]()
    for way, (one, other) in answers.items():
        same = one == other or variations.UNKNOWN in (one, other)
        if (one, other) != (None, None):
            (unchanged if same else changed).append(way)
    return changed, unchanged


def _title(key: str, run: PlannedRun, only: Sequence[str]) -> str:
    """What was varied. ``only``: the ways of asking that got another answer, if not all did."""
    values = dict(variation.partition("=")[::2] for variation in run.vary)
    if only:
        return f"{variations.TITLES[key]} ({listed(only)} only)"
    return f"{variations.TITLES[key]} ({values[key]})" if values[key] else variations.TITLES[key]


def _failure(record: RunRecord) -> str | None:
    if record["status"] == COMPLETED:
        return None
    refusal = record["unsupported"]
    return failed(record) if refusal is None else refusal["reason"]


# Errors that mounts of the run's own cause, as Python or TensorFlow words them on Linux: a path is
# one, a file is renamed from one to another, the file system of reversed folders cannot do it,
# keeps a removed file in its folder while it is open, or is gone, the path of temporary files is
# longer.
_OWN_ERRORS = re.compile(
    r"\[Errno (16|18|38|39|95|107|116)\]|Device or resource busy|Invalid cross-device link"
    "|Function not implemented|Operation not supported|Transport endpoint is not connected"
    "|Stale file handle|AF_UNIX path too long|Directory not empty"
)
_MOUNTED = {"folder", "home", "time_zone", "host_name", "cpus", "directory_order"}


def own_failure(record: RunRecord) -> str:
    """The error of a failed run, if the variations themselves may have caused it; else empty."""
    if record["status"] != FAILED or _MOUNTED.isdisjoint(record["variations"]["applied"]):
        return ""
    return failed(record) if _OWN_ERRORS.search(failed(record)) else ""


def failed(record: RunRecord) -> str:
    """The error that ended a run."""
    failure = record["failure"] or {"error": "none", "message": "none"}  # by the schema it is there
    return f"{failure['error']}: {failure['message']}"


# --- what the bits depend on -----------------------------------------------------------------


def _by_left(compared: Sequence[Compared], left: Sequence[str]) -> Iterator[str]:
    """Files whose content decides the bits: exactly the runs that found what their control found
    have its bits, and of the rest those that found the same have the same bits."""
    runs = [c for c in compared if c.identical is not None and not c.planned.unpin]
    for path in left:
        same = [_content(c.record, path) == _content(c.control, path) for c in runs]
        bits: dict[Any, dict[str, str]] = {}
        alike = all(
            bits.setdefault((c.control["run"], _content(c.record, path)), c.record["digests"])
            == c.record["digests"]
            for c in runs
            if not c.identical
        )
        if alike and not all(same) and same == [c.identical for c in runs]:
            yield path


def _content(record: RunRecord, path: str) -> str | None:
    """The digest of what a run found in a file; None: nothing."""
    files = record.get("files") or {"read": [], "written": []}  # a run that was not tried has none
    entries = (*files["read"], *files["written"])
    return next((entry["sha256"] for entry in entries if entry["path"] == path), None)


def _all_seen(compared: Sequence[Compared]) -> bool:
    """Whether all files are known that the runs read or wrote."""
    records = [record.get("files") for c in compared for record in (c.control, c.record)]
    return all(files is None or files["problem"] is None for files in records)


def _culprits(
    tried: Sequence[Variation],
    compared: Sequence[Compared],
    repeatable: bool | None,
    left: list[str],
) -> Iterator[str]:
    """Variations under which alone two runs have other bits. Of a training that has two results
    under the same conditions, only this can be said: that its threads race where their timing is
    varied; by which file that an earlier run left; or, where not all files are known, whether it
    agrees where it cannot see what an earlier run left.
    """
    by_left = [f"what an earlier run left in {path}" for path in _by_left(compared, left)]
    yield from by_left
    if by_left:
        return
    alone = [v for v in tried if v["run"] != protocol.REPLICA]
    count = Counter(v["key"] for v in alone if v["outcome"] not in (SAME, NOT_TRIED))
    confirmed = [key for key in count if count[key] > 1]
    if variations.THREADS in confirmed:  # a race shows under any other variation, too, by luck
        yield variations.TITLES[variations.THREADS]
    elif repeatable is not False:
        yield from (variations.TITLES[key] for key in confirmed)
    elif not _all_seen(compared):
        for variation in alone:
            if variation["outcome"] == SAME and variation["key"] in protocol.HIDES_LEFT:
                yield f"what an earlier run left in the {variation['what']}"


# --- pins ------------------------------------------------------------------------------------


def _pin(compared: Compared, repeatable: bool | None) -> Pin:
    key, outcome = compared.planned.unpin[0], NOT_NEEDED if compared.identical else NEEDED
    why = compared.interrupted or _failure(compared.record)
    if compared.interrupted:
        outcome = NOT_TRIED
    elif repeatable is False:
        outcome, why = NOT_TRIED, "the runs differ with it as well"
    run, title = compared.planned.name, pins.TITLES[key]
    return {"key": key, "what": title, "run": run, "outcome": outcome, "why": why}
