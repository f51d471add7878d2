"""Whether the runs are sound evidence: present, undamaged, pinned, and all of one experiment.

Each check is a small function that yields problems as sentences. Any problem makes the verdict
INCONCLUSIVE, whatever the runs look like, because unsound evidence shows nothing.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from samebits.certificate.evidence import Evidence
from samebits.certificate.types import Checkpoints, RunRecord
from samebits.errors import SamebitsError
from samebits.experiment import pins as pinning
from samebits.experiment import variables, variations
from samebits.formats import canonical, dataset, lockfile, states
from samebits.formats.names import COMPLETED, NOT_TRIED
from samebits.text import listed

Check = Callable[[Evidence], Iterator[str]]
_LONGEST = 300  # characters of a value in a sentence


def problems(evidence: Evidence, checks: Sequence[Check]) -> list[str]:
    """All problems of the evidence, sorted; empty if it is sound."""
    return sorted(problem for check in checks for problem in check(evidence))


def unequal(where: str, *facts: tuple[str, Any, Any]) -> Iterator[str]:
    """What is not as expected. A fact: what it is, the value that is stated, the expected one."""
    for what, got, expected in facts:
        if not same(got, expected):
            words = (in_words(value)[:_LONGEST] for value in (expected, got))
            yield "{}: {}: expected {}, got {}".format(where, what, *words)


def twice(where: str, what: str, names: Sequence[str]) -> Iterator[str]:
    """Names that stand in a list more than once: a lookup by name would see one entry of them."""
    for name, count in sorted(Counter(names).items()):
        if count > 1:
            yield f"{where}: the {what} {name} is listed {count} times"


# --- what is missing or unreadable ----------------------------------------------------------


def _unreadable(evidence: Evidence) -> Iterator[str]:
    for document in evidence.documents:
        if document.problem is not None:
            yield document.problem


def _embedded_digests(evidence: Evidence) -> Iterator[str]:
    for document in (evidence.load, *(run.record for run in evidence.runs), *evidence.comparisons):
        if document.content is not None and (broken := canonical.digest_problem(document.content)):
            yield f"{document.name} was changed after it was written: {broken}"


# --- whether each run is a run of this experiment ---------------------------------------------


def _trained(evidence: Evidence) -> dict[str, RunRecord]:
    """The records of runs that at least began to train."""
    return {name: r for name, r in evidence.records.items() if r["status"] != NOT_TRIED}


def _names(evidence: Evidence) -> Iterator[str]:
    for name, record in evidence.records.items():
        if record["run"] != name:
            yield f"the record of {name} is that of another run: {record['run']}"


def _foreign_records(evidence: Evidence) -> Iterator[str]:
    load = evidence.load.content
    for name, record in evidence.records.items():
        if record["experiment"] != evidence.config.sha256:
            yield f"{name} belongs to another experiment ({record['experiment'][:16]}…)"
        if canonical.digest(record["config"]) != record["experiment"]:
            yield f"{name}: its config does not match its experiment"
        if load is not None and record["dataset"] != load["digest"]:
            yield f"{name} was trained on other data ({record['dataset'][:16]}…)"


def _shared_process(evidence: Evidence) -> Iterator[str]:
    count = Counter(record["process"]["id"] for record in evidence.records.values())
    for name, record in evidence.records.items():
        if count[record["process"]["id"]] > 1:
            yield f"{name} has the same process id as another run, so they may be one process"


def _packages(evidence: Evidence) -> Iterator[str]:
    for name, record in evidence.records.items():
        if record["lock"] != evidence.lock.sha256:
            yield f"{name} used another lock ({record['lock'][:16]}…)"
    if evidence.lock.content is None:
        return
    try:
        lock = lockfile.parse(evidence.lock.content, evidence.lock.name)
    except SamebitsError:
        yield f"{evidence.lock.name} is not a lock file"
        return
    if not lock.packages:
        yield f"{evidence.lock.name} holds no package"
    for name, record in evidence.records.items():
        found = {lockfile.normal(p["name"]): p["version"] for p in record["packages"]}
        if wrong := lockfile.mismatches(lock, found):
            yield f"{name}: the packages do not match the lock: {'; '.join(wrong)}"


SOFTWARE = {
    "python": "versions or builds of Python",
    "framework": "versions or builds of TensorFlow",
    "installed": "files of the packages",
}
_OF_DEPLOYMENT = ("python", "installed")  # conda and uv compile and build for themselves


def _software(evidence: Evidence) -> Iterator[str]:
    """Runs of different code cannot be compared."""
    trained = list(_trained(evidence).items())
    for name, record in trained[1:]:
        first, expected = trained[0]
        if modules(record) != modules(expected):
            yield f"{name} and {first} ran on different source code"
        for key, what in SOFTWARE.items():
            varied = key in _OF_DEPLOYMENT and "deployment" in record["variations"]["applied"]
            if not varied and not same(record.get(key), expected.get(key)):
                yield f"{name} and {first} ran on different {what}"


def _files(evidence: Evidence) -> Iterator[str]:
    """Runs that read other bytes under one name had other inputs."""
    known: dict[str, tuple[str, str]] = {}
    for name, record in _trained(evidence).items():
        for entry in record["files"]["read"]:
            first, expected = known.setdefault(entry["path"], (name, entry["sha256"]))
            if entry["sha256"] != expected:
                yield f"{name} and {first} read different files under the name {entry['path']}"


def modules(record: RunRecord) -> list[tuple[str, str]]:
    """The executed modules and their digests: a file's name depends on where a run was started."""
    return [(entry["module"], entry["sha256"]) for entry in record.get("source", ())]


def _ambiguous(evidence: Evidence) -> Iterator[str]:
    """Entries that a record lists twice: a lookup by name would see only one of them."""
    for run, record in evidence.records.items():
        packages = [lockfile.normal(package["name"]) for package in record["packages"]]
        settings = [setting["name"] for setting in record.get("settings", ())]
        yield from twice(run, "package", packages)
        yield from twice(run, "setting", settings)


# --- whether the settings were in effect ------------------------------------------------------


def _settings(evidence: Evidence) -> Iterator[str]:
    """What was pinned was in effect, and what was to be pinned was probed for that value."""
    for run, record in _trained(evidence).items():
        for setting in record["settings"]:
            expected, effective = setting["expected"], setting["effective"]
            if expected is not None and not same(expected, effective):
                yield f"{run}: {setting['name']} is {effective}, but pinned to {expected}"
        probed = {setting["name"]: setting["expected"] for setting in record["settings"]}
        for name, value in pins(record["config"], record["unpinned"]):
            if name not in probed:
                yield f"{run}: pinned, but not probed: {name}"
            elif not same(probed[name], value):
                yield f"{run}: {name} was probed for {probed[name]}, but pinned to {value}"


def undeclared(record: RunRecord) -> Iterator[tuple[str, bool]]:
    """Variables that the program looked up and that its experiment does not declare; if set."""
    varied = variations.variables(record["variations"]["applied"])
    for variable in record["variables"]:
        if variables.is_undeclared(variable["name"], record["config"], varied):
            yield variable["name"], variable["set"]


def _variables(evidence: Evidence) -> Iterator[str]:
    """What a run was given beside its experiment is nowhere recorded."""
    readers: dict[tuple[str, ...], list[str]] = {}
    for run, record in _trained(evidence).items():
        names = sorted(name for name, is_set in undeclared(record) if is_set)
        readers.setdefault(tuple(names), []).append(run)
    for read, runs in readers.items():
        if read:
            what = f"variables that the experiment does not declare: {listed(read)}"
            yield f"{listed(runs)} read {what}"


def _traced(evidence: Evidence) -> Iterator[str]:
    """A trace with fewer rows than were asked for sees fewer differences on the way."""
    for name, record in evidence.records.items():
        every, asked = (record["trace"] or {}).get("every"), record["config"].get("trace")
        if record["status"] == COMPLETED and every != asked:
            yield f"{name}: the trace has a row per {every}, but was to have one per {asked}"


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
    yield from config["environment"].items()
    yield from pinning.KERAS.items()
    yield "other variables", {}


def same(left: Any, right: Any) -> bool:
    """Equal as JSON: unlike Python's ==, true is not 1."""
    return canonical.dumps(left) == canonical.dumps(right)


def in_words(value: Any) -> str:
    """A JSON value in a sentence: names are listed."""
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return listed(value) or "none"
    return canonical.dumps(value).decode("utf-8").strip() if value is not None else "none"


# --- whether the digests belong to what was read ----------------------------------------------


def _data_digest(evidence: Evidence) -> Iterator[str]:
    load = evidence.load.content
    if load is None:
        return
    listed = load["inputs"] if "inputs" in load else dataset.index(load["arrays"])
    if canonical.digest(listed) != load["digest"]:
        yield f"{evidence.load.name}: its digest does not match what it lists"


def _artifact_digests(evidence: Evidence) -> Iterator[str]:
    for run in evidence.runs:
        for artifact, document in run.results.items():  # whose record can be read
            record = run.record.content
            recorded = {"canary": (record["canary"] or {}).get("digest"), **record["digests"]}
            if document.content is not None and document.sha256 != recorded[artifact]:
                yield f"{document.name} does not match its digest in {run.record.name}"


def _tensor_lists(evidence: Evidence) -> Iterator[str]:
    """The digest of a file covers names, dtypes and shapes of the tensors in it."""
    known: dict[tuple[str, str], tuple[str, list[bytes]]] = {}
    for name, record in evidence.records.items():
        for artifact, tensors in record["tensors"].items():
            entries = sorted(map(canonical.dumps, tensors))
            key = artifact, str(record["digests"].get(artifact))
            earlier, expected = known.setdefault(key, (name, entries))
            if entries != expected:
                yield f"{name} and {earlier} have one {artifact} file and list other tensors"


def _checkpoints(evidence: Evidence) -> Iterator[str]:
    """One per epoch where the config asks for them; the last is what the training ended with."""
    for name, record in evidence.records.items():
        trainer, found = record["config"].get("trainer", {}), record.get("checkpoints")
        wanted = record["status"] == COMPLETED and trainer.get("checkpoint") == states.EPOCH
        if (found is not None) != wanted:
            yield f"{name}: {'no checkpoints' if wanted else 'unwanted checkpoints'}"
        if found is None:
            continue
        epochs = trained_epochs(record)
        if len(found["digests"]) != epochs:
            yield f"{name}: {len(found['digests'])} checkpoints of {epochs}"
        elif found["digests"][-1:] != [{part: record["digests"][part] for part in states.PARTS}]:
            yield f"{name}: the last checkpoint does not match the final state"
        yield from _trained_again(name, record, found, epochs)
        if found["root"] != states.root(states.from_record(record) or ()):
            yield f"{name}: the root of the checkpoints does not match their digests"


def _trained_again(name: str, record: RunRecord, found: Checkpoints, epochs: int) -> Iterator[str]:
    """Whoever has the canary shows whether the checkpoints hold all state, where it can."""
    can = epochs > 1 and epochs - 1 not in found["resumed"]
    again = found["again"]
    if can and again is None and record["canary"] is not None:
        yield f"{name}: the last epoch was not trained again from the checkpoint before it"
    if again is not None and not (can and again["epoch"] == epochs):
        yield f"{name}: epoch {again['epoch']} of {epochs} was trained again, which shows nothing"


def _predictions(evidence: Evidence) -> Iterator[str]:
    """Each answer that did not fail is in the file, and nothing else is."""
    for name, record in evidence.records.items():
        if record["status"] == COMPLETED and record["program"] is None:
            answers = {
                tensor["name"].partition("/")[0] for tensor in record["tensors"]["predictions"]
            }
            failures = record["predictions"] or {}
            if answers != {asked for asked in failures if failures[asked] is None}:
                yield f"{name}: its predictions are not those that its record lists"


def _empty(evidence: Evidence) -> Iterator[str]:
    """Two empty results are equal and show nothing."""
    for name, record in evidence.records.items():
        parts = ("weights",) if record["program"] is None else ("weights", "state")
        if record["status"] == COMPLETED and not any(record["tensors"][part] for part in parts):
            yield f"{name} lists no weights"
    for run in evidence.runs:
        history = run.results.get("history")
        if history is None or history.content is None:
            continue
        if run.record.content["program"] is not None:
            continue
        metrics, trained = history.content["metrics"], trained_epochs(run.record.content)
        if not metrics:
            yield f"{history.name} holds no metric"
        fits = {metric.rpartition(" (fit ")[2]: len(v) for metric, v in metrics.items()}
        for metric, values in metrics.items():
            _, several, fit = metric.rpartition(" (fit ")
            wanted = fits[fit] if several else trained or len(values)  # a loop of the user's own
            if len(values) != wanted or not values:
                yield f"{history.name}: {metric} has {len(values)} epochs of {wanted}"


def trained_epochs(record: RunRecord) -> int:
    """How many epochs Keras reported in a completed run: a model may end its training early."""
    return len((record["trace"] or {"epoch_ends": ()})["epoch_ends"])


def most_epochs(record: RunRecord) -> int | None:
    """How many epochs a run was to train, unless its model ended it; None: its program knows."""
    if record["program"] is not None:
        return None
    return int((record["subset"] or record["config"]["trainer"])["epochs"])


def _epochs(evidence: Evidence) -> Iterator[str]:
    """No more than were wanted, but where a model's own code fits several times."""
    for run in evidence.runs:
        history, record = run.results.get("history"), run.record.content
        if history is not None and history.content is not None:
            trained, most = trained_epochs(record), most_epochs(record)
            several = any(" (fit " in name for name in history.content["metrics"])
            if most is not None and trained > most and not several:
                yield f"{run.name}: {trained} epochs were trained, of at most {most}"


# What holds for any run of the experiment, by its record; the rest is about their files, or all.
OF_RECORDS = (
    _unreadable,
    _embedded_digests,
    _foreign_records,
    _packages,
    _ambiguous,
    _settings,
    _variables,
)
_OF_DIGESTS = (_data_digest, _artifact_digests, _tensor_lists, _checkpoints, _predictions, _empty)
CHECKS = (*OF_RECORDS, _names, _shared_process, _software, _files, _traced, _epochs, *_OF_DIGESTS)
