"""A small atlas, made by hand: what the tests of layer attribution look kernels up in."""

from collections.abc import Sequence

from samebits.comparison import attribution

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


def known(
    *shown: str, tensorflow: str = "2.21.0", possible: Sequence[str] = ()
) -> attribution.Atlas:
    """An atlas of one TensorFlow that lists these kernels whatever is pinned."""
    row = {"tensorflow": tensorflow, "isa": None, "onednn": None, "threads": None}
    return attribution.Atlas([row | {"shown": shown, "possible": possible}], "a71a5" * 12 + "0" * 4)
