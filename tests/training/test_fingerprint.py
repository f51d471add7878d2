"""Fingerprints of tensors: vectors, and a second implementation that agrees."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline import SCRIPTS, Workspace, command, skip_without
from samebits.training import fingerprint

VECTORS = Path(__file__).resolve().parents[1] / "vectors/fingerprints.json"
CASES = json.loads(VECTORS.read_text(encoding="utf-8"))["cases"]
DTYPES = ["|b1", "|u1", "<i2", "<u4", "<i8", "<f2", "<f4", "<f8", "<c8", "<c16"]


def fingerprint_of(dtype: str, shape: list[int], data: bytes) -> int:
    size, last = int(dtype[2:]), shape[-1] if shape else 1
    word = min(4, size)
    words = [
        int.from_bytes(data[i : i + word], "little", signed=True) for i in range(0, len(data), word)
    ]
    columns = last * (size // word)
    rows = len(words) // columns if columns else 0
    total = 0
    for number, value in enumerate(words):
        row, column = divmod(number, columns)
        total += value * (odd(row + 1, 0x9E3779B1) if rows > 1 else 1) * odd(column + 1, 0x7FEB352D)
    return (total + 2**31) % 2**32 - 2**31


def odd(number: int, start: int) -> int:
    x = number * start % 2**32
    x = (x ^ x >> 16) * 0x85EBCA6B % 2**32
    x = (x ^ x >> 13) * 0xC2B2AE35 % 2**32
    return (x ^ x >> 16) | 1


@pytest.mark.parametrize("case", CASES, ids=[case["what"] for case in CASES])
def test_both_take_the_fingerprints_in_the_vectors(case: Any) -> None:
    data = bytes.fromhex(case["hex"])
    assert fingerprint_of(case["dtype"], case["shape"], data) == case["fingerprint"]
    array = np.frombuffer(data, case["dtype"]).reshape(case["shape"])
    assert fingerprint.of_array(array) == case["fingerprint"]


@given(
    st.sampled_from(DTYPES),
    st.lists(st.integers(0, 5), max_size=3),
    st.randoms(use_true_random=False),
)
def test_both_take_any_fingerprint_alike(dtype: str, shape: list[int], random: Any) -> None:
    data = random.randbytes(int(np.prod(shape, dtype=int)) * int(dtype[2:]))
    array = np.frombuffer(data, dtype).reshape(shape)
    assert fingerprint_of(dtype, shape, data) == fingerprint.of_array(array)


_IN_A_GRAPH = """
import numpy as np, tensorflow as tf
from samebits.training import fingerprint
random = np.random.RandomState(0)
def array(dtype, *shape):
    data = random.bytes(int(np.prod(shape)) * np.dtype(dtype).itemsize)
    found = np.frombuffer(data, dtype).reshape(shape)
    return found % 2 == 1 if dtype == "u1" and shape == (7,) else found
SHAPES = (), (5,), (0, 4), (3, 4, 5), (70, 90), (4097,)
DTYPES = "f4", "f2", "f8", "i4", "i8", "u1", "i2", "c8", "c16"
arrays = [array(dtype, *shape) for shape in SHAPES for dtype in DTYPES]
arrays += [np.array([np.inf, -np.inf, 3e38], t) for t in ("f4", "f8")]
arrays += [np.full(n, 3e4, "f2") for n in (3, 5000)]
arrays += [np.array([1j * np.inf - np.inf]), array("u1", 7)]
for at, dtype in enumerate(("f4", "f2", "f8", "c8") * 2):
    one = np.zeros((3000, 9) if at < 4 else 9, dtype)
    one.reshape(-1)[5] = np.nan
    arrays.append(one)
def check(taken):
    tensors = [tf.constant(one) for one in taken]
    squares, prints = tf.function(lambda: fingerprint.of_tensors(tf, tensors))()
    assert prints.numpy().tolist() == [fingerprint.of_array(one) for one in taken]
    wrong = [one for one, square in zip(taken, squares.numpy()) if
             np.isnan(square) != (one.dtype.kind in "fc" and np.isnan(one).any())]
    assert not wrong, wrong
check(arrays)
for one in arrays[::5]:
    check([one])
"""


@pytest.mark.parametrize(
    "framework", ["tf2.21", *(pytest.param(f"tf2.{n}", marks=pytest.mark.slow) for n in (8, 1))]
)
def test_a_graph_takes_those_of_many_tensors_at_once(workspace: Workspace, framework: str) -> None:
    skip_without("3.11" if framework == "tf2.21" else "3.7")
    command(
        workspace.python(f"train-{framework}"), "-c", _IN_A_GRAPH,
        cwd=SCRIPTS, variables={"PYTHONPATH": str(SCRIPTS)},
    )  # fmt: skip
