"""From evidence to verdict. REPRODUCIBLE is what is left when nothing is missing or inconsistent.

Any problem with the evidence makes the verdict INCONCLUSIVE, whatever the runs look like. Only
sound evidence can be UNSUPPORTED, NOT REPRODUCIBLE or REPRODUCIBLE; EQUAL WITHIN TOLERANCE is a
verdict of its own, given only where the experiment asks for it.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from samebits.certificate import (
    cautions,
    checks,
    comparison_checks,
    facts,
    interruptions,
    program_checks,
)
from samebits.certificate.evidence import Evidence
from samebits.certificate.findings import (
    Compared,
    Findings,
    failed,
    findings,
    own_failure,
    two_results,
)
from samebits.certificate.types import ComparedRun, Distance, RunRecord
from samebits.comparison import attribution
from samebits.experiment import protocol, variations
from samebits.formats import names
from samebits.text import few, listed, when

CPU = "cpu"  # the variation
MOST_NAMED = 3  # in one reason


@dataclass(frozen=True)
class Grade:
    """The verdict and why. ``findings`` is None where the evidence shows nothing."""

    verdict: str
    reasons: tuple[str, ...]
    findings: Findings | None = None
    within: Distance | None = None


def grade(evidence: Evidence) -> Grade:
    """Judge the evidence."""
    if idle := program_checks.untrained(evidence):
        return Grade(names.INCONCLUSIVE, (idle,))
    checked = (*checks.CHECKS, *facts.CHECKS, *comparison_checks.CHECKS, *program_checks.CHECKS)
    problems = checks.problems(evidence, checked)
    if problems:  # NaN may be why, as of a canary that does not differ
        return Grade(names.INCONCLUSIVE, (*cautions.nothing_left(evidence), *problems))
    first = {name: evidence.records[name] for name in (protocol.CONTROL, protocol.REPLICA)}
    refused = [name for name, record in first.items() if record["status"] == names.REFUSED]
    if refused and len(refused) < len(first):
        why = f"{refused[0]} was refused and the other run was not"
        return Grade(names.INCONCLUSIVE, (why,))
    if refused:
        return Grade(names.UNSUPPORTED, tuple(_unsupported(name, first[name]) for name in refused))
    if failure := own_failure(first[protocol.REPLICA]):
        return Grade(names.INCONCLUSIVE, (_OWN_FAILURE.format(failure),))
    found = findings(evidence)
    judged = _judge(evidence, found)
    handed_on = [_HANDED_ON.format(few(found.handed_on))] if found.handed_on else []
    nothing = (*cautions.nothing_left(evidence), *handed_on)
    if nothing and judged.verdict in (names.REPRODUCIBLE, names.WITHIN_TOLERANCE):
        return Grade(names.INCONCLUSIVE, nothing)
    return judged


_OWN_FAILURE = (
    "replica failed with an error that its variations themselves may have caused, because they are "
    "made by mounts: {}. Leave some of them out: protocol.replica='[…]'"
)

_HANDED_ON = (
    "no two runs are known to have made their bits by themselves: they found {0} as an earlier run "
    "had left it, or made it at once. Start again with --forcerun train: all runs then find it, "
    "and its SHA-256 is recorded. Or have the program make it below TMPDIR, which each run has for "
    "itself"
)


def _judge(evidence: Evidence, found: Findings) -> Grade:
    if not found.differing:
        return Grade(names.REPRODUCIBLE, tuple(_agreement(evidence)), found)
    compared = [differing.result for differing in found.differing]
    why = (*_interrupted(found), *_dependence(found), *dict.fromkeys(_attributions(found)))
    reasons = (*why, *_first(compared), *_differences(found.differing))
    within = _within(evidence.config.content["protocol"]["tolerance"], compared)
    if within is None:
        return Grade(names.NOT_REPRODUCIBLE, reasons, found)
    summary = (
        f"Bits differ, by at most {within['absolute']:.3g}, and {within['ulp']} ULP in weights, "
        "state and outputs: within the tolerance that was asked for."
    )
    return Grade(names.WITHIN_TOLERANCE, (summary, *reasons), found, within)


# --- tolerance -------------------------------------------------------------------------------


def _within(tolerance: Any, compared: Sequence[ComparedRun]) -> Distance | None:
    """How far the runs are apart when that is within the tolerance; None when it is not."""
    if tolerance is None:
        return None
    absolute, ulp = 0.0, 0
    for result in compared:
        for artifact in result["artifacts"]:
            if None in artifact["digests"]:
                return None
            if artifact["artifact"] == "trace":  # fingerprints have no distance
                continue
            for difference in artifact["differences"]:
                if difference["kind"] != "values" or difference["not_finite"]:
                    return None
                if difference["largest_absolute"] is None:
                    return None
                absolute = max(absolute, difference["largest_absolute"])
                if artifact["artifact"] != "history":  # float32 values, stored as float64
                    ulp = max(ulp, difference["largest_ulp"] or 0)
    most = tolerance.get("ulp")
    close = absolute <= tolerance["absolute"] and (most is None or ulp <= most)
    return {"absolute": absolute, "ulp": ulp} if close else None


# --- reasons ---------------------------------------------------------------------------------


def _unsupported(name: str, record: RunRecord) -> str:
    refusal = record["unsupported"] or {"op": None, "reason": "none", "message": "none"}
    op = f"{refusal['op']}, " if refusal["op"] else ""
    return f"{name}: {refusal['reason']}: {op}{refusal['message']}"


def _interrupted(found: Findings) -> Iterator[str]:
    """The first suspect of differing runs."""
    for differing in found.differing:
        if differing.interrupted:
            yield f"{differing.interrupted}: {interruptions.FIRST_SUSPECT}."


def _dependence(found: Findings) -> Iterator[str]:
    """What the bits depend on, and whether they repeat when nothing is changed."""
    tried: dict[str, list[str]] = {}
    for row in found.variations:
        if row["run"] != protocol.REPLICA and row["outcome"] != names.NOT_TRIED:
            tried.setdefault(variations.TITLES[row["key"]], []).append(row["outcome"])
    failing = [t for t in found.depends_on if t in tried and {*tried[t]} <= {*_FAILING}]
    for said, titles, counted in (
        ("The bits depend on", [t for t in found.depends_on if t not in failing], "other bits in"),
        ("The training fails where this alone is varied", failing, "in"),
    ):
        if titles:
            outcomes = [outcome for t in titles for outcome in tried.get(t, ())]
            yield f"{said}: {listed(titles)}{_counted(found, outcomes, counted)}."
    for runs in two_results(found.compared):
        yield f"Not repeatable under identical conditions: {listed(runs)} have different results."
    ran = sorted({name for each in found.compared for name in each.record["threads"] or ()})
    if found.repeatable is False and ran:
        yield f"Python threads ran, and may race: {few(ran, MOST_NAMED)}."
    if found.repeatable is True:
        yield "Repeatable under identical conditions: the same run, made again, has the same bits."
        if once := [
            title for title, all_of in tried.items() if len(all_of) - all_of.count(names.SAME) == 1
        ]:
            yield f"In one run alone, which may be a race, bits differ under: {listed(once)}."
        elif not found.depends_on:
            yield "No variation alone changes the bits: several together do, or it is a rare race."


_FAILING = (names.SAME, names.FAILED)


def _counted(found: Findings, outcomes: Sequence[str], what: str) -> str:
    """In how many runs that vary this alone, and in how many that vary nothing of that kind."""
    if not outcomes:  # of a file
        return ""
    without = [
        compared.identical
        for compared in found.compared
        if compared.identical is not None
        and not compared.planned.unpin
        and {*found.depends_on}.isdisjoint(
            variations.TITLES[v] for v in compared.planned.variations
        )
    ]
    number, it = len(outcomes), "it" if len(found.depends_on) == 1 else "them"
    return (
        f" ({what} {number - outcomes.count(names.SAME)} of {number} runs, and in "
        f"{without.count(False)} of {len(without)} that do not vary {it})"
    )


def _attributions(found: Findings) -> Iterator[str]:
    """What the atlas says of the runs by which the bits were seen to depend on the CPU."""
    if variations.TITLES[CPU] not in found.depends_on:
        return
    for differing in found.differing:
        result, divergence = differing.result, differing.result["divergence"]
        if CPU in differing.planned.variations and "attribution" in result:
            first = None if divergence is None else divergence["step"]
            yield attribution.sentence(result["attribution"], differing.record, first, MOST_NAMED)


def _first(compared: Sequence[ComparedRun]) -> Iterator[str]:
    """Where the first of the differing runs parts from the control."""
    divergence, run = compared[0]["divergence"], compared[0]["run"]
    if divergence is None:
        return
    step, first = divergence["step"], few(divergence["tensors"], MOST_NAMED)
    if step == 0:
        yield f"{run} differs before the first step, in {first}."
    elif step is not None:
        yield f"{run} differs first {when(divergence)}, in {first}."
    if divergence["batch_step"] is not None:
        batch = divergence["batch_step"]
        yield f"The steps of {run} received other batches from step {batch:,} on."


def _differences(compared: Sequence[Compared]) -> Iterator[str]:
    """Why each run without a result has none; then what differs, once for all runs alike."""
    alike = dict[tuple[str, ...], list[tuple[str, dict[str, list[str]]]]]()
    for each in compared:
        yield from _without_result(each)
        if parts := _parts(each):
            of_run = each.planned.name, parts
            alike.setdefault((each.control["run"], *parts), []).append(of_run)
    for (control, *titles), found in alike.items():
        runs = [run for run, _ in found]
        named = {of: list(dict.fromkeys(n for _, p in found for n in p[of])) for of in titles}
        what = listed(f"{title} ({few(which, MOST_NAMED)})" for title, which in named.items())
        yield f"{few(runs)} {'differ' if runs[1:] else 'differs'} from {control} in {what}."


def _without_result(compared: Compared) -> Iterator[str]:
    record, run = compared.record, compared.planned.name
    if record["status"] == names.FAILED:
        varied = record["variations"]["applied"]
        titles = [title for key, title in variations.TITLES.items() if key in varied]
        what = f"{few(titles, MOST_NAMED)} varied" if titles else "nothing varied"
        control = compared.control["run"]
        yield f"{run} failed where {control} did not, with {what}: {failed(record)}"
    elif record["status"] == names.REFUSED:
        yield _unsupported(run, record)


def _parts(compared: Compared) -> dict[str, list[str]]:
    """What differs of a completed run: titles of artifacts, with metrics or tensors."""
    if compared.record["status"] != names.COMPLETED:
        return {}
    checkpoints, drawn = compared.result.get("checkpoints"), compared.result["generators"]
    differing = {
        names.TITLES[artifact["artifact"]]: [d["name"] for d in artifact["differences"]]
        for artifact in compared.result["artifacts"]
        if not artifact["identical"]
    }
    if len(differing) > 1:
        differing.pop(names.TITLES["trace"], None)  # it was told above
    if checkpoints is not None and not checkpoints["identical"] and not differing:
        differing["checkpoints"] = [f"after epoch {checkpoints['epoch']}"]
    if drawn is not None and not drawn["identical"]:
        differing["final states of random number generators"] = drawn["differing"]
    return differing


def _agreement(evidence: Evidence) -> Iterator[str]:
    for artifact in names.ARTIFACTS:
        plural = artifact in ("weights", "state", "predictions")
        same = f"{names.TITLES[artifact]} {'are' if plural else 'is'} the same"
        yield f"The {same} in all runs that were to agree, bit for bit."
    first = evidence.comparison(protocol.FIRST)
    if first is not None and first["runs"][0]["generators"] is not None:
        yield "The shared random number generators ended in the same states in all runs."
    yield "A run that began with one change differed at once; flipped bits in copies were found."
    yield "Each run was a process of its own."
    yield "Every pinned setting was in effect."
    yield "The packages were those of the lock, and no importable file of them had been changed."
