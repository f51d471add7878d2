"""An atlas, made up: no TensorFlow, no emulator."""

from collections.abc import Iterable, Mapping
from typing import Any

VERSIONS = ("2.8.0", "2.21.0")
CPUS = ("native", "Haswell", "Skylake-Client", "EPYC")
PORTABLE: dict[str, Any] = {"isa": "AVX2", "onednn": True, "threads": 1}
SETTINGS: list[dict[str, Any]] = [
    {"isa": isa, "onednn": onednn, "threads": threads}
    for isa in ("AVX2", None)
    for onednn in (True, False)
    for threads in (1, 2, 4)
]
_PLACES = [(v, cpu, settings) for v in VERSIONS for settings in SETTINGS for cpu in CPUS]


def place(version: str, cpu: str = "native", **settings: Any) -> int:
    """Where a condition is in the list; settings that are not given are the portable ones."""
    return _PLACES.index((version, cpu, PORTABLE | settings))


def conditions() -> list[dict[str, Any]]:
    """Every TensorFlow, CPU and settings, with what each is compared with."""
    return [
        {
            "tensorflow": version,
            "cpu": cpu,
            **settings,
            "isa_in_force": "Intel AVX2" if settings["onednn"] else None,
            "reference": _reference(version, cpu, settings),
        }
        for version, cpu, settings in _PLACES
    ]


def _reference(version: str, cpu: str, settings: dict[str, Any]) -> int | None:
    if cpu != "native":
        return place(version, **settings)
    return None if settings == PORTABLE else place(version)


def op(
    name: str,
    *kernels: str,
    group: str = "elementwise",
    dtype: str = "float32",
    output: str = "value",
    elements: int = 566,
    different: Mapping[int, tuple[int, int | None]] | None = None,
    versions: Iterable[str] = VERSIONS,
    without: Iterable[str] | None = None,
) -> dict[str, Any]:
    """One case; ``different``: elements and ULP by the condition's place.

    ``without``: the kernels where oneDNN is off, if others; none: the op is not available there.
    """
    both = {"oneDNN on": list(kernels), "oneDNN off": list(kernels)}
    if without is not None:
        both["oneDNN off"] = list(without)
    ran = {said: names for said, names in both.items() if names}
    return {
        "name": name,
        "group": group,
        "dtype": dtype,
        "output": output,
        "elements": elements,
        "kernels": dict.fromkeys(versions, ran),
        "different": {
            str(where): {"elements": count, "ulp": ulp}
            for where, (count, ulp) in (different or {}).items()
        },
    }


def elsewhere(
    version: str, elements: int, ulp: int | None, **settings: Any
) -> dict[int, tuple[int, int | None]]:
    """The same difference on every emulated CPU."""
    return {place(version, cpu, **settings): (elements, ulp) for cpu in CPUS[1:]}


def atlas(*ops: dict[str, Any], avx512: bool = False) -> dict[str, Any]:
    """An atlas of these cases, or of a few of each kind."""
    return {
        "format": "samebits-atlas-1",
        "machine": {"cpu": "A CPU", "avx512": avx512, "cpus": 2, "os": "Linux 6.1"},
        "emulator": "qemu-x86_64 version 7.2.22",
        "frameworks": [
            {"tensorflow": version, "wheel": digit * 64}
            for version, digit in zip(VERSIONS, "ab", strict=True)
        ],
        "conditions": conditions(),
        "ops": list(ops or few()),
    }


def few() -> list[dict[str, Any]]:
    """An equal case, guilty kernels, one found by elimination, settings that matter, a lack."""
    old, new = VERSIONS
    guilty = elsewhere(new, 51, 1) | elsewhere(old, 1234, None, onednn=False)
    return [
        op("abs", "Abs float32"),
        op("rsqrt", "Rsqrt float32", elements=2566, different=guilty),
        op(
            "layer_norm",
            "Mul float32",
            "Rsqrt float32",
            group="normalization",
            output="gradient",
            different={place(new, "Haswell"): (17, 5)},
        ),
        op("multiply", "Mul float32"),
        op(
            "softsign",
            "Mul float32",
            "Reciprocal float32",
            different={place(new, "EPYC"): (3, 1)},
        ),
        op("mixed", "One float32", "Other float32", different={place(new, "EPYC"): (7, 2)}),
        op(
            "matmul",
            "MatMul float32",
            group="contractions",
            different={
                place(new, onednn=False): (400, 1290),
                place(new, threads=4): (12, 3),
                place(old, isa=None): (9, 4_000_000_000_000),
            },
        ),
        op("gelu", "Erf float64", dtype="float64", versions=[new]),
    ]
