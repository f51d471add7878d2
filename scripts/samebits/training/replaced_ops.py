"""Ops that a determinism profile replaces while a run trains, and rewritings that it stops.

Those whose low bits the CPU's vendor chooses are computed in float64 (``exact_ops``); products and
convolutions whose bits depend on its caches are made of others (``portable_ops``). TensorFlow could
still rewrite other ops into these, out of sight: that is switched off (``stop_rewriting``). Runs on
Python 3.7 to 3.13, TensorFlow 2.8 to 2.21.
"""

from __future__ import annotations

import sys
from contextlib import contextmanager
from typing import Any, Callable, Iterable, Iterator, Sequence

from samebits.errors import SamebitsError
from samebits.training import exact_ops, portable_ops

Function = Callable[..., Any]

_MADE: dict[str, Callable[[Any, Function], Function]] = {
    **dict.fromkeys(exact_ops.NAMES, exact_ops.in_float64),
    "conv2d": portable_ops.of_two_samples,
    "conv3d": portable_ops.of_two_samples,
    "mat_mul": portable_ops.matrix_product,
    "batch_mat_mul": portable_ops.batch_of_products,
    "einsum": portable_ops.sum_of_products,
}
NAMES = tuple(_MADE)
_ALSO = {
    "batch_mat_mul": ("batch_mat_mul_v2", "batch_mat_mul_v3"),
    "conv3d": ("conv3d_backprop_filter_v2",),
}
_PACKAGES = ("tensorflow", "keras")
# Where these functions are defined. Several have one name: a module may have wrapped another's.
_DEFINED = [f"tensorflow.python.ops.{name}_ops" for name in ("gen_math", "gen_linalg", "gen_nn")]
_DEFINED += ["tensorflow.python.ops.math_ops"]
# Grappler's passes that turn a / sqrt(b) into a * rsqrt(b), and 1 / x into reciprocal(x).
PASSES = ("arithmetic_optimization", "constant_folding")


@contextmanager
def replaced(tf: Any, names: Iterable[str]) -> Iterator[None]:
    """Replace ops wherever TensorFlow and Keras hold them, and put the originals back at the end.

    Raises SamebitsError for a name that is none.
    """
    wanted = list(names)
    unknown = sorted(set(wanted) - set(NAMES))
    if unknown:
        valid, got = ", ".join(NAMES), ", ".join(unknown)
        raise SamebitsError(f"determinism.replacements: expected some of {valid}, got {got}")
    pairs = [(f, _replacement(tf, name, f)) for name in wanted for f in _originals(tf, name)]
    try:
        _swap(tf, pairs)
        yield
    finally:
        _swap(tf, [(other, original) for original, other in pairs])


def _replacement(tf: Any, name: str, original: Function) -> Function:
    made = _MADE[name](tf, original)
    made.samebits_original = original  # type: ignore[attr-defined]
    return made


def _originals(tf: Any, name: str) -> list[Function]:
    """All functions of a name, and what goes with it, each once, and the raw ops."""
    names = (name, *_ALSO.get(name, ()))
    held = [getattr(m, "__dict__", {}).get(each) for m in _modules() for each in names]
    found = [f for f in held if callable(f) and getattr(f, "__module__", "") in _DEFINED]
    return [*{id(f): f for f in found}.values(), *(getattr(tf.raw_ops, _raw(n)) for n in names)]


def _raw(name: str) -> str:
    """mat_mul: MatMul; conv2d: Conv2D."""
    made = "".join(part[:1].upper() + part[1:] for part in name.split("_"))
    return made.replace("2d", "2D").replace("3d", "3D")


def _modules() -> list[Any]:
    return [m for n, m in sorted(sys.modules.items()) if n.partition(".")[0] in _PACKAGES]


def _swap(tf: Any, pairs: Sequence[tuple[Function, Function]]) -> None:
    """The second of each pair in place of the first, wherever TensorFlow or Keras hold it."""
    new = {id(old): other for old, other in pairs}
    for holder in [*_modules(), tf.raw_ops] if new else ():
        for name, value in list(getattr(holder, "__dict__", {}).items()):
            if id(value) in new:
                setattr(holder, name, new[id(value)])


def in_force(tf: Any) -> list[str]:
    """The ops that are replaced now: by name, and those of exact_ops by what they give."""
    return [name for name in NAMES if _is_in_force(tf, name)]


def _is_in_force(tf: Any, name: str) -> bool:
    pairs = [(f, getattr(f, "samebits_original", None)) for f in _originals(tf, name)]
    found = [(function, original) for function, original in pairs if original is not None]
    rounded = name not in exact_ops.NAMES or all(exact_ops.rounds(tf, *each) for each in found[:-1])
    return found == pairs and rounded  # the raw op is the last one, and takes named arguments only


def stop_rewriting(tf: Any) -> None:
    """Switch the passes off; must come before a function is traced."""
    tf.config.optimizer.set_experimental_options(dict.fromkeys(PASSES, False))


def rewriting(tf: Any) -> bool:
    """Whether any of the passes is on, as they are by default, or XLA for all ops."""
    said = tf.config.optimizer.get_experimental_options()
    return any(said.get(name, True) for name in PASSES) or bool(tf.config.optimizer.get_jit())
