"""All replicas compared with the control: which bits differ, where, since when, by how much.

The SHA-256 of every file is taken again and compared with the one in the run's record, whose own
embedded digest is checked too. A damaged artifact is an error, never a difference.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from samebits.comparison import attribution, divergence, generators
from samebits.comparison.difference import Tensors, compare_artifact
from samebits.comparison.divergence import BATCH, BATCH_STEP, SAMPLE_STEP, STEP, Traced
from samebits.comparison.left import left
from samebits.comparison.self_check import self_check
from samebits.errors import SamebitsError, all_problems, explain_os_error
from samebits.formats import arrays, canonical, files, history, states
from samebits.formats.arrays import SUFFIX, Tensor
from samebits.formats.names import ARTIFACTS, COMPLETED, TRAIN_FORMAT

FORMAT = "samebits-compare-1"
RECORD = "record.json"
CANARY = "canary"


@dataclass(frozen=True)
class Run:
    """One training run: its folder and its record."""

    folder: Path
    record: Mapping[str, Any]

    @property
    def name(self) -> str:
        """The run's name."""
        return str(self.record["run"])

    @property
    def listed(self) -> dict[str, tuple[str, tuple[Tensor, ...]]]:
        """The digest and the tensors of each artifact; nothing of a run that did not complete."""
        record = self.record
        if record["status"] != COMPLETED:
            return {}
        digests, tensors = dict(record["digests"]), record["tensors"] | {"history": []}
        canary = record["canary"] or {"digest": None}  # which it has if it failed, too
        if canary["digest"] is not None:
            digests[CANARY], tensors[CANARY] = canary["digest"], canary["tensors"]
        return {name: (digests[name], arrays.from_json(tensors[name])) for name in digests}


Opened = dict[str, dict[str, Tensors]]  # by the names of run and artifact; {} if not completed
_Pair = tuple[Run, dict[str, Tensors]]  # a run and its opened artifacts


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
        missing = set(ARTIFACTS) - set(Run(folder, record).listed)
        if record["status"] == COMPLETED and missing:
            raise ValueError(f"digest of {', '.join(sorted(missing))}")
        if not missing and record["trace"]["every"] not in divergence.RESOLUTIONS:
            raise ValueError(f"trace every {record['trace']['every']!r}")
    except (KeyError, TypeError, ValueError) as error:
        raise SamebitsError(
            f"{path}: expected a {TRAIN_FORMAT} record, got one without or with a wrong {error}; "
            "delete the folder to have the run made again"
        ) from error
    return Run(folder, record)


def open_tensors(run: Run, artifact: str) -> Tensors:
    """One artifact of a run, whose file has the digest that the record says."""
    path = run.folder / f"{artifact}{'.json' if artifact == 'history' else SUFFIX}"
    (expected, listed), got = run.listed[artifact], files.digest(path)
    if got != expected:
        raise SamebitsError(
            f"{path}: expected SHA-256 {expected} as {RECORD} says, got {got}; delete the folder "
            "to have the run made again"
        )
    if artifact == "history":
        return of_history(history.to_json(history.read(path)), got)
    found = arrays.read(path)
    if sorted(listed) != sorted(found.tensors):
        raise SamebitsError(
            f"{path}: its tensors are not those that {RECORD} lists; delete the folder to have the "
            "run made again"
        )
    tensors = Tensors(got, listed, found.open)
    if artifact in ("trace", CANARY):
        samples = (SAMPLE_STEP,) if artifact == "trace" else ()
        divergence.require_rows(tensors, path, (STEP, BATCH_STEP, BATCH, *samples))
    return tensors


def of_history(content: Any, digest: str) -> Tensors:
    """A history as arrays, one per metric. Raises ValueError, TypeError or KeyError for others."""
    values = {name: np.array(v, "<f8") for name, v in sorted(history.from_json(content).items())}
    entries = tuple(Tensor(name, "F64", array.shape) for name, array in values.items())
    return Tensors(digest, entries, values.__getitem__, _history_digest)


def _history_digest(pairs: Sequence[tuple[Tensor, np.ndarray]]) -> str:
    return canonical.digest(history.to_json({entry.name: values for entry, values in pairs}))


def open_all(runs: Sequence[Run]) -> Opened:
    """Every artifact of every completed run, opened and checked; all damage reported at once."""
    opened: Opened = {run.name: {} for run in runs}
    problems = []
    for run in runs:
        for artifact in run.listed:
            try:
                opened[run.name][artifact] = open_tensors(run, artifact)
            except SamebitsError as error:
                problems.append(str(error))
            except OSError as error:
                problems.append(f"{run.folder}: {artifact}: {explain_os_error(error)}")
    if problems:
        raise SamebitsError(all_problems(problems))
    return opened


def _require_comparable(runs: Sequence[Run]) -> None:
    """Raise SamebitsError with every reason why these runs cannot be compared."""
    control, problems = runs[0], []
    for position, run in enumerate(runs[1:], start=1):
        for earlier in runs[:position]:
            problems += _twice(earlier, run)
        for what in ("experiment", "dataset", "subset"):
            expected, got = control.record[what], run.record[what]
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
            f"{earlier.folder} and {run.folder}: two runs are both named {run.name!r}; "
            "is one a copy of the other?"
        ]
    return []


# --- comparing -----------------------------------------------------------------------------


def compare(
    control: Path, replicas: Sequence[Path], atlas: attribution.Atlas | None = None
) -> dict[str, Any]:
    """The comparison of runs as JSON. Raises SamebitsError when they cannot be compared."""
    runs = [read_run(folder) for folder in (control, *replicas)]
    _require_comparable(runs)
    opened = open_all(runs)
    first, files_of = runs[0], opened[runs[0].name]
    compared = [_compare_run((first, files_of), (run, opened[run.name]), atlas) for run in runs[1:]]
    return {
        "format": FORMAT,
        "identical": all(run["identical"] for run in compared),
        "experiment": first.record["experiment"],
        "dataset": first.record["dataset"],
        "control": first.name,
        "runs": compared,
        "left": left(run.record for run in runs),
        "status": {run.name: run.record["status"] for run in runs},
        "canary": _canary(runs, opened),
        "self_check": self_check(_traced(first, files_of)) if files_of else [],
        "primitives": atlas.drawn(first.record) if atlas else None,
    }


def compare_pair(control: Path, other: Path) -> dict[str, Any]:
    """Two runs of any experiments and names, as ``compare`` lists a run.

    Raises SamebitsError for damaged files.
    """
    pair = [(run, open_all([run])[run.name]) for run in map(read_run, (control, other))]
    return _compare_run(pair[0], pair[1], None)


def _compare_run(
    of_control: _Pair, of_replica: _Pair, atlas: attribution.Atlas | None
) -> dict[str, Any]:
    (control, ours), (replica, theirs) = of_control, of_replica
    compared = [compare_artifact(name, ours.get(name), theirs.get(name)) for name in ARTIFACTS]
    identical = all(artifact["identical"] for artifact in compared)
    recorded = [states.from_record(run.record) for run in (control, replica)]
    checkpoints = states.compare(*recorded)
    drawn = generators.compare(control.record, replica.record)
    found = {
        "run": replica.name,
        "identical": identical and all(p["identical"] for p in (checkpoints, drawn) if p),
        "artifacts": compared,
        "checkpoints": checkpoints,
        "generators": drawn,
        "divergence": None,
    }
    if not identical and ours and theirs:
        traced = _traced(control, ours), _traced(replica, theirs)
        found["divergence"] = divergence.divergence(*traced)
        if atlas is not None and attribution.on_another_cpu(control.record, replica.record):
            first = divergence.first_divergence(*traced)
            found["attribution"] = attribution.attribute(atlas, replica.record, first)
    return found


def _traced(run: Run, opened: Mapping[str, Tensors]) -> Traced:
    """A completed run."""
    trace, weights, history = (opened[name] for name in ("trace", "weights", "history"))
    described = run.record["trace"]
    return Traced(trace, weights, history, described["every"], described["epoch_ends"])


def _canary(runs: Sequence[Run], opened: Opened) -> dict[str, Any] | None:
    """The first canary that any run carries, compared with the control's trace."""
    control = opened[runs[0].name].get("trace")
    for run in runs:
        canary = opened[run.name].get(CANARY)
        if control is not None and canary is not None:
            made = run.record["canary"]
            found = divergence.canary(control, canary, made["tensor"])
            return {"run": run.name, "change": made["change"], "elements": made["elements"]} | found
    return None
