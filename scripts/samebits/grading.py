"""From evidence to verdict. REPRODUCIBLE is what is left when nothing is missing or inconsistent.

Each check is a small function that yields what it finds wrong, as sentences. Any finding makes
the verdict INCONCLUSIVE, whatever the runs look like, because then the evidence shows nothing.
Only sound evidence can be UNSUPPORTED, NOT REPRODUCIBLE or REPRODUCIBLE.
"""

import struct
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from samebits import arrays, canonical, history
from samebits.arrays import ArrayEntry
from samebits.evidence import Document, Evidence, RunEvidence

REPRODUCIBLE = "REPRODUCIBLE"
NOT_REPRODUCIBLE = "NOT REPRODUCIBLE"
UNSUPPORTED = "UNSUPPORTED"
INCONCLUSIVE = "INCONCLUSIVE"

ARTEFACTS = ("history", "weights", "optimizer")
TITLES = {"history": "history", "weights": "final weights", "optimizer": "optimizer state"}
FEWEST_RUNS = 2


@dataclass(frozen=True)
class Grade:
    """The verdict and why."""

    verdict: str
    reasons: tuple[str, ...]


def grade(evidence: Evidence) -> Grade:
    """Judge the evidence."""
    problems = [problem for check in CHECKS for problem in check(evidence)]
    if problems:
        return Grade(INCONCLUSIVE, tuple(sorted(problems)))
    refused = [run for run in evidence.runs if run.record.content["status"] == "unsupported"]
    if refused:
        if len(refused) < len(evidence.runs):
            names = ", ".join(run.name for run in refused)
            return Grade(INCONCLUSIVE, (f"TensorFlow refused {names} and not the other runs",))
        return Grade(UNSUPPORTED, tuple(_unsupported(run) for run in refused))
    if not evidence.comparison.content["identical"]:
        return Grade(NOT_REPRODUCIBLE, tuple(_differences(evidence.comparison.content)))
    return Grade(REPRODUCIBLE, tuple(_agreement(evidence)))


# --- what is missing or unreadable ----------------------------------------------------------


def _unreadable(evidence: Evidence) -> Iterator[str]:
    for document in evidence.documents:
        if document.problem is not None:
            yield document.problem


def _too_few_runs(evidence: Evidence) -> Iterator[str]:
    if len(evidence.runs) < FEWEST_RUNS:
        yield f"{len(evidence.runs)} run was made; at least {FEWEST_RUNS} are needed"


def _config_digest(evidence: Evidence) -> Iterator[str]:
    config = evidence.config
    if config.content is not None and canonical.digest(config.content) != config.sha256:
        yield f"{config.name} is not in canonical form, so its digest names no experiment"


# --- whether each run is a run of this experiment ---------------------------------------------


def _records(evidence: Evidence) -> Iterator[tuple[RunEvidence, Any]]:
    for run in evidence.runs:
        if run.record.content is not None:
            yield run, run.record.content


def _foreign_records(evidence: Evidence) -> Iterator[str]:
    load = evidence.load.content
    for run, record in _records(evidence):
        if record["run"] != run.name:
            yield f"{run.record.name} is the record of another run, {record['run']}"
        if record["experiment"] != evidence.config.sha256:
            yield f"{run.name} is a run of another experiment ({record['experiment'][:16]}…)"
        if canonical.digest(record["config"]) != record["experiment"]:
            yield f"{run.record.name}: the config is not that of its experiment"
        if load is not None and record["dataset"] != load["digest"]:
            yield f"{run.name} was trained on other data ({record['dataset'][:16]}…)"


def _shared_process(evidence: Evidence) -> Iterator[str]:
    count = Counter(record["process"]["id"] for _, record in _records(evidence))
    for run, record in _records(evidence):
        if count[record["process"]["id"]] > 1:
            yield f"{run.name} shares its process id with another run: were they one process?"


def _packages(evidence: Evidence) -> Iterator[str]:
    for name, wrong in evidence.lock.mismatches.items():
        yield f"{name}: the packages are not those of the lock: {wrong}"
    for run, record in _records(evidence):
        if record["lock"] != evidence.lock.document.sha256:
            yield f"{run.name} was installed from another lock ({record['lock'][:16]}…)"


def _software(evidence: Evidence) -> Iterator[str]:
    """Runs of different code show nothing about one of them."""
    records = [(run.name, record) for run, record in _records(evidence)]
    for name, record in records[1:]:
        first, expected = records[0]
        for key, what in SOFTWARE.items():
            if not _same(record[key], expected[key]):
                yield f"{name} and {first} ran on different {what}"


SOFTWARE = {
    "source": "source code",
    "python": "versions or builds of Python",
    "framework": "versions or builds of TensorFlow",
}


# --- whether the settings were in effect ------------------------------------------------------


def _settings(evidence: Evidence) -> Iterator[str]:
    for run, record in _records(evidence):
        for setting in record["settings"]:
            expected, effective = setting["expected"], setting["effective"]
            if expected is not None and not _same(expected, effective):
                yield f"{run.name}: {setting['name']} is {effective}, pinned is {expected}"


def _unprobed(evidence: Evidence) -> Iterator[str]:
    """A pin that no probe confirmed, and one that is probed against another value."""
    if evidence.config.content is None:
        return
    for name, value in pins(evidence.config.content):
        for run, record in _records(evidence):
            probed = {s["name"]: s["expected"] for s in record["settings"]}
            if name not in probed:
                yield f"{run.name}: pinned, but not probed: {name}"
            elif not _same(probed[name], value):
                yield f"{run.name}: {name} was held against {probed[name]}, pinned is {value}"


def pins(config: Any) -> Iterator[tuple[str, Any]]:
    """What an experiment pins, by the names under which a run records its settings."""
    yield "TensorFlow", config["framework"].get("tensorflow")
    determinism = config["determinism"]
    for key, name in PINS.items():
        if determinism.get(key) is not None:
            yield name, determinism[key]
    if determinism.get("seeding") is not None:
        for generator in ("Python", "NumPy", "TensorFlow"):
            yield f"{generator} seed", config["seed"]
    yield from determinism["environment"].items()
    yield "other variables", {}


PINS = {
    "hash_seed": "hash seed",
    "op_determinism": "op determinism",
    "intra_op_threads": "intra-op threads",
    "inter_op_threads": "inter-op threads",
    "onednn": "oneDNN",
    "isa": "oneDNN ISA",
}


def _same(left: Any, right: Any) -> bool:
    """Equal as JSON: unlike Python's ==, true is not 1."""
    return canonical.dumps(left) == canonical.dumps(right)


# --- whether the digests belong to what was read ----------------------------------------------


def _data_digest(evidence: Evidence) -> Iterator[str]:
    load = evidence.load.content
    if load is not None and _set_digest(load["arrays"]) != load["digest"]:
        yield f"{evidence.load.name}: the digest is not that of the arrays it lists"


def _artefact_digests(evidence: Evidence) -> Iterator[str]:
    for run, record in _records(evidence):
        for artefact in ARTEFACTS if record["status"] == "completed" else ():
            document: Document = getattr(run, artefact)
            recorded = record["digests"][artefact]
            if document.content is not None and _digest_of(artefact, document) != recorded:
                yield f"{document.name} has another digest than {run.record.name} says"


def _digest_of(artefact: str, document: Document) -> str | None:
    if artefact != "history":
        return _set_digest(document.content["arrays"])
    try:
        return history.digest(history.from_json(document.content))
    except (OverflowError, ValueError, struct.error):
        return None


def _set_digest(entries: Any) -> str:
    return arrays.set_digest(
        [ArrayEntry(e["name"], e["dtype"], tuple(e["shape"]), e["sha256"]) for e in entries]
    )


def _empty(evidence: Evidence) -> Iterator[str]:
    """Nothing equals nothing: that shows nothing."""
    for run in evidence.runs:
        if run.history is not None and run.history.content is not None:
            yield from _epochs(evidence, run.history)
        weights = run.weights.content if run.weights is not None else None
        if weights is not None and not weights["arrays"]:
            yield f"train/{run.name}/weights lists no weights"


def _epochs(evidence: Evidence, document: Document) -> Iterator[str]:
    metrics = document.content["metrics"]
    if not metrics:
        yield f"{document.name} holds no metric"
    if evidence.config.content is not None:
        wanted = evidence.config.content["trainer"]["epochs"]
        for metric, values in metrics.items():
            if len(values) != wanted:
                yield f"{document.name}: {metric} has {len(values)} epochs of {wanted}"


# --- whether the comparison compared these runs -----------------------------------------------


def _comparison(evidence: Evidence) -> Iterator[str]:
    comparison = evidence.comparison.content
    if comparison is None:
        return
    where = evidence.comparison.name
    yield from _compared_inputs(evidence, comparison, where)
    for run in comparison["runs"]:
        yield from _compared_run(run, f"{where}: {run['run']}")
    if comparison["identical"] != all(run["identical"] for run in comparison["runs"]):
        yield f"{where}: the result is not that of its runs"


def _compared_inputs(evidence: Evidence, comparison: Any, where: str) -> Iterator[str]:
    records = {run.name: record for run, record in _records(evidence)}
    compared = [comparison["control"], *(run["run"] for run in comparison["runs"])]
    if sorted(compared) != sorted(run.name for run in evidence.runs):
        yield f"{where} compares {_list(compared)}, the runs are {_list(sorted(records))}"
    stated = comparison["status"]
    if any(stated.get(name) != record["status"] for name, record in records.items()):
        yield f"{where}: the status of a run is not what its record says"
    if comparison["experiment"] != evidence.config.sha256:
        yield f"{where} is about another experiment"
    load = evidence.load.content
    if load is not None and comparison["dataset"] != load["digest"]:
        yield f"{where} is about other data"
    control = records.get(comparison["control"])
    for run in comparison["runs"]:
        replica = records.get(run["run"])
        if control is not None and replica is not None:
            yield from _compared_digests(control, replica, run, f"{where}: {run['run']}")


def _compared_digests(control: Any, replica: Any, run: Any, where: str) -> Iterator[str]:
    for artefact in run["artefacts"]:
        name = artefact["artefact"]
        recorded = [record["digests"].get(name) for record in (control, replica)]
        if artefact["digests"] != recorded:
            yield f"{where}: the digests of the {TITLES[name]} are not those in the records"


def _compared_run(run: Any, where: str) -> Iterator[str]:
    names = [artefact["artefact"] for artefact in run["artefacts"]]
    if sorted(names) != sorted(ARTEFACTS):
        yield f"{where}: expected {_list(ARTEFACTS)}, compared were {_list(names) or 'none'}"
    for artefact in run["artefacts"]:
        yield from _compared_artefact(artefact, where)
    if run["identical"] != all(artefact["identical"] for artefact in run["artefacts"]):
        yield f"{where}: the result is not that of its artefacts"


def _compared_artefact(artefact: Any, where: str) -> Iterator[str]:
    control, replica = artefact["digests"]
    equal = control is not None and control == replica
    title = TITLES[artefact["artefact"]]
    if artefact["identical"] != equal:
        yield f"{where}: the {title} are called {_called(artefact)}, the digests say otherwise"
    known = control is not None and replica is not None
    if known and bool(artefact["differences"]) == artefact["identical"]:
        yield f"{where}: the {title} are called {_called(artefact)}, the differences say otherwise"


def _called(artefact: Any) -> str:
    return "identical" if artefact["identical"] else "different"


CHECKS: tuple[Callable[[Evidence], Iterator[str]], ...] = (
    _unreadable,
    _too_few_runs,
    _config_digest,
    _foreign_records,
    _shared_process,
    _packages,
    _software,
    _settings,
    _unprobed,
    _data_digest,
    _artefact_digests,
    _empty,
    _comparison,
)


# --- reasons for the other verdicts -----------------------------------------------------------


def _unsupported(run: RunEvidence) -> str:
    refusal = run.record.content["unsupported"]
    op = f"{refusal['op']}: " if refusal["op"] else ""
    return f"{run.name}: TensorFlow refused {op}{refusal['reason']} ({refusal['message']})"


def _differences(comparison: Any) -> Iterator[str]:
    for run in comparison["runs"]:
        for artefact in run["artefacts"]:
            if not artefact["identical"]:
                yield _difference(comparison["control"], run["run"], artefact)


def _difference(control: str, replica: str, artefact: Any) -> str:
    found = artefact["differences"]
    what = "metric" if artefact["artefact"] == "history" else "tensor"
    names = list(dict.fromkeys(difference["name"] for difference in found))
    named = _list(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
    counted = f"{len(names)} {what}{'s' if len(names) != 1 else ''}"
    title = TITLES[artefact["artefact"]]
    return f"The {title} of {control} and {replica} differ in {counted}: {named}."


def _agreement(evidence: Evidence) -> Iterator[str]:
    count = len(evidence.runs)
    both = "both" if count == FEWEST_RUNS else f"all {count}"
    for artefact in ARTEFACTS:
        verb = "are" if artefact == "weights" else "is"
        yield f"The {TITLES[artefact]} {verb} the same in {both} runs, bit for bit."
    yield "Each run was a process of its own."
    yield "Every pinned setting was in effect, and the packages were those of the lock."


def _list(names: Any) -> str:
    return ", ".join(str(name) for name in names)
