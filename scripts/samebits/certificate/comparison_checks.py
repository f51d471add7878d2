"""Whether the comparisons are those of the protocol, and follow from the runs' records.

Checks as in checks.py: each yields problems as sentences. A verifier may have no
atlas, so which kernels it lists is not checked; but the layers and kernels that a comparison names
must be among those that the run's own record says were executed.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from samebits.certificate import interruptions, types
from samebits.certificate.checks import Check, same, unequal
from samebits.certificate.evidence import Evidence, comparison_name
from samebits.comparison import attribution, generators
from samebits.comparison.left import left
from samebits.experiment import protocol
from samebits.experiment.protocol import PlannedComparison, PlannedRun
from samebits.formats import states
from samebits.formats.names import ARTIFACTS, COMPLETED, NOT_TRIED, TITLES
from samebits.text import listed

FIRST_STEP = 1  # after which the canary's weights must differ; or after its first execution
SELF_CHECKED = ("history", "trace", "weights")


def plan(evidence: Evidence) -> list[PlannedComparison]:
    """The comparisons that the protocol asks for, given what those found that decide."""
    decisive = {name: evidence.comparison(name) for name in protocol.DECISIVE}
    found = {name: content for name, content in decisive.items() if content is not None}
    return protocol.plan(evidence.config.content, found)


# --- whether the protocol was followed -------------------------------------------------------


def _planned(evidence: Evidence) -> Iterator[str]:
    if evidence.config.content is None:
        return
    comparisons = plan(evidence)
    expected = [comparison_name(comparison.name) for comparison in comparisons]
    got = [comparison.name for comparison in evidence.comparisons]
    wanted = {run.name: run for run in protocol.runs(comparisons)}
    yield from unequal(
        "the protocol",
        ("comparisons", sorted(got), sorted(expected)),
        ("runs", sorted(run.name for run in evidence.runs), sorted(wanted)),
    )
    for name, record in evidence.records.items():
        if name in wanted:
            yield from as_planned(name, record, wanted[name])


def as_planned(name: str, record: types.RunRecord, wanted: PlannedRun) -> Iterator[str]:
    """What was changed in a run is what was to be changed, no more and no less."""
    variations = record["variations"]
    varied = sorted([*variations["applied"], *variations["not_tried"]])
    yield from unequal(
        name,
        ("variations", varied, sorted(wanted.variations)),
        ("removed pins", record["unpinned"], sorted(wanted.unpin)),
        ("part of the data", record["subset"], wanted.subset),
    )
    alone = len(wanted.vary) == 1 and not variations["applied"] and not wanted.canary
    if record["status"] == NOT_TRIED and not alone:
        yield f"{name} was not trained; only a run whose one variation cannot be applied is skipped"
    canary: Mapping[str, Any] = record["canary"] or {}
    if record["status"] == COMPLETED and wanted.canary and canary.get("digest") is None:
        yield f"{name} has no canary: {canary.get('failure', 'none was trained')}"


# --- whether each comparison compared these runs ------------------------------------------------


def _comparisons(evidence: Evidence) -> Iterator[str]:
    if evidence.config.content is None:
        return
    for comparison in plan(evidence):
        content = evidence.comparison(comparison.name)
        if content is not None:
            yield from _comparison(evidence, comparison, content)


def _comparison(
    evidence: Evidence, wanted: PlannedComparison, found: types.Comparison
) -> Iterator[str]:
    where, load = comparison_name(wanted.name), evidence.load.content
    names = [run.name for run in (wanted.control, *wanted.runs)]
    records = {name: evidence.records[name] for name in names if name in evidence.records}
    statuses = {name: record["status"] for name, record in records.items()}
    unread = set(names) - set(records)
    yield from unequal(
        where,
        ("runs", [found["control"], *(run["run"] for run in found["runs"])], names),
        ("status", {n: s for n, s in found["status"].items() if n not in unread}, statuses),
        ("experiment", found["experiment"], evidence.config.sha256),
        ("files left by runs", found["left"], left(records.values())),
        ("dataset", found["dataset"], load["digest"] if load else found["dataset"]),
        ("identical", found["identical"], all(run["identical"] for run in found["runs"])),
    )
    control, first = records.get(wanted.control.name), wanted.runs[0]
    if control is not None:
        if control["status"] == COMPLETED:
            yield from _self_check(found, where, _checkable(evidence, wanted.control.name))
            yield from _drawn(found["primitives"] or [], control, f"{where}: {wanted.control.name}")
        elif wanted.name != protocol.FIRST:
            yield f"{where}: {wanted.control.name}, the control of the comparison, did not complete"
        for run in found["runs"]:
            if run["run"] in records:
                yield from _compared_run(control, records[run["run"]], run, where)
    if first.canary and statuses.get(first.name) == COMPLETED:
        yield from _canary(found, records[first.name], where)


def _compared_run(
    control: types.RunRecord, replica: types.RunRecord, run: types.ComparedRun, comparison: str
) -> Iterator[str]:
    """What is stated of a run must follow from its record and the control's."""
    where, both = f"{comparison}: {run['run']}", (control, replica)
    names = sorted(artifact["artifact"] for artifact in run["artifacts"])
    checkpoints = states.compare(*map(states.from_record, both))
    drawn = generators.compare(*both)
    parts = [*run["artifacts"], *filter(None, [checkpoints, drawn])]
    yield from unequal(
        where,
        ("artifacts", names, sorted(ARTIFACTS)),
        ("checkpoints", run.get("checkpoints"), checkpoints),
        ("generators", run["generators"], drawn),
        ("identical", run["identical"], all(part["identical"] for part in parts)),
    )
    for artifact in run["artifacts"]:
        name = artifact["artifact"]
        digests = [record["digests"].get(name) for record in both]
        ordered = same(*(record["tensors"].get(name) for record in both))
        identical = None not in digests and digests[0] == digests[1] and ordered
        differs = not identical and None not in digests
        yield from unequal(
            f"{where}: {TITLES[name]}",
            ("digests", artifact["digests"], digests),
            ("identical", artifact["identical"], identical),
            ("has differences", bool(artifact["differences"]), differs),
        )
    for wrong in attribution_problems(control, replica, run):
        yield f"{where}: {wrong}"


def _interrupted(evidence: Evidence) -> Iterator[str]:
    """Whether resumed runs show what uninterrupted ones would."""
    records = evidence.records
    if evidence.config.content is None or not {protocol.CONTROL, protocol.REPLICA} <= set(records):
        return
    lacking = interruptions.lacking(records[protocol.CONTROL], records[protocol.REPLICA])
    for comparison in plan(evidence):
        control = records.get(comparison.control.name)
        for run in comparison.runs:
            if control is not None and run.name in records:
                yield from interruptions.problems(control, records[run.name], lacking)


# --- whether the comparison could have seen a difference ----------------------------------------


def _checkable(evidence: Evidence, name: str) -> list[str]:
    """The results in which a bit can be flipped: a program may have no history, or no model."""
    control = evidence.records[name]
    histories = {run.name: run.results.get("history") for run in evidence.runs}
    history = histories[name]
    has = {"history": history is None or history.content is None or history.content["metrics"]}
    has["weights"] = control["tensors"]["weights"]
    return [part for part in SELF_CHECKED if control["program"] is None or has.get(part, True)]


def _self_check(comparison: types.Comparison, where: str, wanted: Sequence[str]) -> Iterator[str]:
    checked = comparison["self_check"]
    if sorted(check["artifact"] for check in checked) != sorted(wanted):
        yield f"{where}: no self-check with a flipped bit in each of {listed(wanted)}"
    for check in checked:
        if check["found"] is not True:
            what = TITLES[check["artifact"]]
            yield f"{where}: a bit flipped in a copy of the control's {what} was not found"


def _canary(comparison: types.Comparison, record: types.RunRecord, where: str) -> Iterator[str]:
    """The same training with the least possible change has to come out different at once."""
    trained, canary = record["canary"], comparison["canary"]
    if canary is None:
        yield f"{where}: no canary was compared"
    elif canary["run"] != record["run"]:
        yield f"{where}: the canary is of {canary['run']}, but {record['run']} had to have one"
    elif trained is None or not trained["elements"]:
        yield f"{where}: nothing was changed in the canary"
    else:
        yield from unequal(
            f"{where}: canary",
            *((what, canary[what], trained[what]) for what in ("elements", "change")),
            ("differs", canary["differs"], all(at["tensors"] for at in canary["steps"])),
        )
        steps = [at["step"] for at in canary["steps"]]
        if steps and steps not in ([FIRST_STEP, trained["steps"]], [trained["steps"]] * 2):
            yield f"{where}: the canary was not compared at its first step and at its end"
        if not steps or not canary["differs"]:
            yield (
                f"{where}: the canary, trained with the {canary['change']} in "
                f"{canary['elements']:,} elements of {canary['tensor']}, did not differ from the "
                "control at its first step and at its end: either training undoes the change, or "
                "the comparison is blind"
            )


# --- whether layer attribution fits the runs -----------------------------------------------------


def attribution_problems(
    control: types.RunRecord, record: types.RunRecord, run: types.ComparedRun
) -> Iterator[str]:
    """What is wrong with the layer attribution of a compared run; nothing if it has none."""
    stated = run.get("attribution")
    if stated is None:
        return
    if control["observed"].get("cpu") == record["observed"].get("cpu"):
        yield "layers are named, but it ran on the control's CPU"
    if run["divergence"] is None:
        yield "layers are named, but it diverges nowhere"
        return
    version = (record.get("framework") or {}).get("tensorflow")
    if stated["tensorflow"] != version:
        yield f"the layers are those of TensorFlow {stated['tensorflow']}, it ran on {version}"
    if (stated["layers"] or stated["primitives"]) and run["divergence"]["step"] == 0:
        yield "layers are named, but it diverges before the first step"
        return
    yield from _drawn(stated["primitives"], record, "the run")
    if not all(row["dependent"] for row in stated["primitives"]):
        yield "the atlas is quoted for primitives that it does not say to depend on the CPU"
    if stated["layers"] is not None:
        yield from _layers(stated["layers"], attribution.executed(record), run["divergence"])


def _drawn(rows: list[types.Drawn], record: types.RunRecord, where: str) -> Iterator[str]:
    """What the atlas says of implementations must be of those that the run made, each once."""
    known = record["primitives"]
    made = {attribution.implementation(one) for one in (known["made"] if known else ())}
    named = [attribution.implementation(row) for row in rows]
    if named != sorted(made.intersection(named)):
        yield f"{where}: the atlas is quoted for oneDNN primitives that it did not make, or twice"
    for row in rows:
        shapes, least = row["shapes"], min(row["dependent"], 1)
        ordered = shapes == sorted(set(shapes))
        if not (row["dependent"] <= row["cases"] and ordered and least <= len(shapes)):
            yield f"{where}: the atlas cannot say that of {row['implementation']}: {row}"


def _layers(
    layers: list[types.Layer], executed: Any, divergence: types.Divergence
) -> Iterator[str]:
    """The layers must be all that executed one of the kernels that are named, in order."""
    if executed is None:
        yield "layers are named, but the kernels that it executed are unknown"
        return
    shown = {k: k not in layer.get("possible", ()) for layer in layers for k in layer["kernels"]}
    expected = {layer["layer"]: layer for layer in attribution.dependent_layers(executed, shown)}
    got = {layer["layer"]: {k: v for k, v in layer.items() if k != "step"} for layer in layers}
    names = sorted(expected.keys() | got.keys())
    wrong = list(unequal("layer", *((name, got.get(name), expected.get(name)) for name in names)))
    wrong += ["a layer is named twice"] if len(got) != len(layers) else []
    tensors = {layer["layer"]: layer["tensors"] for layer in executed}
    for layer in layers if not wrong else ():
        if not _is_step(layer["step"], tensors[layer["layer"]], divergence):
            wrong.append(f"the layer {layer['layer']} does not diverge at step {layer['step']}")
    if not wrong and attribution.in_order(layers, executed, divergence["step"]) != layers:
        wrong.append("the layers are not in order of divergence")
    yield from wrong


def _is_step(step: int | None, tensors: list[str], divergence: types.Divergence) -> bool:
    """Whether a layer with these tensors can diverge at a step, as far as the comparison tells."""
    first = divergence["step"]
    if not set(tensors).isdisjoint(divergence["tensors"]):
        return bool(step == first)
    return step is None or (bool(tensors) and first is not None and step > first)


def _one_atlas(evidence: Evidence) -> Iterator[str]:
    """Comparisons that name layers must have read the same atlas."""
    runs = (run for each in evidence.comparisons if each.content for run in each.content["runs"])
    atlases = sorted({run["attribution"]["atlas"] for run in runs if "attribution" in run})
    if len(atlases) > 1:
        yield f"layers are named by more than one atlas: {listed(atlases)}"


CHECKS: tuple[Check, ...] = (_planned, _comparisons, _interrupted, _one_atlas)
