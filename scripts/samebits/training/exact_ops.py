"""Ops whose low bits each CPU vendor chooses, rounded exactly.

One principle for all: computed in float64 and rounded to the dtype of the input. In float64,
TensorFlow has no approximate instruction to use on a CPU (docs/same-bits.md), and gradients are
computed in the same way. Runs on Python 3.7 to 3.13, TensorFlow 2.8 to 2.21.
"""

from __future__ import annotations

import functools
from typing import Any, Callable

import numpy as np

Function = Callable[..., Any]

NAMES = ("rsqrt", "reciprocal", "erfc", "erfinv", "ndtri", "atan", "atan2")
_PROBED = 0.7  # a number in the domain of each op, for each of its arguments


def in_float64(tf: Any, original: Function) -> Function:
    """The function computed in float64; other dtypes than floats are left to the original."""

    @functools.wraps(original)
    def exact(*given: Any, **named: Any) -> Any:
        dtype = _dtype(tf, [*given, *named.values()])
        if dtype not in (tf.float32, tf.float16, tf.bfloat16):
            return original(*given, **named)
        wide = [_wide(tf, value) for value in given]
        wide_named = {name: _wide(tf, value) for name, value in named.items()}
        return tf.cast(original(*wide, **wide_named), dtype)

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


def rounds(tf: Any, function: Function, original: Function) -> bool:
    """Whether a replacement rounds one number as float64 does."""
    number = np.float32(_PROBED)
    count = 2 if function.__name__ == "atan2" else 1
    found = function(*[tf.constant(number)] * count).numpy()
    wanted = original(*[tf.constant(np.float64(number))] * count).numpy()
    return bool(found.dtype == np.float32 and found == wanted.astype(np.float32))
