"""The control's checkpoints that came with a certificate: in its bundle, beside it, or elsewhere.

Anybody may have made them. A copy is used only if it has the digests that the certificate commits
to.
"""

import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from samebits.errors import SamebitsError
from samebits.formats import files, states
from samebits.formats.arrays import SUFFIX
from samebits.formats.bundle import Artifacts
from samebits.verification import artifacts


@dataclass(frozen=True)
class Checkpoints:
    """The files of the control's checkpoints, by the names that a certificate lists."""

    place: Path
    files: Artifacts | None  # None: the place has no checkpoints
    prefix: str = ""  # of a certificate's names; the files' names lack it

    def problems(self, report: Mapping[str, Any]) -> Iterator[str]:
        """The files missing here of checkpoints that an epoch may start from: all but the last."""
        for path in states.paths(states.of_control(report)[:-1]):
            name = states.FOLDER + path
            if self.files is None or name.removeprefix(self.prefix) not in self.files:
                yield (
                    f"{name}: not in the bundle or beside the certificate, {self.place}; name a "
                    "bundle that has it, or a folder such as results/default, by checkpoints=PATH"
                )

    def copy(self, epoch: int, state: Mapping[str, str], target: Path) -> None:
        """Copy the checkpoint after an epoch. Raises SamebitsError unless it is the certified one.

        ``state``: the SHA-256 (hex) of each of its parts.
        """
        target.mkdir(parents=True)
        for part, expected in state.items():
            name = f"{states.FOLDER}{states.name(epoch)}/{part}{SUFFIX}"
            if self.files is None:
                raise SamebitsError(f"{self.place}: expected {name}, got none")
            copy = target / f"{part}{SUFFIX}"
            with self.files.open(name.removeprefix(self.prefix)) as source, copy.open("wb") as file:
                shutil.copyfileobj(source, file)
            if (got := files.digest(copy)) != expected:
                raise SamebitsError(f"{self.place}: {name}: expected {expected}, got {got}")


@contextmanager
def opened(certificate: Path, elsewhere: Path | None) -> Iterator[Checkpoints]:
    """The checkpoints. ``elsewhere``: a bundle, or the results folder of an experiment."""
    place, prefix = elsewhere or certificate, ""
    folder = place
    if place.exists() and not artifacts.is_bundle(place):
        folder = (place if place.is_dir() else place.parent) / states.FOLDER
        prefix = states.FOLDER
    if folder.exists():
        with artifacts.opened(folder) as found:
            yield Checkpoints(place, found, prefix)
    else:
        yield Checkpoints(place, None)
