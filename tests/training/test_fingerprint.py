"""Fingerprints of tensors: vectors, and a second implementation that agrees."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

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
