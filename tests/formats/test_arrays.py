"""Digests of arrays, and arrays as files."""

import hashlib
import io
import json
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from samebits.errors import SamebitsError, explain_os_error
from samebits.formats import arrays, canonical

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


@pytest.mark.parametrize("dtype", ["?", "i1", "<i8", "<f2", "<f4", "<f8", "<c8", "<c16"])
@pytest.mark.parametrize("shape", [(), (0,), (5,), (0, 3), (2, 3)])
def test_an_array_that_is_copied_has_the_digest_of_one_that_is_not(
    dtype: str, shape: tuple[int, ...]
) -> None:
    array = np.arange(np.prod(shape, dtype=int)).reshape(shape).astype(dtype)
    swapped = array.astype(array.dtype.newbyteorder(">"))
    assert arrays.entry_of("a", np.array(array, order="F")) == arrays.entry_of("a", array)
    assert arrays.entry_of("a", swapped) == arrays.entry_of("a", array)


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


# --- arrays as streams -----------------------------------------------------------------------


def npy(
    descr: str = "'<f4'",
    order: str = "False",
    shape: str = "(2, 2)",
    data: bytes = KERNEL.tobytes(),
    version: int = 1,
) -> bytes:
    """A .npy file, written by hand so that it can be wrong."""
    text = f"{{'descr': {descr}, 'fortran_order': {order}, 'shape': {shape}, }}".ljust(117) + "\n"
    size = len(text).to_bytes(2 if version == 1 else 4, "little")
    return b"\x93NUMPY" + bytes([version, 0]) + size + text.encode() + data


def entry_of_bytes(data: bytes) -> arrays.ArrayEntry:
    return arrays.entry_of_stream("a", io.BytesIO(data))


@pytest.mark.parametrize("version", [1, 2, 3])
def test_a_stream_has_the_entry_of_its_array(version: int) -> None:
    assert entry_of_bytes(npy(version=version)) == arrays.entry_of("a", KERNEL)


@pytest.mark.parametrize("dtype", ["?", "i1", "<u2", "<i8", "<f2", "<f8", "<c16"])
@pytest.mark.parametrize("shape", [(), (0,), (5,), (0, 3), (2, 3, 4)])
def test_what_numpy_writes_is_read(dtype: str, shape: tuple[int, ...]) -> None:
    array, file = np.ones(shape, dtype), io.BytesIO()
    np.save(file, array)
    assert entry_of_bytes(file.getvalue()) == arrays.entry_of("a", array)


class Trickle(io.BytesIO):
    """Gives what it has in small pieces, as a pipe may."""

    def read(self, size: int | None = -1) -> bytes:
        return super().read(min(size or 0, 3))

    def readinto(self, buffer: Any) -> int:
        return super().readinto(memoryview(buffer)[:3])


def test_a_stream_may_give_its_bytes_in_small_pieces() -> None:
    assert arrays.entry_of_stream("a", Trickle(npy())) == arrays.entry_of("a", KERNEL)


WRONG_STREAMS = {
    "empty": (b"", "whole"),
    "no .npy file": (b"PK\3\4" + bytes(100), "begins with"),
    "a later version": (npy(version=4), "begins with"),
    "cut in the magic": (npy()[:5], "end within the header"),
    "cut in the length": (npy()[:9], "end within the header"),
    "cut in the header": (npy()[:40], "end within the header"),
    "cut in the elements": (npy()[:-1], "15 of 16 bytes"),
    "bytes behind": (npy() + b"\0", "more than 16 bytes"),
    "objects": (npy("'|O'"), "store numbers only"),
    "text": (npy("'<U4'"), "store numbers only"),
    "moments": (npy("'<M8[ns]'"), "as NumPy writes it"),
    "three-byte floats": (npy("'<f3'"), "store numbers only"),
    "records": (npy("[('a', '<f4')]"), "as NumPy writes it"),
    "big-endian": (npy("'>f4'"), "store in C order, little-endian"),
    "Fortran order": (npy(order="True"), "store in C order, little-endian"),
    "negative size": (npy(shape="(-2, -2)"), "as NumPy writes it"),
    "size that is no integer": (npy(shape="(2.0, 2)"), "as NumPy writes it"),
    "size that is a bool": (npy(shape="(True, 4)"), "as NumPy writes it"),
    "an expression": (npy(shape="(2, 1+1)"), "as NumPy writes it"),
    "another digit": (npy(shape="(٢, 2)"), "as NumPy writes it"),
    "more elements than there is memory": (npy(shape="(" + "9" * 19 + ",)"), "whole"),
    "too many dimensions": (npy(shape="(1" + ", 1" * 64 + ")"), "as NumPy writes it"),
    "deeply nested": (npy(shape="(" * 5000), "as NumPy writes it"),
    "a long header": (npy(shape="(1" + " " * 10000 + ",)"), "at most 10000 bytes"),
    "a header of 4 GiB": (b"\x93NUMPY\2\0\xff\xff\xff\xff", "at most 10000 bytes"),
}


@pytest.mark.parametrize("what", WRONG_STREAMS)
def test_a_wrong_stream_is_refused(what: str) -> None:
    data, said = WRONG_STREAMS[what]
    with pytest.raises(SamebitsError, match=said):
        entry_of_bytes(data)


def entry_or_refusal(data: bytes) -> None:
    """Any other exception fails the test."""
    try:
        entry = entry_of_bytes(data)
    except SamebitsError:
        return
    assert arrays.parse_index(json.loads(canonical.dumps(index(entry)))) == [entry]


def index(*entries: arrays.ArrayEntry) -> dict[str, Any]:
    return {"format": arrays.FORMAT, "arrays": [entry.as_json() for entry in entries]}


@given(st.binary(max_size=300))
def test_any_bytes_are_an_entry_or_refused(data: bytes) -> None:
    entry_or_refusal(data)
    entry_or_refusal(b"\x93NUMPY\1\0" + len(data).to_bytes(2, "little") + data)


@given(st.integers(0, 150), st.integers(0, 4), st.binary(max_size=6))
def test_a_file_changed_anywhere_is_an_entry_or_refused(at: int, cut: int, new: bytes) -> None:
    data = npy()
    entry_or_refusal(data[:at] + new + data[at + cut :])


@given(st.text("0123456789-, ()[]'<>|=iuf", max_size=40))
def test_any_words_in_a_header_are_an_entry_or_refused(text: str) -> None:
    entry_or_refusal(npy(descr=text))
    entry_or_refusal(npy(shape=text))


def test_a_damaged_member_of_an_archive_is_refused() -> None:
    archive, data = io.BytesIO(), npy()
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("00000.npy", data)
    damaged = bytearray(archive.getvalue())
    damaged[damaged.index(data) + len(data) - 1] ^= 1
    with (
        zipfile.ZipFile(io.BytesIO(damaged)) as file,
        file.open("00000.npy") as stream,
        pytest.raises(SamebitsError, match="whole"),
    ):
        arrays.entry_of_stream("a", stream)  # type: ignore[arg-type]


# --- indices and sets ------------------------------------------------------------------------

ENTRY = {"name": "a", "dtype": "<f4", "shape": [2, 0], "sha256": "0" * 64}


def test_an_index_is_parsed() -> None:
    expected = [arrays.ArrayEntry("a", "<f4", (2, 0), "0" * 64)]
    assert arrays.parse_index({"format": arrays.FORMAT, "arrays": [ENTRY]}) == expected


WRONG_ENTRIES: dict[str, Any] = {
    "no object": [],
    "a key less": {"name": "a", "dtype": "<f4", "shape": []},
    "a key more": ENTRY | {"path": "/"},
    "name": ENTRY | {"name": 1},
    "half a character": ENTRY | {"name": "\ud800"},
    "dtype": ENTRY | {"dtype": ["<f4"]},
    "big-endian": ENTRY | {"dtype": ">f4"},
    "objects": ENTRY | {"dtype": "|O"},
    "shape": ENTRY | {"shape": "2"},
    "a size that is a bool": ENTRY | {"shape": [True]},
    "a size that is a float": ENTRY | {"shape": [2.0]},
    "a negative size": ENTRY | {"shape": [-1]},
    "a size beyond all memory": ENTRY | {"shape": [2**63]},
    "too many dimensions": ENTRY | {"shape": [1] * 65},
    "upper case": ENTRY | {"sha256": "A" * 64},
    "a line feed": ENTRY | {"sha256": "0" * 64 + "\n"},
    "short": ENTRY | {"sha256": "0" * 63},
}


@pytest.mark.parametrize("what", WRONG_ENTRIES)
def test_a_wrong_entry_is_refused(what: str) -> None:
    with pytest.raises(ValueError):
        arrays.parse_index({"format": arrays.FORMAT, "arrays": [WRONG_ENTRIES[what]]})


WRONG_INDICES: dict[str, Any] = {
    "list": [],
    "null": None,
    "no arrays": {"format": arrays.FORMAT},
    "a key more": {"format": arrays.FORMAT, "arrays": [], "x": 1},
    "another format": {"format": "samebits-arrays-2", "arrays": []},
    "an object": {"format": arrays.FORMAT, "arrays": {}},
    "one name twice": {"format": arrays.FORMAT, "arrays": [ENTRY, ENTRY]},
}


@pytest.mark.parametrize("what", WRONG_INDICES)
def test_a_wrong_index_is_refused(what: str) -> None:
    with pytest.raises(ValueError):
        arrays.parse_index(WRONG_INDICES[what])


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from([*ENTRY, "format", "arrays"]), inner, max_size=4)
    ),
    max_leaves=8,
)


@given(JSON, st.dictionaries(st.sampled_from(sorted(ENTRY)), JSON, min_size=1))
def test_any_json_is_an_index_or_a_value_error(content: Any, changed: Any) -> None:
    for each in (content, {"format": arrays.FORMAT, "arrays": [ENTRY | changed]}):
        try:
            arrays.set_digest(arrays.parse_index(each))
        except ValueError:
            continue


def test_every_array_that_is_not_as_the_index_says_is_named(tmp_path: Path) -> None:
    arrays.save_arrays(tmp_path, [(name, KERNEL) for name in "abcdef"])
    (tmp_path / "00004.npy").write_bytes(npy(data=bytes(16)))
    (tmp_path / "00003.npy").unlink()
    (tmp_path / "00001.npy").write_bytes(npy("'>f4'"))
    with pytest.raises(SamebitsError) as caught:
        arrays.check_arrays(tmp_path)
    lines = str(caught.value).splitlines()
    expected = f"expected <f4 [2, 2] {arrays.array_digest(KERNEL)}, got "
    named = ["00001.npy (b)", "00003.npy (d)", "00004.npy (e)"]
    for line, name in zip(lines, named, strict=True):
        assert line.startswith(f"{tmp_path}/{name}: {expected}")
    assert "No such file" in lines[1]
    assert all(line.endswith("; delete the folder to have it made again") for line in lines)


def test_a_set_is_checked_from_any_streams_and_each_is_closed() -> None:
    sets = [np.full(size, size, "<i4") for size in range(50)]
    entries = [arrays.entry_of(str(a.size), a) for a in sets]
    opened: dict[int, io.BytesIO] = {}

    def open_stream(position: int) -> BinaryIO:
        shape = f"({position},)"
        opened[position] = io.BytesIO(npy("'<i4'", shape=shape, data=sets[position].tobytes()))
        return opened[position]

    assert arrays.check_set(entries, open_stream) == []
    assert sorted(opened) == list(range(50))
    assert all(stream.closed for stream in opened.values())


def test_a_refusal_to_open_is_a_problem_of_that_array() -> None:
    def open_stream(position: int) -> BinaryIO:
        raise SamebitsError("expected a member, got none")

    entries = [arrays.entry_of("a", KERNEL)]
    (problem,) = arrays.check_set(entries, open_stream)
    assert problem.startswith("00000.npy (a): expected <f4 [2, 2] ")
    assert problem.endswith(", got expected a member, got none")


def test_an_archive_may_be_read_by_all_cpus_at_once(tmp_path: Path) -> None:
    path, stored = tmp_path / "a.zip", {str(i): np.full(i, i, "<f8") for i in range(64)}
    entries = [arrays.entry_of(name, array) for name, array in stored.items()]
    with zipfile.ZipFile(path, "w") as file:
        for name, array in stored.items():
            file.writestr(name, npy("'<f8'", shape=f"({array.size},)", data=array.tobytes()))
    with zipfile.ZipFile(path) as file:
        assert arrays.check_set(entries, lambda i: file.open(str(i))) == []  # type: ignore[arg-type, return-value]


HIGHEST = r"""
import re, sys
from pathlib import Path
from samebits.formats import arrays
entries = [arrays.ArrayEntry(str(i), "|u1", (2**28,), "0" * 64) for i in range(2)]
problems = arrays.check_set(entries, lambda i: open(sys.argv[1], "rb", buffering=0))
assert len(problems) == 2
print(re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())[1])
"""


def test_memory_stays_below_200_mb_whatever_the_size(tmp_path: Path) -> None:
    path = tmp_path / "large.npy"
    path.write_bytes(npy("'|u1'", shape=f"({2**28},)", data=b""))
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size + 2**28)  # a file of holes takes no room on the disk
    scripts = str(Path(arrays.__file__).parents[2])
    output = subprocess.check_output(
        [sys.executable, "-c", HIGHEST, path], env={"PYTHONPATH": scripts}
    )
    assert int(output) * 1024 < 200e6
