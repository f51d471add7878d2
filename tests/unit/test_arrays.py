"""Digests of arrays, and arrays as files."""

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from samebits import arrays
from samebits.errors import SamebitsError, explain_os_error

KERNEL = np.array([[1.5, -0.0], [np.inf, 3.25]], "<f4")


def by_the_definition(dtype: str, shape: list[int], data: bytes) -> str:
    head = json.dumps({"dtype": dtype, "shape": shape}, separators=(",", ":"))
    return hashlib.sha256(b"samebits-array-1\n" + head.encode() + b"\n" + data).hexdigest()


def test_the_digest_is_the_documented_one() -> None:
    data = bytes.fromhex("0000c03f000000800000807f00005040")
    assert arrays.array_digest(KERNEL) == by_the_definition("<f4", [2, 2], data)


GOLDEN_DIGESTS = {
    "kernel": (KERNEL, "55db896c21b27f8ff7d8aabfcf39b7c7d39e3ed7580f29c6edab4477d15ee8e9"),
    "scalar": (
        np.array(4500, "<i8"),
        "9a3a2fff4298fc76514ecf64c2d7f3002c9e74d6844ffacaac2ed138b81170e9",
    ),
    "bytes": (
        np.arange(6, dtype="|u1").reshape(2, 3),
        "31c22a8e4dd006f7ebc929f4ee821d0c8e1bf279fc62f21cbb13e015bf646d29",
    ),
    "empty": (
        np.zeros((0, 3), "<f8"),
        "c43f624f49683dd2ad507f66f871036cb8dae7a3b64d17887e16508cc5d3eb2a",
    ),
}


@pytest.mark.parametrize("name", GOLDEN_DIGESTS)
def test_digests_stay_what_they_were(name: str) -> None:
    array, expected = GOLDEN_DIGESTS[name]
    assert arrays.array_digest(array) == expected


@pytest.mark.parametrize(
    "same",
    [KERNEL.astype(">f4"), np.asfortranarray(KERNEL), np.repeat(KERNEL, 2, axis=1)[:, ::2]],
    ids=["big-endian", "Fortran order", "strided"],
)
def test_how_an_array_lies_in_memory_does_not_count(same: Any) -> None:
    assert arrays.array_digest(same) == arrays.array_digest(KERNEL)


@pytest.mark.parametrize(
    "other",
    [
        KERNEL.reshape(4),
        KERNEL.view("<i4"),
        KERNEL.astype("<f8"),
        KERNEL.T,
        np.array([[1.5, 0.0], [np.inf, 3.25]], "<f4"),
    ],
    ids=["shape", "dtype of equal bytes", "wider dtype", "transposed", "sign of zero"],
)
def test_whatever_an_array_means_counts(other: Any) -> None:
    assert arrays.array_digest(other) != arrays.array_digest(KERNEL)


def test_the_payload_of_a_nan_counts() -> None:
    quiet, payload = (np.array([bits], "<u4").view("<f4") for bits in (0x7FC00000, 0x7FC00001))
    assert arrays.array_digest(quiet) != arrays.array_digest(payload)


def test_an_array_longer_than_a_block_is_digested_as_a_whole(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    long = np.arange(1000, dtype="<f4").reshape(10, 100)
    expected = arrays.array_digest(long)
    monkeypatch.setattr(arrays, "_BLOCK", 12)
    assert arrays.array_digest(long) == expected
    assert arrays.array_digest(np.asfortranarray(long)) == expected


def test_objects_are_refused_because_they_would_need_pickle() -> None:
    with pytest.raises(SamebitsError, match="numbers"):
        arrays.array_digest(np.array([object()]))


def test_arrays_read_back_with_all_their_bits(tmp_path: Path) -> None:
    digest = arrays.save_arrays(tmp_path / "a", [("kernel", KERNEL), ("step", np.array(7))])
    assert arrays.open_arrays(tmp_path / "a")["kernel"].tobytes() == KERNEL.tobytes()
    assert arrays.check_arrays(tmp_path / "a") == digest


def test_order_and_names_count(tmp_path: Path) -> None:
    one, two = ("one", KERNEL), ("two", KERNEL)
    digests = [
        arrays.save_arrays(tmp_path / str(i), pairs)
        for i, pairs in enumerate([[one, two], [two, one], [one], [one, ("2", KERNEL)]])
    ]
    assert len(set(digests)) == 4


def test_a_flipped_bit_is_found_and_the_file_named(tmp_path: Path) -> None:
    arrays.save_arrays(tmp_path, [("kernel", KERNEL)])
    path = tmp_path / "00000.npy"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    with pytest.raises(SamebitsError, match=r"00000\.npy \(kernel\): expected .* got"):
        arrays.check_arrays(tmp_path)


def test_a_truncated_file_is_refused_and_named(tmp_path: Path) -> None:
    arrays.save_arrays(tmp_path, [("kernel", KERNEL)])
    path = tmp_path / "00000.npy"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(SamebitsError, match=r"00000\.npy"):
        arrays.check_arrays(tmp_path)


def test_two_arrays_of_one_name_are_refused(tmp_path: Path) -> None:
    arrays.save_arrays(tmp_path, [("kernel", KERNEL), ("kernel", KERNEL)])
    with pytest.raises(SamebitsError, match="the same name twice: kernel"):
        arrays.read_index(tmp_path)


def test_a_full_disk_is_named_with_the_file(tmp_path: Path) -> None:
    (tmp_path / "00000.npy").symlink_to("/dev/full")  # every write there meets a full disk
    with pytest.raises(OSError) as caught:
        arrays.save_arrays(tmp_path, [("a", np.zeros(9))])
    said = explain_os_error(caught.value)
    assert said.startswith(f"No space left on device '{tmp_path}/00000.npy'; free some space")


@pytest.mark.parametrize("shape", [(), (0,), (3,), (2, 3)])
def test_a_stored_array_is_what_numpy_would_store(tmp_path: Path, shape: tuple[int, ...]) -> None:
    array = np.arange(np.prod(shape, dtype=int), dtype=">f8").reshape(shape)
    arrays.save_arrays(tmp_path, [("a", array)])
    np.save(tmp_path / "numpy.npy", array.astype("<f8"))
    assert (tmp_path / "00000.npy").read_bytes() == (tmp_path / "numpy.npy").read_bytes()
