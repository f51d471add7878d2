"""Ops whose low bits each CPU vendor chooses, replaced by exactly rounded ones while a run trains.

One principle for all: computed in float64 and rounded once to the dtype of the input. In float64,
TensorFlow has no approximate instruction to use on a CPU (docs/same-bits.md), and gradients are
computed in the same way. What TensorFlow rewrites into these ops afterwards is not seen here: that
is switched off (``Rewriting``). Runs on Python 3.7 to 3.13, TensorFlow 2.8 to 2.21.
"""

import sys
from contextlib import contextmanager
from typing import Any, Callable, Dict, Iterable, Iterator, List, Tuple

import numpy as np

from samebits.errors import SamebitsError

Function = Callable[..., Any]

# Replacement -> the function that everything else calls, by module and name, and its raw op.
_TARGETS: Dict[str, Tuple[str, str, str]] = {
    "rsqrt": ("tensorflow.python.ops.gen_math_ops", "rsqrt", "Rsqrt"),
    "reciprocal": ("tensorflow.python.ops.gen_math_ops", "reciprocal", "Reciprocal"),
    "erfc": ("tensorflow.python.ops.gen_math_ops", "erfc", "Erfc"),
}
NAMES = tuple(_TARGETS)
_PACKAGES = ("tensorflow", "keras")
_PROBED = 1.7  # a number in the domain of each op
# Grappler's passes that turn a / sqrt(b) into a * rsqrt(b), and 1 / x into reciprocal(x).
PASSES = ("arithmetic_optimization", "constant_folding")

_Place = Tuple[Any, str]  # a module, or what else has attributes, and the name in it


@contextmanager
def replaced(tf: Any, names: Iterable[str]) -> Iterator[None]:
    """Replace ops wherever TensorFlow and Keras hold them, and put the originals back at the end.

    Raises SamebitsError for a name that is none.
    """
    wanted = list(names)
    unknown = sorted(set(wanted) - set(NAMES))
    if unknown:
        raise SamebitsError(
            "determinism.replacements: expected some of {}, got {}".format(
                ", ".join(NAMES), ", ".join(unknown)
            )
        )
    put_back = []  # type: List[Tuple[Function, Function]]
    try:
        for name in wanted:
            for original in _originals(tf, name):
                other = _in_float64(tf, original)
                put_back.append((other, original))
                _swap(tf, original, other)
        yield
    finally:
        for other, original in put_back:
            _swap(tf, other, original)


def _originals(tf: Any, name: str) -> List[Function]:
    module, function, raw = _TARGETS[name]
    return [getattr(sys.modules[module], function), getattr(tf.raw_ops, raw)]


def _in_float64(tf: Any, original: Function) -> Function:
    """The function computed in float64; other dtypes than floats are left to the original."""

    def exact(x: Any, name: Any = None) -> Any:
        given = _dtype(tf, x)
        if given not in (tf.float32, tf.float16, tf.bfloat16):
            return original(x=x, name=name)
        return tf.cast(original(x=tf.cast(x, tf.float64), name=name), given)

    exact.samebits_original = original  # type: ignore[attr-defined]
    return exact


def _dtype(tf: Any, x: Any) -> Any:
    """What it would be computed in; None where that is not for a tensor's own arithmetic."""
    if hasattr(x, "dtype"):
        return tf.as_dtype(x.dtype)
    return tf.convert_to_tensor(x).dtype if isinstance(x, (int, float, list, tuple)) else None


def _swap(tf: Any, old: Function, new: Function) -> None:
    for holder, name in list(_places(tf, old)):
        setattr(holder, name, new)


def _places(tf: Any, function: Function) -> Iterator[_Place]:
    """Wherever TensorFlow or Keras hold a function under a name."""
    modules = [m for n, m in sorted(sys.modules.items()) if n.partition(".")[0] in _PACKAGES]
    for holder in [*modules, tf.raw_ops]:
        for name, value in list(getattr(holder, "__dict__", {}).items()):
            if value is function:
                yield holder, name


def in_force(tf: Any) -> List[str]:
    """The ops that are replaced now: by name, and by what they give."""
    return [name for name in NAMES if all(map(_is_exact, _originals(tf, name)))]


def _is_exact(function: Any) -> bool:
    """Whether it is a replacement, and rounds one number as float64 does."""
    original = getattr(function, "samebits_original", None)
    if original is None:
        return False
    found = np.asarray(function(x=np.float32(_PROBED)))
    wanted = np.asarray(original(x=np.float64(np.float32(_PROBED)))).astype(np.float32)
    return bool(found.dtype == np.float32 and found == wanted)


def stop_rewriting(tf: Any) -> None:
    """Switch the passes off; must come before a function is traced."""
    tf.config.optimizer.set_experimental_options(dict.fromkeys(PASSES, False))


def rewriting(tf: Any) -> bool:
    """Whether any of the passes is on: they are where nothing was said."""
    said = tf.config.optimizer.get_experimental_options()
    return any(said.get(name, True) for name in PASSES)
