"""A small atlas, made by hand: what the tests of layer attribution look kernels up in."""

from collections.abc import Sequence
from typing import Any

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


def made(implementation: str, *shapes: str) -> list[Any]:
    one = {"kind": "convolution", "implementation": implementation, "direction": "forward"}
    return [one | {"shape": shape} for shape in shapes]


PRIMITIVES = {
    "isa": "Intel AVX2",
    "threads": 1,
    "made": [*made("brg:avx2", "mb1"), *made("gemm:jit", "mb1", "mb2"), *made("new", "mb1")],
    "more": 0,
}


def drawn_row(implementation: str, threads: int = 1, replacements: Any = (), *shapes: str) -> Any:
    """A row of the atlas; ``shapes``: which had other bits, of ten."""
    (one,) = made(implementation, "")
    del one["shape"]
    about = {"tensorflow": "2.21.0", "threads": threads, "cases": 10}
    found = {"dependent": len(shapes), "shapes": [*shapes], "replacements": [*replacements]}
    return one | about | found


DRAWN = [
    *(drawn_row("gemm:jit", 1, (), "mb1"), drawn_row("brg:avx2"), drawn_row("sse41", 1, (), "mb1")),
    *(drawn_row("gemm:jit", 4, (), "mb1", "mb2"), drawn_row("gemm:jit", 1, ("conv2d",))),
]


def quoted() -> list[Any]:
    """What a comparison quotes of them for a control with one thread and nothing replaced."""
    named = attribution.Atlas([], "", DRAWN)
    pins = {"onednn": True, "isa": "AVX2", "op_determinism": True}
    config = {"determinism": pins | {"intra_op_threads": 1, "replacements": []}}
    record = {"primitives": PRIMITIVES, "config": config, "framework": {"tensorflow": "2.21.0"}}
    return named.drawn(record) or []


def known(
    *shown: str, tensorflow: str = "2.21.0", possible: Sequence[str] = ()
) -> attribution.Atlas:
    """An atlas of one TensorFlow that lists these kernels whatever is pinned."""
    drawn = [of | {"tensorflow": tensorflow} for of in DRAWN]
    row = {"tensorflow": tensorflow, "isa": None, "onednn": None, "threads": None}
    return attribution.Atlas(
        [row | {"shown": shown, "possible": possible}], "a71a5" * 12 + "0" * 4, drawn
    )
