"""The battery of the atlas: TensorFlow ops that Keras layers, losses and optimizers use.

Each is computed in every dtype that it has; the gradient with respect to every floating-point input
belongs to it. Runs on Python 3.7 to 3.13, TensorFlow 2.8 to 2.21.
"""

from __future__ import annotations

from typing import Any

from samebits import (
    operations_arranging,
    operations_elementwise,
    operations_reducing,
    operations_training,
)
from samebits.operation import Operation

_PARTS = (
    operations_elementwise.elementwise,
    operations_elementwise.activations,
    operations_elementwise.pairs,
    operations_elementwise.divisions,
    operations_elementwise.gradient_kernels,
    operations_reducing.reductions,
    operations_reducing.contractions,
    operations_reducing.convolutions,
    operations_reducing.pooling,
    operations_training.normalizations,
    operations_training.losses,
    operations_arranging.images,
    operations_arranging.arrangements,
    operations_arranging.random,
    operations_training.layers,
    operations_training.optimizers,
)


def battery(tf: Any) -> list[Operation]:
    """All operations, group by group. ``tf``: some are asked for by what this TensorFlow has."""
    return [operation for part in _PARTS for operation in part(tf)]
