"""Where two runs diverge first, and how their difference grows, from their traces and weights.

A trace has a row before the first step (step 0) and one per step, or per epoch. A row holds a
fingerprint of every trainable tensor; ``batch`` has one of what each step received; ``sample step``
and ``sample/…`` hold a few elements of every tensor now and then. Two traces are compared at the
steps that both have. Losses are those of the history, by epoch. Memory: one tensor's rows, or one
block of its elements, at a time.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from samebits.comparison.difference import Array, Tensors, has_ulp, ulp_distance
from samebits.errors import SamebitsError

STEP, SAMPLE_STEP, BATCH_STEP = "step", "sample step", "batch step"
FINGERPRINT, SAMPLE, BATCH, LOSS = "fingerprint/", "sample/", "batch", "loss"
RESOLUTIONS = ("step", "epoch", "off")  # from fine to coarse
_POINTS = 200  # of the curve of the loss, at most
_CURVES = 12  # tensors with a curve, at most
_NO_DISTANCE = np.uint64(2**64 - 1)  # further than any two finite floats: NaN or infinity


@dataclass(frozen=True)
class Traced:
    """A completed run: its trace, its final weights, its history, and how its steps are read."""

    trace: Tensors
    weights: Tensors
    history: Tensors
    every: str  # how often the trace has a row: step, epoch or off
    epoch_ends: Sequence[int]  # the last step of each epoch


@dataclass(frozen=True)
class FirstDivergence:
    """The first step at which each tensor differs; None where it never does."""

    tensors: dict[str, int | None]
    steps: Array  # that both traces have

    @property
    def step(self) -> int | None:
        """The first step at which any tensor differs."""
        return min((step for step in self.tensors.values() if step is not None), default=None)

    @property
    def after(self) -> int | None:
        """The last step before that one that both have: the runs are equal there."""
        before = self.steps[self.steps < (self.step or 0)]
        return int(before[-1]) if before.size else None

    @property
    def first_tensors(self) -> list[str]:
        """The tensors that differ at that step, in forward order."""
        step = self.step
        return [name for name, at in self.tensors.items() if at is not None and at == step]


class _Aligned:
    """Two traces, read at the steps that both have."""

    def __init__(self, control: Tensors, replica: Tensors, index: str) -> None:
        self._control, self._replica = control, replica
        self.steps, self._ours, self._theirs = np.intersect1d(
            control.open(index), replica.open(index), return_indices=True
        )

    def rows(self, ours: str, theirs: str) -> tuple[Array, Array]:
        """One entry of each trace, row by row of the common steps."""
        control, replica = self._control.open(ours), self._replica.open(theirs)
        return control[self._ours], replica[self._theirs]

    def first(self, ours: str, theirs: str) -> int | None:
        """The first common step at which two entries of integers differ."""
        left, right = self.rows(ours, theirs)
        where = np.flatnonzero(left != right)
        return int(self.steps[where[0]]) if where.size else None


def require_rows(trace: Tensors, folder: Path, needed: Sequence[str]) -> None:
    """Raise SamebitsError when an entry is missing or has not a row per step."""
    rows = {e.name: e.shape[:1] if e.name.startswith(SAMPLE) else e.shape for e in trace.entries}
    missing = [name for name in needed if name not in rows]
    if missing:
        raise SamebitsError(
            f"{folder}: expected a trace with {', '.join(map(repr, missing))}, got one without; "
            "delete the run's folder to have the run made again"
        )
    for name, got in rows.items():
        index = index_of(name)
        if got != rows.get(index):
            raise SamebitsError(
                f"{folder}: expected {name!r} with as many rows as {index!r}, {rows.get(index)}, "
                f"got {got}; delete the run's folder to have the run made again"
            )


def index_of(name: str) -> str:
    """The entry of a trace that has the steps of another entry's rows."""
    kind = name.partition("/")[0]
    return next((each for each in (SAMPLE_STEP, BATCH_STEP) if each.startswith(kind)), STEP)


def tensor_names(trace: Tensors) -> list[str]:
    """The tensors that a trace has fingerprints of, in forward order."""
    names = [entry.name for entry in trace.entries]
    return [name[len(FINGERPRINT) :] for name in names if name.startswith(FINGERPRINT)]


def first_divergence(control: Traced, replica: Traced) -> FirstDivergence:
    """The first steps at which the tensors that two runs both have differ."""
    theirs = set(tensor_names(replica.trace))
    common = [name for name in tensor_names(control.trace) if name in theirs]
    rows = _Aligned(control.trace, replica.trace, STEP)
    return FirstDivergence(
        {name: rows.first(FINGERPRINT + name, FINGERPRINT + name) for name in common}, rows.steps
    )


def divergence(control: Traced, replica: Traced) -> dict[str, Any]:
    """Where two runs diverge first and by how much, as JSON."""
    first, losses = (
        first_divergence(control, replica),
        losses_apart(control.history, replica.history),
    )
    batches = _Aligned(control.trace, replica.trace, BATCH_STEP)
    return {
        "every": max(control.every, replica.every, key=RESOLUTIONS.index),
        "step": first.step,
        "after": first.after,
        "epoch": _epoch(control, first.step),
        "tensors": first.first_tensors,
        "batch_step": batches.first(BATCH, BATCH),
        "loss_epoch": first_epoch(losses),
        "loss_curve": _loss_curve(control.epoch_ends, losses),
        "curves": list(_curves(control, replica, first)),
    }


def canary(control: Tensors, other: Tensors, changed: str | None) -> dict[str, Any]:
    """Where a canary's trace differs from the control's, as JSON: at its first step, and its last.

    ``changed``: the tensor that differs by design, as
    the canary calls it.
    """
    pairs = paired(tensor_names(control), tensor_names(other))
    rows = _Aligned(control, other, STEP)
    trained = np.flatnonzero(rows.steps > 0)
    compared = {ours: rows.rows(FINGERPRINT + ours, FINGERPRINT + theirs) for ours, theirs in pairs}
    ends = [
        {
            "step": int(rows.steps[at]),
            "tensors": [n for n, (left, right) in compared.items() if left[at] != right[at]],
        }
        for at in (trained[[0, -1]] if trained.size else ())
    ]
    return {
        "tensor": next((ours for ours, theirs in pairs if theirs == changed), changed),
        "differs": bool(ends) and all(end["tensors"] for end in ends),
        "steps": ends,
    }


def paired(control: Sequence[str], other: Sequence[str]) -> list[tuple[str, str]]:
    """The tensors of a trace and a canary's that are the same one.

    By name where the canary has no other names, since a program's may end before all tensors are
    updated; else by position: Keras counts the layers that a process has built, so that the second
    model of a process has other names.
    """
    if set(other) <= set(control):
        return [(name, name) for name in control if name in set(other)]
    return list(zip(control, other, strict=False))


def _epoch(run: Traced, step: int | None) -> int | None:
    """The epoch, from 1, that a step lies in; None before the first and where it is not known."""
    if not step or step > max(run.epoch_ends, default=0):
        return None
    return int(np.searchsorted(run.epoch_ends, step)) + 1


# --- how it grows --------------------------------------------------------------------------


def _distances(left: Array, right: Array) -> Array:
    """ULP distances: 0 of equal bits, the largest there is where a NaN or an infinity differs."""
    equal = left.view(f"<u{left.itemsize}") == right.view(f"<u{right.itemsize}")
    known = equal | (np.isfinite(left) & np.isfinite(right))
    return np.where(known, ulp_distance(left, right), _NO_DISTANCE)


def _curve(steps: Array, distances: Array) -> dict[str, Any]:
    ulp = [None if distance == _NO_DISTANCE else int(distance) for distance in distances]
    return {"steps": [int(step) for step in steps], "ulp": ulp}


def losses_apart(control: Tensors, replica: Tensors) -> Array:
    """How far the losses of two histories are apart: epoch by epoch over all fits, as both have."""
    left, right = (
        np.concatenate([np.zeros(0), *map(history.open, sorted(_of_loss(history), key=_number))])
        for history in (control, replica)
    )
    count = min(left.size, right.size)
    left, right = left[:count], right[:count]
    return _distances(*as_computed(left, right))


def as_computed(left: Array, right: Array) -> tuple[Array, Array]:
    """Values of float64 as float32, as Keras computes them, where all of them are such numbers."""
    with np.errstate(over="ignore"):
        single = left.astype("<f4"), right.astype("<f4")
    exact = zip(single, (left, right), strict=True)
    return single if all(np.array_equal(a, b, equal_nan=True) for a, b in exact) else (left, right)


def first_epoch(losses: Array) -> int | None:
    """The first epoch, from 1, whose losses differ."""
    differ = np.flatnonzero(losses)
    return int(differ[0]) + 1 if differ.size else None


def _of_loss(history: Tensors) -> list[str]:
    """The losses in a history: one, or one of each fit; a program's begin with the call."""
    metrics = {e.name: e.name.rpartition(": ")[2].partition(" (fit ")[0] for e in history.entries}
    return [name for name, metric in metrics.items() if metric == LOSS]


def _number(name: str) -> tuple[int, int, str]:
    call = name.partition(" ")[0]
    return int(call) if call.isdecimal() else 0, len(name), name


def _loss_curve(epoch_ends: Sequence[int], distances: Array) -> dict[str, Any]:
    """By the steps that end an epoch."""
    count = min(distances.size, len(epoch_ends))
    keep = _thinned(distances[:count])
    return _curve(np.array(epoch_ends, np.int64)[keep], distances[keep])


def _thinned(distances: Array) -> Array:
    """Few enough positions: the first difference, the last one, and the largest of each bin."""
    positions = np.arange(distances.size)
    if distances.size <= _POINTS:
        return positions
    bins = np.array_split(positions, _POINTS - 2)
    keep = {int(part[np.argmax(distances[part])]) for part in bins} | {distances.size - 1}
    keep |= {int(first) for first in np.flatnonzero(distances)[:1]}
    return np.array(sorted(keep))


def _curves(control: Traced, replica: Traced, first: FirstDivergence) -> Iterator[dict[str, Any]]:
    """The largest distance among each tensor's sampled elements, snapshot by snapshot."""
    snapshots = _Aligned(control.trace, replica.trace, SAMPLE_STEP)
    chosen = _chosen(control, replica, first)
    for name in (name for name in first.tensors if name in chosen):
        left, right = snapshots.rows(SAMPLE + name, SAMPLE + name)
        largest = _distances(left, right).max(axis=1, initial=0)
        yield {"name": name} | _curve(snapshots.steps, largest)


def _chosen(control: Traced, replica: Traced, first: FirstDivergence) -> set[str]:
    """The tensors with a curve: those that differ first, of these the largest."""
    compared = set(_sampled(control.trace, replica.trace))
    size = {entry.name: entry.elements for entry in control.weights.entries}
    found = [
        (step, -size.get(name, 0), name)
        for name, step in first.tensors.items()
        if step is not None and SAMPLE + name in compared
    ]
    return {name for *_, name in sorted(found)[:_CURVES]}


def _sampled(control: Tensors, replica: Tensors) -> Iterator[str]:
    """Tensors of floats that both traces have samples of, with one dtype and as many elements."""
    theirs = replica.by_name
    for entry in control.entries:
        other = theirs.get(entry.name)
        if other is None or not entry.name.startswith(SAMPLE) or not has_ulp(entry):
            continue
        if entry.dtype == other.dtype and entry.shape[1:] == other.shape[1:]:
            yield entry.name
