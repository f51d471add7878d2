"""All replicas compared with the control: which bits differ, where, since when, by how much.

The SHA-256 of every file is taken again and compared with the one in the run's record, whose own
embedded digest is checked too. A damaged artifact is an error, never a difference.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from samebits.comparison import attribution, divergence
from samebits.comparison.difference import Tensors, compare_artifact
from samebits.comparison.divergence import LOSS, SAMPLE_STEP, STEP, Traced
from samebits.comparison.self_check import self_check
from samebits.errors import SamebitsError, all_problems, explain_os_error
from samebits.formats import arrays, canonical, files, history, states
from samebits.formats.arrays import SUFFIX, Tensor
from samebits.formats.names import ARTIFACTS, COMPLETED, TRAIN_FORMAT

FORMAT = "samebits-compare-1"
RECORD = "record.json"
CANARY = "canary"

Opened = dict[tuple[str, str], Tensors]  # by the names of run and artifact


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
    tensors: dict[str, tuple[Tensor, ...]]  # in forward order, as the record lists them
    checkpoints: states.States | None = None  # digests of its states, in epochs
    record: Mapping[str, Any] = field(default_factory=dict)  # all that it says

    @property
    def artifacts(self) -> tuple[str, ...]:
        """What its folder holds. A run that did not complete holds nothing."""
        if self.status != COMPLETED:
            return ()
        return ARTIFACTS if self.canary_seed is None else (*ARTIFACTS, CANARY)


# --- reading -------------------------------------------------------------------------------


def read_run(folder: Path) -> Run:
    """Read a run's record. Raises SamebitsError naming the file and what is wrong with it."""
    path = folder / RECORD
    record = canonical.read_json(path)
    try:
        if record["format"] != TRAIN_FORMAT:
            raise ValueError(f"format {record['format']!r}")
        if broken := canonical.digest_problem(record):
            raise ValueError(broken)
        run = _run(folder, record)
        _require_digests(run)
    except (KeyError, TypeError, ValueError) as error:
        raise SamebitsError(
            f"{path}: expected a {TRAIN_FORMAT} record, got one without or with a wrong {error}; "
            "delete the folder to have the run made again"
        ) from error
    return run


def _run(folder: Path, record: Mapping[str, Any]) -> Run:
    completed, digests = record["status"] == COMPLETED, dict(record["digests"])
    trace: Mapping[str, Any] = record["trace"] if completed else {"every": "off", "steps": 0}
    canary = record["canary"] if completed else None
    if canary is not None and canary["digest"] is None:  # it failed, and left nothing
        canary = None
    tensors = {name: arrays.from_json(listed) for name, listed in record["tensors"].items()}
    if canary is not None:
        digests[CANARY] = str(canary["digest"])
        tensors[CANARY] = arrays.from_json(canary["tensors"])
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
        tensors=tensors,
        checkpoints=states.from_record(record),
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


def _require_digests(run: Run) -> None:
    missing = [f"digest of {name}" for name in ARTIFACTS if name not in run.digests]
    missing += [f"tensors of {name}" for name in ARTIFACTS[1:] if name not in run.tensors]
    if run.status == COMPLETED and missing:
        raise ValueError(", ".join(missing))


def open_tensors(run: Run, artifact: str) -> Tensors:
    """One artifact of a run, whose file has the digest that the record says."""
    is_history = artifact == "history"
    path = run.folder / f"{artifact}{'.json' if is_history else SUFFIX}"
    expected, got = run.digests[artifact], files.digest(path)
    if got != expected:
        raise SamebitsError(
            f"{path}: expected SHA-256 {expected} as {RECORD} says, got {got}; delete the folder "
            "to have the run made again"
        )
    tensors = _history(path, got) if is_history else _stored(path, got, run.tensors[artifact])
    if artifact in ("trace", CANARY):
        samples = (SAMPLE_STEP,) if artifact == "trace" else ()
        divergence.require_rows(tensors, path, (STEP, LOSS, *samples))
    return tensors


def _history(path: Path, digest: str) -> Tensors:
    values = {name: np.array(v, "<f8") for name, v in sorted(history.read(path).items())}
    entries = tuple(Tensor(name, "F64", array.shape) for name, array in values.items())
    return Tensors(digest, entries, values.__getitem__, _history_digest)


def _history_digest(pairs: Sequence[tuple[Tensor, np.ndarray]]) -> str:
    return canonical.digest(history.to_json({entry.name: values for entry, values in pairs}))


def _stored(path: Path, digest: str, listed: tuple[Tensor, ...]) -> Tensors:
    """A file of arrays in the order that the record lists."""
    found = arrays.read(path)
    if sorted(listed) != sorted(found.tensors):
        raise SamebitsError(
            f"{path}: its tensors are not those that {RECORD} lists; delete the folder to have the "
            "run made again"
        )
    return Tensors(digest, listed, found.open)


# --- refusing ------------------------------------------------------------------------------


def _require_comparable(runs: Sequence[Run]) -> None:
    """Raise SamebitsError with every reason why these runs cannot be compared."""
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
    """Every artifact of every completed run, opened and checked; all damage reported at once."""
    tensors, problems = {}, []
    for run in runs:
        for artifact in run.artifacts:
            try:
                tensors[run.name, artifact] = open_tensors(run, artifact)
            except SamebitsError as error:
                problems.append(str(error))
            except OSError as error:
                problems.append(f"{run.folder}: {artifact}: {explain_os_error(error)}")
    if problems:
        raise SamebitsError(all_problems(problems))
    return tensors


# --- comparing -----------------------------------------------------------------------------


def compare(
    control: Path, replicas: Sequence[Path], atlas: attribution.Atlas | None = None
) -> dict[str, Any]:
    """The comparison of runs as JSON. Raises SamebitsError when they cannot be compared."""
    runs = [read_run(folder) for folder in (control, *replicas)]
    _require_comparable(runs)
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
        compare_artifact(name, tensors.get((control.name, name)), tensors.get((replica.name, name)))
        for name in ARTIFACTS
    ]
    identical = all(artifact["identical"] for artifact in compared)
    checkpoints = states.compare(control.checkpoints, replica.checkpoints)
    return {
        "run": replica.name,
        "identical": identical and (checkpoints is None or checkpoints["identical"]),
        "artifacts": compared,
        "checkpoints": checkpoints,
        "divergence": None,
    } | ({} if identical else _diverged(control, replica, tensors, atlas))


def _diverged(
    control: Run, replica: Run, tensors: Opened, atlas: attribution.Atlas | None
) -> dict[str, Any]:
    """Where two completed runs diverge, and on another CPU the layers that may explain it."""
    if not control.artifacts or not replica.artifacts:
        return {}
    traced = _traced(control, tensors), _traced(replica, tensors)
    found = {"divergence": divergence.divergence(*traced)}
    if atlas is not None and attribution.on_another_cpu(control.record, replica.record):
        first = divergence.first_divergence(*traced)
        found["attribution"] = attribution.attribute(atlas, replica.record, first)
    return found


def _traced(run: Run, tensors: Opened) -> Traced:
    """A completed run. The history has one value per epoch that was trained."""
    epochs = max((entry.shape[0] for entry in tensors[run.name, "history"].entries), default=0)
    trace, weights = tensors[run.name, "trace"], tensors[run.name, "weights"]
    return Traced(trace, weights, run.every, run.steps, epochs)


def _canary(runs: Sequence[Run], tensors: Opened) -> dict[str, Any] | None:
    """The first canary that any run carries, compared with the control's trace."""
    control = tensors.get((runs[0].name, "trace"))
    for run in runs:
        canary = tensors.get((run.name, CANARY))
        if control is not None and canary is not None:
            found = divergence.canary(control, canary)
            return {"run": run.name, "seed": run.canary_seed} | found
    return None


def _self_check(control: Run, tensors: Opened) -> list[dict[str, Any]]:
    """What the comparison finds of bits planted in the control; nothing where there is none."""
    if not control.artifacts:
        return []
    return self_check(_traced(control, tensors), tensors[control.name, "history"])
