"""Whether the evidence agrees with itself, and whether its lists hold as much as they must.

Checks as in checks.py: each yields problems as sentences. A fact that stands at two places of the
evidence has to be the same at both. An empty list, or one that lacks an entry on which a sentence
of the certificate rests, is a problem, too. What stands at one place alone is its writer's word.
"""

import operator
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from samebits.certificate import types
from samebits.certificate.checks import Check, twice, unequal
from samebits.certificate.evidence import Evidence
from samebits.comparison import difference, divergence, runs
from samebits.comparison.difference import Tensors
from samebits.comparison.divergence import BATCH, BATCH_STEP, FINGERPRINT, SAMPLE, STEP
from samebits.errors import SamebitsError
from samebits.experiment import protocol, variations
from samebits.formats import arrays, lockfile
from samebits.formats.names import ARTIFACTS, COMPLETED, TITLES, TRAIN_FORMAT

_LOAD_LOCK = "envs/load.lock.txt"
_LISTED = tuple(artifact for artifact in ARTIFACTS if artifact != "history")


# --- the data and the environments ------------------------------------------------------------


def _data(evidence: Evidence) -> Iterator[str]:
    """The data are those of the config, in the environment of the locks that are named."""
    load, where = evidence.load.content, evidence.load.name
    if load is None or "inputs" in load:
        return
    named = {entry["name"]: entry["shape"] for entry in load["arrays"]}
    yield from twice(where, "array", [entry["name"] for entry in load["arrays"]])
    yield from (f"{where}: no array {n}" for n in ("x_train", "y_train") if n not in named)
    rows = {name: shape[0] if shape else 0 for name, shape in named.items()}
    if 0 in rows.values() or len({rows.get("x_train"), rows.get("y_train")}) > 1:
        yield f"{where}: expected as many rows of x_train as of y_train, at least one"
    locked = evidence.dependencies.get(_LOAD_LOCK)
    yield from unequal(where, (_LOAD_LOCK, load["environment"]["lock"], locked))
    if evidence.config.content is None or "data" not in evidence.config.content:
        return
    data = evidence.config.content["data"]
    facts = [("config", load["config"], data), ("data set", load["dataset"], data["option"])]
    kept = 1.0 - float(evidence.config.content["trainer"]["validation_split"])
    for run, record in evidence.records.items():
        if record["status"] == COMPLETED and record["data"] is not None:
            rows_of_run = (record["subset"] or {"samples": rows.get("x_train") or 0})["samples"]
            got = record["data"]["samples"]
            facts.append((f"samples to train on, in {run}", got, int(rows_of_run * kept)))
    if data.get("shape") is not None:
        facts.append(("shape", named.get("x_train", [])[1:], data["shape"]))
    if "samples" in data:
        facts.append(("samples", rows.get("x_train"), data["samples"]))
    yield from unequal(where, *facts)


def _locked(evidence: Evidence) -> Iterator[str]:
    """The lock is that of the config's environment, and holds the TensorFlow that was probed."""
    lock, config = evidence.lock, evidence.config.content
    if lock.content is None:
        return
    known = evidence.dependencies.get(lock.name)
    yield from unequal(lock.name, ("digest among the dependencies", known, lock.sha256))
    try:
        parsed = lockfile.parse(lock.content, lock.name)
    except SamebitsError:
        return  # which is told where the packages are compared with it
    wheels = [vars(package) for package in parsed.packages]
    if config is not None:
        name = lockfile.environment_name(config, lock.sha256 or "")
        expected = config["framework"]["python"]
        yield from unequal(
            lock.name,
            ("name", lock.name, f"envs/{name}{lockfile.SUFFIX}"),
            ("Python", parsed.python, expected),
            ("as installed", parsed.as_installed, lockfile.is_as_installed(config)),
        )
    for run, record in evidence.records.items():
        python = ".".join(record["python"]["version"].split(".")[:2])
        yield from unequal(run, ("Python", python, parsed.python))
        if parsed.as_installed:
            yield from unequal(run, ("files", record["installed"]["sha256"], lock.sha256))
        if "framework" in record and record["framework"]["wheel"] not in wheels:
            yield f"{run}: the TensorFlow wheel is not in {lock.name}"


def _framework(evidence: Evidence) -> Iterator[str]:
    """TensorFlow and Keras: as imported, as installed, as probed."""
    for run, record in evidence.records.items():
        if "framework" not in record:
            continue
        framework = record["framework"]
        wheel = framework["wheel"]["version"]  # with "+" and the name of a build of one's own
        installed = {lockfile.normal(p["name"]): p["version"] for p in record["packages"]}
        probed = [s["effective"] for s in record["settings"] if s["name"] == "TensorFlow"]
        keras = installed.get("keras", framework["keras"])  # older ones are part of TensorFlow
        yield from unequal(
            run,
            ("TensorFlow, as probed", probed, [framework["tensorflow"]]),
            ("TensorFlow, as locked", wheel.partition("+")[0], framework["tensorflow"]),
            ("Keras, as installed", keras, framework["keras"]),
        )
        yield from twice(run, "module", [module["module"] for module in record["source"]])


def _varied(evidence: Evidence) -> Iterator[str]:
    """A variation with a value, such as a CPU model, was made with this value."""
    config = evidence.config.content
    planned = protocol.runs(protocol.plan(config, None)) if config is not None else ()
    varied = {run.name: run.vary for run in planned}
    for name, record in evidence.records.items():
        wanted = dict(vary.partition("=")[::2] for vary in varied.get(name, ()))
        for key, value in record["variations"]["applied"].items():
            if wanted.get(key):
                yield from unequal(name, (variations.TITLES.get(key, key), value, wanted[key]))


# --- the arrays -------------------------------------------------------------------------------


def _arrays(evidence: Evidence) -> Iterator[str]:
    """Each array of a file has a name of its own, and all results are listed."""
    for run, record in evidence.records.items():
        for artifact, tensors in record["tensors"].items():
            yield from twice(run, f"{artifact} array", [tensor["name"] for tensor in tensors])
        if record["status"] == COMPLETED and record["format"] == TRAIN_FORMAT:
            yield from unequal(
                run,
                ("digests", sorted(record["digests"]), sorted(ARTIFACTS)),
                ("lists of arrays", sorted(record["tensors"]), sorted(_LISTED)),
            )


def _fingerprinted(tensors: Sequence[types.Tensor]) -> dict[str, list[int]]:
    """The weights that a trace has fingerprints of, in its order, and the shape of these."""
    shapes = {tensor["name"]: tensor["shape"] for tensor in tensors}
    return {n[len(FINGERPRINT) :]: s for n, s in shapes.items() if n.startswith(FINGERPRINT)}


def _rows(where: str, tensors: Sequence[types.Tensor]) -> tuple[int, list[str]]:
    """How many rows a trace has, and what is wrong with its columns."""
    shapes = {tensor["name"]: tensor["shape"] for tensor in tensors}
    rows = shapes.get(STEP, [0])
    wrong = [f"{where} has no {name!r}" for name in (STEP, BATCH) if name not in shapes]
    wrong += [] if _fingerprinted(tensors) else [f"{where} has no fingerprint of a weight"]
    for name, shape in shapes.items():
        index = shapes.get(divergence.index_of(name))
        if shape[:1] != index or (len(shape) != 1 and not name.startswith(SAMPLE)):
            wrong.append(f"{where}: {name!r} has not one row per step")
    return (rows[0] if rows else 0), wrong


def _traces(evidence: Evidence) -> Iterator[str]:
    """A trace has as many rows as its run says that it took steps, of weights that the run has."""
    for run in evidence.runs:
        record = run.record.content
        if record is None or record["status"] != COMPLETED or "trace" not in record["tensors"]:
            continue
        where, trace, tensors = f"{run.name}: the trace", record["trace"], record["tensors"]
        rows, wrong = _rows(where, tensors["trace"])
        yield from wrong
        history = run.results["history"].content or {"metrics": {}}
        epochs = max(map(len, history["metrics"].values()), default=0)
        if not _least(trace, epochs) <= rows <= trace["steps"] + 1:
            yield f"{where} has {rows} rows of {trace['steps']} steps in {epochs} epochs"
        executed = (record.get("model") or {}).get("executed") or ()
        weights = {tensor["name"] for tensor in tensors["weights"]}
        for name in sorted({t for entry in executed for t in entry["tensors"]} - weights):
            yield f"{run.name}: {name} is of a layer that was executed, and is no weight of the run"
        # More may be traced: what an optimizer updates need not be a weight of the model.
        weights |= {tensor["name"] for tensor in tensors["state"]} if record["program"] else set()
        if weights.isdisjoint(_fingerprinted(tensors["trace"])):
            yield f"{where} has no fingerprint of a weight of the run"
        yield from _received(run.name, record)


def _received(name: str, record: types.RunRecord) -> Iterator[str]:
    """What a run says of its data and its NaNs fits what it lists."""
    data, nan, tensors = record["data"], record["nan"], record["tensors"]
    steps = {tensor["name"]: tensor["shape"] for tensor in tensors["trace"]}.get(BATCH_STEP)
    if data is not None and data["problem"] is None:
        made = [(record["trace"] or {}).get("steps")]
        yield from unequal(name, ("steps that received a batch", steps, made))
    shapes = {tensor["name"]: tensor for tensor in tensors["weights"]}
    for tensor in nan["tensors"] if nan else ():
        found = shapes.get(tensor["name"])
        if found is None or tensor["count"] > arrays.from_json([found])[0].elements:
            yield f"{name}: no weight {tensor['name']} that could hold {tensor['count']} NaNs"


def _least(trace: Mapping[str, Any], epochs: int) -> int:
    """The least rows of a trace: steps that update nothing have none."""
    return epochs if trace["every"] == "epoch" else 1


def _same_file(evidence: Evidence) -> Iterator[str]:
    """Runs with one and the same trace took it in one way, and received the same data."""
    known: dict[tuple[str, ...], tuple[str, Any]] = {}
    facts = (
        ("how its trace was taken", "trace", ("trace",)),
        ("what its steps received", "data", ("trace",)),
        ("where it holds NaN", "nan", ("trace", "weights")),
    )
    for name, record in evidence.records.items():
        for what, key, artifacts in facts if record["status"] == COMPLETED else ():
            found: tuple[str, Any] = name, record[key]  # type: ignore[literal-required]
            same = (record["digests"][artifact] for artifact in artifacts)
            digests = (key, str(record["subset"]), *same)
            earlier, expected = known.setdefault(digests, found)
            yield from unequal(name, (f"{what}, as {earlier}", found[1], expected))


def _observed(evidence: Evidence) -> Iterator[str]:
    """A run looks at everything that can be varied."""
    for name, record in evidence.records.items():
        for key in sorted(variations.TITLES.keys() - record["observed"].keys()):
            yield f"{name} did not observe: {variations.TITLES[key]}"


def _canaries(evidence: Evidence) -> Iterator[str]:
    """A canary is a trace of its own, of as many weights as the run has, and of some steps."""
    records = evidence.records.values()
    others = {digest for record in records for digest in record["digests"].values()}
    for name, record in evidence.records.items():
        canary, where = record["canary"], f"{name}: the canary"
        if canary is None or canary["digest"] is None:
            continue
        rows, wrong = _rows(where, canary["tensors"])
        yield from wrong
        yield from twice(where, "array", [tensor["name"] for tensor in canary["tensors"]])
        traced = {
            "every": "step",
            "source": "",
            **(record["trace"] or {}),
            "steps": canary["steps"],
        }
        if not max(1, _least(traced, 1)) <= rows <= canary["steps"] + 1:
            yield f"{where} has {rows} rows of {canary['steps']} steps"
        if canary["digest"] in others:
            yield f"{where} is a file of a run: it shows no other training"
        own = _fingerprinted(record["tensors"].get("trace", ()))
        seen, program = len(_fingerprinted(canary["tensors"])), record["program"] is not None
        if seen > len(own) or (seen < len(own) and not program):  # it ends before others are made
            yield f"{where} is not of as many weights as the trace"


# --- what the comparisons say of them ---------------------------------------------------------


def _compared(evidence: Evidence) -> Iterator[str]:
    """What can be compared again without the arrays: histories, and lists of arrays."""
    histories = {run.name: run.results.get("history") for run in evidence.runs}
    completed = {
        n: record for n, record in evidence.records.items() if record["status"] == COMPLETED
    }
    for comparison in filter(None, (document.content for document in evidence.comparisons)):
        name = comparison["control"]
        if name not in completed:
            continue
        control = completed[name]
        yield from _self_checked(comparison, control, histories[name])
        traced = list(_fingerprinted(control["tensors"]["trace"]))
        yield from _canary_of(evidence, comparison, traced)
        for run in (run for run in comparison["runs"] if run["run"] in completed):
            where, both = f"{run['run']}, compared with {name}", (control, completed[run["run"]])
            for artifact in run["artifacts"]:
                if artifact["artifact"] != "history":
                    yield from _differences(where, artifact, both)
            yield from _diverged(where, run, *both)
            yield from _histories(where, run, [histories[name], histories[run["run"]]])


def _canary_of(
    evidence: Evidence, comparison: types.Comparison, traced: Sequence[str]
) -> Iterator[str]:
    """What changed in a canary, and where it differs, are weights in the control's trace."""
    found = comparison["canary"]
    record = evidence.records.get(found["run"]) if found is not None else None
    trained = record["canary"] if record is not None else None
    if found is None or trained is None:
        return
    named = {tensor for at in found["steps"] for tensor in at["tensors"]}
    for tensor in sorted(named - {*traced}):
        yield f"{found['run']}: the canary differs in {tensor}, which is not in the trace"
    pairs = divergence.paired(traced, list(_fingerprinted(trained["tensors"])))
    own = {theirs: ours for ours, theirs in pairs}
    expected = own.get(trained["tensor"] or "")
    yield from unequal(found["run"], ("tensor changed in the canary", found["tensor"], expected))


def _histories(where: str, run: types.ComparedRun, both: Sequence[Any]) -> Iterator[str]:
    """How two histories differ, and the first epoch whose losses do."""
    if any(document is None or document.content is None for document in both):
        return
    left, right = (runs.of_history(document.content, document.sha256) for document in both)
    stated = [a["differences"] for a in run["artifacts"] if a["artifact"] == "history"]
    expected = list(difference.differences(left, right))
    yield from unequal(where, ("differences of the history", stated, [expected]))
    if found := run["divergence"]:
        first = divergence.first_epoch(divergence.losses_apart(left, right))
        yield from unequal(where, ("first epoch with another loss", found["loss_epoch"], first))


def _differences(
    where: str, found: types.ComparedArtifact, both: tuple[types.RunRecord, types.RunRecord]
) -> Iterator[str]:
    """Names, order, dtypes and shapes follow from the lists; how far values are apart does not."""
    what = TITLES[found["artifact"]]
    listed = [record["tensors"].get(found["artifact"], []) for record in both]
    stated = [d for d in found["differences"] if d["kind"] != "values"]
    expected = list(difference.differences(*map(_without_values, listed)))
    yield from unequal(f"{where}: {what}", ("other arrays", stated, expected))
    values = [d for d in found["differences"] if d["kind"] == "values"]
    yield from twice(where, f"difference in {what}", [d["name"] for d in values])
    common = set(arrays.from_json(listed[0])) & set(arrays.from_json(listed[1]))
    for value in values:
        if _array(value) not in common or not _fits(value):
            yield f"{where}: {what}: the difference in {value['name']} fits no array of both"


def _array(found: types.Difference) -> arrays.Tensor:
    return arrays.Tensor(found["name"], found["dtype"], tuple(found["shape"]))


def _fits(found: types.Difference) -> bool:
    """Whether numbers of a difference are possible for an array of its shape."""
    elements = _array(found).elements
    first, different = found["first"] or [], found["different"] or 0
    inside = len(first) == len(found["shape"]) and all(map(int.__lt__, first, found["shape"]))
    return found["elements"] == elements and 1 <= different <= elements and inside


def _self_checked(
    comparison: types.Comparison, control: types.RunRecord, history: Any
) -> Iterator[str]:
    """A bit was flipped in an element that the control has."""
    shapes = {
        "weights": {tensor["name"]: tensor["shape"] for tensor in control["tensors"]["weights"]},
        "trace": _fingerprinted(control["tensors"]["trace"]),
    }
    if history is not None and history.content is not None:
        metrics = history.content["metrics"]
        shapes["history"] = {name: [len(values)] for name, values in metrics.items()}
    for check in comparison["self_check"]:
        shape = shapes.get(check["artifact"], {}).get(check["name"], [])
        index = check["index"]
        if len(index) != len(shape) or any(map(operator.ge, index, shape)):
            what = TITLES[check["artifact"]]
            yield f"{comparison['control']}: no element {index} of {check['name']} in its {what}"


def _diverged(
    where: str, run: types.ComparedRun, control: types.RunRecord, record: types.RunRecord
) -> Iterator[str]:
    """Where runs part is told where artifacts differ, of weights and steps that both have."""
    found = run["divergence"]
    differ = not all(artifact["identical"] for artifact in run["artifacts"])
    yield from unequal(where, ("tells where they part", found is not None, differ))
    if found is None:
        return
    step, batch, last = found["step"], found["batch_step"], _last_step(control, record)
    traced = [_fingerprinted(each["tensors"]["trace"]) for each in (control, record)]
    known = all(name in each for name in found["tensors"] for each in traced)
    if not known or bool(found["tensors"]) != (step is not None):
        yield f"{where}: the tensors that differ first are not those of both traces"
    if found["after"] is not None and (step is None or found["after"] >= step):
        yield f"{where}: they part before the last step at which they are equal"
    if max(step or 0, batch or 0) > last:
        yield f"{where}: they part after the last step, {last}"
    rows = [_rows("", each["tensors"]["trace"])[0] for each in (control, record)]
    if found["every"] == "step" and rows == [last + 1] * 2:
        before = None if not step else step - 1
        first = [batch, before, step, found["tensors"]]
        yield from unequal(where, ("first steps", first, _parted(run)))


def _without_values(tensors: Sequence[types.Tensor]) -> Tensors:
    return Tensors("", arrays.from_json(tensors), lambda _: np.empty(0))


def _parted(run: types.ComparedRun) -> list[Any]:
    """The first steps by the rows in which traces differ: a batch, the step before, tensors."""
    rows = {n: d["first"][0] for n, d in _of(run, "trace").items() if d["first"]}
    prints = {n[len(FINGERPRINT) :]: r for n, r in rows.items() if n.startswith(FINGERPRINT)}
    first = min(prints.values(), default=None)
    batch = rows[BATCH] + 1 if BATCH in rows else None
    before = None if not first else first - 1
    return [batch, before, first, [name for name, row in prints.items() if row == first]]


def _of(run: types.ComparedRun, artifact: str) -> dict[str, types.Difference]:
    """The differences in the values of an artifact, by the names of its arrays."""
    found = (d for a in run["artifacts"] if a["artifact"] == artifact for d in a["differences"])
    return {d["name"]: d for d in found if d["kind"] == "values"}


def _last_step(*both: types.RunRecord) -> int:
    return min(int((record["trace"] or {"steps": 0})["steps"]) for record in both)


OF_RECORDS: tuple[Check, ...] = (_framework, _locked, _arrays)
CHECKS: tuple[Check, ...] = (
    *(*OF_RECORDS, _data, _varied, _observed, _traces, _same_file, _canaries, _compared),
)
