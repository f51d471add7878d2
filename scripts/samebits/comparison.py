"""All replicas held against the control: which bits differ, where, and by how much.

Nothing stored is believed: the digest of every array is taken again from its elements and held
against the run's own index and record. A damaged artefact is an error, never a difference.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from samebits import arrays, canonical, history
from samebits.arrays import ArrayEntry
from samebits.difference import Array, Measure, measure
from samebits.errors import SamebitsError, all_problems, explain_os_error

FORMAT = "samebits-compare-1"
RECORD = "record.json"
RECORD_FORMAT = "samebits-train-1"
ARTEFACTS = ("history", "weights", "optimizer")
COMPLETED = "completed"


@dataclass(frozen=True)
class Run:
    """One training run as its record describes it."""

    name: str
    folder: Path
    status: str
    experiment: str
    dataset: str
    digests: dict[str, str]


@dataclass(frozen=True)
class Tensors:
    """Named arrays with their digests; an array is opened only when it has to be measured."""

    entries: tuple[ArrayEntry, ...]
    open: Callable[[int], Array]

    @property
    def digest(self) -> str:
        """The digest of the whole set."""
        return arrays.set_digest(self.entries)


# --- reading -------------------------------------------------------------------------------


def read_run(folder: Path) -> Run:
    """Read a run's record. Raises SamebitsError naming the file and what is wrong with it."""
    path = folder / RECORD
    record = canonical.read_json(path)
    try:
        if record["format"] != RECORD_FORMAT:
            raise ValueError(f"format {record['format']!r}")
        run = Run(
            str(record["run"]), folder, str(record["status"]), str(record["experiment"]),
            str(record["dataset"]), dict(record["digests"]),
        )  # fmt: skip
        _refuse_missing_digests(run)
    except (KeyError, TypeError, ValueError) as error:
        raise SamebitsError(
            f"{path}: expected a {RECORD_FORMAT} record, got one without or with a wrong {error}; "
            "delete the folder to have the run made again"
        ) from error
    return run


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
        for what in ("experiment", "dataset"):
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


def _checked(runs: Sequence[Run]) -> dict[tuple[str, str], Tensors]:
    """Every artefact of every completed run, opened and checked; all damage reported at once."""
    tensors, problems = {}, []
    for run in runs:
        for artefact in ARTEFACTS if run.status == COMPLETED else ():
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


def compare(control: Path, replicas: Sequence[Path]) -> dict[str, Any]:
    """The comparison of runs as JSON. Raises SamebitsError when they cannot be compared."""
    runs = [read_run(folder) for folder in (control, *replicas)]
    _refuse_unfit(runs)
    tensors = _checked(runs)
    compared = [_compare_run(runs[0], run, tensors) for run in runs[1:]]
    return {
        "format": FORMAT,
        "identical": all(run["identical"] for run in compared),
        "experiment": runs[0].experiment,
        "dataset": runs[0].dataset,
        "control": runs[0].name,
        "runs": compared,
        "status": {run.name: run.status for run in runs},
    }


def _compare_run(
    control: Run, replica: Run, tensors: dict[tuple[str, str], Tensors]
) -> dict[str, Any]:
    compared = [
        _compare_artefact(
            name, tensors.get((control.name, name)), tensors.get((replica.name, name))
        )
        for name in ARTEFACTS
    ]
    identical = all(artefact["identical"] for artefact in compared)
    return {"run": replica.name, "identical": identical, "artefacts": compared}


def _compare_artefact(
    name: str, control: Tensors | None, replica: Tensors | None
) -> dict[str, Any]:
    """Absent on either side (a run that did not complete) is never identical."""
    digests = [tensors.digest if tensors else None for tensors in (control, replica)]
    identical = digests[0] is not None and digests[0] == digests[1]
    known = control is not None and replica is not None and not identical
    return {
        "artefact": name,
        "identical": identical,
        "digests": digests,
        "differences": list(differences(control, replica)) if known else [],  # type: ignore[arg-type]
    }


def differences(control: Tensors, replica: Tensors) -> Iterator[dict[str, Any]]:
    """Every tensor that differs: in the control's order, then what only the replica has."""
    theirs = {entry.name: position for position, entry in enumerate(replica.entries)}
    ours = {entry.name for entry in control.entries}
    for position, entry in enumerate(control.entries):
        if entry.name not in theirs:
            yield _difference(entry, "missing", control="present", replica="absent")
            continue
        there = theirs[entry.name]
        yield from _compare_tensor(control, position, replica, there)
    yield from _order(control, replica)
    for entry in replica.entries:
        if entry.name not in ours:
            yield _difference(entry, "extra", control="absent", replica="present")


def _compare_tensor(
    control: Tensors, here: int, replica: Tensors, there: int
) -> Iterator[dict[str, Any]]:
    left, right = control.entries[here], replica.entries[there]
    if left.sha256 == right.sha256:
        return
    if left.dtype != right.dtype:
        yield _difference(left, "dtype", control=left.dtype, replica=right.dtype)
    elif left.shape != right.shape:
        shapes = [str(list(entry.shape)) for entry in (left, right)]
        yield _difference(left, "shape", control=shapes[0], replica=shapes[1])
    else:
        yield _values(left, measure(control.open(here), replica.open(there)))


def _order(control: Tensors, replica: Tensors) -> Iterator[dict[str, Any]]:
    """Tensors that both have, but in another order: only these are counted for a position."""
    common = {e.name for e in control.entries} & {e.name for e in replica.entries}
    ours = [entry for entry in control.entries if entry.name in common]
    theirs = {
        entry.name: position
        for position, entry in enumerate(e for e in replica.entries if e.name in common)
    }
    for position, entry in enumerate(ours):
        if theirs[entry.name] != position:
            places = f"position {position}", f"position {theirs[entry.name]}"
            yield _difference(entry, "order", control=places[0], replica=places[1])


def _difference(entry: ArrayEntry, kind: str, control: Any, replica: Any) -> dict[str, Any]:
    return {
        "name": entry.name,
        "dtype": entry.dtype,
        "shape": list(entry.shape),
        "kind": kind,
        "elements": int(np.prod(entry.shape, dtype=np.int64)),
        "different": None,
        "first": None,
        "largest_absolute": None,
        "largest_ulp": None,
        "not_finite": None,
        "control": control,
        "replica": replica,
    }


def _values(entry: ArrayEntry, found: Measure | None) -> dict[str, Any]:
    if found is None:  # the digests differ, so the files changed while they were compared
        raise SamebitsError(
            f"{entry.name}: expected the elements that were digested, got others; "
            "something writes to the runs' folders: stop it and compare again"
        )
    return _difference(entry, "values", asdict(found.control), asdict(found.replica)) | {
        "different": found.different,
        "first": list(found.first),
        "largest_absolute": found.largest_absolute,
        "largest_ulp": found.largest_ulp,
        "not_finite": found.not_finite,
    }
