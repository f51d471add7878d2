"""Data for the programs: generated, small, and the same bytes each time, but for MNIST.

python tests/programs/inputs.py NAME… --below FOLDER
"""

import argparse
import csv
import io
import json
import pickle
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

GOOD = ["wonderful", "moving", "film", "superb", "acting", "clever", "plot", "loved"]
BAD = ["dull", "script", "wooden", "cast", "boring", "mess", "far", "long"]
Generator = np.random.Generator


def write(names: tuple[str, ...], below: Path) -> None:
    """Write the inputs with these names below a folder."""
    below.mkdir(parents=True, exist_ok=True)
    for name in names:
        _WRITERS[name](below / name, np.random.default_rng(0))


def png(pixels: np.ndarray) -> bytes:
    """The file of an image of bytes: (height, width, 3)."""
    height, width, _ = pixels.shape
    rows = b"".join(b"\0" + row.tobytes() for row in pixels)
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunks = (b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(kind, data) for kind, data in chunks)


def _chunk(kind: bytes, data: bytes) -> bytes:
    checked = kind + data
    return struct.pack(">I", len(data)) + checked + struct.pack(">I", zlib.crc32(checked))


def _table(path: Path, columns: list[str], rows: Iterator[list[object]]) -> None:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([columns, *rows])
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text.getvalue())


def _review(rng: Generator, good: bool) -> str:
    own, other = (GOOD, BAD) if good else (BAD, GOOD)
    words = [*rng.choice(own, 14), *rng.choice(other, 4)]
    return "<br />".join([" ".join(words[:9]), " ".join(words[9:]).capitalize() + "!"])


def _reviews(folder: Path, rng: Generator) -> None:
    """As aclImdb: {train,test}/{pos,neg}/N.txt."""
    for part, count in (("train", 64), ("test", 16)):
        for name in ("pos", "neg"):
            (folder / part / name).mkdir(parents=True, exist_ok=True)
            for number in range(count):
                text = _review(rng, name == "pos")
                (folder / part / name / f"{number}.txt").write_text(text)


def _sequences(path: Path, rng: Generator) -> None:
    """As imdb.npz: lists of word numbers, each of another length, the frequent ones small."""
    arrays: dict[str, Any] = {}
    for part, count in (("train", 192), ("test", 64)):
        labels = rng.integers(0, 2, count)
        lists = np.empty(count, object)
        for row, label in enumerate(labels):
            words = rng.zipf(1.3, rng.integers(20, 80)) * 2 + (label if row % 5 else 1 - label)
            lists[row] = [1, *(int(word) % 990 + 3 for word in words)]
        arrays |= {f"x_{part}": lists, f"y_{part}": labels}
    with zipfile.ZipFile(path, "w") as file:
        for name, array in arrays.items():
            file.writestr(zipfile.ZipInfo(f"{name}.npy"), _npy(array))


def _npy(array: np.ndarray) -> bytes:
    """As NumPy 1 wrote it: version 2 pickles objects by names that version 1 does not know."""
    file = io.BytesIO()
    if array.dtype != object:
        np.save(file, array)
        return file.getvalue()
    np.lib.format.write_array_header_1_0(file, np.lib.format.header_data_from_array_1_0(array))
    return file.getvalue() + pickle.dumps(array, 2).replace(b"numpy._core", b"numpy.core")


def _photos(folder: Path, rng: Generator) -> None:
    """Two classes of pictures: round and striped ones."""
    grid = np.indices((24, 24)).astype(float)
    for name in ("round", "striped"):
        (folder / name).mkdir(parents=True, exist_ok=True)
        for number in range(40):
            shift, scale = rng.uniform(8, 16, 2), rng.uniform(0.4, 0.9)
            far = np.hypot(grid[0] - shift[0], grid[1] - shift[1])
            shape = far < 7 if name == "round" else np.sin(grid[1] * scale) > 0
            pixels = rng.integers(0, 90, (24, 24, 3)) + 150 * shape[..., None]
            (folder / name / f"{number:03}.png").write_bytes(png(pixels.astype(np.uint8)))


def _heart(path: Path, rng: Generator) -> None:
    def rows() -> Iterator[list[object]]:
        for _ in range(240):
            age, pressure = int(rng.integers(29, 78)), int(rng.normal(131, 17))
            thal = str(rng.choice(["normal", "fixed", "reversible"], p=[0.6, 0.1, 0.3]))
            sick = int(age / 20 + (thal == "reversible") * 2 + rng.normal() > 4)
            yield [age, rng.choice(["male", "female"]), pressure, rng.integers(1, 5), thal, sick]

    _table(path, ["age", "sex", "trestbps", "cp", "thal", "target"], rows())


def _transactions(path: Path, rng: Generator) -> None:
    """One in twenty is a fraud."""

    def rows() -> Iterator[list[object]]:
        for number in range(1200):
            fraud = int(number % 20 == 0)
            values = rng.normal(1.5 * fraud, 1.0, 8)
            yield [*(f"{value:.6f}" for value in values), f"{rng.lognormal(3):.2f}", fraud]

    _table(path, [*(f"V{n}" for n in range(1, 9)), "Amount", "Class"], rows())


def _weather(path: Path, rng: Generator) -> None:
    def rows() -> Iterator[list[object]]:
        for hour in range(1200):
            day, year = np.sin(hour / 24 * 2 * np.pi), np.sin(hour / 1200 * 2 * np.pi)
            temperature, pressure = 10 * year + 4 * day + rng.normal(), 990 + 5 * rng.normal()
            stamp = f"{1 + hour // 24 % 28:02}.{1 + hour // 672:02}.2009 {hour % 24:02}:00:00"
            humidity = 70 - 2 * temperature + 3 * rng.normal()
            yield [stamp, f"{pressure:.2f}", f"{temperature:.2f}", f"{humidity:.1f}"]

    _table(path, ["Date Time", "p (mbar)", "T (degC)", "rh (%)"], rows())


def _sensor(path: Path, rng: Generator) -> None:
    """As FordA: a label, -1 or 1, and a series of 100, separated by tabs."""
    labels = rng.choice([-1, 1], 160)
    times = np.arange(100) / 100 * 2 * np.pi
    waves = [np.sin((5 + label) * times + rng.uniform(0, 6)) for label in labels]
    series = np.stack(waves) + rng.normal(0, 0.5, (160, 100))
    np.savetxt(path, np.column_stack([labels, series]), fmt="%.7e", delimiter="\t")


def _cars(path: Path, rng: Generator) -> None:
    def rows() -> Iterator[list[object]]:
        for _ in range(300):
            cylinders, weight = int(rng.choice([4, 6, 8])), int(rng.integers(1700, 5000))
            mpg = 46 - weight / 160 - cylinders + rng.normal()
            origin, year = rng.choice(["USA", "Europe", "Japan"]), rng.integers(70, 83)
            yield [f"{mpg:.1f}", cylinders, weight, year, origin]

    _table(path, ["mpg", "cylinders", "weight", "year", "origin"], rows())


def _housing(path: Path, rng: Generator) -> None:
    x = rng.lognormal(1.0, 0.6, (240, 13))
    y = 5 + 2 * x[:, 0] - x[:, 12] + 0.5 * x[:, 5] ** 2 + rng.normal(size=240)
    np.savez(path, x=x, y=y)


def _digits(path: Path, rng: Generator) -> None:
    """Ten blurred patterns of 8 × 8."""
    patterns, labels = rng.uniform(0, 1, (10, 8, 8)), rng.integers(0, 10, 800)
    images = patterns[labels] + rng.normal(0, 0.2, (800, 8, 8))
    np.savez(path, images=(images.clip(0, 1) * 16).astype(np.uint8), labels=labels.astype(np.uint8))


def _project(folder: Path, rng: Generator) -> None:
    """Measurements, names of the classes and settings of one project."""
    folder.mkdir(parents=True, exist_ok=True)
    features, species = rng.normal(size=(180, 4)), rng.integers(0, 3, 180)
    np.save(folder / "features.npy", features + species[:, None])
    names = ["setosa", "versicolor", "virginica"]
    (folder / "species.txt").write_text("\n".join(names[n] for n in species) + "\n")
    (folder / "settings.json").write_text(json.dumps({"units": 12, "epochs": 4}, indent=2) + "\n")


_WRITERS: dict[str, Callable[[Path, Generator], None]] = {
    "aclImdb": _reviews,
    "imdb.npz": _sequences,
    "photos": _photos,
    "heart.csv": _heart,
    "transactions.csv": _transactions,
    "weather.csv": _weather,
    "FordA_TRAIN.tsv": _sensor,
    "cars.csv": _cars,
    "housing.npz": _housing,
    "digits.npz": _digits,
    "iris/data": _project,
}

if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("names", nargs="*", default=[*_WRITERS])
    parser.add_argument("--below", type=Path, required=True)
    options = parser.parse_args()
    write(tuple(options.names), options.below)
