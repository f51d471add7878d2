"""The atlas: under which conditions each op's bits differ, collected from probes.

A probe holds the results of one TensorFlow on one CPU. A result on an emulated CPU is held against
the native one with the same settings, so what differs is what another CPU changes; a native one
against the native one with the portable settings, so what differs is what a setting changes.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from samebits import atlas_kernels, atlas_table, battery, canonical, packing
from samebits.atlas_table import FORMAT, NATIVE, PORTABLE, Condition, Settings
from samebits.difference import measure
from samebits.errors import SamebitsError

PROBE_FORMAT = "samebits-probe-1"
_CPUID_FEATURES = " (features "  # what follows is a digest for machines
_BFLOAT16 = "bfloat16"
_SHORTER = 1 << 16  # steps of a float32 in one of a bfloat16


@dataclass(frozen=True)
class Row:
    """An op in one dtype, its value or its gradient: all its sets of shapes together."""

    name: str
    group: str
    dtype: str
    output: str

    @property
    def key(self) -> tuple[str, str, str]:
        """What no other row has; an op is in one group."""
        return self.name, self.dtype, self.output


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
        """What TensorFlow was told."""
        return Settings(self.probe["isa"], self.probe["onednn"], self.content["threads"])

    @cached_property
    def digests(self) -> dict[str, str]:
        """Of every result, by name."""
        return {result["name"]: result["sha256"] for result in self.content["results"]}

    @cached_property
    def kernels(self) -> dict[str, list[str]]:
        """Behind every result, by name."""
        return {result["name"]: result["kernels"] for result in self.content["results"]}

    def arrays(self) -> dict[str, Any]:
        """Every result, by name."""
        fields = ("name", "dtype", "shape", "sha256")
        entries = [{key: r[key] for key in fields} for r in self.content["results"]]
        return packing.load(self.folder / str(self.content["threads"]), entries)


# --- reading -----------------------------------------------------------------------------------


def columns(folders: Sequence[Path]) -> list[Column]:
    """All conditions of all probes, those that others are held against first."""
    found = [column for folder in folders for column in _columns(folder)]
    return sorted(found, key=lambda c: (_version(c.tensorflow), c.cpu != NATIVE))


def _columns(folder: Path) -> Iterator[Column]:
    probe = canonical.read_json(folder / "probe.json")
    if probe.get("format") != PROBE_FORMAT:
        raise SamebitsError(
            f"{folder}: expected a {PROBE_FORMAT}, got {probe.get('format')!r}; make it again"
        )
    cpu = probe["machine"]["cpuid"]
    name = probe["cpu"] or NATIVE
    if (name != NATIVE) != cpu.endswith("emulated)"):
        raise SamebitsError(f"{folder}: expected the CPU {name}, got {cpu}; make it again")
    for content in probe["conditions"]:
        yield Column(folder, probe, content, name)


def _version(text: str) -> list[int]:
    return [int(part) for part in text.split(".")]


# --- collecting --------------------------------------------------------------------------------


def collect(folders: Sequence[Path], emulator: str) -> dict[str, Any]:
    """The atlas as JSON. Raises SamebitsError where a result or a reference is missing."""
    found = columns(folders)
    references = [_reference(column, found) for column in found]
    rows = {version: _rows(version, found) for version in _versions(found)}
    ops = _listed_ops(rows, found)
    for index, (column, reference) in enumerate(zip(found, references, strict=True)):
        if reference is not None:
            _compare(index, column, found[reference], rows[column.tensorflow], ops)
    made = {
        "format": FORMAT,
        "machine": _machine(found[0].probe["machine"]),
        "emulator": emulator,
        "frameworks": [_framework(version, found) for version in rows],
        "conditions": [
            _condition(column, reference)
            for column, reference in zip(found, references, strict=True)
        ],
        "ops": list(ops.values()),
    }
    atlas_table.read(made)  # what its readers refuse is not written
    return made


def _versions(found: Sequence[Column]) -> list[str]:
    return list(dict.fromkeys(column.tensorflow for column in found))


def _reference(column: Column, found: Sequence[Column]) -> int | None:
    """The index of what a column is held against."""
    settings = PORTABLE if column.cpu == NATIVE else column.settings
    if column.cpu == NATIVE and column.settings == PORTABLE:
        return None
    for index, other in enumerate(found):
        same = other.tensorflow == column.tensorflow and other.settings == settings
        if same and other.cpu == NATIVE:
            return index
    raise SamebitsError(
        f"{column.folder}: expected a native probe of TensorFlow {column.tensorflow} with "
        f"{settings.said}, got none; make it too"
    )


def _rows(version: str, found: Sequence[Column]) -> dict[Row, list[str]]:
    """What every probe of one TensorFlow has: each row, and the names of its results."""
    ours = [column for column in found if column.tensorflow == version]
    common = set.intersection(*(set(column.digests) for column in ours))
    rows: dict[Row, list[str]] = {}
    for result in ours[0].probe["results"]:
        name = battery.label(result)
        if name in common:
            row = Row(*(result[k] for k in ("name", "group", "dtype", "output")))
            rows.setdefault(row, []).append(name)
    return rows


def _listed_ops(
    rows: Mapping[str, Mapping[Row, list[str]]], found: Sequence[Column]
) -> dict[tuple[str, str, str], dict[str, Any]]:
    """Every row of any TensorFlow, nothing compared yet."""
    ops: dict[tuple[str, str, str], dict[str, Any]] = {}
    for version, named in rows.items():
        ours = [column for column in found if column.tensorflow == version]
        sizes = {r["name"]: int(np.prod(r["shape"])) for r in ours[0].content["results"]}
        for row, names in named.items():
            op = ops.setdefault(row.key, _empty(row))
            op["elements"] = max(op["elements"], sum(sizes[name] for name in names))
            ran = {kernel for c in ours for name in names for kernel in c.kernels[name]}
            op["kernels"][version] = sorted(ran)
    return ops


def _empty(row: Row) -> dict[str, Any]:
    return {
        "name": row.name,
        "group": row.group,
        "dtype": row.dtype,
        "output": row.output,
        "elements": 0,
        "kernels": {},
        "different": {},
    }


def _compare(
    index: int,
    column: Column,
    reference: Column,
    rows: Mapping[Row, list[str]],
    ops: Mapping[tuple[str, str, str], dict[str, Any]],
) -> None:
    """Note in every op how far its results are from the reference's; nothing where they are not."""
    theirs, ours = reference.digests, column.digests
    if all(theirs[name] == ours[name] for names in rows.values() for name in names):
        return
    control, replica = reference.arrays(), column.arrays()
    for row, names in rows.items():
        differing = [name for name in names if theirs[name] != ours[name]]
        if differing:
            pairs = [(control[name], replica[name]) for name in differing]
            ops[row.key]["different"][str(index)] = _distance(pairs, row.dtype)


def _distance(pairs: Sequence[tuple[Any, Any]], dtype: str) -> dict[str, int | None]:
    """How many elements differ, and how far at most. A bfloat16 was stored as the same float32."""
    found = [measured for measured in (measure(*pair) for pair in pairs) if measured is not None]
    ulps = [None if m.not_finite else m.largest_ulp for m in found]
    known = [ulp for ulp in ulps if ulp is not None]
    ulp = max(known) if len(known) == len(ulps) else None
    if ulp is not None and dtype == _BFLOAT16:
        ulp //= _SHORTER
    return {"elements": sum(m.different for m in found), "ulp": ulp}


def _machine(machine: Mapping[str, Any]) -> dict[str, Any]:
    """The native machine, as far as the documents tell of it."""
    return {
        "cpu": machine["cpuid"].partition(_CPUID_FEATURES)[0],
        "avx512": "avx512f" in machine["flags"],
        "cpus": machine["cpus"],
        "os": machine["os"],
    }


def _framework(version: str, found: Sequence[Column]) -> dict[str, str]:
    first = next(column for column in found if column.tensorflow == version)
    return {"tensorflow": version, "wheel": first.probe["framework"]["wheel"]["sha256"]}


def _condition(column: Column, reference: int | None) -> dict[str, Any]:
    settings = column.settings
    return {
        "tensorflow": column.tensorflow,
        "cpu": column.cpu,
        "onednn": settings.onednn,
        "isa": settings.isa,
        "threads": settings.threads,
        "isa_in_force": column.probe["isa_in_force"],
        "reference": reference,
    }


# --- looking up --------------------------------------------------------------------------------


def read(path: Path) -> atlas_table.Atlas:
    """An atlas. Raises SamebitsError when the file is not one."""
    return atlas_table.read(canonical.read_json(path))


def listed(
    atlas: atlas_table.Atlas, tensorflow: str, profile: Mapping[str, Any]
) -> dict[str, atlas_kernels.Worst] | None:
    """The kernels whose bits depend on the CPU under what a determinism profile pins.

    As ``Rsqrt float32``: the most that it differs. None when the atlas is not of this TensorFlow.
    What the profile leaves free the CPU may choose.
    """
    for framework in atlas.frameworks:
        if framework.version == tensorflow:
            conditions = list(_possible(framework, profile))
            return {k.name: k.worst for k in atlas_kernels.found(framework, conditions).kernels}
    return None


def _possible(framework: atlas_table.Framework, profile: Mapping[str, Any]) -> Iterator[Condition]:
    pinned = {
        "isa": profile["isa"],
        "onednn": profile["onednn"],
        "threads": profile["intra_op_threads"],
    }
    for key, value in pinned.items():
        tried = {getattr(settings, key) for settings in framework.settings}
        if value not in tried:  # also where a value was pinned with which nothing was probed
            pinned[key] = None
    for condition in framework.conditions:
        settings = condition.settings
        if all(v is None or getattr(settings, key) == v for key, v in pinned.items()):
            yield condition
