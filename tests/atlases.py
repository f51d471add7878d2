"""A small atlas, made by hand: what the tests of the diagnosis hold runs against."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from samebits import atlas_table
from samebits.comparison import suspects
from samebits.formats import canonical

EXECUTED = [
    {
        "layer": "dense",
        "class": "Dense",
        "tensors": ["dense/kernel", "dense/bias"],
        "kernels": ["_MklNativeFusedMatMul float32"],
    },
    {"layer": "norm", "class": "Norm", "tensors": [], "kernels": ["Mul float32", "Rsqrt float32"]},
    {"layer": "optimizer", "class": None, "tensors": [], "kernels": ["Rsqrt float32"]},
]


def atlas(
    *kernels: str, tensorflow: str = "2.21.0", together: Sequence[str] = ()
) -> dict[str, Any]:
    """An atlas that lists these kernels for one TensorFlow, each as an op of its own.

    ``together``: one op more, of which nobody knows which of these kernels it is.
    """
    ops = [[kernel] for kernel in kernels] + ([list(together)] if together else [])
    here = {"tensorflow": tensorflow, "onednn": True, "threads": 1, "isa": "AVX2"}
    here["isa_in_force"] = "Intel AVX2"
    return {
        "format": "samebits-atlas-1",
        "machine": {"cpu": "AMD EPYC 9R45"},
        "emulator": "qemu-x86_64 7.2",
        "frameworks": [{"tensorflow": tensorflow, "wheel": "b" * 64}],
        "conditions": [
            here | {"cpu": "native", "reference": None},
            here | {"cpu": "Haswell", "reference": 0},
        ],
        "ops": [
            {
                "name": ran[0].partition(" ")[0].lower(),
                "group": "elementwise",
                "dtype": ran[0].partition(" ")[2],
                "output": "value",
                "elements": 566,
                "kernels": {tensorflow: {"oneDNN on": ran}},
                "different": {"1": {"elements": 51, "ulp": 1}},
            }
            for ran in ops
        ],
    }


def known(
    *kernels: str, tensorflow: str = "2.21.0", together: Sequence[str] = ()
) -> suspects.Atlas:
    """The same, as compare.py has read it."""
    content = atlas(*kernels, tensorflow=tensorflow, together=together)
    return suspects.Atlas(atlas_table.read(content), canonical.digest(content))


def write(path: Path, *kernels: str, tensorflow: str = "2.21.0") -> Path:
    """The same as a file."""
    canonical.write_json(path, atlas(*kernels, tensorflow=tensorflow))
    return path
