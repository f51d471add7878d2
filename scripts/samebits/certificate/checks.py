"""Whether the runs are sound evidence: present, undamaged, pinned, and all of one experiment.

Each check is a small function that yields problems as sentences. Any problem makes the verdict
INCONCLUSIVE, whatever the runs look like, because unsound evidence shows nothing.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from samebits.certificate.evidence import Document, Evidence, RunEvidence
from samebits.certificate.types import RunRecord
from samebits.experiment import pins as pinning
from samebits.formats import canonical, dataset, lockfile, states
from samebits.formats.names import ARTIFACTS, COMPLETED, NOT_TRIED

FEWEST_RUNS = 2


Check = Callable[[Evidence], Iterator[str]]


def problems(evidence: Evidence, checks: Sequence[Check]) -> list[str]:
    """All problems of the evidence, sorted; empty if it is sound."""
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


# --- whether each run is a run of this experiment ---------------------------------------------


def _records(evidence: Evidence) -> Iterator[tuple[RunEvidence, RunRecord]]:
    for run in evidence.runs:
        if run.record.content is not None:
            yield run, run.record.content


def _trained(evidence: Evidence) -> Iterator[tuple[RunEvidence, RunRecord]]:
    """The records of runs that at least began to train."""
    for run, record in _records(evidence):
        if record["status"] != NOT_TRIED:
            yield run, record


def _foreign_records(evidence: Evidence) -> Iterator[str]:
    load = evidence.load.content
    for run, record in _records(evidence):
        if record["run"] != run.name:
            yield f"{run.record.name} is the record of another run: {record['run']}"
        if record["experiment"] != evidence.config.sha256:
            yield f"{run.name} belongs to another experiment ({record['experiment'][:16]}…)"
        if canonical.digest(record["config"]) != record["experiment"]:
            yield f"{run.record.name}: its config does not match its experiment"
        if load is not None and record["dataset"] != load["digest"]:
            yield f"{run.name} was trained on other data ({record['dataset'][:16]}…)"


def _shared_process(evidence: Evidence) -> Iterator[str]:
    count = Counter(record["process"]["id"] for _, record in _records(evidence))
    for run, record in _records(evidence):
        if count[record["process"]["id"]] > 1:
            yield f"{run.name} has the same process id as another run, so they may be one process"


def _packages(evidence: Evidence) -> Iterator[str]:
    for name, wrong in evidence.lock.mismatches.items():
        yield f"{name}: the packages do not match the lock: {wrong}"
    for run, record in _records(evidence):
        if record["lock"] != evidence.lock.document.sha256:
            yield f"{run.name} used another lock ({record['lock'][:16]}…)"


def _software(evidence: Evidence) -> Iterator[str]:
    """Runs of different code cannot be compared."""
    records = [(run.name, record) for run, record in _trained(evidence)]
    for name, record in records[1:]:
        first, expected = records[0]
        for key, what in SOFTWARE.items():
            varied = key == "python" and "deployment" in record["variations"]["applied"]
            if not varied and not same(record.get(key), expected.get(key)):
                yield f"{name} and {first} ran on different {what}"


SOFTWARE = {
    "source": "source code",
    "python": "versions or builds of Python",
    "framework": "versions or builds of TensorFlow",
}


def _ambiguous(evidence: Evidence) -> Iterator[str]:
    for run, record in _records(evidence):
        yield from (f"{run.name}: {said}" for said in ambiguous(record))


def ambiguous(record: RunRecord) -> Iterator[str]:
    """Entries that a record lists twice: a lookup by name would see only one of them."""
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
                yield f"{run.name}: {setting['name']} is {effective}, but pinned to {expected}"


def _unprobed(evidence: Evidence) -> Iterator[str]:
    """Pins that no probe confirmed, or that were compared with another value."""
    if evidence.config.content is None:
        return
    for run, record in _trained(evidence):
        probed = {s["name"]: s["expected"] for s in record["settings"]}
        for name, value in pins(evidence.config.content, record["unpinned"]):
            if name not in probed:
                yield f"{run.name}: pinned, but not probed: {name}"
            elif not same(probed[name], value):
                yield f"{run.name}: {name} was probed for {probed[name]}, but pinned to {value}"


def _traced(evidence: Evidence) -> Iterator[str]:
    """A trace with fewer rows than were asked for sees fewer differences on the way."""
    if evidence.config.content is None:
        return
    asked = evidence.config.content.get("trace")
    for run, record in _records(evidence):
        every = (record["trace"] or {}).get("every")
        if record["status"] == COMPLETED and every != asked:
            yield f"{run.name}: the trace has a row per {every}, but was to have one per {asked}"


def pins(config: Mapping[str, Any], unpinned: Sequence[str] = ()) -> Iterator[tuple[str, Any]]:
    """The pinned settings of a run, by the names under which it records them."""
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
        yield f"{evidence.load.name}: its digest does not match the arrays it lists"


def _artifact_digests(evidence: Evidence) -> Iterator[str]:
    for run, record in _records(evidence):
        for artifact in ARTIFACTS if record["status"] == COMPLETED else ():
            document: Document = getattr(run, artifact)
            recorded = record["digests"][artifact]
            if document.content is not None and document.sha256 != recorded:
                yield f"{document.name} does not match its digest in {run.record.name}"
        canary, recorded_canary = run.canary, record["canary"] or {"digest": None}
        if canary is not None and canary.content not in (None, recorded_canary["digest"]):
            yield f"{canary.name} does not match its digest in {run.record.name}"


def _tensor_lists(evidence: Evidence) -> Iterator[str]:
    """The digest of a file covers names, dtypes and shapes of the tensors in it."""
    known: dict[tuple[str, str], tuple[str, list[bytes]]] = {}
    for run, record in _records(evidence):
        for artifact, tensors in record["tensors"].items():
            listed = sorted(map(canonical.dumps, tensors))
            key = artifact, str(record["digests"].get(artifact))
            earlier, expected = known.setdefault(key, (run.name, listed))
            if listed != expected:
                yield f"{run.name} and {earlier} have one {artifact} file and list other tensors"


def _checkpoints(evidence: Evidence) -> Iterator[str]:
    """One per epoch where the config asks for them; the last is what the training ended with."""
    for run, record in _records(evidence):
        trainer, found = record["config"]["trainer"], record.get("checkpoints")
        wanted = record["status"] == COMPLETED and trainer.get("checkpoint") == states.EPOCH
        if (found is not None) != wanted:
            yield f"{run.name}: {'no checkpoints' if wanted else 'unwanted checkpoints'}"
        if found is None:
            continue
        epochs = (record["subset"] or trainer)["epochs"]
        if len(found["digests"]) != epochs:
            yield f"{run.name}: {len(found['digests'])} checkpoints of {epochs}"
        elif found["digests"][-1:] != [{part: record["digests"][part] for part in states.PARTS}]:
            yield f"{run.name}: the last checkpoint does not match the final weights and optimizer"
        if found["root"] != states.root(states.from_record(record) or ()):
            yield f"{run.name}: the root of the checkpoints does not match their digests"


def _empty(evidence: Evidence) -> Iterator[str]:
    """Two empty results are equal and show nothing."""
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
    _tensor_lists,
    _checkpoints,
    _empty,
)
