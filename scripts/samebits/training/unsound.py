"""Kernels of oneDNN that are wrong, or missing, on the instruction set in force: refused in time.

TensorFlow calls them without a word. Two kinds are known:

- The filter gradient of a strided 1 x 1 convolution over fewer than 8 channels writes past its
  workspace on AVX2 (uxlfoundation/oneDNN, issue 6035): it is 20 to 80 % off, or the process
  aborts, even in a later and sound op. Measured with TensorFlow 2.8 and 2.21. The kernel runs
  where every dimension of the image is its output's times the stride, and not for groups.
- Half precision below AVX-512: TensorFlow asks the CPU, not the cap, and the process aborts.
  A small product in a process of its own tells; only a model with such numbers pays for it.

The functions that make these ops are wrapped, so what calls them does not matter: a layer, a
gradient, a user's own step, eagerly or while a graph is traced. The ops stay as they are. Refused
too, because it cannot be told apart here: a gradient that TensorFlow would drop from the graph (of
a frozen layer) or that XLA would compile, which is right.

Runs on Python 3.7 to 3.13, TensorFlow 2.1 to 2.21.
"""

from __future__ import annotations

import functools
import importlib
import os
import subprocess
import sys
from typing import Any, Callable, ContextManager, Sequence

import numpy as np

from samebits.training import task
from samebits.training.refusals import Unsupported
from samebits.training.settings import Setting

_FILTER_GRADIENT = "Conv2DBackpropFilter"
_BLOCK = 8  # channels that AVX2 computes at a time
_TAPE = "gradient_tape"  # the scope of a gradient of no layer
_HALF = ("bfloat16", "float16")
# By module: functions, and the ops that they make.
_MADE = {
    "gen_math_ops": {
        "mat_mul": "MatMul",
        "batch_mat_mul": "BatchMatMul",
        "batch_mat_mul_v2": "BatchMatMulV2",
        "batch_mat_mul_v3": "BatchMatMulV3",
    },
    "gen_linalg_ops": {"einsum": "Einsum"},
    "gen_nn_ops": {
        "conv2d": "Conv2D",
        "conv2d_backprop_input": "Conv2DBackpropInput",
        "conv2d_backprop_filter": _FILTER_GRADIENT,
        "conv3d": "Conv3D",
        "conv3d_backprop_input_v2": "Conv3DBackpropInputV2",
        "conv3d_backprop_filter_v2": "Conv3DBackpropFilterV2",
        "depthwise_conv2d_native": "DepthwiseConv2dNative",
        "softmax": "Softmax",
        "max_pool": "MaxPool",
        "avg_pool": "AvgPool",
        "fused_batch_norm_v3": "FusedBatchNormV3",
    },
}
_PROBE = """
import resource, sys
resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
import tensorflow as tf
x = tf.ones((8, 8), sys.argv[1])
tf.function(tf.matmul)(x, x)
"""
_ANYWHERE = "determinism=eigen (without oneDNN, on any CPU)"
_UNCAPPED = "determinism=tf28 on a CPU with AVX-512 (no cap, so the bits depend on the CPU)"


class RefusedError(Exception):
    """An op was to be computed by a kernel that is wrong or missing."""


class Guard(ContextManager["Guard"]):
    """Refuses ops while it is entered: they raise RefusedError instead of being made."""

    def __init__(self, tf: Any, settings: Sequence[Setting]) -> None:
        """``settings``: as probed, oneDNN and its instruction set among them."""
        probed = {setting.name: setting.effective for setting in settings}
        self._tf = tf
        self._isa = str(probed["oneDNN ISA"])
        self._onednn = bool(probed["oneDNN"])
        self._sound: dict[str, bool] = {}  # dtypes of half precision
        self._refused: Callable[[Any], Unsupported] | None = None
        self._originals: list[tuple[Any, str, Any]] = []

    def __enter__(self) -> Guard:
        """Wrap the functions; nothing where oneDNN is off."""
        for module, made in _MADE.items() if self._onednn else ():
            holder = importlib.import_module(f"tensorflow.python.ops.{module}")
            for function, op in made.items():
                self._wrap(holder, function, op)
                self._wrap(self._tf.raw_ops, op, op)
        return self

    def __exit__(self, *_: Any) -> None:
        """Put the functions back."""
        for holder, name, original in self._originals:
            setattr(holder, name, original)

    def refusal(self, model: Any) -> Unsupported | None:
        """What was refused, with the layers of the model; None: nothing."""
        return None if self._refused is None else self._refused(model)

    def _wrap(self, holder: Any, name: str, op: str) -> None:
        original = getattr(holder, name, None)  # older versions lack some
        if original is None:
            return

        @functools.wraps(original)
        def checked(*given: Any, **named: Any) -> Any:
            self._check_dtype(op, [*given, *named.values()])
            if op != _FILTER_GRADIENT:
                return original(*given, **named)
            return self._checked_gradient(original, given, named)

        self._originals.append((holder, name, original))
        setattr(holder, name, checked)

    def _refuse(self, refusal: Callable[[Any], Unsupported]) -> None:
        self._refused = refusal
        raise RefusedError(refusal(None).message)

    # ---- half precision -------------------------------------------------------------------

    def _check_dtype(self, op: str, values: Sequence[Any]) -> None:
        flat = [v for each in values for v in (each if isinstance(each, (list, tuple)) else [each])]
        dtypes = {getattr(getattr(value, "dtype", None), "name", None) for value in flat}
        missing = [name for name in _HALF if name in dtypes and not self._is_sound(name)]
        if missing:
            self._refuse(lambda model: self._of_dtype(op, missing[0]))

    def _is_sound(self, dtype: str) -> bool:
        if dtype not in self._sound:
            command, silent = [sys.executable, "-s", "-c", _PROBE, dtype], subprocess.DEVNULL
            done = subprocess.run(command, env=dict(os.environ), stdout=silent, stderr=silent)
            self._sound[dtype] = done.returncode == 0
        return self._sound[dtype]

    def _of_dtype(self, op: str, dtype: str) -> Unsupported:
        message = (
            f"a product of {dtype} numbers ends the process, as tried beforehand: oneDNN has no "
            f"such kernels for {self._isa}, which the pin determinism.isa sets or the CPU has at "
            f"most. Use {_ANYWHERE}, {_UNCAPPED}, or float32"
        )
        return Unsupported(op, message, f"samebits refused {dtype}")

    # ---- the filter gradient --------------------------------------------------------------

    def _checked_gradient(self, original: Any, given: Any, named: Any) -> Any:
        names = ("input", "filter_sizes", "out_backprop", "strides")
        values = dict(zip(names, given), **named)
        if not self._may_be_wrong(values):
            return original(*given, **named)
        if self._tf.executing_eagerly():
            self._check_gradient(np.asarray(values["filter_sizes"]).tolist(), values)
            return original(*given, **named)
        made = original(*given, **named)  # its shape is known only now
        self._check_gradient(_shape(made), values)
        return made

    def _may_be_wrong(self, values: Any) -> bool:
        """Without the filter's shape: AVX2, float32, strided, channels last."""
        last = values.get("data_format", "NHWC") in ("NHWC", b"NHWC")
        strided = any(stride > 1 for stride in values["strides"][1:3])
        dtype = getattr(getattr(values["input"], "dtype", None), "name", "float32")
        return last and strided and dtype == "float32" and "AVX2" in self._isa

    def _check_gradient(self, filters: list[Any], values: Any) -> None:
        """Refuse it where oneDNN would take this kernel; an unknown size may be any."""
        image, output = _shape(values["input"]), _shape(values["out_backprop"])
        pairs = [(size, 1) for size in filters[:2]]
        pairs += [(image[3], filters[2])]  # of groups, each filter has a part of the channels
        pairs += [(image[at], output[at] and output[at] * values["strides"][at]) for at in (1, 2)]
        equal = all(None in pair or pair[0] == pair[1] for pair in pairs)
        if equal and (filters[2] is None or filters[2] < _BLOCK):
            scope = self._tf.compat.v1.get_default_graph().get_name_scope() or _TAPE
            self._refuse(lambda model: self._of_gradient(filters, scope, model))

    def _of_gradient(self, filters: list[Any], scope: str, model: Any) -> Unsupported:
        layers = list(_filters(model, filters)) or [scope.strip("/")]
        where = ", ".join(layers) if layers != [_TAPE] else "outside of the model's layers"
        message = (
            f"{where}: a strided 1 x 1 convolution over {filters[2]} channel(s). Over fewer than "
            f"{_BLOCK}, oneDNN computes its filter gradient wrongly on {self._isa}, which the pin "
            "determinism.isa sets or the CPU has at most (uxlfoundation/oneDNN, issue 6035). Take "
            "every n-th row and column of its input and convolve with stride 1, which computes the "
            f"same; or use {_ANYWHERE}, or {_UNCAPPED}"
        )
        reason = "samebits refused a kernel that is known to be wrong"
        return Unsupported(_FILTER_GRADIENT, message, reason)


def _shape(tensor: Any) -> list[Any]:
    """Of four dimensions, None for each that is unknown."""
    shape: Any = getattr(tensor, "shape", None)
    known = shape is not None and getattr(shape, "rank", len(shape)) is not None
    return list(shape) if known else [None] * 4


def _filters(model: Any, shape: list[Any]) -> list[str]:
    """The variables of a model that can be a filter of this shape: (…, 1, channels, filters)."""
    found = []
    for name, variable in task.named(task.trainable_variables(model) if model is not None else ()):
        sizes: list[int] = [1, 1, *variable.shape]
        *ones, channels, filters = sizes
        known = shape[2] in (None, channels) and shape[3] in (None, filters)
        if len(ones) > 2 and set(ones) == {1} and known:
            found.append(name)
    return found
