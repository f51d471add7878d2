"""The evidence that a report carries, as if it had been read from files.

Digests are taken again from what is carried. Files that could not be read when the report was made
are carried as the problem that they were.
"""

import hashlib
from collections.abc import Callable, Mapping
from typing import Any

from samebits.certificate import evidence
from samebits.certificate.evidence import Document, Evidence, RunEvidence
from samebits.formats import canonical

Report = Mapping[str, Any]

_TRAIN, _RECORD, _COMPARE = "train/", "/record.json", "compare/"


def evidence_of(report: Report) -> Evidence:
    """Everything that was graded. The report must be what the schema says."""
    problems = {d["name"]: d for d in report["evidence"] if d["problem"] is not None}
    carried = _carried(report)

    def document(name: str) -> Document:
        if name in problems:
            return Document(name, problems[name]["sha256"], problem=problems[name]["problem"])
        if carried.get(name) is None:
            return Document(name, problem=f"{name} is not carried")
        return Document(name, _digest(carried[name]), carried[name])

    names = [d["name"] for d in report["evidence"]]
    folders = [n.removesuffix(_RECORD) for n in names if n.startswith(_TRAIN) and _RECORD in n]
    runs = tuple(_run(folder, document) for folder in folders)
    lock = document(report["lock"]["name"])
    return Evidence(
        config=document("config.json"),
        load=document("load/record.json"),
        comparisons=tuple(document(name) for name in names if name.startswith(_COMPARE)),
        runs=runs,
        lock=evidence.lock_of(lock, runs),
    )


def _run(folder: str, document: Callable[[str], Document]) -> RunEvidence:
    record = document(folder + _RECORD)
    name = folder.removeprefix(_TRAIN)
    return evidence.run_of(name, record, lambda path, _: document(f"{folder}/{path}"))


def _carried(report: Report) -> dict[str, Any]:
    """What a report carries, by the names of the files."""
    readable = [d["name"] for d in report["evidence"] if d["problem"] is None]
    compared = [name for name in readable if name.startswith(_COMPARE)]
    records, runs = report["records"], report["records"]["runs"]
    return {
        "config.json": report["experiment"]["config"],
        "load/record.json": records["load"],
        report["lock"]["name"]: report["lock"]["text"],
        **{f"{_TRAIN}{name}{_RECORD}": record for name, record in runs.items()},
        **{f"{_TRAIN}{name}/history.json": h for name, h in report["histories"].items()},
        **report["indices"],
        **dict(zip(compared, report["comparisons"], strict=False)),  # too few: not carried
    }


def _digest(content: Any) -> str:
    if isinstance(content, str):  # a lock
        return hashlib.sha256(content.encode("utf-8")).hexdigest()
    return canonical.digest(content)
