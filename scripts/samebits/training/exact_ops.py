"""Ops whose low bits each CPU vendor chooses, replaced by exactly rounded ones while a run trains.

One principle for all: computed in float64 and rounded to the dtype of the input. In float64,
TensorFlow has no approximate instruction to use on a CPU (docs/same-bits.md), and gradients are
computed in the same way. TensorFlow could still rewrite other ops into these, out of sight: that is
switched off (``stop_rewriting``). Runs on Python 3.7 to 3.13, TensorFlow 2.8 to 2.21.
"""

from __future__ import annotations

import functools
import sys
from contextlib import contextmanager
from typing import Any, Callable, Iterable, Iterator, Sequence

import numpy as np

from samebits.errors import SamebitsError

Function = Callable[..., Any]

# Functions; the raw op of each has the same name, with a capital.
NAMES = ("rsqrt", "reciprocal", "erfc", "erfinv", "ndtri", "atan", "atan2")
_PACKAGES = ("tensorflow", "keras")
# Where these functions are defined. Several have one name: a module may have wrapped another's.
_DEFINED = ("tensorflow.python.ops.gen_math_ops", "tensorflow.python.ops.math_ops")
_PROBED = 0.7  # a number in the domain of each op, for each of its arguments
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
    pairs = [(f, _in_float64(tf, f)) for name in wanted for f in _originals(tf, name)]
    try:
        _swap(tf, pairs)
        yield
    finally:
        _swap(tf, [(other, original) for original, other in pairs])


def _originals(tf: Any, name: str) -> list[Function]:
    """All functions of a name that TensorFlow has, each once, and the raw op."""
    held = [getattr(module, "__dict__", {}).get(name) for module in _modules()]
    found = [f for f in held if callable(f) and getattr(f, "__module__", "") in _DEFINED]
    return [*{id(f): f for f in found}.values(), getattr(tf.raw_ops, name.capitalize())]


def _modules() -> list[Any]:
    return [m for n, m in sorted(sys.modules.items()) if n.partition(".")[0] in _PACKAGES]


def _in_float64(tf: Any, original: Function) -> Function:
    """The function computed in float64; other dtypes than floats are left to the original."""

    @functools.wraps(original)
    def exact(*given: Any, **named: Any) -> Any:
        dtype = _dtype(tf, [*given, *named.values()])
        if dtype not in (tf.float32, tf.float16, tf.bfloat16):
            return original(*given, **named)
        wide = [_wide(tf, value) for value in given]
        wide_named = {name: _wide(tf, value) for name, value in named.items()}
        return tf.cast(original(*wide, **wide_named), dtype)

    exact.samebits_original = original  # type: ignore[attr-defined]
    return exact


def _dtype(tf: Any, values: list[Any]) -> Any:
    """The dtype in which the op would compute: a tensor's, or else TensorFlow's for plain numbers.

    None if there is no number: the op itself raises an error.
    """
    numbers = [value for value in values if value is not None and not isinstance(value, str)]
    said = [value.dtype for value in numbers if hasattr(value, "dtype")]
    said += [tf.convert_to_tensor(value).dtype for value in numbers[:1] if not said]
    return tf.as_dtype(said[0]) if said else None


def _wide(tf: Any, value: Any) -> Any:
    """An argument in float64; a name, or none, as it is."""
    return value if value is None or isinstance(value, str) else tf.cast(value, tf.float64)


def _swap(tf: Any, pairs: Sequence[tuple[Function, Function]]) -> None:
    """The second of each pair in place of the first, wherever TensorFlow or Keras hold it."""
    new = {id(old): other for old, other in pairs}
    for holder in [*_modules(), tf.raw_ops] if new else ():
        for name, value in list(getattr(holder, "__dict__", {}).items()):
            if id(value) in new:
                setattr(holder, name, new[id(value)])


def in_force(tf: Any) -> list[str]:
    """The ops that are replaced now: by name, and by what they give."""
    return [
        name
        for name in NAMES
        if all(_is_exact(tf, name, function) for function in _originals(tf, name)[:-1])
        and hasattr(getattr(tf.raw_ops, name.capitalize()), "samebits_original")
    ]


def _is_exact(tf: Any, name: str, function: Any) -> bool:
    """Whether it is a replacement, and rounds one number as float64 does."""
    original = getattr(function, "samebits_original", None)
    if original is None:
        return False
    number = np.float32(_PROBED)
    count = 2 if name == "atan2" else 1
    found = function(*[tf.constant(number)] * count).numpy()
    wanted = original(*[tf.constant(np.float64(number))] * count).numpy()
    return bool(found.dtype == np.float32 and found == wanted.astype(np.float32))


def stop_rewriting(tf: Any) -> None:
    """Switch the passes off; must come before a function is traced."""
    tf.config.optimizer.set_experimental_options(dict.fromkeys(PASSES, False))


def rewriting(tf: Any) -> bool:
    """Whether any of the passes is on, as they are by default, or XLA for all ops."""
    said = tf.config.optimizer.get_experimental_options()
    return any(said.get(name, True) for name in PASSES) or bool(tf.config.optimizer.get_jit())
