"""The checkpoints of a run, from which it resumes: one folder per epoch.

    DIR/0001/weights.safetensors    all weights of the model
    DIR/0001/optimizer.safetensors  all variables of every optimizer
    DIR/0001/state.safetensors      all other variables, lookup tables, hyperparameters
    DIR/0001/trace.safetensors      the trace since the previous checkpoint
    DIR/0001/checkpoint.json        its run, the epoch's history, digests, the previous checkpoint

A folder is complete or absent, and names the previous one by its digest: a run resumes only from an
unbroken chain that begins with the first epoch. The digests of all files are taken again. A damaged
checkpoint, or one of another experiment, source or lock, is reported and removed. The launcher's
lease keeps a second process away; without it, the loser of a race fails, or trains again the epochs
that the other replaced.

Runs on Python 3.7 to 3.13 without TensorFlow.
"""

from __future__ import annotations

import os
import shutil
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Mapping, Sequence

import numpy as np

from samebits.errors import SamebitsError, explain_os_error
from samebits.formats import arrays, canonical, files, history, states
from samebits.formats.arrays import SUFFIX, Named
from samebits.formats.states import EPOCH, PARTS, name
from samebits.text import say

FORMAT = "samebits-checkpoint-1"
_RECORD, _TRACE = "checkpoint.json", "trace"
_KEPT = 2  # states of any other run: the last one may be damaged


@dataclass(frozen=True)
class Checkpoint:
    """One complete checkpoint: its folder and its record."""

    folder: Path
    record: Mapping[str, Any]
    digest: str  # of the record

    @property
    def epoch(self) -> int:
        """How many epochs are done."""
        return int(self.record["epoch"])

    def trace(self) -> dict[str, np.ndarray]:
        """The trace since the previous checkpoint."""
        return arrays.open_arrays(_part(self.folder, _TRACE))


def open_state(folder: Path) -> dict[str, dict[str, np.ndarray]]:
    """The state in a folder: weights and optimizer, each by name."""
    return {part: arrays.open_arrays(_part(folder, part)) for part in PARTS}


def state_digest(folder: Path) -> dict[str, str]:
    """The SHA-256 of each file of the state in a folder."""
    return {part: files.digest(_part(folder, part)) for part in PARTS}


def _part(folder: Path, part: str) -> Path:
    return folder / f"{part}{SUFFIX}"


def numbers(folder: Path) -> list[int]:
    """The numbers of the checkpoints in a folder, damaged ones too; not of partial ones."""
    names = [path.name for path in folder.iterdir()] if folder.is_dir() else []
    return sorted(int(entry) for entry in names if entry.isdigit() and entry == name(int(entry)))


class Store:
    """The checkpoints of one run. ``keep``: every state is published at the end."""

    def __init__(self, folder: Path, identity: Mapping[str, Any], keep: bool) -> None:
        """Find the checkpoints to resume from, and remove all others."""
        self._folder, self._identity, self._keep = folder, dict(identity), keep
        self.chain = self._found()
        # The epochs after which this run was resumed, by this process or an earlier one.
        self.resumed: list[int] = list(self.chain[-1].record["resumed"]) if self.chain else []
        if self.chain and self.chain[-1].epoch not in self.resumed:
            self.resumed.append(self.chain[-1].epoch)
        for number in numbers(folder)[len(self.chain) :]:
            shutil.rmtree(folder / name(number))

    @property
    def run(self) -> str:
        """The run's name."""
        return str(self._identity["run"])

    # ---- choosing -------------------------------------------------------------------------

    def _found(self) -> list[Checkpoint]:
        """The longest unbroken chain whose last state is complete."""
        files.remove_partial(self._folder / "*")
        chain: list[Checkpoint] = []
        for position, number in enumerate(numbers(self._folder)):
            try:
                chain.append(self._read(position + 1, chain))
            except (SamebitsError, OSError) as error:
                self._say(number, error)
                break
        while chain and not self._has_state(chain[-1]):
            chain.pop()
        return chain

    def _read(self, epoch: int, before: Sequence[Checkpoint]) -> Checkpoint:
        """One checkpoint. Raises SamebitsError or OSError if it is damaged or of another run."""
        folder = self._folder / name(epoch)
        record = canonical.read_json(folder / _RECORD)
        digest = canonical.digest(record)
        known = isinstance(record, dict) and record.get("format") == FORMAT
        if not known or canonical.digest_problem(record):
            raise SamebitsError(f"{_RECORD} was changed after it was written")
        self._check_identity(record["identity"])
        previous = before[-1].digest if before else None
        if (record["epoch"], record["previous"]) != (epoch, previous):
            raise SamebitsError(f"expected the one after {len(before)}, got another")
        for part in (_TRACE, *PARTS) if self._keep else (_TRACE,):
            _check(folder, part, record["digests"])
        return Checkpoint(folder, record, digest)

    def _check_identity(self, identity: Mapping[str, Any]) -> None:
        wrong = [
            f"expected {key} {wanted!s:.40}, got {identity.get(key)!s:.40}"
            for key, wanted in sorted(self._identity.items())
            if identity.get(key) != wanted
        ]
        if wrong:
            raise SamebitsError("; ".join(wrong))

    def _has_state(self, checkpoint: Checkpoint) -> bool:
        """Whether its state is complete: older states of most runs were removed on purpose."""
        if not any(_part(checkpoint.folder, part).exists() for part in PARTS):
            return False
        try:
            for part in PARTS:
                _check(checkpoint.folder, part, checkpoint.record["digests"])
        except (SamebitsError, OSError) as error:
            self._say(checkpoint.epoch, error)
            return False
        return True

    def _say(self, epoch: int, error: Exception) -> None:
        why = explain_os_error(error) if isinstance(error, OSError) else error
        say(f"{self.run}: checkpoint {name(epoch)} is not used: {why}")

    # ---- writing --------------------------------------------------------------------------

    @property
    def ended(self) -> bool:
        """Whether the model ended its training with the last checkpoint's epoch."""
        return bool(self.chain and self.chain[-1].record["ended"])

    def write(
        self,
        state: Mapping[str, Named],
        trace: Named,
        values: Mapping[str, Any],
        ended: bool = False,
    ) -> None:
        """Write the checkpoint of the next epoch; it is on the disk when this returns.

        ``state``: weights, optimizer; ``values``: the epoch's history; ``ended``: the model wants
        no further epoch.
        """
        epoch = len(self.chain) + 1
        record: dict[str, Any] = {
            "format": FORMAT,
            "identity": self._identity,
            "epoch": epoch,
            "previous": self.chain[-1].digest if self.chain else None,
            "history": history.to_json(values),
            "ended": ended,
            "resumed": self.resumed,
        }
        folder = self._folder / name(epoch)
        try:
            with files.atomic_folder(folder) as half:
                record["digests"] = {
                    part: arrays.write(_part(half, part), named).sha256
                    for part, named in {**state, _TRACE: trace}.items()
                }
                record = canonical.with_digest(record)
                canonical.write_json(half / _RECORD, record)
            self.chain.append(Checkpoint(folder, record, canonical.digest(record)))
            if not self._keep:  # absent if this epoch is trained for the second time
                for part in PARTS:
                    with suppress(FileNotFoundError):
                        _part(self._folder / name(epoch - _KEPT), part).unlink()
        except OSError as error:
            raise SamebitsError(explain_os_error(error)) from error

    # ---- at the end -----------------------------------------------------------------------

    def values(self) -> dict[str, list[float]]:
        """The history of all epochs so far."""
        joined: dict[str, list[float]] = {}
        for checkpoint in self.chain:
            for metric, values in history.from_json(checkpoint.record["history"]).items():
                joined.setdefault(metric, []).extend(values)
        return joined

    def describe(self) -> dict[str, Any]:
        """The part of the run's record."""
        digests = [{part: each.record["digests"][part] for part in PARTS} for each in self.chain]
        root = states.root(digests)
        found = {"every": EPOCH, "digests": digests, "root": root, "resumed": self.resumed}
        return {**found, "again": None}

    def publish(self, folder: Path) -> None:
        """Link every state below ``folder``. They stay here too: the run is not complete yet."""
        for checkpoint in self.chain if self._keep else ():
            target = folder / name(checkpoint.epoch)
            target.mkdir(parents=True)
            for part in PARTS:
                _link(_part(checkpoint.folder, part), _part(target, part))

    def remove(self) -> None:
        """Remove all, the newest first so that no gap is left: the run is complete."""
        for number in reversed(numbers(self._folder)):
            shutil.rmtree(self._folder / name(number))
        with suppress(OSError):  # no folder, or somebody put a file into it
            self._folder.rmdir()


def _check(folder: Path, part: str, digests: Mapping[str, str]) -> None:
    expected, got = digests[part], files.digest(_part(folder, part))
    if got != expected:
        raise SamebitsError(f"{part}{SUFFIX}: expected SHA-256 {expected}, got {got}")


def _link(source: Path, target: Path) -> None:
    """The same file twice where the file system can; nobody writes into either."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)
