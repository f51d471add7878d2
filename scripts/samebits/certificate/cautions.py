"""What a reader has to know before anything else: wrong kernels, NaN, other data, unseen files.

Each is a sentence that follows from the records and histories of the runs, the first run's first.
"""

from collections.abc import Iterator, Mapping
from math import isinf, isnan
from typing import Any

from samebits.certificate.evidence import Evidence
from samebits.certificate.types import Another, RunRecord
from samebits.formats import as_installed, history, lockfile
from samebits.formats.names import COMPLETED, RECEIVED
from samebits.text import few, listed

OTHER = "other data"
_APART = 1e-3  # of the largest number: rounding is far below


def cautions(evidence: Evidence) -> list[str]:
    """All sentences, each once; a run is named where not all runs share it."""
    said: dict[str, list[str]] = {}
    completed = [run for run in evidence.runs if run.results]
    for run in completed:
        metrics = run.results["history"].content
        known = history.from_json(metrics) if metrics is not None else {}
        for sentence in of_run(run.record.content, known):
            said.setdefault(sentence, []).append(run.name)
    of_runs = (
        sentence if len(runs) == len(completed) else f"{few(runs)}: {sentence}"
        for sentence, runs in said.items()
    )
    return [*_environment(evidence), *of_runs]


def _environment(evidence: Evidence) -> Iterator[str]:
    """What in an environment that was there already is not as its packages were released."""
    config, lock = evidence.config.content, evidence.lock.content
    if config is None or lock is None or not lockfile.is_as_installed(config):
        return
    found = as_installed.notes(lock)
    for kind, what in _ENVIRONMENT.items():
        if names := found.get(kind):
            yield f"The environment was there already: {what}: {few(names)}."


_ENVIRONMENT = {
    as_installed.UNLIKE: "these files are not as their RECORD says",
    as_installed.UNLISTED: "these could be imported and are in no RECORD",
    as_installed.EDITABLE: "these packages are installed editable, from a folder of source",
}


def of_run(record: RunRecord, metrics: Mapping[str, list[float]]) -> Iterator[str]:
    """What follows from a run's record and its history."""
    for kernel in record["wrong_kernels"]:
        if not kernel["replaced"]:
            remedy = "determinism=portable computes it rightly"
            yield f"Wrong numbers in {kernel['where']}: {kernel['why']}; {remedy}."
    yield from _apart(record["another"])
    yield from _nan(record["nan"])
    for what, is_so in (("Not a number", isnan), ("Infinite", isinf)):
        since = [
            f"{name} since epoch {1 + next(i for i, v in enumerate(values) if is_so(v))}"
            for name, values in metrics.items()
            if any(map(is_so, values))
        ]
        if since:
            yield f"{what}: {listed(since)}."
    yield from _other_data(record["data"])
    unseen = record["files"]["problem"]
    if unseen is not None and record["subset"] is None:  # emulated runs cannot be watched
        yield (
            f"Not all files that the training read are known: {unseen}. A random number that one "
            "run left in a file for all others would give them equal bits."
        )


def _apart(another: Another | None) -> Iterator[str]:
    """Gradients of which two implementations disagree by more than their rounding."""
    if another is None:
        return
    if another["failure"] is not None:
        yield f"One step with and without oneDNN could not be compared: {another['failure']}."
    most = max((tensor["largest"] or 0 for tensor in another["tensors"]), default=0)
    for tensor in another["tensors"]:
        apart, least = tensor["apart"], max(tensor["largest"] or 0, most * _APART)
        if apart is None or apart > least * _APART:
            how = f"{apart / least:.1g} of the largest" if apart and least else "without limit"
            yield (
                f"The gradient of {tensor['name']} in one step differs with and without oneDNN by "
                f"{how}: one of the two is wrong."
            )


def _nan(nan: Any) -> Iterator[str]:
    """By when it began: "not a number since step 4 in dense/kernel"."""
    began: dict[str, list[str]] = {}
    for tensor in (nan or {"tensors": ()})["tensors"]:
        since, after = tensor["since"], tensor["after"]
        when = "at the end"
        if since is not None:
            one = since - (after or 0) <= 1
            when = (
                f"since step {since:,}"
                if one
                else f"since one of the steps {after + 1:,} to {since:,}"
            )
        began.setdefault(when, []).append(tensor["name"])
    for when, names in began.items():
        yield f"Not a number {when} in {few(names)}. A NaN hides any difference behind it."


def _other_data(data: Any) -> Iterator[str]:
    """Epochs whose batches are not the data set, by what they hold instead."""
    if data is not None and data["used"] is not None and "x" not in data["used"]:
        yield "No update of a weight depends on x: the steps received it and made no use of it."
    if data is None or received(data) != OTHER:
        return
    wrong = [str(n) for n, epoch in enumerate(data["epochs"], start=1) if not _is_data(data, epoch)]
    samples = sorted({epoch["samples"] for epoch in data["epochs"] if not _is_data(data, epoch)})
    yield (
        f"The steps received other data than the data set: in epoch {few(wrong)} batches of "
        f"{listed(f'{n:,}' for n in samples)} samples that are not the {data['samples']:,} samples "
        "of x and y to train on."
    )


def received(data: Any) -> str:
    """What the steps received: the data set, other data, or why that is not known."""
    if data["problem"] is not None:
        return f"not known: {data['problem']}"
    return RECEIVED if all(_is_data(data, epoch) for epoch in data["epochs"]) else OTHER


def _is_data(data: Any, epoch: Any) -> bool:
    return bool(epoch == {key: data[key] for key in ("samples", "fingerprint")})


def all_received(evidence: Evidence) -> str | None:
    """What the steps of all completed runs received; None where none completed."""
    found = [r["data"] for r in evidence.records.values() if r["status"] == COMPLETED]
    said = list(dict.fromkeys(received(data) for data in found if data is not None))
    return "; ".join(said) or None


def nothing_left(evidence: Evidence) -> Iterator[str]:
    """Runs in which no trainable weight is finite: equal, and yet nothing is shown."""
    for name, record in evidence.records.items():
        nan = record["nan"]
        if nan is not None and nan["numbers"] == 0:
            said = "no trainable weight is a finite number at the end: equal ones show nothing"
            yield f"{name}: {said}"
