"""What the battery is made of that needs no TensorFlow: its inputs, names, and reasons."""

import hashlib
import itertools

import numpy as np
import pytest

from atlas import battery

RANGES = {
    "real": (-4.0, 4.0),
    "positive": (0.05, 9.0),
    "unit": (-0.95, 0.95),
    "probability": (0.02, 0.98),
    "above_one": (1.05, 6.0),
    "near_one": (0.9, 1.1),
}
DTYPES = {"float32": 2.0**-23, "float64": 2.0**-52, "bfloat16": 2.0**-7}  # and one step, relative
SHAPE = (61, 67)


@pytest.mark.parametrize(("values", "dtype"), list(itertools.product(RANGES, DTYPES)))
def test_numbers_fill_their_range_and_none_is_outside(values: str, dtype: str) -> None:
    found, (low, high) = battery.sample(values, SHAPE, dtype, "seed"), RANGES[values]
    step = DTYPES[dtype] * max(abs(low), abs(high))
    assert found.shape == SHAPE
    assert low - step <= found.min() <= low + 0.02 * (high - low) + step
    assert high + step >= found.max() >= high - 0.02 * (high - low) - step


@pytest.mark.parametrize("dtype", DTYPES)
def test_numbers_that_are_not_zero_lie_on_both_sides_of_it(dtype: str) -> None:
    found = battery.sample("nonzero", SHAPE, dtype, "seed")
    assert np.abs(found).min() >= 0.1 * (1 - 2.0**-7)
    assert np.abs(found).max() <= 4.0
    assert 0.4 < (found > 0).mean() < 0.6


@pytest.mark.parametrize("values", [*RANGES, "nonzero"])
def test_a_bfloat16_is_stored_as_the_same_float32(values: str) -> None:
    found = battery.sample(values, SHAPE, "bfloat16", "seed")
    assert found.dtype == np.float32
    assert not (found.view(np.uint32) & 0xFFFF).any()
    assert len(np.unique(found)) > 30


@pytest.mark.parametrize(("dtype", "zeros"), [("float32", 0), ("float64", 2)])
def test_numbers_have_low_bits(dtype: str, zeros: int) -> None:
    """A float64 between 2 and 4 is one of 2**52 in its range of 8, so that two bits are zero."""
    found = battery.sample("real", SHAPE, dtype, "seed")
    assert found.dtype == dtype
    bits = found[np.abs(found) >= 2].view(f"u{found.itemsize}") >> zeros
    assert set(map(int, np.unique(bits & 0b11))) == {0, 1, 2, 3}


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_scalar_is_a_number_too(dtype: str) -> None:
    assert battery.sample("real", (), dtype, "seed").shape == ()


def test_another_seed_gives_other_numbers() -> None:
    one, other = (battery.sample("real", SHAPE, "float32", seed) for seed in ("a", "b"))
    assert (one != other).mean() > 0.99


@pytest.mark.parametrize(
    ("name", "digest"),
    [
        (
            "above_one/float32/17/0",
            "463e37abc53bdefb065d8313d16ba41ccf4dbff53fc8854d8b723d40d9400c48",
        ),
        (
            "nonzero/bfloat16/33x17/0",
            "0d4c228d12066a6a54eb984b58711a11005d173b0a471a884279354fb5fb18a7",
        ),
        (
            "near_one/float64/64x2053/0",
            "884703befd63ecd9b90c03efef3c85da6ae49d1b332a7ced82d5433cd9df0abd",
        ),
    ],
)
def test_inputs_are_those_that_the_atlas_was_measured_with(name: str, digest: str) -> None:
    values, dtype, shape, _ = name.split("/")
    found = battery.sample(values, tuple(map(int, shape.split("x"))), dtype, name)
    assert hashlib.sha256(found.tobytes()).hexdigest() == digest


def test_a_label_names_op_dtype_shapes_and_output() -> None:
    row = {"name": "rsqrt", "dtype": "float32", "variant": 1, "output": "gradient", "group": "x"}
    assert battery.label(row) == "rsqrt/float32/1/gradient"


REASONS = {
    "Value passed to parameter 'x' has DataType bfloat16": (
        "Value passed to parameter 'x' has DataType bfloat16"
    ),
    "Graph execution error:\n\nDetected at node 'a/Rint' defined at (most recent call last):\n"
    '    File "/home/me/battery.py", line 11, in <module>\n'
    "Node: 'a/Rint'\n"
    "No OpKernel was registered to support Op 'Rint' used by {{node a/Rint}} with these attrs: "
    "[T=DT_BFLOAT16, bias=1]\nRegistered devices: [CPU]\n\n\t [[a/Rint]]": (
        "No OpKernel was registered to support Op 'Rint' used by {{node a/Rint}}"
    ),
    "Graph execution error:\n\nNode: 'a/Conv2D'\nThis does not support dilation.\n"
    "\t [[{{node a/Conv2D}}]]\n\nOriginal stack trace for 'a/Conv2D':\n"
    '  File "/home/me/ops.py", line 2, in _create_op\n': "This does not support dilation.",
    "": "ValueError",
}


@pytest.mark.parametrize(("text", "reason"), REASONS.items(), ids=range(len(REASONS)))
def test_a_reason_is_one_line_without_folders_and_the_same_in_every_build(
    text: str, reason: str
) -> None:
    assert battery.first_reason(ValueError(text)) == reason
