"""Where two runs diverge first, and how their difference grows, from their traces and weights.

A trace has a row before the first step (step 0) and one per step, or per epoch. A row holds a
fingerprint of every trainable tensor and the bits of the loss; ``sample step`` and ``sample/…``
hold a few elements of every tensor now and then. Two traces are compared at the steps
that both have. Memory: one tensor's rows, or one block of its elements, at a time.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from samebits.comparison.difference import Array, Tensors, has_ulp, ulp_distance, ulp_histogram
from samebits.errors import SamebitsError

STEP, LOSS, SAMPLE_STEP = "step", "loss", "sample step"
FINGERPRINT, SAMPLE = "fingerprint/", "sample/"
RESOLUTIONS = ("step", "epoch", "off")  # from fine to coarse
_POINTS = 200  # of the curve of the loss, at most
_CURVES = 12  # tensors with a curve, at most
_NO_DISTANCE = np.uint64(2**64 - 1)  # further than any two finite floats: NaN or infinity


@dataclass(frozen=True)
class Traced:
    """A completed run: its trace, its final weights, and what its steps are read with."""

    trace: Tensors
    weights: Tensors
    every: str  # how often the trace has a row: step, epoch or off
    steps: int
    epochs: int


@dataclass(frozen=True)
class FirstDivergence:
    """The first step at which each tensor, and the loss, differs; None where it never does."""

    tensors: dict[str, int | None]
    loss: int | None

    @property
    def step(self) -> int | None:
        """The first step at which any tensor differs."""
        return min((step for step in self.tensors.values() if step is not None), default=None)

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
    rows = {entry.name: entry.shape[:1] for entry in trace.entries}
    missing = [name for name in needed if name not in rows]
    if missing:
        raise SamebitsError(
            f"{folder}: expected a trace with {', '.join(map(repr, missing))}, got one without; "
            "delete the run's folder to have the run made again"
        )
    for name, got in rows.items():
        index = SAMPLE_STEP if name == SAMPLE_STEP or name.startswith(SAMPLE) else STEP
        if got != rows.get(index):
            raise SamebitsError(
                f"{folder}: expected {name!r} with as many rows as {index!r}, {rows.get(index)}, "
                f"got {got}; delete the run's folder to have the run made again"
            )


def tensor_names(trace: Tensors) -> list[str]:
    """The tensors that a trace has fingerprints of, in forward order."""
    names = [entry.name for entry in trace.entries]
    return [name[len(FINGERPRINT) :] for name in names if name.startswith(FINGERPRINT)]


def first_divergence(control: Traced, replica: Traced) -> FirstDivergence:
    """The first steps at which the tensors that two runs both have differ."""
    theirs = set(tensor_names(replica.trace))
    common = [name for name in tensor_names(control.trace) if name in theirs]
    rows = _Aligned(control.trace, replica.trace, STEP)
    return _first_divergence(rows, [(name, name) for name in common])


def divergence(control: Traced, replica: Traced) -> dict[str, Any]:
    """Where two runs diverge first and by how much, as JSON."""
    rows, first = _Aligned(control.trace, replica.trace, STEP), first_divergence(control, replica)
    step, loss = first.step, first.loss
    return {
        "every": max(control.every, replica.every, key=RESOLUTIONS.index),
        "step": step,
        "epoch": _epoch(control, step),
        "tensors": first.first_tensors,
        "loss_step": loss,
        "loss_first": loss is not None and (step is None or loss < step),
        "loss_curve": _loss_curve(rows),
        "curves": list(_curves(control, replica, first)),
        "histograms": list(_histograms(control.weights, replica.weights)),
    }


def canary(control: Tensors, other: Tensors, changed: str | None) -> dict[str, Any]:
    """Where a canary's trace differs from the control's, as JSON: at its first step, and its last.

    Tensors are paired by position: Keras counts the layers that a process has built, so the
    second model of a process has other names. ``changed``: the tensor that differs by design, as
    the canary calls it.
    """
    pairs = list(zip(tensor_names(control), tensor_names(other), strict=False))
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


def _first_divergence(rows: _Aligned, pairs: Sequence[tuple[str, str]]) -> FirstDivergence:
    """The first steps at which the tensors paired differ, under the control's names."""
    return FirstDivergence(
        {ours: rows.first(FINGERPRINT + ours, FINGERPRINT + theirs) for ours, theirs in pairs},
        rows.first(LOSS, LOSS),
    )


def _epoch(run: Traced, step: int | None) -> int | None:
    """The epoch, from 1, that a step lies in; None before the first and where it is not known."""
    if not step or not run.epochs or run.steps % run.epochs:
        return None
    return -(-step // (run.steps // run.epochs))


# --- how it grows --------------------------------------------------------------------------


def _distances(left: Array, right: Array) -> Array:
    """ULP distances: 0 of equal bits, the largest there is where a NaN or an infinity differs."""
    equal = left.view(f"<u{left.itemsize}") == right.view(f"<u{right.itemsize}")
    known = equal | (np.isfinite(left) & np.isfinite(right))
    return np.where(known, ulp_distance(left, right), _NO_DISTANCE)


def _curve(steps: Array, distances: Array) -> dict[str, Any]:
    ulp = [None if distance == _NO_DISTANCE else int(distance) for distance in distances]
    return {"steps": [int(step) for step in steps], "ulp": ulp}


def _loss_curve(rows: _Aligned) -> dict[str, Any]:
    """The loss from step 1 on: before it there is none."""
    after = rows.steps > 0
    left, right = (bits[after].view("<f4") for bits in rows.rows(LOSS, LOSS))
    distances = _distances(left, right)
    keep = _thinned(distances)
    return _curve(rows.steps[after][keep], distances[keep])


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
    compared = set(comparable(control.trace, replica.trace, SAMPLE))
    size = {entry.name: entry.elements for entry in control.weights.entries}
    found = [
        (step, -size.get(name, 0), name)
        for name, step in first.tensors.items()
        if step is not None and SAMPLE + name in compared
    ]
    return {name for *_, name in sorted(found)[:_CURVES]}


def _histograms(control: Tensors, replica: Tensors) -> Iterator[dict[str, Any]]:
    """How far the final weights are apart: elements by the power of two of their distance."""
    for name in comparable(control, replica):
        counts = ulp_histogram(control.open(name), replica.open(name))
        yield {"name": name, "counts": counts}


def comparable(control: Tensors, replica: Tensors, prefix: str = "") -> Iterator[str]:
    """Floats that both have with one dtype and one shape (but for the number of snapshots)."""
    theirs = replica.by_name
    start = 1 if prefix else 0
    for entry in control.entries:
        other = theirs.get(entry.name)
        if other is None or not entry.name.startswith(prefix) or not has_ulp(entry):
            continue
        if entry.dtype == other.dtype and entry.shape[start:] == other.shape[start:]:
            yield entry.name
