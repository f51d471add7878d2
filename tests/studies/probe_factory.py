"""Probes of the battery, made up: no TensorFlow, no emulator."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from atlas import battery, probes
from samebits.formats import canonical, files

NATIVE = "AMD EPYC (features 01234567)"
EMULATED = {
    "Haswell": "Intel Core Processor (Haswell) (features 89abcdef, emulated)",
    "EPYC": "AMD EPYC Processor (features 76543210, emulated)",
}
NEW = "2.21.0"

Values = Mapping[str, Any]  # a result's label -> its array


def label(name: str, dtype: str = "float32", variant: int = 0, output: str = "value") -> str:
    """As battery.label has it."""
    row = {"name": name, "dtype": dtype, "variant": variant, "output": output}
    return battery.label(row)


def _result(label: str) -> dict[str, Any]:
    name, dtype, variant, output = label.split("/")
    where = {"name": name, "group": "elementwise", "dtype": dtype, "output": output}
    return where | {"variant": int(variant), "node": f"{label}/result"}


def probe(
    folder: Path,
    values: Mapping[int, Values],
    cpu: str | None = None,
    *,
    kernels: Mapping[str, list[str]] | None = None,
    **changed: Any,
) -> Path:
    """The folder of a probe. ``values``: by number of threads; ``changed``: of probe.json."""
    names = sorted(next(iter(values.values())))
    conditions = [_condition(folder, threads, of, kernels or {}) for threads, of in values.items()]
    content = {
        "format": probes.FORMAT,
        "framework": {"tensorflow": NEW, "wheel": {"sha256": "a" * 64}},
        "battery": "b" * 64,
        "results": [_result(name) for name in names],
        "cpu": cpu,
        "machine": _machine(EMULATED[cpu] if cpu else NATIVE),
        "onednn": True,
        "isa": "AVX2",
        "isa_in_force": "Intel AVX2",
        "conditions": conditions,
    }
    canonical.write_json(folder / "probe.json", content | changed)
    return folder


def _machine(cpuid: str) -> dict[str, Any]:
    return {"cpuid": cpuid, "flags": ["avx2"], "cpus": 2, "os": "Linux 6.1"}


def machine(cpuid: str) -> dict[str, Any]:
    """What a probe says that it ran on."""
    return {"machine": _machine(cpuid)}


def _condition(
    folder: Path, threads: int, values: Values, kernels: Mapping[str, list[str]]
) -> dict[str, Any]:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{threads}.npz"
    arrays: Any = {name: np.asarray(value) for name, value in values.items()}
    np.savez(path, **arrays)
    ran = {name: kernels.get(name, ["Rsqrt float32"]) for name in values}
    return {"threads": threads, "sha256": files.digest(path), "kernels": ran}
