"""Tell TensorFlow's own refusals from other failures.

Under op determinism TensorFlow refuses random ops without a seed (RuntimeError or ValueError)
and ops without a deterministic version (UnimplementedError, FailedPreconditionError). Its
documentation of ``enable_op_determinism`` describes both. Such a refusal is a result, the
verdict UNSUPPORTED; any other exception is a failure.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from traceback import walk_tb
from types import TracebackType
from typing import Any

from samebits.formats import names

_NO_SEED = re.compile(r"(seed|from_non_deterministic_state).*when determinism is enabled", re.S)
_NO_VERSION = re.compile(r"determinis", re.I)
_RANDOM_OPS = re.compile(r"tensorflow/python/ops/\w*random\w*\.py$|nn_ops\.py$")
_OP_IN_MESSAGE = (
    re.compile(r"\[\[\{\{node ([^}]+)\}\}"),  # the node that failed inside a graph
    re.compile(r"(\w+) cannot be called when determinism is enabled"),
    re.compile(r"\[Op:(\w+)\]"),  # an op that was called eagerly
)


@dataclass(frozen=True)
class Unsupported:
    """An operation that was refused: by TensorFlow, or before it ran (``unsound``)."""

    op: str | None
    message: str
    reason: str


def of_exception(tf: Any, error: BaseException) -> Unsupported | None:
    """The refusal behind an exception, or None when it is something else."""
    text = str(error)
    refusals = (tf.errors.UnimplementedError, tf.errors.FailedPreconditionError)
    if isinstance(error, (RuntimeError, ValueError)) and _NO_SEED.search(text):
        reason, op = (
            names.NO_SEED,
            _op_in_traceback(error.__traceback__),
        )
    elif isinstance(error, refusals) and _NO_VERSION.search(text):
        reason, op = (
            names.NO_VERSION,
            _op_in_message(error),
        )
    else:
        return None
    said = [line.strip() for line in text.splitlines() if _NO_VERSION.search(line)]
    return Unsupported(op, " ".join(said or text.split()), reason)


def _op_in_message(error: Any) -> str | None:
    if getattr(error, "op", None) is not None:
        return str(error.op.type)
    matches = (pattern.search(str(error)) for pattern in _OP_IN_MESSAGE)
    return next((match.group(1) for match in matches if match), None)


def _op_in_traceback(traceback: TracebackType | None) -> str | None:
    """The TensorFlow function nearest to the refusal: ``random_normal`` in ops/random_ops.py."""
    codes = [frame.f_code for frame, _ in walk_tb(traceback)]
    found = [code.co_name for code in codes if _RANDOM_OPS.search(code.co_filename)]
    return found[-1] if found else None
