"""Fingerprints by NumPy, and the file that a trace's rows go to, without TensorFlow."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from samebits.errors import SamebitsError
from samebits.training import fingerprint
from samebits.training.trace import Rows

SHAPES: list[tuple[int, ...]] = [(), (1,), (5,), (7, 3), (1, 9), (3, 3, 2, 4)]


def tensor(shape: tuple[int, ...], dtype: str = "<f4") -> Any:
    return np.asarray(np.random.RandomState(0).standard_normal(shape)).astype(dtype)


@pytest.mark.parametrize("dtype", ["<f2", "<f4", "<f8", "<i8", "|i1"])
@pytest.mark.parametrize("shape", SHAPES)
def test_any_flipped_bit_changes_the_fingerprint(shape: tuple[int, ...], dtype: str) -> None:
    array = tensor(shape, dtype)
    before = fingerprint.of_array(array)
    for bit in range(8 * array.nbytes):
        flipped = np.frombuffer(array.tobytes(), np.uint8).copy()
        flipped[bit // 8] ^= 1 << bit % 8
        assert fingerprint.of_array(flipped.view(dtype).reshape(shape)) != before


@pytest.mark.parametrize("shape", SHAPES[2:])
def test_a_swap_of_two_elements_changes_the_fingerprint(shape: tuple[int, ...]) -> None:
    flat = tensor(shape).reshape(-1)
    before = fingerprint.of_array(flat.reshape(shape))
    for first in range(flat.size):
        for second in range(first):
            swapped = flat.copy()
            swapped[[first, second]] = swapped[[second, first]]
            assert fingerprint.of_array(swapped.reshape(shape)) != before


def test_the_sum_is_as_the_module_defines_it() -> None:
    array = tensor((4, 3))
    rows, columns = fingerprint.factors(array.shape, array.itemsize)
    weights = rows.reshape(-1, 1).astype(object) * columns.reshape(1, -1).astype(object)
    total = int((weights * array.view("<i4").astype(object)).sum())
    assert fingerprint.of_array(array) % 2**32 == total % 2**32
    assert all(int(weight) % 2 == 1 for weight in weights.reshape(-1))


def test_an_empty_tensor_has_a_fingerprint() -> None:
    assert fingerprint.of_array(np.zeros((0, 4), np.float32)) == 0
    assert fingerprint.of_array(np.zeros((4, 0), np.float32)) == 0


def test_an_array_that_does_not_lie_in_one_piece_has_the_same_fingerprint() -> None:
    array = tensor((6, 4))
    assert fingerprint.of_array(array[::2]) == fingerprint.of_array(array[::2].copy())


def test_rows_come_back_column_by_column(tmp_path: Path) -> None:
    rows = Rows(tmp_path, capacity=10)
    assert rows.column(1).size == 0
    rows.append(np.array([[0, -1, 2]]))
    rows.append(np.array([[1, 2**31 - 1, -(2**31)], [2, 5, 6]]))
    columns = [rows.column(i).tolist() for i in range(3)]
    assert columns == [[0, 1, 2], [-1, 2**31 - 1, 5], [2, -(2**31), 6]]
    assert list(tmp_path.iterdir()) == []  # nothing stays when the process is killed


def test_more_rows_than_the_training_has_steps_are_refused(tmp_path: Path) -> None:
    rows = Rows(tmp_path, capacity=1)
    with pytest.raises(SamebitsError, match="expected 1 rows, got more"):
        rows.append(np.zeros((2, 3), np.int32))
