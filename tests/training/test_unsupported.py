"""TensorFlow's refusals, told from other failures, without TensorFlow."""

from types import SimpleNamespace
from typing import Any

import pytest

from samebits.training import refusals


class UnimplementedError(Exception):
    """Stands for TensorFlow's exception of that name."""

    def __init__(self, message: str, op: Any = None) -> None:
        super().__init__(message)
        self.op = op


class FailedPreconditionError(UnimplementedError):
    """Likewise."""


TF = SimpleNamespace(
    errors=SimpleNamespace(
        UnimplementedError=UnimplementedError, FailedPreconditionError=FailedPreconditionError
    )
)
GRAPH = """Graph execution error:

Detected at node sequential/lambda/Timestamp defined at (most recent call last):
  File "model.py", line 3, in call
Timestamp cannot be called when determinism is enabled
  [[{{node sequential/lambda/Timestamp}}]] [Op:__inference_function_11]"""


@pytest.mark.parametrize(
    ("error", "op"),
    [
        (UnimplementedError("Determinism is not supported [Op:CropAndResize]"), "CropAndResize"),
        (UnimplementedError("not deterministic", SimpleNamespace(type="MaxPool")), "MaxPool"),
        (FailedPreconditionError(GRAPH), "sequential/lambda/Timestamp"),
    ],
)
def test_an_op_without_a_deterministic_version_is_named(error: Exception, op: str) -> None:
    found = refusals.of_exception(TF, error)
    assert found is not None
    assert (found.op, found.reason) == (op, "op without a deterministic version")


def test_of_a_graphs_long_message_the_refusal_itself_is_kept() -> None:
    found = refusals.of_exception(TF, FailedPreconditionError(GRAPH))
    assert found is not None
    assert found.message == "Timestamp cannot be called when determinism is enabled"


def test_a_random_op_without_a_seed_is_a_refusal() -> None:
    text = "Random ops require a seed to be set when determinism is enabled. Please set a seed."
    found = refusals.of_exception(TF, RuntimeError(text))
    assert found is not None
    assert found.reason == "random op without a seed"


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("out of memory"),
        ValueError("the seed must be positive"),
        UnimplementedError("Cast string to float is not supported"),
        FailedPreconditionError("variable is not initialized"),
        KeyError("determinism"),
    ],
)
def test_any_other_failure_is_none(error: Exception) -> None:
    assert refusals.of_exception(TF, error) is None
