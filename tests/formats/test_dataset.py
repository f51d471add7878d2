"""Data sets: the same arrays give the same bytes, NumPy reads them, and a changed file is named."""

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from samebits.errors import SamebitsError
from samebits.formats import canonical, dataset, files

X = np.arange(24, dtype="<f4").reshape(2, 3, 4)


def written(folder: Path, x: Any = X) -> Path:
    folder.mkdir()
    dataset.write(folder, {"y_train": np.array([3, 1], "u1"), "x_train": x})
    return folder


def test_what_is_written_is_read_memory_mapped(tmp_path: Path) -> None:
    found = dataset.read(written(tmp_path / "data"))
    assert list(found) == ["x_train", "y_train"]
    assert isinstance(found["x_train"], np.memmap)
    assert found["x_train"].tobytes() == X.tobytes() and found["x_train"].shape == X.shape
    assert found["y_train"].tolist() == [3, 1]


def test_the_digest_is_that_of_the_index_which_has_those_of_the_files(tmp_path: Path) -> None:
    folder = written(tmp_path / "data")
    index = canonical.read_json(folder / "index.json")
    assert dataset.check(folder) == files.digest(folder / "index.json") == canonical.digest(index)
    assert index["format"] == "samebits-data-1"
    assert [array["sha256"] for array in index["arrays"]] == [
        files.digest(folder / f"{name}.npy") for name in ("x_train", "y_train")
    ]


def test_the_bytes_are_those_of_the_format_whatever_the_version_of_numpy(tmp_path: Path) -> None:
    data = (written(tmp_path / "data") / "x_train.npy").read_bytes()
    header = b"{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3, 4), }".ljust(117) + b"\n"
    assert data == b"\x93NUMPY\1\0" + (118).to_bytes(2, "little") + header + X.tobytes()
    assert hashlib.sha256(data).hexdigest() == files.digest(tmp_path / "data" / "x_train.npy")


@pytest.mark.parametrize(
    "same", [np.asfortranarray(X), X.astype(">f4"), np.repeat(X, 2, axis=2)[:, :, ::2]]
)
def test_how_an_array_lies_in_memory_does_not_count(tmp_path: Path, same: Any) -> None:
    folders = written(tmp_path / "data"), written(tmp_path / "same", same)
    assert dataset.check(folders[0]) == dataset.check(folders[1])


@pytest.mark.parametrize("other", [-X, X.reshape(2, 4, 3), X.view("<i4"), X.astype("<f8")])
def test_another_value_shape_or_dtype_is_another_data_set(tmp_path: Path, other: Any) -> None:
    folders = written(tmp_path / "data"), written(tmp_path / "other", other)
    assert dataset.check(folders[0]) != dataset.check(folders[1])


def test_every_changed_file_is_named(tmp_path: Path) -> None:
    folder = written(tmp_path / "data")
    for name in ("x_train", "y_train"):
        path = folder / f"{name}.npy"
        path.write_bytes(path.read_bytes()[:-1] + b"\xff")
    with pytest.raises(SamebitsError, match=r"x_train\.npy: expected SHA-256(.|\n)*y_train\.npy"):
        dataset.check(folder)


def test_a_file_that_is_no_array_is_refused(tmp_path: Path) -> None:
    folder = written(tmp_path / "data")
    (folder / "x_train.npy").write_bytes(b"cos\nsystem\n(S'true'\ntR.")
    with pytest.raises(SamebitsError, match=r"x_train\.npy: not an \.npy file"):
        dataset.read(folder)


@pytest.mark.parametrize("content", [[], {"format": "samebits-data-2", "arrays": []}])
def test_another_index_is_refused(tmp_path: Path, content: Any) -> None:
    canonical.write_json(tmp_path / "index.json", content)
    with pytest.raises(SamebitsError, match="expected an index of format samebits-data-1"):
        dataset.check(tmp_path)


@pytest.mark.parametrize("name", ["../x_train", "", "x/y", "x.y"])
def test_a_name_that_is_no_plain_word_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(SamebitsError, match="cannot name an array"):
        dataset.write(tmp_path, {name: X})
    assert list(tmp_path.iterdir()) == []


def test_large_arrays_are_written_in_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = dataset.check(written(tmp_path / "whole"))
    monkeypatch.setattr(dataset, "_BLOCK", 8)
    assert dataset.check(written(tmp_path / "parts")) == whole
