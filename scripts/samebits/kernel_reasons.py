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
_INSIDE = "It divides by a standard deviation, with the approximate reciprocal square root inside."
_NORMALIZATION = Reason(_INSIDE, "The layer is computed from exactly rounded operations.")
_RECIPROCAL = Reason(
    "The CPU's instruction for 1 / x is an approximation too: the vendor chooses its low bits.",
    "A division is used. TensorFlow's rewriting of 1 / x into this kernel is off.",
)
REASONS = {
    "Rsqrt": Reason(
        _RSQRT,
        "A square root and a division are used: every CPU rounds both exactly. TensorFlow's "
        "rewriting of a / sqrt(b) into a · rsqrt(b) is off.",
    ),
    "Reciprocal": _RECIPROCAL,
    "Inv": _RECIPROCAL,
    "FusedBatchNorm": _NORMALIZATION,
    "FusedBatchNormV2": _NORMALIZATION,
    "FusedBatchNormV3": _NORMALIZATION,
    "FusedBatchNormGrad": _NORMALIZATION,
    "FusedBatchNormGradV2": _NORMALIZATION,
    "FusedBatchNormGradV3": _NORMALIZATION,
}
UNKNOWN = Reason("Not known. The atlas shows that it is so.", "Nothing is known of it here.")


def reason(kernel: str) -> Reason:
    """What is known of a kernel, which may have its dtype behind its name."""
    return REASONS.get(kernel.partition(" ")[0], UNKNOWN)
