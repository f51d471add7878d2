"""Files of arrays: byte for byte the library's, bounded in memory, and nothing else is read."""

import hashlib
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays_of
from safetensors import SafetensorError, TensorSpec, safe_open, serialize
from safetensors.numpy import load_file

from samebits.errors import SamebitsError
from samebits.formats import arrays, files
from samebits.formats.arrays import Tensor

NAMED: dict[str, Any] = {
    "float32": np.arange(6, dtype="f4").reshape(2, 3),
    "float64": np.array([np.nan, -0.0, np.inf, 5e-324]),
    "a NaN with a payload": np.array([0x7FC12345, 0xFFC00001], "u4").view("f4"),
    "float16": np.array([1.5, -0.0], "f2"),
    "complex64": np.array([1 - 2j], "c8"),
    "bool": np.array([True, False, True]),
    "empty": np.zeros((0, 3), "f4"),
    "scalar": np.array(-0.0, "f4"),
    "int64": np.array([1], "i8"),
    'é "quoted" \\ \n\x1f\x7f \U0001f600/kernel:0': np.array([1], "u8"),
    "uint8": np.array([255], "u1"),
    "int8": np.array([-128], "i1"),
    "uint16": np.array([1], "u2"),
    "int16": np.array([1], "i2"),
    "uint32": np.array([1], "u4"),
    "int32": np.array([-1], "i4"),
}


def by_the_library(named: dict[str, Any], bfloat16: str = "") -> bytes:
    """What the safetensors library writes; ``bfloat16``: which of them is given as uint16."""
    kept = {name: np.ascontiguousarray(array) for name, array in named.items()}
    specs = {
        name: TensorSpec(
            dtype="bfloat16" if name == bfloat16 else array.dtype.name,
            shape=named[name].shape,
            data_ptr=array.ctypes.data,
            data_len=array.nbytes,
        )
        for name, array in kept.items()
    }
    return bytes(serialize(specs))


@pytest.mark.parametrize("order", [list, lambda names: list(reversed(names)), sorted])
def test_a_file_is_what_the_library_writes(tmp_path: Path, order: Callable[..., list[str]]) -> None:
    named = {name: NAMED[name] for name in order(NAMED)}
    stored = arrays.write(tmp_path / "a.safetensors", named.items())
    data = (tmp_path / "a.safetensors").read_bytes()
    assert data == by_the_library(named)
    assert (
        stored.sha256
        == hashlib.sha256(data).hexdigest()
        == arrays.digest(arrays.described(named.items()))
    )
    assert [tensor.name for tensor in stored.tensors] == list(named)


DTYPES = ["f2", "f4", "f8", "c8", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "?"]


@given(
    st.dictionaries(
        st.text(st.characters(exclude_categories=["Cs"]), min_size=1),
        arrays_of.arrays(
            st.sampled_from(DTYPES), arrays_of.array_shapes(min_dims=0, min_side=0, max_side=3)
        ),
    )
)
def test_any_file_is_what_the_library_writes(
    tmp_path_factory: pytest.TempPathFactory, named: dict[str, Any]
) -> None:
    path = tmp_path_factory.mktemp("any") / "a.safetensors"
    arrays.write(path, named.items())
    assert path.read_bytes() == by_the_library(named)
    for name, array in arrays.open_arrays(path).items():
        assert array.tobytes() == named[name].tobytes() and array.shape == named[name].shape


def test_no_arrays_are_a_file_too(tmp_path: Path) -> None:
    arrays.write(tmp_path / "a", [])
    assert (tmp_path / "a").read_bytes() == by_the_library({})
    assert arrays.read(tmp_path / "a").tensors == ()


def test_the_order_in_memory_does_not_matter(tmp_path: Path) -> None:
    array = np.arange(12, dtype="f4").reshape(3, 4)
    wide = np.repeat(array, 2, axis=1)
    same = [array, np.asfortranarray(array), array.astype(">f4"), wide[:, ::2]]
    assert len({arrays.digest(arrays.described([("a", each)])) for each in same}) == 1


def test_the_library_reads_it(tmp_path: Path) -> None:
    named = {name: array for name, array in NAMED.items() if name != "complex64"}
    arrays.write(tmp_path / "a", named.items())
    for name, array in load_file(tmp_path / "a").items():
        assert array.dtype == named[name].dtype
        assert array.tobytes() == named[name].tobytes() and array.shape == named[name].shape


def test_bfloat16_is_read_as_integers_of_its_bits(tmp_path: Path) -> None:
    """That TensorFlow's bfloat16 is written so is tested where there is a TensorFlow."""
    named = {
        "float16": NAMED["float16"],
        "a": np.array([[0x3FC0], [0x7FC1]], "u2"),
        "b": np.ones(1),
    }
    (tmp_path / "a").write_bytes(by_the_library(named, bfloat16="a"))
    found = arrays.read(tmp_path / "a")
    assert [tensor.dtype for tensor in found.tensors] == ["F64", "BF16", "F16"]
    assert found.open("a").dtype == np.uint16
    assert found.open("a").tobytes() == named["a"].tobytes()
    pairs = [(tensor, found.open(tensor.name)) for tensor in found.tensors]
    assert arrays.digest(pairs) == files.digest(tmp_path / "a")


def test_complex128_is_stored_as_pairs(tmp_path: Path) -> None:
    array = np.array([[1 - 2j, complex(-0.0, np.nan)]])
    stored = arrays.write(tmp_path / "a", [("a", array), ("scalar", np.array(1j))])
    assert stored.tensors == (Tensor("a", "F64", (1, 2, 2)), Tensor("scalar", "F64", (2,)))
    assert arrays.open_arrays(tmp_path / "a")["a"].tobytes() == array.tobytes()


def test_another_bit_name_dtype_or_shape_is_another_digest() -> None:
    array = np.array([[1, 2]], "f4")
    flipped = array.copy()
    flipped.view("u4")[0, 1] ^= 1
    others = [array, flipped, array.reshape(2, 1), array.view("i4"), -0 * array, -0.0 * array]
    digests = {arrays.digest(arrays.described([("a", each)])) for each in others} | {
        arrays.digest(arrays.described([("b", array)]))
    }
    assert len(digests) == 7


def test_the_list_in_a_record_is_in_the_order_given(tmp_path: Path) -> None:
    stored = arrays.write(tmp_path / "a", [("z", np.zeros((2, 1), "f4")), ("a", np.zeros(1))])
    assert stored.as_json() == [
        {"name": "z", "dtype": "F32", "shape": [2, 1]},
        {"name": "a", "dtype": "F64", "shape": [1]},
    ]
    assert arrays.from_json(stored.as_json()) == stored.tensors


@pytest.mark.parametrize("array", [np.array(["text"]), np.array([None]), np.zeros(1, "M8[s]")])
def test_other_than_numbers_is_refused(array: Any) -> None:
    with pytest.raises(SamebitsError, match="cannot store dtype"):
        arrays.digest(arrays.described([("a", array)]))


def test_two_tensors_of_one_name_are_refused() -> None:
    with pytest.raises(ValueError, match="one name"):
        arrays.digest(arrays.described([("a", np.zeros(1)), ("a", np.ones(1))]))


# --- files that come from anybody --------------------------------------------------------------


def made(header: Any, elements: bytes = b"1234") -> bytes:
    text = (
        header if isinstance(header, bytes) else json.dumps(header, separators=(",", ":")).encode()
    )
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text + elements


def one(**changes: Any) -> dict[str, Any]:
    return {"a": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]} | changes}


HOSTILE = {
    "nothing": b"",
    "half a length": b"\x08\0\0",
    "a header longer than the file": (1 << 20).to_bytes(8, "little") + b"{}",
    "a length of 2^63": (1 << 63).to_bytes(8, "little") + b"{}" * 100,
    "a length that leaves no memory": (1 << 30).to_bytes(8, "little"),
    "no JSON": made(b"{"),
    "no text": made(b"\xff\xfe"),
    "half a surrogate pair": made(b'{"\\ud800":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}'),
    "a list": made([1]),
    "deep": made(b"[" * 100_000),
    "a list for a tensor": made({"a": [1]}),
    "metadata": made({"__metadata__": {"a": "b"}} | one()),
    "no dtype": made({"a": {"shape": [1], "data_offsets": [0, 4]}}),
    "another dtype": made(one(dtype="F128")),
    "a number for a dtype": made(one(dtype=4)),
    "a key more": made(one(more=1)),
    "a negative size": made(one(shape=[-1])),
    "a float for a size": made(one(shape=[1.0])),
    "a bool for a size": made(one(shape=[True])),
    "text for a shape": made(one(shape="1")),
    "other offsets": made(one(data_offsets=[4, 8]), b"12345678"),
    "a hole": made(one(data_offsets=[0, 4]) | {"b": one(data_offsets=[8, 12])["a"]}, b"1" * 12),
    "overlapping": made(one() | {"b": one()["a"]}),
    "too few elements": made(one(), b"123"),
    "too many elements": made(one(), b"12345"),
    "white space": made(json.dumps(one()).encode()),
    "a name twice": made(
        b'{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},'
        b'"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}'
    ),
    "another order": made({"b": one()["a"], "a": one(data_offsets=[4, 8])["a"]}, b"1" * 8),
    "padding of zeros": (lambda data: data.replace(b" ", b"\0"))(made(one())),
    "a huge number": made(
        b'{"a":{"dtype":"F32","shape":[' + b"9" * 10_000 + b'],"data_offsets":[0,4]}}'
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
def test_what_is_not_just_what_is_written_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "a").write_bytes(HOSTILE[name])
    with pytest.raises(SamebitsError, match="a: "):
        arrays.read(tmp_path / "a")


def test_what_is_made_here_would_be_read_but_for_what_is_wrong_with_it(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(made(one()))
    assert arrays.read(tmp_path / "a").tensors == (Tensor("a", "F32", (1,)),)


@given(st.data())
def test_what_is_read_the_library_reads_too(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    content = bytearray(by_the_library({"a": np.ones(2, "f4"), "b": np.zeros((0, 2), "u1")}))
    content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path_factory.mktemp("changed") / "a"
    path.write_bytes(content)
    try:
        tensors = arrays.read(path).tensors
    except SamebitsError:
        return
    try:
        with safe_open(path, "numpy") as file:
            assert sorted(file.keys()) == sorted(tensor.name for tensor in tensors)
    except SafetensorError as error:
        pytest.fail(f"the library refuses what was read: {error}")


@pytest.mark.parametrize("shape", [[2**62, 2**62, 0], [0] * 100])
def test_a_shape_that_numpy_cannot_have_is_refused_when_it_is_opened(
    tmp_path: Path, shape: list[int]
) -> None:
    (tmp_path / "a").write_bytes(made(one(shape=shape, data_offsets=[0, 0]), b""))
    with pytest.raises(SamebitsError, match="cannot be an array"):
        arrays.read(tmp_path / "a").open("a")


# --- memory ------------------------------------------------------------------------------------

_LARGE = """
import re, sys, numpy as np
from pathlib import Path
from samebits.formats import arrays, files
path = Path(sys.argv[1])
mapped = np.memmap(path.with_name("source"), "f4", "w+", shape=(1 << 26,))
stored = arrays.write(path, [("a", mapped), ("b", np.zeros(3))])
pairs = [(tensor, arrays.read(path).open(tensor.name)) for tensor in stored.tensors]
assert arrays.digest(pairs) == stored.sha256
# Not ru_maxrss: a child starts with the peak of the process that forked it.
print(re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1])
"""


@pytest.mark.process
def test_memory_does_not_grow_with_an_array(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", _LARGE, tmp_path / "a"],
        capture_output=True,
        text=True,
        check=True,
        env={"PYTHONPATH": str(Path(arrays.__file__).parents[2])},
    )
    assert int(done.stdout) < 220 << 10, done.stdout  # of 256 MiB
