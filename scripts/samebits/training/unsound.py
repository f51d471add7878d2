"""Kernels that are wrong, or missing, with the settings in force.

TensorFlow calls them without a word. Three kinds are known:

- The filter gradient of a strided 1 x 1 convolution over fewer than 8 channels writes past its
  workspace on AVX2 (uxlfoundation/oneDNN, issue 6035): it is 20 to 80 % off, or the process
  aborts, even in a later and sound op. Measured with TensorFlow 2.8 and 2.21. The kernel runs
  where every dimension of the image is its output's times the stride, and not for groups; a
  depthwise convolution reaches it over an image of one channel. A
  profile that pins the instruction set has it replaced: of an image of which every n-th row and
  column is taken, the gradient with stride 1 has the same products. Under any other profile it
  stays TensorFlow's, and is told before it runs.
- Without oneDNN, and in float64 with it, a 3-D convolution padded by SAME: where a stride leaves
  out two or more numbers at the end of a dimension, TensorFlow begins before the image, and is 60
  to 180 % off. Measured with TensorFlow 2.8 and 2.21; its gradients are right. Where the other one
  is replaced, so is this: padded by hand it is right.
- Half precision below AVX-512: TensorFlow asks the CPU, not the cap, and the process aborts.
  A small product in a process of its own tells; only a model with such numbers pays for it.
  Refused, as nothing could replace it.

The functions that make these ops are wrapped, so what calls them does not matter: a layer, a
gradient, a user's own step, eagerly or while a graph is traced. All other ops stay as they are.
Replaced or told too, because it cannot be told apart here: a gradient that TensorFlow would drop
from the graph (of a frozen layer) or that XLA would compile, which is right.

Runs on Python 3.7 to 3.13, TensorFlow 2.1 to 2.21.
"""

from __future__ import annotations

import functools
import importlib
import inspect
import os
import subprocess
import sys
from typing import Any, Callable, ContextManager, Iterator, Sequence

import numpy as np

from samebits.text import few, say
from samebits.training import task
from samebits.training.refusals import Unsupported
from samebits.training.settings import Setting

_FILTER_GRADIENT = "Conv2DBackpropFilter"
_SOLID = "Conv3D"
_DEPTHWISE = "DepthwiseConv2dNativeBackpropFilter"
_BLOCK = 8  # channels that AVX2 computes at a time
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
        "conv3d": _SOLID,
        "conv3d_backprop_input_v2": "Conv3DBackpropInputV2",
        "conv3d_backprop_filter_v2": "Conv3DBackpropFilterV2",
        "depthwise_conv2d_native": "DepthwiseConv2dNative",
        "depthwise_conv2d_native_backprop_filter": _DEPTHWISE,
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
_WRONG = (
    f"oneDNN computes the filter gradient of a strided 1 x 1 convolution over fewer than {_BLOCK} "
    "channels wrongly on {}, or it ends the process (https://github.com/uxlfoundation/oneDNN/"
    "issues/6035)"
)
_WRONG_SOLID = (
    "without oneDNN TensorFlow computes a 3-D convolution wrongly that is padded by SAME and whose "
    "stride leaves out two or more numbers at the end of a dimension"
)


class RefusedError(Exception):
    """An op was to be computed by a kernel that is missing."""


class Guard(ContextManager["Guard"]):
    """While it is entered, no wrong kernel runs untold.

    An op whose kernel is missing raises RefusedError instead of being made. ``trained`` may be set
    to a function that returns the variables that are trained, for the names of filters.
    """

    def __init__(self, tf: Any, settings: Sequence[Setting], replaces: bool, run: str) -> None:
        """``settings``: as probed, oneDNN and its instruction set among them.

        ``replaces``: whether ops with a wrong kernel are replaced, not only told; ``run``: whose
        lines they are told in.
        """
        probed = {setting.name: setting.effective for setting in settings}
        self.trained: Callable[[], Sequence[Any]] = lambda: ()
        self._tf, self._replaces, self._run = tf, replaces, run
        self._isa = str(probed["oneDNN ISA"])
        self._onednn = bool(probed["oneDNN"])
        self._sound: dict[str, bool] = {}  # dtypes of half precision
        self.refusal: Unsupported | None = None  # what was refused
        # Ops and the shapes of their filters, in order, and what is wrong.
        self._filters: dict[tuple[str, tuple[Any, ...]], str] = {}
        self._originals: list[tuple[Any, str, Any]] = []

    def __enter__(self) -> Guard:
        """Wrap the functions; where oneDNN is off, those alone that are wrong without it."""
        for module, made in _MADE.items():
            holder = importlib.import_module(f"tensorflow.python.ops.{module}")
            for function, op in made.items():
                if self._onednn or op == _SOLID:
                    self._wrap(holder, function, op)
                    self._wrap(self._tf.raw_ops, op, op)
        return self

    def __exit__(self, *_: Any) -> None:
        """Put the functions back."""
        for holder, name, original in self._originals:
            setattr(holder, name, original)

    def describe(self) -> list[dict[str, Any]]:
        """The record's part: what TensorFlow computes wrongly, with which filters, and why."""
        found = {(op, self._where(shape)): why for (op, shape), why in self._filters.items()}
        return [
            {"op": op, "where": where, "why": why, "replaced": self._replaces}
            for (op, where), why in found.items()
        ]

    def _wrap(self, holder: Any, name: str, op: str) -> None:
        original = getattr(holder, name, None)  # older versions lack some
        if original is None:
            return

        @functools.wraps(original)
        def guarded(*given: Any, **named: Any) -> Any:
            if self._onednn:
                self._check_dtype(op, [*given, *named.values()])
            if op not in (_FILTER_GRADIENT, _DEPTHWISE, _SOLID):
                return original(*given, **named)
            values = dict(inspect.signature(original).bind(*given, **named).arguments)
            if op == _SOLID:
                return self._solid(original, values)
            return self._gradient(op, original, values)

        self._originals.append((holder, name, original))
        setattr(holder, name, guarded)

    # ---- half precision -------------------------------------------------------------------

    def _check_dtype(self, op: str, values: Sequence[Any]) -> None:
        flat = [v for each in values for v in (each if isinstance(each, (list, tuple)) else [each])]
        dtypes = {getattr(getattr(value, "dtype", None), "name", None) for value in flat}
        missing = [name for name in _HALF if name in dtypes and not self._is_sound(name)]
        if missing:
            self.refusal = self._of_dtype(op, missing[0])
            raise RefusedError(self.refusal.message)

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

    def _gradient(self, op: str, original: Callable[..., Any], values: dict[str, Any]) -> Any:
        """The op, or what replaces it."""
        if not self._may_be_wrong(values):
            return original(**values)
        if self._tf.executing_eagerly():
            made, filters = None, np.asarray(values["filter_sizes"]).tolist()
        else:
            made = original(**values)  # its shape is known only now; unused, it never runs
            filters = _shape(made)
        if not _is_wrong(op, filters, values):
            return original(**values) if made is None else made
        self._tell(op, filters, _WRONG.format(self._isa))
        if not self._replaces:
            return original(**values) if made is None else made
        if None not in filters[:2]:
            return self._of_every_nth(original, values)
        ones = self._tf.reduce_all(self._tf.equal(values["filter_sizes"][:2], 1))
        return self._tf.cond(  # made anew: what a branch takes from outside is always computed
            ones, lambda: self._of_every_nth(original, values), lambda: original(**values)
        )

    def _may_be_wrong(self, values: dict[str, Any]) -> bool:
        """Without any shape: AVX2, float32, strided, channels last, no padding."""
        last = values.get("data_format", "NHWC") in ("NHWC", b"NHWC")
        strided = any(stride > 1 for stride in values["strides"][1:3])
        dtype = getattr(getattr(values["input"], "dtype", None), "name", "float32")
        padded = any(values.get("explicit_paddings") or ())
        return last and strided and not padded and dtype == "float32" and "AVX2" in self._isa

    def _of_every_nth(self, original: Callable[..., Any], values: dict[str, Any]) -> Any:
        """A 1 x 1 filter meets these rows and columns alone, whatever their number."""
        image = self._tf.strided_slice(
            values["input"], [0] * 4, [0] * 4, values["strides"], begin_mask=15, end_mask=15
        )
        return original(**dict(values, input=image, strides=[1] * 4))

    # ---- the 3-D convolution --------------------------------------------------------------

    def _solid(self, original: Callable[..., Any], values: dict[str, Any]) -> Any:
        """The op, or the same padded by hand; an unknown size may be any."""
        image = self._tf.convert_to_tensor(values["input"])
        known = image.shape.rank is not None and values["padding"] in ("SAME", b"SAME")
        last = values.get("data_format", "NDHWC") in ("NDHWC", b"NDHWC")  # the CPU has no other
        if not known or not last or (self._onednn and image.dtype == self._tf.float32):
            return original(**values)
        filters = _shape(self._tf.convert_to_tensor(values["filter"]), 5)
        strides = values["strides"][1:4]
        each = zip(image.shape[1:4], filters, strides)
        if not any(_leaves_out_two(*dimension) for dimension in each):
            return original(**values)
        self._tell(_SOLID, filters, _WRONG_SOLID)
        if not self._replaces:
            return original(**values)
        lengths, sizes = self._tf.shape(image)[1:4], self._tf.shape(values["filter"])[:3]
        missing = self._tf.unstack(self._tf.maximum(_missing(lengths, sizes, strides), 0))
        padded = self._tf.pad(image, [[0, 0], *([n // 2, n - n // 2] for n in missing), [0, 0]])
        return original(**dict(values, input=padded, padding="VALID"))

    # ---- what is told ---------------------------------------------------------------------

    def _tell(self, op: str, filters: Sequence[Any], why: str) -> None:
        if (op, tuple(filters)) in self._filters:
            return
        self._filters[op, tuple(filters)] = why
        if not self._replaces:
            where = self._where(tuple(filters))
            say(f"{self._run}: caution: {where}: {why}; determinism=portable replaces it")

    def _where(self, filters: tuple[Any, ...]) -> str:
        named = list(_filters(self.trained(), filters))
        return few(named) or f"a filter of {' x '.join(str(n or '?') for n in filters)}"


def _is_wrong(op: str, filters: list[Any], values: dict[str, Any]) -> bool:
    """Whether oneDNN would take this kernel; an unknown size may be any."""
    image, output = _shape(values["input"]), _shape(values["out_backprop"])
    pairs = [(size, 1) for size in filters[:2]]
    pairs += [(image[3], filters[2])]  # of groups, each filter has a part of the channels
    pairs += [(image[at], output[at] and output[at] * values["strides"][at]) for at in (1, 2)]
    equal = all(None in pair or pair[0] == pair[1] for pair in pairs)
    channels = 2 if op == _DEPTHWISE else _BLOCK
    return equal and (filters[2] is None or filters[2] < channels)


def _leaves_out_two(length: int | None, size: int | None, stride: int) -> bool:
    """Whether SAME does, or may, at the end of a dimension."""
    if length is None or size is None:
        return stride > (size or 1) + 1
    return bool(_missing(length, size, stride) < -1)


def _missing(length: Any, size: Any, stride: Any) -> Any:
    """Numbers that SAME adds to a dimension; fewer than none: that it leaves out at the end."""
    return (-(-length // stride) - 1) * stride + size - length


def _shape(tensor: Any, rank: int = 4) -> list[Any]:
    """Of so many dimensions, None for each that is unknown."""
    shape: Any = getattr(tensor, "shape", None)
    known = shape is not None and getattr(shape, "rank", len(shape)) is not None
    return list(shape) if known else [None] * rank


def _filters(trained: Sequence[Any], shape: Sequence[Any]) -> Iterator[str]:
    """The variables that can be a filter of this shape, 1 x 1 ones also with fewer dimensions."""
    for name, variable in task.named(trained):
        sizes: list[int] = [1, 1, *variable.shape]
        *ones, channels, filters = sizes
        known = shape[-2] in (None, channels) and shape[-1] in (None, filters)
        of_one = len(shape) == 4 and len(ones) > 2 and set(ones) == {1} and known
        if of_one or list(variable.shape) == list(shape):
            yield name
