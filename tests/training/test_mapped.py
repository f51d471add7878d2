"""Data that stays on the disk: the same values, read-only, shared where TensorFlow would copy."""

import errno
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from samebits.training import memory


def stored(folder: Path, array: np.ndarray) -> np.ndarray:
    np.save(folder / "x.npy", array)
    found: np.ndarray = np.load(folder / "x.npy", mmap_mode="r")
    return found


def test_a_mapped_array_is_its_own_copy_and_so_is_every_part_of_it(tmp_path: Path) -> None:
    values = np.arange(64, dtype=np.float32).reshape(8, 8)
    shared = memory.shared(stored(tmp_path, values))
    for part in (shared, shared[:3], shared[5:]):
        assert np.shares_memory(part.copy(), part)
        assert not part.flags.writeable
    assert np.array_equal(shared, values) and shared.dtype == values.dtype


def test_what_is_computed_from_it_is_copied_as_always(tmp_path: Path) -> None:
    computed = memory.shared(stored(tmp_path, np.ones(4))) + 1
    assert not np.shares_memory(computed.copy(), computed)


def test_it_begins_where_tensorflow_can_share_it(tmp_path: Path) -> None:
    shared = memory.shared(stored(tmp_path, np.ones((3, 5))))
    assert shared.ctypes.data % 64 == 0


def test_arrays_in_memory_stay_as_they_are() -> None:
    array = np.ones(3)
    assert memory.shared(array) is array


@pytest.mark.parametrize("dtype", ["<u1", "<f4", "<f8"])
@pytest.mark.parametrize("limit", [0, 1 << 20])
def test_scaled_values_are_those_of_numpy_wherever_they_lie(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, dtype: str, limit: int
) -> None:
    monkeypatch.setattr(memory, "IN_MEMORY", limit)
    monkeypatch.setattr(memory, "_BLOCK", 1000)  # some rows at a time
    x = np.random.RandomState(0).randint(0, 255, (100, 7)).astype(dtype)
    scaled = memory.scaled(x, 255.0, tmp_path)
    assert scaled.tobytes() == (x / 255.0).astype(np.float32).tobytes()
    assert (scaled.copy() is scaled) == (limit == 0)
    assert list(tmp_path.iterdir()) == []


def test_a_scale_of_one_changes_nothing(tmp_path: Path) -> None:
    x = np.arange(3, dtype=np.uint8)
    assert memory.scaled(x, 1.0, tmp_path) is x


def test_a_disk_without_room_is_an_error_that_names_the_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Unreserved, a full disk would end the process with SIGBUS at the first write."""

    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(memory, "IN_MEMORY", 0)
    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(OSError, match="No space left") as caught:
        memory.scaled(np.ones(9), 2.0, tmp_path)
    assert caught.value.filename == str(tmp_path)
