"""The states of a run after each epoch, as its record names them by digest.

A state is three files: weights, optimizer, and state, which has all other variables. All states of
a run have one root: the SHA-256 of the lines that ``sha256sum */*.safetensors`` prints among the
checkpoints.
"""

from __future__ import annotations

import hashlib
from itertools import zip_longest
from typing import Any, Dict, Mapping, Sequence, Tuple

from samebits.formats.arrays import SUFFIX

EPOCH = "epoch"  # the config's trainer.checkpoint, when it is not `none`
PARTS = ("optimizer", "state", "weights")
FOLDER = "train/control/checkpoints/"  # where the control's states lie, as certificates name files

State = Dict[str, str]  # SHA-256 of each part's file
States = Tuple[State, ...]


def name(epoch: int) -> str:
    """The name of a checkpoint's folder, by the number of finished epochs."""
    return f"{epoch:04d}"


def from_record(record: Mapping[str, Any]) -> States | None:
    """The digests of a run's states, in epochs; None: it has no checkpoints."""
    found = record.get("checkpoints")
    return None if found is None else tuple(found["digests"])


def paths(states: Sequence[State]) -> dict[str, str]:
    """The SHA-256 of every file of these states, by its path among the checkpoints, sorted."""
    found = {
        f"{name(epoch)}/{part}{SUFFIX}": state[part]
        for epoch, state in enumerate(states, start=1)
        for part in PARTS
    }
    return {path: found[path] for path in sorted(found)}


def root(states: Sequence[State]) -> str:
    """One digest that stands for all these states, in their order."""
    lines = [f"{sha256}  {path}\n" for path, sha256 in paths(states).items()]
    return hashlib.sha256("".join(lines).encode("ascii")).hexdigest()


def commitment(report: Mapping[str, Any]) -> Any:
    """The control's ``checkpoints``, with which a certificate commits to its states, or None."""
    return (report["records"]["runs"].get("control") or {}).get("checkpoints")


def of_control(report: Mapping[str, Any]) -> States:
    """The states of a certificate's control; none if it commits to none."""
    found = commitment(report)
    return tuple(found["digests"]) if found else ()


def kept(report: Mapping[str, Any]) -> dict[str, str]:
    """The SHA-256 of the files of the states that a certificate's control keeps, by name."""
    return {FOLDER + path: sha256 for path, sha256 in paths(of_control(report)).items()}


def compare(control: States | None, replica: States | None) -> dict[str, Any] | None:
    """Whether two runs had the same states on the way; ``epoch``: the first that differs, from 1.

    None where neither has any. Only digests are compared: the files of most runs' checkpoints are
    removed at their end.
    """
    if control is None and replica is None:
        return None
    pairs = enumerate(zip_longest(control or (), replica or ()), start=1)
    epoch = next((epoch for epoch, (left, right) in pairs if left != right), None)
    return {"identical": control == replica, "epoch": epoch}
