"""Whether the runs are sound evidence: there, undamaged, pinned, and all of one experiment.

Each check is a small function that yields what it finds wrong, as sentences. Any finding makes
the verdict INCONCLUSIVE, whatever the runs look like, because then the evidence shows nothing.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from samebits.certificate.evidence import Document, Evidence, RunEvidence
from samebits.experiment import pins as pinning
from samebits.formats import canonical, dataset, lockfile, states
from samebits.formats.names import ARTIFACTS, COMPLETED, NOT_TRIED

FEWEST_RUNS = 2


Check = Callable[[Evidence], Iterator[str]]


def problems(evidence: Evidence, checks: Sequence[Check]) -> list[str]:
    """Everything that is wrong with the evidence, sorted; empty when it is sound."""
    return sorted(problem for check in checks for problem in check(evidence))


# --- what is missing or unreadable ----------------------------------------------------------


def _unreadable(evidence: Evidence) -> Iterator[str]:
    for document in evidence.documents:
        if document.problem is not None:
            yield document.problem


def _too_few_runs(evidence: Evidence) -> Iterator[str]:
    if len(evidence.runs) < FEWEST_RUNS:
        yield f"{len(evidence.runs)} run was made; at least {FEWEST_RUNS} are needed"


def _embedded_digests(evidence: Evidence) -> Iterator[str]:
    for document in (evidence.load, *(run.record for run in evidence.runs), *evidence.comparisons):
        if document.content is not None and (broken := canonical.digest_problem(document.content)):
            yield f"{document.name} was changed after it was written: {broken}"


def _config_digest(evidence: Evidence) -> Iterator[str]:
    config = evidence.config
    if config.content is not None and canonical.digest(config.content) != config.sha256:
        yield f"{config.name} is not in canonical form, so its digest names no experiment"


# --- whether each run is a run of this experiment ---------------------------------------------


def _records(evidence: Evidence) -> Iterator[tuple[RunEvidence, Any]]:
    for run in evidence.runs:
        if run.record.content is not None:
            yield run, run.record.content


def _trained(evidence: Evidence) -> Iterator[tuple[RunEvidence, Any]]:
    """The records of runs that at least began to train."""
    for run, record in _records(evidence):
        if record["status"] != NOT_TRIED:
            yield run, record


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
    records = [(run.name, record) for run, record in _trained(evidence)]
    for name, record in records[1:]:
        first, expected = records[0]
        for key, what in SOFTWARE.items():
            varied = key == "python" and "deployment" in record["variations"]["applied"]
            if not varied and not same(record[key], expected[key]):
                yield f"{name} and {first} ran on different {what}"


SOFTWARE = {
    "source": "source code",
    "python": "versions or builds of Python",
    "framework": "versions or builds of TensorFlow",
}


def _ambiguous(evidence: Evidence) -> Iterator[str]:
    for run, record in _records(evidence):
        yield from (f"{run.name}: {said}" for said in ambiguous(record))


def ambiguous(record: Any) -> Iterator[str]:
    """What a record says twice: whoever looks it up by name sees one of the two alone."""
    packages = [lockfile.normal(package["name"]) for package in record["packages"]]
    settings = [setting["name"] for setting in record.get("settings", ())]
    for what, names in (("package", packages), ("setting", settings)):
        for name, count in sorted(Counter(names).items()):
            if count > 1:
                yield f"the {what} {name} is listed {count} times"


# --- whether the settings were in effect ------------------------------------------------------


def _settings(evidence: Evidence) -> Iterator[str]:
    for run, record in _trained(evidence):
        for setting in record["settings"]:
            expected, effective = setting["expected"], setting["effective"]
            if expected is not None and not same(expected, effective):
                yield f"{run.name}: {setting['name']} is {effective}, pinned is {expected}"


def _unprobed(evidence: Evidence) -> Iterator[str]:
    """A pin that no probe confirmed, and one that is probed against another value."""
    if evidence.config.content is None:
        return
    for run, record in _trained(evidence):
        probed = {s["name"]: s["expected"] for s in record["settings"]}
        for name, value in pins(evidence.config.content, record["unpinned"]):
            if name not in probed:
                yield f"{run.name}: pinned, but not probed: {name}"
            elif not same(probed[name], value):
                yield f"{run.name}: {name} was held against {probed[name]}, pinned is {value}"


def _traced(evidence: Evidence) -> Iterator[str]:
    """A trace with fewer rows than were asked for sees fewer differences on the way."""
    if evidence.config.content is None:
        return
    asked = evidence.config.content.get("trace")
    for run, record in _records(evidence):
        every = (record["trace"] or {}).get("every")
        if record["status"] == COMPLETED and every != asked:
            yield f"{run.name}: the trace has a row for every {every}, asked was {asked}"


def pins(config: Any, unpinned: Sequence[str] = ()) -> Iterator[tuple[str, Any]]:
    """What a run is held to, by the names under which it records its settings."""
    yield "TensorFlow", config["framework"].get("tensorflow")
    determinism = pinning.unpin(config["determinism"], unpinned)
    for key, name in pinning.TITLES.items():
        if determinism.get(key) is not None:
            yield name, determinism[key]
    if determinism.get("seeding") is not None:
        for generator in ("Python", "NumPy", "TensorFlow"):
            if f"{generator.lower()}_seed" not in unpinned:
                yield f"{generator} seed", config["seed"]
    yield from determinism["environment"].items()
    yield "other variables", {}


def same(left: Any, right: Any) -> bool:
    """Equal as JSON: unlike Python's ==, true is not 1."""
    return canonical.dumps(left) == canonical.dumps(right)


# --- whether the digests belong to what was read ----------------------------------------------


def _data_digest(evidence: Evidence) -> Iterator[str]:
    load = evidence.load.content
    if load is not None and canonical.digest(dataset.index(load["arrays"])) != load["digest"]:
        yield f"{evidence.load.name}: the digest is not that of the arrays it lists"


def _artifact_digests(evidence: Evidence) -> Iterator[str]:
    for run, record in _records(evidence):
        for artifact in ARTIFACTS if record["status"] == COMPLETED else ():
            document: Document = getattr(run, artifact)
            recorded = record["digests"][artifact]
            if document.content is not None and document.sha256 != recorded:
                yield f"{document.name} has another digest than {run.record.name} says"
        canary = run.canary
        if canary is not None and canary.content not in (None, record["canary"]["digest"]):
            yield f"{canary.name} has another digest than {run.record.name} says"


def _checkpoints(evidence: Evidence) -> Iterator[str]:
    """One per epoch where the config asks for them; the last is what the training ended with."""
    for run, record in _records(evidence):
        trainer, found = record["config"]["trainer"], record.get("checkpoints")
        wanted = record["status"] == COMPLETED and trainer.get("checkpoint") == states.EPOCH
        if (found is not None) != wanted:
            yield f"{run.name}: {'no checkpoints' if wanted else 'checkpoints that nobody wanted'}"
        if found is None:
            continue
        epochs = (record["subset"] or trainer)["epochs"]
        if len(found["digests"]) != epochs:
            yield f"{run.name}: {len(found['digests'])} checkpoints of {epochs}"
        elif found["digests"][-1:] != [{part: record["digests"][part] for part in states.PARTS}]:
            yield f"{run.name}: the last checkpoint is not what the training ended with"
        if found["root"] != states.root(found["digests"]):
            yield f"{run.name}: the root of the checkpoints is not that of their digests"


def _empty(evidence: Evidence) -> Iterator[str]:
    """Nothing equals nothing: that shows nothing."""
    for run in evidence.runs:
        if run.history is not None and run.history.content is not None:
            yield from _epochs(evidence, run)
        record = run.record.content
        if (
            record is not None
            and record["status"] == COMPLETED
            and not record["tensors"]["weights"]
        ):
            yield f"{run.record.name} lists no weights"


def _epochs(evidence: Evidence, run: RunEvidence) -> Iterator[str]:
    document: Any = run.history
    metrics, subset = document.content["metrics"], run.record.content["subset"]
    if not metrics:
        yield f"{document.name} holds no metric"
    if evidence.config.content is not None:
        wanted = (subset or evidence.config.content["trainer"])["epochs"]
        for metric, values in metrics.items():
            if len(values) != wanted:
                yield f"{document.name}: {metric} has {len(values)} epochs of {wanted}"


CHECKS: tuple[Check, ...] = (
    _unreadable,
    _too_few_runs,
    _embedded_digests,
    _config_digest,
    _foreign_records,
    _shared_process,
    _packages,
    _software,
    _ambiguous,
    _settings,
    _unprobed,
    _traced,
    _data_digest,
    _artifact_digests,
    _checkpoints,
    _empty,
)
