"""All replicas held against the control: which bits differ, where, since when, by how much.

Nothing stored is believed: the digest of every array is taken again from its elements and held
against the run's own index and record. A damaged artefact is an error, never a difference.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from samebits.comparison import attribution, divergence
from samebits.comparison.difference import Tensors, compare_artefact
from samebits.comparison.divergence import LOSS, SAMPLE_STEP, STEP, Traced
from samebits.comparison.self_check import self_check
from samebits.errors import SamebitsError, all_problems, explain_os_error
from samebits.formats import arrays, canonical, history, seal, states

FORMAT = "samebits-compare-1"
RECORD = "record.json"
RECORD_FORMAT = "samebits-train-1"
ARTEFACTS = ("history", "weights", "optimizer", "trace")
CANARY = "canary"
COMPLETED = "completed"

Opened = dict[tuple[str, str], Tensors]  # by the names of run and artefact


@dataclass(frozen=True)
class Run:
    """One training run as its record describes it."""

    name: str
    folder: Path
    status: str
    experiment: str
    dataset: str
    subset: str
    digests: dict[str, str]  # of the canary too, where there is one
    every: str  # how often the trace has a row
    steps: int
    canary_seed: int | None
    checkpoints: tuple[str, ...] | None = None  # digests of its states, in epochs
    record: Mapping[str, Any] = field(default_factory=dict)  # all that it says

    @property
    def artefacts(self) -> tuple[str, ...]:
        """What its folder holds. A run that did not complete holds nothing."""
        if self.status != COMPLETED:
            return ()
        return ARTEFACTS if self.canary_seed is None else (*ARTEFACTS, CANARY)


# --- reading -------------------------------------------------------------------------------


def read_run(folder: Path) -> Run:
    """Read a run's record. Raises SamebitsError naming the file and what is wrong with it."""
    path = folder / RECORD
    record = canonical.read_json(path)
    try:
        if record["format"] != RECORD_FORMAT:
            raise ValueError(f"format {record['format']!r}")
        if broken := seal.problem(record):
            raise ValueError(f"seal: {broken}")
        run = _run(folder, record)
        _refuse_missing_digests(run)
    except (KeyError, TypeError, ValueError) as error:
        raise SamebitsError(
            f"{path}: expected a {RECORD_FORMAT} record, got one without or with a wrong {error}; "
            "delete the folder to have the run made again"
        ) from error
    return run


def _run(folder: Path, record: Mapping[str, Any]) -> Run:
    completed, digests = record["status"] == COMPLETED, dict(record["digests"])
    trace: Mapping[str, Any] = record["trace"] if completed else {"every": "off", "steps": 0}
    canary = record["canary"] if completed else None
    if canary is not None and canary["digest"] is None:  # it failed, and left nothing
        canary = None
    if canary is not None:
        digests[CANARY] = str(canary["digest"])
    return Run(
        name=str(record["run"]),
        folder=folder,
        status=str(record["status"]),
        experiment=str(record["experiment"]),
        dataset=str(record["dataset"]),
        subset=_subset(record["subset"]),
        digests=digests,
        every=_resolution(trace["every"]),
        steps=int(trace["steps"]),
        canary_seed=None if canary is None else int(canary["seed"]),
        checkpoints=states.of_record(record),
        record=record,
    )


def _resolution(every: str) -> str:
    if every not in divergence.RESOLUTIONS:
        raise ValueError(f"trace every {every!r}")
    return every


def _subset(subset: Mapping[str, int] | None) -> str:
    """The part of the experiment that a run trains, in words."""
    if subset is None:
        return "(all samples, all epochs)"
    return f"({subset['samples']} samples, {subset['epochs']} epochs)"


def _refuse_missing_digests(run: Run) -> None:
    missing = [name for name in ARTEFACTS if name not in run.digests]
    if run.status == COMPLETED and missing:
        raise ValueError(f"digest of {', '.join(missing)}")


def open_tensors(run: Run, artefact: str) -> Tensors:
    """One artefact of a run, its digests taken again from the stored elements."""
    if artefact == "history":
        tensors = _history_tensors(run.folder / "history.json")
    else:
        tensors = _stored_tensors(run.folder / artefact)
    if tensors.digest != run.digests[artefact]:
        raise SamebitsError(
            f"{run.folder}: expected {artefact} with digest {run.digests[artefact]} as "
            f"{RECORD} says, got {tensors.digest}; delete the folder to have the run made again"
        )
    if artefact in ("trace", CANARY):
        samples = (SAMPLE_STEP,) if artefact == "trace" else ()
        divergence.refuse_malformed(tensors, run.folder / artefact, (STEP, LOSS, *samples))
    return tensors


def _history_tensors(path: Path) -> Tensors:
    values = history.read(path)
    named = [(name, np.array(values[name], dtype="<f8")) for name in sorted(values)]
    entries = tuple(arrays.entry_of(name, array) for name, array in named)
    return Tensors(entries, lambda position: named[position][1])


def _stored_tensors(folder: Path) -> Tensors:
    arrays.check_arrays(folder)
    entries = tuple(arrays.read_index(folder))
    return Tensors(entries, lambda position: arrays.open_array(folder, position))


# --- refusing ------------------------------------------------------------------------------


def _refuse_unfit(runs: Sequence[Run]) -> None:
    """Raise SamebitsError with every reason why these runs cannot be held against each other."""
    control, problems = runs[0], []
    for position, run in enumerate(runs[1:], start=1):
        for earlier in runs[:position]:
            problems += _twice(earlier, run)
        for what in ("experiment", "dataset", "subset"):
            expected, got = getattr(control, what), getattr(run, what)
            if expected != got:
                problems.append(
                    f"{run.folder}: expected a run of {what} {expected} as in {control.folder}, "
                    f"got {got}; compare runs of the same {what}"
                )
    if problems:
        raise SamebitsError(all_problems(problems))


def _twice(earlier: Run, run: Run) -> list[str]:
    if earlier.folder.resolve() == run.folder.resolve():
        return [
            f"{run.folder}: expected another run's folder, got the same folder twice; "
            "a run compared with itself shows nothing"
        ]
    if earlier.name == run.name:
        return [
            f"{run.folder}: expected a run with a name of its own, got {run.name!r}, which is "
            f"also the name of {earlier.folder}; is one a copy of the other?"
        ]
    return []


def _checked(runs: Sequence[Run]) -> Opened:
    """Every artefact of every completed run, opened and checked; all damage reported at once."""
    tensors, problems = {}, []
    for run in runs:
        for artefact in run.artefacts:
            try:
                tensors[run.name, artefact] = open_tensors(run, artefact)
            except SamebitsError as error:
                problems.append(str(error))
            except OSError as error:
                problems.append(f"{run.folder}: {artefact}: {explain_os_error(error)}")
    if problems:
        raise SamebitsError(all_problems(problems))
    return tensors


# --- comparing -----------------------------------------------------------------------------


def compare(
    control: Path, replicas: Sequence[Path], atlas: attribution.Atlas | None = None
) -> dict[str, Any]:
    """The comparison of runs as JSON. Raises SamebitsError when they cannot be compared."""
    runs = [read_run(folder) for folder in (control, *replicas)]
    _refuse_unfit(runs)
    tensors = _checked(runs)
    compared = [_compare_run(runs[0], run, tensors, atlas) for run in runs[1:]]
    return {
        "format": FORMAT,
        "identical": all(run["identical"] for run in compared),
        "experiment": runs[0].experiment,
        "dataset": runs[0].dataset,
        "control": runs[0].name,
        "runs": compared,
        "status": {run.name: run.status for run in runs},
        "canary": _canary(runs, tensors),
        "self_check": _self_check(runs[0], tensors),
    }


def _compare_run(
    control: Run, replica: Run, tensors: Opened, atlas: attribution.Atlas | None
) -> dict[str, Any]:
    compared = [
        compare_artefact(name, tensors.get((control.name, name)), tensors.get((replica.name, name)))
        for name in ARTEFACTS
    ]
    identical = all(artefact["identical"] for artefact in compared)
    checkpoints = states.compare(control.checkpoints, replica.checkpoints)
    return {
        "run": replica.name,
        "identical": identical and (checkpoints is None or checkpoints["identical"]),
        "artefacts": compared,
        "checkpoints": checkpoints,
        "divergence": None,
    } | ({} if identical else _parted(control, replica, tensors, atlas))


def _parted(
    control: Run, replica: Run, tensors: Opened, atlas: attribution.Atlas | None
) -> dict[str, Any]:
    """Where two completed runs diverge, and on another CPU the layers that may explain it."""
    if not control.artefacts or not replica.artefacts:
        return {}
    traced = _traced(control, tensors), _traced(replica, tensors)
    found = {"divergence": divergence.divergence(*traced)}
    if atlas is not None and attribution.on_another_cpu(control.record, replica.record):
        parting = divergence.parting(*traced)
        found["attribution"] = attribution.attribute(atlas, replica.record, parting)
    return found


def _traced(run: Run, tensors: Opened) -> Traced:
    """A completed run. The history has one value per epoch that was trained."""
    epochs = max((entry.shape[0] for entry in tensors[run.name, "history"].entries), default=0)
    trace, weights = tensors[run.name, "trace"], tensors[run.name, "weights"]
    return Traced(trace, weights, run.every, run.steps, epochs)


def _canary(runs: Sequence[Run], tensors: Opened) -> dict[str, Any] | None:
    """The first canary that any run carries, held against the control's trace."""
    control = tensors.get((runs[0].name, "trace"))
    for run in runs:
        canary = tensors.get((run.name, CANARY))
        if control is not None and canary is not None:
            found = divergence.canary(control, canary)
            return {"run": run.name, "seed": run.canary_seed} | found
    return None


def _self_check(control: Run, tensors: Opened) -> list[dict[str, Any]]:
    """What the comparison finds of bits planted in the control; nothing where there is none."""
    if not control.artefacts:
        return []
    return self_check(_traced(control, tensors), tensors[control.name, "history"])
