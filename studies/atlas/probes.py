"""The probes that an atlas is made of, as columns: one condition each, with its results.

Columns that are compared must be comparable: every CPU is one CPU in all probes, and none
goes by two names; a TensorFlow is one wheel; and all that it computed with one oneDNN setting comes
from one battery.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from atlas import cases
from atlas.cases import NATIVE, Settings
from samebits.errors import SamebitsError
from samebits.formats import canonical, files
from samebits.observation import machine

FORMAT = "samebits-probe-1"


@dataclass(frozen=True)
class Column:
    """One condition of one probe, with its results."""

    folder: Path
    probe: Mapping[str, Any]
    content: Mapping[str, Any]
    cpu: str

    @property
    def tensorflow(self) -> str:
        """Whose results they are."""
        return str(self.probe["framework"]["tensorflow"])

    @property
    def settings(self) -> Settings:
        """The settings of TensorFlow."""
        return Settings(self.probe["isa"], self.probe["onednn"], self.content["threads"])

    @property
    def battery(self) -> cases.Battery:
        """What it computed: one TensorFlow has one with oneDNN, and one without."""
        return self.tensorflow, self.settings.onednn

    @property
    def kernels(self) -> Mapping[str, list[str]]:
        """Behind every result, by name."""
        return self.content["kernels"]  # type: ignore[no-any-return]

    @cached_property
    def arrays(self) -> Mapping[str, Any]:
        """Every result, by name, read when asked for. Raises SamebitsError when they changed."""
        path = self.folder / f"{self.content['threads']}.npz"
        if files.digest(path) != self.content["sha256"]:
            raise SamebitsError(
                f"{path}: changed since it was probed; delete {self.folder} and probe again"
            )
        return np.load(path)  # type: ignore[no-any-return]


def columns(folders: Sequence[Path]) -> list[Column]:
    """All conditions of all probes, the native ones first. Raises SamebitsError."""
    found = [column for folder in folders for column in _columns(folder)]
    for what, key, value in _ALIKE:
        _require_alike(found, what, key, value)
    return sorted(found, key=lambda column: (_version(column.tensorflow), column.cpu != NATIVE))


def _columns(folder: Path) -> Iterator[Column]:
    probe = canonical.read_json(folder / "probe.json")
    if probe.get("format") != FORMAT:
        raise SamebitsError(
            f"{folder}: expected a {FORMAT}, got {probe.get('format')!r}; make it again"
        )
    name, cpu = probe["cpu"] or NATIVE, _cpuid(probe)
    if (name != NATIVE) != machine.is_emulated(cpu):
        raise SamebitsError(f"{folder}: expected the CPU {name}, got {cpu}; make it again")
    for content in probe["conditions"]:
        yield Column(folder, probe, content, name)


def _version(text: str) -> list[int]:
    return [int(part) for part in text.split(".")]


# --- what may be compared ------------------------------------------------------------------------


def _cpuid(probe: Mapping[str, Any]) -> str:
    return str(probe["machine"]["cpuid"])


_Of = Callable[[Column], object]
_ALIKE: tuple[tuple[str, _Of, _Of], ...] = (  # its name, its key, its value: one value per key
    ("CPU", lambda c: c.cpu, lambda c: _cpuid(c.probe)),
    ("name for its CPU", lambda c: _cpuid(c.probe), lambda c: c.cpu),
    ("wheel", lambda c: c.tensorflow, lambda c: c.probe["framework"]["wheel"]["sha256"]),
    ("battery", lambda c: c.battery, lambda c: c.probe["battery"]),
)


def _require_alike(found: Sequence[Column], what: str, key: _Of, value: _Of) -> None:
    first: dict[object, Column] = {}
    for column in found:
        other = first.setdefault(key(column), column)
        if value(other) != value(column):
            raise SamebitsError(
                f"{column.folder}: expected the {what} that {other.folder} has, "
                f"{value(other)}, got {value(column)}; make both again on one machine"
            )
