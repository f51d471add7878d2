"""The three kinds of data: published, a user's .npz file, generated. Each gives named arrays."""

import shutil
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from samebits.data import sources
from samebits.data.sources import Refusal
from samebits.errors import SamebitsError, require_none
from samebits.formats import files

UNPACKED = "unpacked"  # the name of temporary files
_BLOCK = 1 << 20  # bytes that are unpacked at a time


@dataclass(frozen=True)
class Dataset:
    """Named arrays, at least ``x_train`` and ``y_train`` with as many rows, and their origin."""

    arrays: dict[str, np.ndarray]
    kind: str
    where: str
    refused: list[Refusal]


def load(config: Mapping[str, Any], say: Callable[[str], None], scratch: Path) -> Dataset:
    """The data set of a ``data`` config. Arrays of a file are memory-mapped from ``scratch``.

    Raises SamebitsError if it is unavailable or damaged, or differs from the config.
    """
    match config["option"]:
        case "npz":
            dataset = _npz(config, scratch)
        case "synthetic":
            dataset = _synthetic(config)
        case _:
            given = sources.from_config(config)
            arrays, source, refused = sources.first_good(given, config["sha256"], say)
            dataset = Dataset(arrays, source.kind, source.where, refused)
    require_none(f"{dataset.where}: {problem}" for problem in _problems(dataset.arrays, config))
    return dataset


def _npz(config: Mapping[str, Any], scratch: Path) -> Dataset:
    path = Path(config["path"])
    got = files.digest(path)
    if got != config["sha256"]:
        raise SamebitsError(
            f"{path}: expected SHA-256 {config['sha256']} (data.sha256), got {got}; "
            "restore the file, or set data.sha256 if the change is intended"
        )
    try:
        with zipfile.ZipFile(path) as file:
            names = [name.removesuffix(".npy") for name in file.namelist()]
        require_none(
            f"{path}: no array for data.{k}={config[k]}; available: {', '.join(names)}"
            for k in "xy"
            if config[k] not in names
        )
        arrays = {f"{k}_train": _unpacked(path, config[k], scratch) for k in "xy"}
    except (ValueError, EOFError, zipfile.BadZipFile, zlib.error, RuntimeError) as error:
        # RuntimeError: an encrypted archive, or a compression that zipfile does not know
        why = (
            str(error).partition(". ")[0].rstrip(".")
        )  # NumPy goes on with how to load it unsafely
        raise SamebitsError(
            f"{path}: expected an .npz file of numbers, got: {why}; save the arrays as numbers "
            "(numpy.savez)"
        ) from None
    return Dataset(arrays, "local file", str(path), [])


def _unpacked(path: Path, name: str, scratch: Path) -> np.ndarray:
    """One array of an archive, unpacked to disk because it may be larger than memory.

    The file has no name any more when this returns, and is deleted with the array.
    """
    files.remove_partial(scratch / UNPACKED)
    with tempfile.NamedTemporaryFile(dir=scratch, prefix=f".{UNPACKED}.") as file:
        with files.naming(scratch), zipfile.ZipFile(path) as archive:
            member = name if name in archive.namelist() else f"{name}.npy"
            with archive.open(member) as source:
                shutil.copyfileobj(source, file, _BLOCK)
            file.flush()
        array: np.ndarray = np.load(file.name, mmap_mode="r", allow_pickle=False)
        return array


def _synthetic(config: Mapping[str, Any]) -> Dataset:
    """Class prototypes and noise. RandomState's stream is frozen for good (NumPy's NEP 19)."""
    random = np.random.RandomState(config["seed"])
    shape = tuple(config["shape"])
    prototypes = random.randint(0, 128, (config["classes"], *shape), np.uint8)
    labels = random.randint(0, config["classes"], config["samples"], np.uint8)
    noise = random.randint(0, 128, (config["samples"], *shape), np.uint8)
    arrays = {"x_train": prototypes[labels] + noise, "y_train": labels}
    return Dataset(arrays, "generated", f"seed {config['seed']}", [])


def _problems(arrays: Mapping[str, np.ndarray], config: Mapping[str, Any]) -> Iterator[str]:
    """Why the arrays cannot be trained on, with the keys of the config that they violate."""
    for part in sorted({name.partition("_")[2] for name in arrays}):
        x, y = arrays[f"x_{part}"], arrays[f"y_{part}"]
        if x.dtype.kind not in "biuf" or y.dtype.kind not in "biuf":
            yield f"expected arrays of numbers, got x {x.dtype} and y {y.dtype}"
        elif x.ndim == 0 or y.ndim == 0 or len(x) == 0 or len(x) != len(y):
            rows = f"x {list(x.shape)} and y {list(y.shape)}"
            yield f"expected as many rows of x as of y, at least one; got {rows}"
        else:
            yield from _value_problems(x, y, config["shape"], config["classes"])


def _value_problems(
    x: np.ndarray, y: np.ndarray, shape: list[int] | None, classes: int | None
) -> Iterator[str]:
    if shape is not None and list(x.shape[1:]) != list(shape):
        yield f"data.shape: expected samples of shape {shape}, got {list(x.shape[1:])}"
    if classes is None:
        return
    wrong = np.flatnonzero((y < 0) | (y >= classes) | (y != np.floor(y)))
    if wrong.size:
        first = np.unravel_index(wrong[0], y.shape)
        yield (
            f"data.classes={classes}: expected labels 0 to {classes - 1}, got {wrong.size} outside "
            f"that range, the first {y[first]} in row {first[0]}"
        )
