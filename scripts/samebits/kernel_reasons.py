"""Why a kernel's bits depend on the CPU, where that is known, and what determinism=exact does."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Reason:
    """What is known of one kernel."""

    why: str
    exact: str


_RSQRT = (
    "The CPU's instruction for the reciprocal square root is an approximation. Each vendor chooses "
    "its low bits, and they are still seen in the result."
)
_RECIPROCAL = (
    "The CPU's instruction for 1 / x is an approximation too: the vendor chooses its low bits."
)
_FLOAT32 = (
    "In float64 its bits are the same everywhere, in float32 they are not: there it is computed by "
    "way of an approximate instruction."
)
_WIDE = "Computed in float64 and rounded once."
_UNREWRITTEN = " TensorFlow's rewriting of {} into this kernel is off."
_FUSED = Reason(
    "It divides by a standard deviation, and the kernel exists for float32 alone.",
    "Not replaced. Keras 3 does not call it; under Keras 2 use BatchNormalization(fused=False).",
)
_OPTIMIZER = Reason(
    "It takes a square root, and Keras 2 calls it for all of a variable at once.",
    "Not replaced, which is why exact asks for TensorFlow 2.21: Keras 3 writes its optimizers in "
    "single ops.",
)
_OLDER = "Nothing: with TensorFlow 2.21, for which exact asks, its bits are the same everywhere."
_ONEDNN = Reason(
    "Other bits on the emulated Intel CPUs and not on EPYC, with oneDNN alone: it chooses another "
    "way there although its instruction set is capped. By what was not found out.",
    _OLDER,
)
_WIDENED = Reason(_FLOAT32, _WIDE)
REASONS = {
    "Rsqrt": Reason(_RSQRT, _WIDE + _UNREWRITTEN.format("a / sqrt(b)")),
    "Reciprocal": Reason(_RECIPROCAL, _WIDE + _UNREWRITTEN.format("1 / x")),
    "Erfc": _WIDENED,  # gelu
    "Erfinv": _WIDENED,
    "Ndtri": _WIDENED,
    "Atan": _WIDENED,
    "Atan2": _WIDENED,
    "Sqrt": Reason(
        "TensorFlow 2.8 computes it by way of the approximate reciprocal square root.", _OLDER
    ),
    "Softmax": Reason(
        "Without oneDNN it divides by way of the approximate reciprocal.",
        "Nothing: with oneDNN, which portable sets, its bits are the same everywhere.",
    ),
    "EuclideanNorm": Reason("It takes a square root.", _OLDER),
    "BatchMatMulV2": _ONEDNN,
    "Conv3DBackpropFilterV2": _ONEDNN,
    "LRN": Reason(_FLOAT32, "Not replaced: no layer of Keras uses it, and it has no float64."),
    "FusedBatchNormV3": _FUSED,
    "FusedBatchNormGradV3": _FUSED,
    "ResourceApplyAdam": _OPTIMIZER,
    "ResourceApplyRMSProp": _OPTIMIZER,
    "ResourceApplyAdagradV2": _OPTIMIZER,
}
UNKNOWN = Reason("Not known. The atlas shows that it is so.", "Nothing is known of it here.")


def reason(kernel: str) -> Reason:
    """What is known of a kernel, which may have its dtype behind its name."""
    return REASONS.get(kernel.partition(" ")[0], UNKNOWN)
