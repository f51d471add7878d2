"""Whether the comparisons are those that the protocol asks for, and of these very runs.

Checks as in checks.py: each yields what it finds wrong, as sentences. A verifier may have no
atlas, so which kernels it lists is not checked; but the layers and kernels that a comparison names
must be among those that the run's own record says were executed.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from samebits.certificate.checks import Check, same
from samebits.certificate.evidence import Evidence, comparison_name
from samebits.certificate.types import (
    ComparedArtifact,
    ComparedCanary,
    ComparedRun,
    Comparison,
    Divergence,
    Layer,
    RunRecord,
)
from samebits.comparison import attribution
from samebits.experiment import protocol
from samebits.experiment.protocol import PlannedComparison, PlannedRun
from samebits.formats import states
from samebits.formats.names import ARTIFACTS, COMPLETED, NOT_TRIED, TITLES
from samebits.text import listed

FIRST_STEP = 1  # with another seed, the weights after the first step have to be others
SELF_CHECKED = ("history", "trace", "weights")


def plan(evidence: Evidence) -> list[PlannedComparison]:
    """The comparisons that the protocol asks for, given what the first one found."""
    return protocol.plan(evidence.config.content, evidence.comparison(protocol.FIRST))


# --- whether everything was made that was asked for --------------------------------------------


def _planned(evidence: Evidence) -> Iterator[str]:
    if evidence.config.content is None:
        return
    comparisons = plan(evidence)
    expected = [comparison_name(comparison.name) for comparison in comparisons]
    got = [comparison.name for comparison in evidence.comparisons]
    if sorted(expected) != sorted(got):
        yield f"the protocol asks for {listed(expected)}, there is {listed(got) or 'none'}"
    wanted = {run.name: run for run in protocol.runs(comparisons)}
    names = [run.name for run in evidence.runs]
    if sorted(wanted) != sorted(names):
        asked, there = listed(sorted(wanted)), listed(sorted(names))
        yield f"the protocol asks for the runs {asked}, there are {there}"
    for name, record in evidence.records.items():
        if name in wanted:
            yield from as_planned(name, record, wanted[name])


def as_planned(name: str, record: RunRecord, wanted: PlannedRun) -> Iterator[str]:
    """What was changed in a run is what was to be changed, no more and no less."""
    variations = record["variations"]
    varied = sorted([*variations["applied"], *variations["not_tried"]])
    for what, got, asked in (
        ("variations", varied, wanted.variations),
        ("removed pins", record["unpinned"], wanted.unpin),
        ("part of the data", record["subset"] or {}, wanted.subset or {}),
    ):
        if not same(got, sorted(asked) if isinstance(asked, tuple) else asked):
            yield f"{name}: {what}: expected {_said(asked)}, got {_said(got)}"
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
    evidence: Evidence, wanted: PlannedComparison, comparison: Comparison
) -> Iterator[str]:
    where = comparison_name(wanted.name)
    yield from _compared_inputs(evidence, wanted, comparison, where)
    for run in comparison["runs"]:
        yield from _compared_run(run, f"{where}: {run['run']}")
    if comparison["identical"] != all(run["identical"] for run in comparison["runs"]):
        yield f"{where}: the result does not match its runs"
    control = evidence.records.get(wanted.control.name)
    if control is not None and control["status"] == COMPLETED:
        yield from _self_check(comparison, where)
    elif control is not None and wanted.name != protocol.FIRST:
        yield f"{where}: {wanted.control.name}, the control of the comparison, did not complete"
    replica = evidence.records.get(wanted.runs[0].name)
    if wanted.runs[0].canary and replica is not None and replica["status"] == COMPLETED:
        yield from _canary(comparison["canary"], replica, where, wanted.runs[0].name)


def _compared_inputs(
    evidence: Evidence, wanted: PlannedComparison, comparison: Comparison, where: str
) -> Iterator[str]:
    compared = [comparison["control"], *(run["run"] for run in comparison["runs"])]
    asked = [wanted.control.name, *(run.name for run in wanted.runs)]
    if compared != asked:
        yield f"{where} compares {listed(compared)}, asked for {listed(asked)}"
    records = {name: evidence.records.get(name) for name in compared}
    stated = comparison["status"]
    if any(record and stated.get(name) != record["status"] for name, record in records.items()):
        yield f"{where}: the status of a run does not match its record"
    if comparison["experiment"] != evidence.config.sha256:
        yield f"{where} is about another experiment"
    load = evidence.load.content
    if load is not None and comparison["dataset"] != load["digest"]:
        yield f"{where} is about other data"
    control = records[comparison["control"]]
    for run in comparison["runs"]:
        replica = records[run["run"]]
        if control is not None and replica is not None:
            yield from _compared_digests(control, replica, run, f"{where}: {run['run']}")
            for wrong in attribution_problems(control, replica, run):
                yield f"{where}: {run['run']}: {wrong}"


def _compared_digests(
    control: RunRecord, replica: RunRecord, run: ComparedRun, where: str
) -> Iterator[str]:
    for artifact in run["artifacts"]:
        name = artifact["artifact"]
        recorded = [record["digests"].get(name) for record in (control, replica)]
        if artifact["digests"] != recorded:
            yield f"{where}: the digests of the {TITLES[name]} are not those in the records"
        orders = [record["tensors"].get(name) for record in (control, replica)]
        if artifact["identical"] != (_equal(recorded) and same(*orders)):
            called = f"the {TITLES[name]} are called {_called(artifact)}"
            yield f"{where}: {called}, the records say otherwise"
    found = states.compare(states.from_record(control), states.from_record(replica))
    if not same(run.get("checkpoints"), found):
        yield f"{where}: the result for the checkpoints does not match the records"


def _compared_run(run: ComparedRun, where: str) -> Iterator[str]:
    names = [artifact["artifact"] for artifact in run["artifacts"]]
    if sorted(names) != sorted(ARTIFACTS):
        yield f"{where}: expected {listed(ARTIFACTS)}, compared were {listed(names) or 'none'}"
    for artifact in run["artifacts"]:
        yield from _compared_artifact(artifact, where)
    parts = [*run["artifacts"], run.get("checkpoints") or {"identical": True}]
    if run["identical"] != all(part["identical"] for part in parts):
        yield f"{where}: the result does not match its artifacts"


def _compared_artifact(artifact: ComparedArtifact, where: str) -> Iterator[str]:
    title = TITLES[artifact["artifact"]]
    if artifact["identical"] and not _equal(artifact["digests"]):
        yield f"{where}: the {title} are called {_called(artifact)}, but the digests differ"
    if None not in artifact["digests"] and bool(artifact["differences"]) == artifact["identical"]:
        yield f"{where}: the {title} are called {_called(artifact)}, the differences say otherwise"


def _equal(digests: list[str | None]) -> bool:
    return digests[0] is not None and digests[0] == digests[1]


def _called(artifact: ComparedArtifact) -> str:
    return "identical" if artifact["identical"] else "different"


def _said(value: Any) -> str:
    parts = [f"{v} {k}" for k, v in value.items()] if isinstance(value, dict) else value
    return listed(parts) or "none"


# --- whether the comparison could have seen a difference ----------------------------------------


def _self_check(comparison: Comparison, where: str) -> Iterator[str]:
    checked = comparison["self_check"]
    if sorted(check["artifact"] for check in checked) != sorted(SELF_CHECKED):
        yield f"{where}: no self-check with a flipped bit in each of {listed(SELF_CHECKED)}"
    for check in checked:
        if check["found"] is not True:
            what = TITLES[check["artifact"]]
            yield f"{where}: a bit flipped in a copy of the control's {what} was not found"


def _canary(
    canary: ComparedCanary | None, record: RunRecord, where: str, run: str
) -> Iterator[str]:
    """The same training with another seed has to come out different at once."""
    seed, trained = record["config"]["seed"], record["canary"]
    if canary is None:
        yield f"{where}: no canary was compared"
    elif canary["run"] != run:
        yield f"{where}: the canary is of {canary['run']}, but {run} had to have one"
    elif canary["seed"] == seed or trained is None or canary["seed"] != trained["seed"]:
        yield f"{where}: the canary's seed is not the one its run recorded, or is the runs' own"
    elif canary["step"] is None or canary["differs"] is not True or canary["step"] > FIRST_STEP:
        yield (
            f"{where}: the canary, trained with seed {canary['seed']} instead of {seed}, did not "
            "differ at the first step: either the seed changes nothing, or the comparison is blind"
        )


# --- whether layer attribution fits the runs -----------------------------------------------------


def attribution_problems(control: RunRecord, record: RunRecord, run: ComparedRun) -> Iterator[str]:
    """What is wrong with the layer attribution of a compared run; nothing if it has none."""
    said = run.get("attribution")
    if said is None:
        return
    if control["observed"].get("cpu") == record["observed"].get("cpu"):
        yield "layers are named, but it ran on the control's CPU"
    if run["divergence"] is None:
        yield "layers are named, but it diverges nowhere"
        return
    version = (record.get("framework") or {}).get("tensorflow")
    if said["tensorflow"] != version:
        yield f"the layers are those of TensorFlow {said['tensorflow']}, it ran on {version}"
    if said["layers"] and run["divergence"]["step"] == 0:
        yield "layers are named, but it diverges before the first step"
        return
    if said["layers"] is not None:
        yield from _layers(said["layers"], attribution.executed(record), run["divergence"])


def _layers(layers: list[Layer], executed: Any, divergence: Divergence) -> Iterator[str]:
    if executed is None:
        yield "layers are named, but the kernels that it executed are unknown"
        return
    entries = {entry["layer"]: entry for entry in executed}
    wrong = [said for layer in layers for said in _layer(layer, entries, divergence)]
    yield from wrong
    names = [layer["layer"] for layer in layers]
    if len(set(names)) != len(names):
        yield "a layer is named twice"
    elif not wrong and attribution.in_order(layers, executed, divergence["step"]) != layers:
        yield "the layers are not in order of divergence"


def _layer(layer: Layer, entries: Mapping[str, Any], divergence: Divergence) -> Iterator[str]:
    entry, name = entries.get(layer["layer"]), layer["layer"]
    if entry is None:
        yield f"the layer {name} was not executed"
        return
    if layer["class"] != entry["class"]:
        yield f"the layer {name} is a {layer['class']}, executed was a {entry['class']}"
    for kernel in layer["kernels"]:
        if kernel not in entry["kernels"]:
            yield f"the layer {name} did not execute {kernel}"
    for kernel in layer.get("possible", ()):
        if kernel not in layer["kernels"]:
            yield f"the layer {name} does not name {kernel}, which is possible"
    if not _is_step(layer["step"], entry["tensors"], divergence):
        yield f"the layer {name} does not diverge at step {layer['step']}"


def _is_step(step: int | None, tensors: list[str], divergence: Divergence) -> bool:
    """Whether a layer with these tensors can diverge at a step, as far as the comparison tells."""
    first = divergence["step"]
    if not set(tensors).isdisjoint(divergence["tensors"]):
        return bool(step == first)
    return step is None or (bool(tensors) and first is not None and step > first)


CHECKS: tuple[Check, ...] = (_planned, _comparisons)
