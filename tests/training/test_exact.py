"""replaced_ops on TensorFlow 2.21: what it replaces, how exact that is, and that it is undone."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from pipeline import Workspace, command
from samebits.errors import SamebitsError
from samebits.training import replaced_ops

PROGRAM = Path(__file__).with_name("exact_program.py")
NAMES = ["rsqrt", "reciprocal", "erfc", "erfinv", "ndtri", "atan", "atan2"]


@pytest.fixture(scope="module")
def measured(workspace: Workspace, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """What the program prints in its last line."""
    variables = {"TF_CPP_MIN_LOG_LEVEL": "3", "TF_ENABLE_ONEDNN_OPTS": "1"}
    folder = tmp_path_factory.mktemp("exact")
    python = workspace.python("train-tf2.21")
    said = command(python, PROGRAM, cwd=folder, variables=variables).stdout
    return json.loads(said.splitlines()[-1])


def test_every_named_op_is_replaced_and_no_other(measured: Any) -> None:
    assert measured["in force"] == NAMES
    assert measured["one alone"] == ["erfc"]


@pytest.mark.parametrize("what", ["value", "gradient"])
@pytest.mark.parametrize("name", NAMES)
def test_a_replacement_is_within_one_ulp_of_float64(measured: Any, name: str, what: str) -> None:
    assert measured["accuracy"][name][what] <= 1


def test_a_replacement_keeps_the_dtype_that_it_is_given(measured: Any) -> None:
    assert (measured["wide"], measured["half"]) == ("float64", "bfloat16")
    assert measured["number"] == 0.5
    assert measured["plain"] == ["float32", "float32", "float64", "complex128", "float64"]
    assert measured["raw"] == "0.70710677"


def test_afterwards_everything_is_as_it_was_after_a_failure_too(measured: Any) -> None:
    assert measured["restored"]
    assert measured["after a failure"] == []


def test_divisions_are_rounded_exactly_when_graphs_are_not_rewritten(measured: Any) -> None:
    assert (measured["rewriting before"], measured["rewriting after"]) == (True, False)
    assert measured["divisions"] == {"one_over_x": 0, "x_over_sqrt": 0}


@pytest.mark.parametrize(
    ("layer", "op"),
    [
        ("gelu", "Erfc"),
        ("batch_normalization", "Rsqrt"),
        ("layer_normalization", "Rsqrt"),
        ("group_normalization", "Rsqrt"),
    ],
)
def test_layers_of_keras_call_what_is_replaced(measured: Any, layer: str, op: str) -> None:
    assert measured["layers"][layer] == {"replaced": [f"{op} float64"], "plain": [f"{op} float32"]}


def test_a_name_that_is_none_is_refused() -> None:
    expected = f"expected some of {', '.join(replaced_ops.NAMES)}, got sqroot"
    replaced = replaced_ops.replaced(SimpleNamespace(), ["rsqrt", "sqroot"])
    with pytest.raises(SamebitsError, match=expected), replaced:
        pass
