"""The control's states, as they came with a certificate: in its bundle, beside it, or elsewhere.

They come from anybody. A copy is used only if it has the digests that the certificate
commits to, so no place can pass off another state.
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
from samebits.verification import artifacts
from samebits.verification.artifacts import Artifacts


@dataclass(frozen=True)
class Kept:
    """The files of the states, by the names that a certificate has for them."""

    place: Path
    files: Artifacts | None  # None: there are none
    cut: str = ""  # what a certificate's names begin with, and the files' names don't

    def problems(self, report: Mapping[str, Any]) -> Iterator[str]:
        """Which files of states are not here that an epoch may begin from: all but the last."""
        for path in states.paths((states.of_control(report) or ())[:-1]):
            name = states.FOLDER + path
            if self.files is None or name.removeprefix(self.cut) not in self.files:
                yield (
                    f"{name}: not in the bundle or beside the certificate, {self.place}; name a "
                    "bundle that has it, or a folder such as results/default, by checkpoints=PATH"
                )

    def copy(self, epoch: int, state: Mapping[str, str], target: Path) -> None:
        """Copy the state after an epoch. Raises SamebitsError when it is not the certified one."""
        target.mkdir(parents=True)
        for part, expected in state.items():
            name = f"{states.FOLDER}{states.name(epoch)}/{part}{SUFFIX}"
            if self.files is None:
                raise SamebitsError(f"{self.place}: expected {name}, got none")
            copy = target / f"{part}{SUFFIX}"
            with self.files.open(name.removeprefix(self.cut)) as source, copy.open("wb") as file:
                shutil.copyfileobj(source, file)
            if (got := files.digest(copy)) != expected:
                raise SamebitsError(f"{self.place}: {name}: expected {expected}, got {got}")


@contextmanager
def opened(certificate: Path, elsewhere: Path | None) -> Iterator[Kept]:
    """Where the states are. ``elsewhere``: a bundle, or the folder of an experiment's results."""
    place = elsewhere or certificate
    if not place.exists():
        yield Kept(place, None)
        return
    if artifacts.is_bundle(place):
        with artifacts.opened(place) as found:
            yield Kept(place, found)
        return
    folder = (place if place.is_dir() else place.parent) / states.FOLDER
    if not folder.is_dir():
        yield Kept(place, None)
        return
    with artifacts.opened(folder) as found:
        yield Kept(place, found, states.FOLDER)
