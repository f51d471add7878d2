"""The atlas: under which conditions each op's bits differ, collected from probes.

A probe holds the results of one TensorFlow on one CPU. A result on an emulated CPU is compared with
the native one under the same settings: a difference shows what another CPU changes. A native one is
compared with the native one under the portable settings: a difference shows what a setting changes.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from itertools import starmap
from pathlib import Path
from typing import Any

from atlas import battery, cases, kernels
from atlas.cases import FORMAT, NATIVE, ONEDNN, PORTABLE, Battery
from atlas.probes import Column, columns
from samebits.comparison.difference import Measure, measure
from samebits.errors import SamebitsError

_CPUID_FEATURES = " (features "  # what follows is a digest for machines
_BFLOAT16 = "bfloat16"
_SHORTER = 1 << 16  # steps of a float32 in one of a bfloat16


# A row is an op in one dtype, its value or its gradient: all its sets of shapes together.
_ROW = ("name", "group", "dtype", "output")
Row = tuple[str, ...]
Rows = Mapping[Row, list[str]]  # the names of its results
Ops = dict[Row, dict[str, Any]]


def collect(folders: Sequence[Path], emulator: str) -> dict[str, Any]:
    """The atlas as JSON. Raises SamebitsError where a result or a reference is missing."""
    found = columns(folders)
    references = [_reference(column, found) for column in found]
    batteries: dict[Battery, list[Column]] = {}
    for column in found:
        batteries.setdefault(column.battery, []).append(column)
    rows = {of: _rows(columns) for of, columns in batteries.items()}
    ops = _listed_ops(rows, batteries)
    compared = list(zip(found, references, strict=True))
    for index, (column, reference) in enumerate(compared):
        if reference is not None:
            _compare(index, column, found[reference], rows[column.battery], ops)
    wheels = {c.tensorflow: c.probe["framework"]["wheel"]["sha256"] for c in found}
    made = {
        "format": FORMAT,
        "machine": _machine(found[0].probe["machine"]),
        "emulator": emulator,
        "frameworks": [{"tensorflow": of, "wheel": wheel} for of, wheel in wheels.items()],
        "conditions": [_condition(column, reference) for column, reference in compared],
        "ops": list(ops.values()),
    }
    read = cases.read(made)  # raises where a reader would
    return made | {"depends": kernels.depends(read)}


def _reference(column: Column, found: Sequence[Column]) -> int | None:
    """The index of the column that a column is compared with."""
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


def _rows(columns: Sequence[Column]) -> dict[Row, list[str]]:
    """What the probes of one battery have: each row, and the names of its results."""
    first = columns[0]
    for column in columns:
        if lacking := sorted(set(first.kernels) ^ set(column.kernels)):
            raise SamebitsError(
                f"{column.folder} and {first.folder} have not the same results: "
                f"{', '.join(lacking)}; make both again with one battery"
            )
    rows: dict[Row, list[str]] = {}
    for result in first.probe["results"]:
        row = tuple(result[key] for key in _ROW)
        rows.setdefault(row, []).append(battery.label(result))
    return rows


def _listed_ops(rows: Mapping[Battery, Rows], batteries: Mapping[Battery, list[Column]]) -> Ops:
    """Every row of any battery, nothing compared yet."""
    ops: Ops = {}
    for (version, onednn), named in rows.items():
        ours = batteries[version, onednn]
        arrays = ours[0].arrays
        for row, names in named.items():
            empty = dict(zip(_ROW, row, strict=True), elements=0, kernels={}, different={})
            op = ops.setdefault(row, empty)
            op["elements"] = max(op["elements"], sum(int(arrays[name].size) for name in names))
            ran = {kernel for c in ours for name in names for kernel in c.kernels[name]}
            op["kernels"].setdefault(version, {})[ONEDNN[onednn]] = sorted(ran)
    return ops


def _compare(index: int, column: Column, reference: Column, rows: Rows, ops: Ops) -> None:
    """Note in every op how far its results are from the reference's; nothing where they are not.

    A row that only one of two batteries has is not compared and not shown as equal; of a row that
    both have, the sets of shapes that both have are compared.
    """
    for row, names in rows.items():
        both = [name for name in names if name in reference.kernels]
        pairs = (_pair(name, column, reference.arrays[name], column.arrays[name]) for name in both)
        found = [difference for difference in starmap(measure, pairs) if difference is not None]
        if found:
            ops[row]["different"][str(index)] = _distance(found, row[2])


def _pair(name: str, column: Column, control: Any, replica: Any) -> tuple[Any, Any]:
    """Two results, which must have the same dtype and shape to be compared."""
    expected, got = (f"{array.dtype.str} {list(array.shape)}" for array in (control, replica))
    if expected != got:
        raise SamebitsError(
            f"{column.folder}: {name}: expected {expected} as in its reference, got {got}; make "
            "both again with one battery"
        )
    return control, replica


def _distance(found: Sequence[Measure], dtype: str) -> dict[str, int | None]:
    """How many elements differ, and how far at most.

    A bfloat16 was stored as the same float32. Rounded up: from the last one below zero to the first
    one above it is one step in both.
    """
    ulps = [None if m.not_finite else m.largest_ulp for m in found]
    known = [ulp for ulp in ulps if ulp is not None]
    ulp = max(known) if len(known) == len(ulps) else None
    if ulp is not None and dtype == _BFLOAT16:
        ulp = -(-ulp // _SHORTER)
    return {"elements": sum(m.different for m in found), "ulp": ulp}


def _machine(machine: Mapping[str, Any]) -> dict[str, Any]:
    """The native machine, as far as the documents tell of it."""
    cpu = {"cpu": machine["cpuid"].partition(_CPUID_FEATURES)[0]}
    return cpu | {"avx512": "avx512f" in machine["flags"]} | {k: machine[k] for k in ("cpus", "os")}


def _condition(column: Column, reference: int | None) -> dict[str, Any]:
    where = {"tensorflow": column.tensorflow, "cpu": column.cpu, **asdict(column.settings)}
    return where | {"isa_in_force": column.probe["isa_in_force"], "reference": reference}
