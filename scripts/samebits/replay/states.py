"""The control's states, as they came with a certificate: in its bundle, beside it, or elsewhere.

They come from anybody. Each is copied only when index and arrays have the digest that the
certificate commits to, so no other place can pass one off.
"""

import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from samebits.errors import SamebitsError, all_problems
from samebits.formats import canonical, states
from samebits.verification import artifacts
from samebits.verification.artifacts import Artifacts

_INDEX = "index.json"


@dataclass(frozen=True)
class Kept:
    """The files of the states, by the names that a certificate has for them."""

    place: Path
    files: Artifacts | None  # None: there are none
    cut: str = ""  # what a certificate's names begin with, and the files' names don't

    def problems(self, report: Mapping[str, Any]) -> Iterator[str]:
        """Which states are not here that an epoch may begin from: all but the last one."""
        for folder in list(states.kept(report))[:-1]:
            name = f"{folder}/{_INDEX}".removeprefix(self.cut)
            if self.files is None or name not in self.files:
                yield (
                    f"{folder}: not in the bundle or beside the certificate, {self.place}; name a "
                    "bundle that has it, or a folder such as results/default, by checkpoints=PATH"
                )

    def copy(self, folder: str, sha256: str, target: Path) -> None:
        """Write one state as a folder of arrays. Raises SamebitsError when it is not the one."""
        if self.files is None:
            raise SamebitsError(f"{self.place}: expected {folder}, got none")
        inside = folder.removeprefix(self.cut)
        content = artifacts.index_of(f"{inside}/{_INDEX}", sha256, self.files)
        wrong = artifacts.arrays_of(inside, content, self.files)
        if wrong:
            raise SamebitsError(f"{self.place}\n{all_problems(wrong)}")
        target.mkdir(parents=True)
        for name in artifacts.paths(inside, content):
            with self.files.open(name) as source, open(target / Path(name).name, "wb") as file:
                shutil.copyfileobj(source, file)
        canonical.write_json(target / _INDEX, content)


@contextmanager
def opened(certificate: Path, elsewhere: Path | None) -> Iterator[Kept]:
    """Where the states are. ``elsewhere``: a bundle, or the folder of an experiment's results."""
    place = elsewhere or certificate
    if not place.exists():
        yield Kept(place, None)
        return
    if artifacts.is_bundle(place):
        with artifacts.opened(place) as files:
            yield Kept(place, files)
        return
    folder = (place if place.is_dir() else place.parent) / states.KEPT
    if not folder.is_dir():
        yield Kept(place, None)
        return
    with artifacts.opened(folder) as files:
        yield Kept(place, files, states.KEPT)
