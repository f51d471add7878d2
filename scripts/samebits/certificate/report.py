"""The report: what was shown, under what, on which evidence. A pure function of the evidence.

A certificate carries it with all the evidence it was derived from, but for the arrays, so that
whoever holds one can derive it again: ``rebuild`` does, and verify compares.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

from samebits.certificate import cautions, checks
from samebits.certificate.evidence import Evidence, from_report
from samebits.certificate.findings import Findings
from samebits.certificate.interruptions import resumed
from samebits.certificate.types import Epochs, Fact, Facts, Report, RunRecord, Source
from samebits.certificate.verdict import Grade, grade
from samebits.experiment import variations
from samebits.experiment.protocol import CONTROL
from samebits.formats import canonical, lockfile, names
from samebits.formats.names import COMPLETED, NEEDED, NOT_TRIED
from samebits.text import listed

FORMAT = "samebits-report-1"


@dataclass(frozen=True)
class Issue:
    """What the issuer says beside the evidence."""

    name: str
    issued: str
    how_to_repeat: tuple[str, ...]
    overridden: tuple[str, ...] = ()  # the dotted keys of the config that the user set
    keyid: str | None = None  # of the key that signs; None: nobody does


def build(found: Evidence, issue: Issue) -> Report:
    """The report as JSON: the grade of the evidence, and what was graded."""
    graded = grade(found)
    records = {run.name: run.record.content for run in found.runs}
    trained = {name: r for name, r in found.records.items() if r["status"] != NOT_TRIED}
    histories = {run.name: run.results["history"] for run in found.runs if run.results}
    return {
        "format": FORMAT,
        "verdict": graded.verdict,
        "reasons": list(graded.reasons),
        "experiment": {
            "name": issue.name,
            "digest": found.config.sha256,
            "config": found.config.content,
            "overridden": sorted(issue.overridden),
        },
        "scope": _scope(graded, trained)
        | {"cautions": cautions.cautions(found), "received": cautions.all_received(found)},
        "evidence": [
            {"name": d.name, "sha256": d.sha256, "problem": d.problem} for d in found.documents
        ],
        "comparisons": [c.content for c in found.comparisons if c.problem is None],
        "records": {"load": found.load.content, "runs": records},
        "histories": {n: d.content for n, d in histories.items() if d.problem is None},
        "lock": {"name": found.lock.name, "text": found.lock.content},
        "dependencies": [{"name": n, "sha256": d} for n, d in sorted(found.dependencies.items())],
        "issued": issue.issued,
        "issuer": {"keyid": issue.keyid},
        "source": source(found.records.get(CONTROL)),
        "how_to_repeat": list(issue.how_to_repeat),
    }


def rebuild(report: Report) -> Report:
    """What a report must say, given the evidence that it carries and what its issuer said.

    The report must be what the schema says. Evidence that it lists and does not carry is a problem
    like any other, so the result is INCONCLUSIVE and another than the report.
    """
    issue = Issue(
        name=report["experiment"]["name"],
        issued=report["issued"],
        how_to_repeat=tuple(report["how_to_repeat"]),
        overridden=tuple(report["experiment"]["overridden"]),
        keyid=report["issuer"]["keyid"],
    )
    return build(from_report(report), issue)


# --- scope ---------------------------------------------------------------------------------


def _scope(graded: Grade, by_run: Mapping[str, RunRecord]) -> Any:
    """The conditions, from the records of the runs that were trained."""
    records = list(by_run.values())
    settings = records[0]["settings"] if records else []  # all runs have the same
    whole = [record for record in records if not record["unpinned"] and not record["subset"]]
    same, differed = _compared(by_run)
    found = graded.findings or Findings((), (), None, (), (), (), ())
    return {
        "runs": len(whole),
        "epochs": _epochs(by_run.get(CONTROL)),
        "pinned": [
            {"what": setting["name"], "value": setting["expected"]}
            for setting in settings
            if setting["expected"] is not None
        ],
        "same": same,
        "differed": differed,
        "resumed": {name: after for name, r in by_run.items() if (after := resumed(r))},
        "variations": list(found.variations),
        "not_varied": variations.not_varied(
            v["key"] for v in found.variations if v["outcome"] != NOT_TRIED
        ),
        "pins": list(found.pins),
        "conditions": [pin["what"] for pin in found.pins if pin["outcome"] == NEEDED],
        "depends_on": list(found.depends_on),
        "repeatable": found.repeatable,
        "within": graded.within,
        "undeclared": sorted({name for r in records for name, _ in checks.undeclared(r)}),
        "left": list(found.left),
    }


def _epochs(control: RunRecord | None) -> Epochs | None:
    """How many epochs the control trained; None where it did not complete."""
    if control is None or control["status"] != COMPLETED:
        return None
    trained, most = checks.trained_epochs(control), checks.most_epochs(control)
    if most is None or not 1 <= trained <= most:  # a loop of the model's own, or several fits
        return None
    return {"trained": trained, "at_most": most}


def facts(record: RunRecord) -> dict[str, Any]:
    """The environment and the software of a run, by its record."""
    machine, framework, python = record["machine"], record["framework"], record["python"]
    wheel, ran = framework.get("wheel") or {}, record["threads"]
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
        "environment": "as installed" if lockfile.is_as_installed(record["config"]) else None,
        "packages (lock file)": record["lock"],
        "packages (files)": record["installed"]["sha256"],
        "Python threads": None if ran is None else listed(ran) or "none",
        names.REPLACED: _replaced(record) or None,
    }
    return {what: value for what, value in known.items() if value is not None}


def _gibibytes(size: Any) -> str | None:
    return f"{size / 2**30:.1f} GiB" if isinstance(size, int) else None


def _replaced(record: RunRecord) -> str:
    return "; ".join(f"{k['op']} of {k['where']}" for k in record["wrong_kernels"] if k["replaced"])


def _joined(*parts: str | None) -> str | None:
    return " ".join(part for part in parts if part) or None


def _described(gpu: Any) -> str | None:
    if not gpu:
        return None
    return ", ".join(f"{key} {gpu[key]}" for key in sorted(gpu) if gpu[key] is not None)


def _compared(by_run: Mapping[str, RunRecord]) -> tuple[list[Fact], list[Facts]]:
    """Facts that are the same in all runs, and those that are not."""
    known = {name: facts(record) for name, record in by_run.items()}
    whats = list(dict.fromkeys(what for run in known.values() for what in run))
    same: list[Fact] = []
    differed: list[Facts] = []
    for what in whats:
        values = {name: run.get(what) for name, run in known.items()}
        if len(known) > 1 and len({canonical.digest(value) for value in values.values()}) > 1:
            differed.append({"what": what, "values": values})
        else:
            same.append({"what": what, "value": next(iter(values.values()))})
    return same, differed


# --- the checkout that ran ---------------------------------------------------------------------


def source(record: RunRecord | None) -> Source:
    """The repositories of a run when it began; unknown without its record."""
    known = None if record is None else record.get("repositories")
    found = known["checkout"] if known else dict.fromkeys(("commit", "changed", "problem"))
    return cast(Source, {"inputs": [], **found, "model": known["model"] if known else None})
