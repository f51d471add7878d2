"""A user's arrays and generated ones, and what keeps them from being trained on."""

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from refusals import refused
from samebits.data import datasets
from samebits.errors import SamebitsError
from samebits.formats import files

SYNTHETIC = {"option": "synthetic", "seed": 0, "samples": 20, "shape": [3, 3], "classes": 4}


def npz(path: Path, **arrays: Any) -> dict[str, Any]:
    np.savez(path, **arrays)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    found = {"option": "npz", "path": str(path), "sha256": digest, "x": "x", "y": "y"}
    return found | {"shape": None, "classes": None}


def load(config: dict[str, Any]) -> datasets.Dataset:
    scratch = Path(config.get("path", ".")).parent
    return datasets.load(config, lambda line: None, scratch)


def test_a_users_arrays_are_taken_as_they_are(tmp_path: Path) -> None:
    config = npz(tmp_path / "a.npz", x=np.eye(3), y=np.arange(3), other=np.zeros(1))
    assert np.array_equal(load(config).arrays["x_train"], np.eye(3))


def test_a_changed_file_is_refused_with_both_digests(tmp_path: Path) -> None:
    config = npz(tmp_path / "a.npz", x=np.eye(3), y=np.arange(3)) | {"sha256": "0" * 64}
    with pytest.raises(SamebitsError, match=r"expected SHA-256 0{64} \(data\.sha256\), got"):
        load(config)


def test_a_missing_array_is_named_with_those_there_are(tmp_path: Path) -> None:
    config = npz(tmp_path / "a.npz", images=np.eye(3), y=np.arange(3))
    with pytest.raises(SamebitsError, match=r"data\.x=x; available: images, y"):
        load(config)


def test_pickled_objects_are_never_loaded(tmp_path: Path) -> None:
    config = npz(tmp_path / "a.npz", x=np.array([{}, {}]), y=np.arange(2))
    with pytest.raises(SamebitsError, match=r"expected an \.npz file of numbers"):
        load(config)


@pytest.mark.parametrize(
    ("x", "y", "said"),
    [
        (np.zeros((0, 2)), np.zeros(0), "at least one"),
        (np.zeros((3, 2)), np.zeros(2), "as many rows"),
        (np.array(["a", "b"]), np.zeros(2), "arrays of numbers"),
        (np.zeros((2, 3)), np.array([0, 4]), "1 outside that range, the first 4 in row 1"),
        (np.zeros((2, 3)), np.array([-1, 0]), "the first -1 in row 0"),
        (np.zeros((2, 3)), np.array([0.5, 0]), "the first 0.5 in row 0"),
        (np.zeros((2, 4)), np.zeros(2), "expected samples of shape [3], got [4]"),
    ],
)
def test_data_that_cannot_be_trained_on_is_refused(
    tmp_path: Path, x: Any, y: Any, said: str
) -> None:
    config = npz(tmp_path / "a.npz", x=x, y=y) | {"shape": [3], "classes": 4}
    with refused(said, "a.npz"):
        load(config)


def _archive(path: Path, **arrays: Any) -> None:
    np.savez(path, **{"x_train": np.zeros((4, 3)), "y_train": np.zeros(4, int)} | arrays)


def _encrypted(path: Path) -> None:
    """Marked so in both headers of its first member."""
    _archive(path)
    data = bytearray(path.read_bytes())
    data[data.index(b"PK\x03\x04") + 6] |= 1
    data[data.index(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(data)


OTHER_FILES: dict[str, Callable[[Path], Any]] = {
    "one array": lambda path: np.save(path.open("wb"), np.zeros((4, 3))),
    "one object": lambda path: np.save(path.open("wb"), np.array([{}]), allow_pickle=True),
    "objects as samples": lambda path: _archive(path, x_train=np.array([None] * 4)),
    "objects as labels": lambda path: _archive(path, y_train=np.array([None] * 4)),
    "nothing": lambda path: path.write_bytes(b""),
    "text": lambda path: path.write_text("1,2,3\n" * 99),
    "an encrypted archive": _encrypted,
}


@pytest.mark.parametrize("what", OTHER_FILES)
def test_a_file_that_is_no_archive_of_numbers_is_refused_in_a_sentence(
    tmp_path: Path, what: str
) -> None:
    path = tmp_path / "data.npz"
    OTHER_FILES[what](path)
    config: dict[str, Any] = {"option": "npz", "path": str(path), "sha256": files.digest(path)}
    config |= {"x": "x_train", "y": "y_train", "shape": None, "classes": None}
    with pytest.raises(SamebitsError, match=r"data\.npz: expected an \.npz file of numbers, got"):
        datasets.load(config, print, tmp_path)


def test_generated_data_depends_on_its_seed_alone() -> None:
    first, again, other = load(SYNTHETIC), load(SYNTHETIC), load(SYNTHETIC | {"seed": 1})
    assert np.array_equal(first.arrays["x_train"], again.arrays["x_train"])
    assert not np.array_equal(first.arrays["x_train"], other.arrays["x_train"])
    assert first.arrays["x_train"].shape == (20, 3, 3)
    assert set(np.unique(first.arrays["y_train"])) <= set(range(4))
