"""The certificate: what was shown, under what, on which evidence. Pure functions over evidence."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from samebits import canonical
from samebits.checks import NOT_TRIED
from samebits.evidence import Evidence
from samebits.findings import NEEDED, SAME, Findings
from samebits.grading import (
    INCONCLUSIVE,
    NOT_REPRODUCIBLE,
    REPRODUCIBLE,
    UNSUPPORTED,
    WITHIN_TOLERANCE,
    Grade,
    grade,
)

FORMAT = "samebits-certificate-1"


@dataclass(frozen=True)
class Source:
    """The checkout that ran: its commit, and whether files differed from it. None: not known."""

    commit: str | None
    dirty: bool | None


@dataclass(frozen=True)
class Issue:
    """What the certificate says beside the evidence."""

    name: str
    issued: str
    source: Source
    how_to_repeat: tuple[str, ...]


def build(evidence: Evidence, issue: Issue) -> dict[str, Any]:
    """The certificate as JSON."""
    graded = grade(evidence)
    records = {run.name: run.record.content for run in evidence.runs}
    return {
        "format": FORMAT,
        "verdict": graded.verdict,
        "reasons": list(graded.reasons),
        "experiment": {
            "name": issue.name,
            "digest": evidence.config.sha256,
            "config": evidence.config.content,
        },
        "scope": _scope(graded, {name: r for name, r in records.items() if _trained(r)}),
        "evidence": [
            {"name": document.name, "sha256": document.sha256}
            for document in evidence.documents
            if document.sha256 is not None
        ],
        "comparisons": [c.content for c in evidence.comparisons if c.content is not None],
        "records": {"load": evidence.load.content, "runs": records},
        "histories": {
            run.name: run.history.content
            for run in evidence.runs
            if run.history is not None and run.history.content is not None
        },
        "issued": issue.issued,
        "source": {"commit": issue.source.commit, "dirty": issue.source.dirty},
        "how_to_repeat": list(issue.how_to_repeat),
    }


# --- scope ---------------------------------------------------------------------------------


def _trained(record: Any) -> bool:
    """Whether a run at least began to train, so that its record says on what and in what."""
    return record is not None and record["status"] != NOT_TRIED


def _scope(graded: Grade, by_run: dict[str, Any]) -> dict[str, Any]:
    """The conditions, from the records of the runs that were trained."""
    records = list(by_run.values())
    whole = [record for record in records if not record["lifted"] and not record["subset"]]
    same, differed = _held_equal(by_run)
    found = graded.findings or Findings((), (), None, (), ())
    return {
        "statement": _STATEMENTS[graded.verdict].format(runs=_count(len(whole))),
        "shows": list(_shows(graded.verdict, found)),
        "limits": list(_limits(graded.verdict, found, same)),
        "pinned": _pinned(records),
        "same": same,
        "differed": differed,
        "variations": [asdict(variation) for variation in found.variations],
        "pins": [asdict(pin) for pin in found.pins],
        "conditions": [pin.what for pin in found.pins if pin.outcome == NEEDED],
        "depends_on": list(found.depends_on),
        "repeatable": found.repeatable,
        "within": asdict(graded.within) if graded.within else None,
    }


_STATEMENTS = {
    REPRODUCIBLE: "{runs} trainings of this experiment ended in the same bits.",
    WITHIN_TOLERANCE: "{runs} trainings of this experiment ended close together, in other bits.",
    NOT_REPRODUCIBLE: "{runs} trainings of this experiment did not end in the same bits.",
    UNSUPPORTED: "TensorFlow refuses to train this experiment deterministically.",
    INCONCLUSIVE: "The evidence does not show whether this experiment is reproducible.",
}


def _count(number: int) -> str:
    words = {1: "One", 2: "Two", 3: "Three", 4: "Four", 5: "Five"}
    return words.get(number, str(number))


def _survived(found: Findings) -> list[str]:
    """Titles of what was varied while the bits stayed the same, each once."""
    return list(dict.fromkeys(v.what for v in found.variations if v.outcome == SAME))


def _shows(verdict: str, found: Findings) -> Iterator[str]:
    survived = _survived(found)
    if verdict == REPRODUCIBLE:
        yield (
            "Every loss and metric of every epoch, every fingerprint of the weights on the way, "
            "every final weight and every value of the optimizer is equal in all bits, not just "
            "close."
        )
        yield (
            "The runs were separate processes that loaded the same data, and each confirmed from "
            "inside that the pinned settings below were in effect."
        )
        yield "The packages were at exactly the versions that the lock file names."
    if survived and verdict in (REPRODUCIBLE, NOT_REPRODUCIBLE, WITHIN_TOLERANCE):
        yield f"The bits stayed the same under another {_list(survived)}."
    if verdict == WITHIN_TOLERANCE:
        yield "No number differs by more than the experiment's own tolerance. The bits do differ."
    if verdict == NOT_REPRODUCIBLE:
        yield (
            "Pinned as listed below, the same code on the same data gave different numbers. Which "
            "ones, and how far apart, is in the table of differences."
        )
    conditions = [pin.what for pin in found.pins if pin.outcome == NEEDED]
    if conditions:
        needed = _list(conditions)
        yield f"They hold only with these pinned, since lifting any gave other bits: {needed}."
    if verdict == UNSUPPORTED:
        yield (
            "The model or its input uses an operation for which this version of TensorFlow has "
            "no deterministic way, and it stopped instead of giving numbers that may change."
        )


def _limits(verdict: str, found: Findings, same: Sequence[Any]) -> Iterator[str]:
    if verdict == INCONCLUSIVE:
        yield "Anything about the experiment: evidence is missing or contradicts itself."
    if verdict == NOT_REPRODUCIBLE and not found.depends_on:
        yield "Why the runs differ, or that they would differ in the same way next time."
    if verdict == UNSUPPORTED:
        yield "Whether the experiment repeats without op determinism: it was not tried."
    if verdict in (REPRODUCIBLE, WITHIN_TOLERANCE):
        names = [fact["what"] for fact in same if fact["what"] in _SURROUNDINGS]
        if names:
            yield (
                f"That the bits stay the same elsewhere: {_list(names)} "
                f"{'were' if len(names) > 1 else 'was'} the same in all runs."
            )
        yield "That the runs would be equal every time: a rare race can stay unseen in a few runs."
    if any(variation.key == "cpu" for variation in found.variations):
        yield _EMULATION
    yield "That the model is good, or the data right: equal bits say nothing about quality."
    yield "Who made this certificate: it is not signed. Anyone can check it by repeating it."


_EMULATION = (
    "What a real chip of another model would do in every case. The emulator offers the model's "
    "instruction sets, so other code paths are taken, and it computes approximate instructions "
    "(reciprocal square root) exactly, so a dependence on these is found; it shows nothing about "
    "speed, caches or errors of a real chip, and only the first samples were trained on."
)


def _list(names: Sequence[str]) -> str:
    return ", ".join(names[:-1]) + f" and {names[-1]}" if len(names) > 1 else names[0]


def _pinned(records: Sequence[Any]) -> list[dict[str, Any]]:
    """What the first run was held to; grading has made sure that all were held to the same."""
    settings = records[0]["settings"] if records else []
    return [
        {"what": setting["name"], "value": setting["expected"]}
        for setting in settings
        if setting["expected"] is not None
    ]


# What a person would call the surroundings of a run: where it ran, not what ran.
_SURROUNDINGS = ("CPU model", "number of CPUs", "GPU", "operating system", "C library")


def facts(record: Any) -> dict[str, Any]:
    """What a record says of the surroundings and the software of its run."""
    machine, framework, python = record["machine"], record["framework"], record["python"]
    wheel = framework.get("wheel") or {}
    known = {
        "CPU model": machine.get("cpu"),
        "CPU features": " ".join(machine.get("flags") or []) or None,
        "number of CPUs": machine.get("cpus"),
        "memory": _gibibytes(machine.get("memory_bytes")),
        "operating system": machine.get("os"),
        "C library": machine.get("libc"),
        "GPU": _described(machine.get("gpu")),
        "Python": _joined(python.get("implementation"), python.get("version")),
        "TensorFlow": framework["tensorflow"],
        "TensorFlow build": framework.get("git_version"),
        "TensorFlow wheel": _joined(wheel.get("name"), wheel.get("sha256")),
        "Keras": framework.get("keras"),
        "packages (lock file)": record["lock"],
    }
    return {what: value for what, value in known.items() if value is not None}


def _gibibytes(size: Any) -> str | None:
    return f"{size / 2**30:.1f} GiB" if isinstance(size, int) else None


def _joined(*parts: str | None) -> str | None:
    return " ".join(part for part in parts if part) or None


def _described(gpu: Any) -> str | None:
    if not gpu:
        return None
    return ", ".join(f"{key} {gpu[key]}" for key in sorted(gpu) if gpu[key] is not None)


def _held_equal(by_run: dict[str, Any]) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Facts that are the same in all runs, and those that are not."""
    known = {name: facts(record) for name, record in by_run.items()}
    whats = list(dict.fromkeys(what for run in known.values() for what in run))
    same, differed = [], []
    for what in whats:
        values = {name: run.get(what) for name, run in known.items()}
        if len(known) > 1 and len({canonical.digest(value) for value in values.values()}) > 1:
            differed.append({"what": what, "values": values})
        else:
            same.append({"what": what, "value": next(iter(values.values()))})
    return same, differed
