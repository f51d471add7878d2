"""The states of a run after each epoch, as its record commits to them by digest.

A state is the set of the arrays of weights and optimizer. Runs on Python 3.7 to 3.13.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import zip_longest
from typing import Any, Mapping, Sequence, Tuple

from samebits.formats import arrays
from samebits.formats.arrays import ArrayEntry

EPOCH = "epoch"  # the config's trainer.checkpoint, when it is not `none`
WEIGHTS, OPTIMIZER = "weights/", "optimizer/"  # begin the names of a state's arrays

KEPT = "train/control/checkpoints/"  # where the control's states lie, as certificates name files

Digests = Tuple[str, ...]


def name(epoch: int) -> str:
    """The name of a checkpoint's folder, by the number of finished epochs."""
    return f"{epoch:04d}"


def of_record(record: Mapping[str, Any]) -> Digests | None:
    """The digests of a run's states, in epochs; None: it has no checkpoints."""
    found = record.get("checkpoints")
    return None if found is None else tuple(map(str, found["digests"]))


def kept(report: Mapping[str, Any]) -> dict[str, str]:
    """The digests of the states that a certificate's control keeps, by the names of their folders.

    A digest is the one of the set of arrays, which is the SHA-256 of its index as well. So who has
    the digest can check an index that comes from anybody, and then the arrays that it lists.
    """
    digests = of_record(report["records"]["runs"].get("control") or {}) or ()
    return {KEPT + name(epoch): sha256 for epoch, sha256 in enumerate(digests, start=1)}


@dataclass(frozen=True)
class Commitment:
    """What a certificate says of its control's states: how many, and the root of a Merkle tree."""

    epochs: int
    root: str  # SHA-256 (hex), see merkle


def commitment(report: Mapping[str, Any]) -> Commitment | None:
    """By which a certificate commits to the state after each epoch; None: to none."""
    found = (report["records"]["runs"].get("control") or {}).get("checkpoints")
    return None if found is None else Commitment(len(found["digests"]), str(found["root"]))


def digest(weights: Sequence[ArrayEntry], optimizer: Sequence[ArrayEntry]) -> str:
    """The digest of a state, from the entries of its weights and its optimizer."""
    entries = [(WEIGHTS, entry) for entry in weights] + [(OPTIMIZER, e) for e in optimizer]
    return arrays.set_digest(
        [ArrayEntry(begin + e.name, e.dtype, e.shape, e.sha256) for begin, e in entries]
    )


def compare(control: Digests | None, replica: Digests | None) -> dict[str, Any] | None:
    """Whether two runs had the same states on the way; ``epoch``: after which first not, from 1.

    None where neither has any. Only digests are held against each other: the arrays of most runs'
    checkpoints are removed at their end.
    """
    if control is None and replica is None:
        return None
    pairs = enumerate(zip_longest(control or (), replica or ()), start=1)
    epoch = next((epoch for epoch, (left, right) in pairs if left != right), None)
    return {"identical": control == replica, "epoch": epoch}
