"""Products, einsum and convolutions that are made of others: right, on every road, and undone."""

import json
from pathlib import Path
from typing import Any

import pytest

from pipeline import Workspace, command, skip_without

PROGRAM = Path(__file__).with_name("portable_program.py")
_OFF = 2e-6  # of the largest number; plain products of these sizes are as far from float64
_KEPT = "einsum: aab,bc->ac"  # a letter twice


@pytest.fixture(scope="module", params=["tf2.21", pytest.param("tf2.8", marks=pytest.mark.slow)])
def measured(request: Any, workspace: Workspace, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """What the program prints as JSON."""
    if request.param != "tf2.21":
        skip_without("3.7")
    folder = tmp_path_factory.mktemp("portable")
    python = workspace.python(f"train-{request.param}")
    variables = {"TF_CPP_MIN_LOG_LEVEL": "3", "TF_ENABLE_ONEDNN_OPTS": "1"}
    shown = command(python, PROGRAM, cwd=folder, variables=variables).stdout
    (made,) = (line for line in shown.splitlines() if line.startswith("{"))  # beside warnings
    return json.loads(made)


def test_all_of_them_are_in_force_and_none_afterwards(measured: Any) -> None:
    assert measured["in force"] == ["conv2d", "conv3d", "mat_mul", "batch_mat_mul", "einsum"]
    assert measured["afterwards"]


def test_values_and_gradients_are_right_eagerly_in_graphs_and_for_unknown_sizes(
    measured: Any,
) -> None:
    for name, found in {**measured["plain"], **measured["replaced"]}.items():
        assert all(off <= _OFF for off in found["off"].values()), name


def test_no_single_product_is_left_in_a_graph(measured: Any) -> None:
    assert {"MatMul", "Einsum"} <= {op for each in measured["plain"].values() for op in each["ops"]}
    for name, found in measured["replaced"].items():
        if name != _KEPT:
            assert not {"MatMul", "Einsum"} & set(found["ops"]), name


def test_a_convolution_of_perhaps_one_image_is_filled_up(measured: Any) -> None:
    name = "convolution: one image"
    assert (measured["plain"][name]["ops"], measured["replaced"][name]["ops"]) == ([], ["Pad"])


def test_float64_is_left_alone(measured: Any) -> None:
    assert "MatMul" in measured["float64"]
