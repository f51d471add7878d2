"""Arrays in a few files: what comes out is what went in, or an error."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from samebits import packing
from samebits.errors import SamebitsError

ARRAYS: list[tuple[str, Any]] = [
    ("a/float32", np.arange(6, dtype=np.float32).reshape(2, 3)),
    ("a/float64", np.array([0.1, -0.0, np.nan, np.inf])),
    ("b/float32", np.array([[7.5]], np.float32)),
    ("scalar", np.array(3, np.int64)),
    ("nothing", np.zeros((0, 4), np.float32)),
    ("truth", np.array([True, False])),
    ("strided", np.arange(12, dtype=np.float32).reshape(3, 4)[:, ::2]),
    ("turned", np.arange(6, dtype=np.float64).reshape(2, 3).T),
    ("big-endian", np.array([1.5, 2.5], ">f4")),
]


def test_arrays_come_out_as_they_went_in(tmp_path: Path) -> None:
    found = packing.load(tmp_path, packing.save(tmp_path, ARRAYS))
    assert list(found) == [name for name, _ in ARRAYS]
    for name, array in ARRAYS:
        assert found[name].shape == array.shape, name
        assert found[name].dtype == array.dtype.newbyteorder("<"), name
        little = array.astype(array.dtype.newbyteorder("<"))
        assert found[name].tobytes() == little.tobytes(), name


def test_there_is_one_file_for_each_dtype(tmp_path: Path) -> None:
    packing.save(tmp_path, ARRAYS)
    assert len(list(tmp_path.glob("*.npy"))) == len({a.dtype.newbyteorder("<") for _, a in ARRAYS})


def test_no_arrays_are_fine(tmp_path: Path) -> None:
    assert packing.load(tmp_path, packing.save(tmp_path, [])) == {}


def test_a_bit_that_flipped_is_found_and_named(tmp_path: Path) -> None:
    entries = packing.save(tmp_path, ARRAYS)
    file = next(f for f in tmp_path.glob("*.npy") if b"'<f4'" in f.read_bytes())
    data = bytearray(file.read_bytes())
    data[data.index(b"\n") + 1 + 5 * 4] ^= 1  # the last element of the first array
    file.write_bytes(data)
    with pytest.raises(SamebitsError, match=r"expected a/float32 with digest .*, got another"):
        packing.load(tmp_path, entries)


def test_arrays_of_another_shape_are_refused(tmp_path: Path) -> None:
    entries = packing.save(tmp_path, ARRAYS[:1])
    entries[0]["shape"] = [3, 2]
    with pytest.raises(SamebitsError, match="a/float32"):
        packing.load(tmp_path, entries)


@pytest.mark.parametrize("length", [0, 2, 5])
def test_a_file_with_too_few_elements_is_refused(tmp_path: Path, length: int) -> None:
    entries = packing.save(tmp_path, ARRAYS[:1])
    packing.save(tmp_path, [("a/float32", np.arange(length, dtype=np.float32))])
    with pytest.raises(SamebitsError, match=r"expected 6 numbers of <f4 .*, got"):
        packing.load(tmp_path, entries)


def test_elements_that_no_entry_names_are_refused(tmp_path: Path) -> None:
    entries = packing.save(tmp_path, ARRAYS[:3])
    with pytest.raises(SamebitsError, match=r"expected 6 numbers of <f4 .*, got 7"):
        packing.load(tmp_path, [e for e in entries if e["name"] != "b/float32"])


def test_a_dtype_without_a_file_is_refused(tmp_path: Path) -> None:
    entries = packing.save(tmp_path, ARRAYS)
    packing.save(tmp_path, [a for a in ARRAYS if a[1].dtype != np.float64])
    with pytest.raises(SamebitsError, match=r"expected 10 numbers of <f8 .*, got 0"):
        packing.load(tmp_path, entries)


def test_a_name_is_given_once(tmp_path: Path) -> None:
    with pytest.raises(SamebitsError, match=r"expected every name once, got twice: a/float32"):
        packing.save(tmp_path, [ARRAYS[0], ARRAYS[0]])


def test_texts_are_no_numbers(tmp_path: Path) -> None:
    with pytest.raises(SamebitsError, match="store numbers only"):
        packing.save(tmp_path, [("text", np.array(["a"]))])
