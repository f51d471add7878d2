"""Whatever is changed in the files that a certificate is about, verify finds it.

They lie in a folder or in a bundle. Every attack goes through verify.py itself: its exit code is
what a user has, and a traceback would fail the test.
"""

import os
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import attacks
import factories
from attacks import Place
from factories import ISSUER
from samebits.formats import arrays, canonical, dataset
from samebits.verification.levels import DOES_NOT_HOLD, MALFORMED, VERIFIED

Json = Any
Harm = Callable[[Path], None]
# All bytes take minutes, so one in 15 is tried, which over many elements is each byte of some.
SHARE = 1 if os.environ.get("SAMEBITS_ALL_ATTACKS") else 15
# Of many files one in five, in `make test-slow` all of them.
every_file = pytest.mark.parametrize("share", [5, pytest.param(1, marks=pytest.mark.slow)])


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    return Place(tmp_path_factory.mktemp("place"))


class Results:
    """A folder of results and what verify says of it; harmed files are put back."""

    def __init__(self, place: Place, folder: Path) -> None:
        self.place = place
        self.folder = folder / "results"
        given = factories.bundle_files(folder / "made")
        for name, path in given.items():
            (self.folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, self.folder / name)
        self.content = canonical.read_json(given["certificate.json"])
        self.names = sorted(set(given) - {"certificate.json"})

    def code(self) -> int:
        return self.place.code(self.content, "--artifacts", self.folder)

    def code_with(self, name: str, harm: Harm) -> int:
        """The code with one file harmed."""
        path = self.folder / name
        before = path.read_bytes()
        try:
            harm(path)
            return self.code()
        finally:
            if path.is_dir() and not path.is_symlink():
                path.rmdir()
            path.unlink(missing_ok=True)
            path.write_bytes(before)


@pytest.fixture(scope="module")
def results(place: Place, tmp_path_factory: pytest.TempPathFactory) -> Results:
    return Results(place, tmp_path_factory.mktemp("results"))


def flip_bit(position: int) -> Harm:
    """One bit of a file, from its end when the position is negative."""

    def flip(path: Path) -> None:
        data = bytearray(path.read_bytes())
        data[position % len(data)] ^= 1 << (position % 8)
        path.write_bytes(data)

    return flip


def change(edit: Callable[[bytes], bytes]) -> Harm:
    return lambda path: write(path, edit(path.read_bytes()))


def become(data: bytes) -> Harm:
    return lambda path: write(path, data)


def write(path: Path, data: bytes) -> None:
    path.write_bytes(data)


def is_array(name: str) -> bool:
    return name.endswith(".safetensors")


CHANGES: dict[str, Harm] = {
    "first bit": flip_bit(0),
    "a bit in the middle": lambda path: flip_bit(path.stat().st_size // 2)(path),
    "last bit": flip_bit(-1),
    "a byte less": change(lambda data: data[:-1]),
    "half of it": change(lambda data: data[: len(data) // 2]),
    "nothing in it": change(lambda data: b""),
    "a byte more": change(lambda data: data + b"\n"),
}


def test_results_that_are_as_they_were_are_verified(results: Results) -> None:
    assert results.code() == VERIFIED


@every_file
@pytest.mark.parametrize("what", CHANGES)
def test_a_change_of_any_file_is_found(results: Results, what: str, share: int) -> None:
    for name in results.names[list(CHANGES).index(what) % share :: share]:
        assert results.code_with(name, CHANGES[what]) == DOES_NOT_HOLD, name


@pytest.mark.parametrize(
    ("names", "one_in"),
    [
        (("train/control/weights.safetensors", "train/replica/optimizer.safetensors"), 41),
        pytest.param((), SHARE, marks=pytest.mark.slow),
    ],
)
def test_a_flipped_bit_anywhere_in_a_file_is_found(
    results: Results, names: tuple[str, ...], one_in: int
) -> None:
    for name in names or results.names:
        size = (results.folder / name).stat().st_size
        for position in range(0, size, one_in if is_array(name) else 7 * one_in):
            assert results.code_with(name, flip_bit(position)) == DOES_NOT_HOLD, (name, position)


def test_an_array_that_is_gone_is_found_and_a_document_is_in_the_certificate(
    results: Results,
) -> None:
    for name in results.names:
        expected = DOES_NOT_HOLD if is_array(name) else VERIFIED
        assert results.code_with(name, Path.unlink) == expected, name


@every_file
def test_a_file_that_is_another_file_is_found(results: Results, share: int) -> None:
    """Swapped within a run and between runs, also as the same kind of file."""
    for name in results.names[::share]:
        for other in (
            name.replace("control", "replica"),
            *results.names[:: len(results.names) // 4],
        ):
            data = (results.folder / other).read_bytes()
            if data != (results.folder / name).read_bytes():
                code = results.code_with(name, become(data))
                assert code == DOES_NOT_HOLD, (name, other)


def link_to(target: str) -> Harm:
    def link(path: Path) -> None:
        path.unlink()
        path.symlink_to(target)

    return link


def pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def empty_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


SPECIAL: dict[str, tuple[Harm, int]] = {
    "a link": (link_to("/dev/null"), MALFORMED),
    "a link to nothing": (link_to("nothing"), MALFORMED),
    "a link to itself": (link_to("weights.safetensors"), MALFORMED),
    "a pipe": (pipe, MALFORMED),
    "a folder": (empty_folder, DOES_NOT_HOLD),
}


@pytest.mark.parametrize("what", SPECIAL)
def test_what_is_no_plain_file_is_refused(results: Results, what: str) -> None:
    harm, code = SPECIAL[what]
    for name in results.names[::5] if code == MALFORMED else filter(is_array, results.names):
        assert results.code_with(name, harm) == code, name


def test_a_link_to_the_same_bytes_is_refused(results: Results, tmp_path: Path) -> None:
    def move(path: Path) -> None:
        shutil.copy(path, tmp_path / "moved.safetensors")
        link_to(str(tmp_path / "moved.safetensors"))(path)

    assert results.code_with("train/control/weights.safetensors", move) == MALFORMED


def stored(array: np.ndarray) -> Harm:
    """The weights with another kernel."""

    def store(path: Path) -> None:
        (name, _), *rest = factories.weights()
        arrays.write(path, [(name, array), *rest])

    return store


def test_the_same_numbers_in_another_shape_type_order_or_sign_are_found(results: Results) -> None:
    name, array = "train/control/weights.safetensors", factories.weights()[0][1]
    assert results.code_with(name, stored(array)) == VERIFIED
    others = [
        array.T, array.reshape(-1), array.reshape(1, *array.shape), array.view("<i4"),
        array.view("<u4"), array.astype("<f8"), array[::-1], -array, array.astype("<f2"), array[:0],
        array + 1,
    ]  # fmt: skip
    for number, other in enumerate(others):
        assert results.code_with(name, stored(np.asarray(other))) == DOES_NOT_HOLD, number

    def negate(path: Path) -> None:
        (kernel, (name, zeros)) = factories.weights()
        assert not zeros.any()
        arrays.write(path, [kernel, (name, -zeros)])

    assert results.code_with(name, negate) == DOES_NOT_HOLD


def test_a_pickle_is_found_and_not_loaded(results: Results, tmp_path: Path) -> None:
    marker = tmp_path / "marker"
    data = b"cos\nsystem\n(S'touch " + str(marker).encode() + b"'\ntR."
    for name in filter(is_array, results.names[:8]):
        assert results.code_with(name, become(data)) == DOES_NOT_HOLD
    assert not marker.exists()


def test_an_empty_folder_shows_nothing(place: Place, issued: Json, tmp_path: Path) -> None:
    assert place.code(issued, "--artifacts", tmp_path) == DOES_NOT_HOLD
    assert place.code(issued, "--artifacts", tmp_path / "missing") == MALFORMED


def test_a_certificate_without_arrays_is_verified_by_its_documents(
    place: Place, tmp_path: Path
) -> None:
    space = factories.workspace(tmp_path)
    space.refuse(0)
    space.refuse(1)
    content = factories.certify(space.compare())
    assert content["report"]["verdict"] == "UNSUPPORTED"
    assert place.code(content, "--artifacts", tmp_path) == VERIFIED


def test_hostile_lists_of_tensors_are_no_crash(
    place: Place, issued: Json, results: Results
) -> None:
    for change in (
        {"dtype": "|O"}, {"dtype": "evil"}, {"shape": [2**70]}, {"name": ""}, {"shape": [0] * 99},
        {"name": "../../../etc/passwd"}, {"shape": [2**62, 2**62]}, {"name": "dense/bias"},
    ):  # fmt: skip
        said = factories.copied(issued["report"])
        said["records"]["runs"]["control"]["tensors"]["weights"][0] |= change
        content = factories.signed_again(issued, said, ISSUER)
        assert place.code(content, "--artifacts", results.folder) in (DOES_NOT_HOLD, MALFORMED)


def test_the_data_set_is_checked_as_well(place: Place, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    data = {"x_train": np.arange(12, dtype="|u1"), "y_train": np.zeros(3, "|u1")}
    entries = dataset.write(tmp_path / "data", data)
    digest = dataset.check(tmp_path / "data")
    load = factories.load_record() | {"arrays": entries, "digest": digest}
    content = factories.certify(factories.workspace(tmp_path / "space", load=load), ISSUER)
    assert place.code(content, "--data", tmp_path / "data") == VERIFIED
    for name in ("x_train.npy", "y_train.npy", "index.json"):
        flip_bit(-1)(tmp_path / "data" / name)
        assert place.code(content, "--data", tmp_path / "data") == DOES_NOT_HOLD
        flip_bit(-1)(tmp_path / "data" / name)
    (tmp_path / "data" / "y_train.npy").unlink()
    assert place.code(content, "--data", tmp_path / "data") == DOES_NOT_HOLD


# --- bundles -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def content(results: Results) -> dict[str, bytes]:
    """What a sound bundle holds, by name."""
    names = [*results.names, "certificate.json"]
    return {name: (results.folder / name).read_bytes() for name in names}


def test_a_bundle_is_all_that_its_certificate_names_unchanged_and_nothing_else(
    place: Place, content: dict[str, bytes], tmp_path: Path
) -> None:
    def code(number: object, held: dict[str, bytes]) -> int:
        return attacks.run(attacks.bundled(tmp_path / str(number), held), "--key", place.key).code

    assert code("whole", content) == VERIFIED
    for number, name in enumerate(content):
        held = {k: v for k, v in content.items() if k != name}
        expected = MALFORMED if name == "certificate.json" else DOES_NOT_HOLD
        assert code(number, held) == expected, name
        data = bytearray(content[name])  # changed, with directory and checksums to match
        data[len(data) // 2] ^= 1
        changed = code(f"{number} changed", content | {name: bytes(data)})
        assert changed in (DOES_NOT_HOLD, MALFORMED), name
    for name in ("more.npy", "train/control/more.safetensors", "train/more/record.json", "README"):
        assert code("more", content | {name: b""}) == DOES_NOT_HOLD, name


def test_a_bundle_of_a_certificate_that_says_little_is_verified(
    place: Place, tmp_path: Path
) -> None:
    space = factories.workspace(tmp_path / "space")
    for path in (space.config, space.load_record, space.comparison, *space.runs):
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    content = factories.certify(space, ISSUER)
    lock = {f"envs/{space.lock.name}": space.lock.read_bytes()}
    path = attacks.bundled(
        tmp_path / "bundle", lock | {"certificate.json": canonical.dumps(content)}
    )
    assert attacks.run(path, "--key", place.key).code == VERIFIED


@pytest.mark.parametrize(
    "name", ["../certificate.json", "/etc/passwd", "a\\b", "C:x", "a//b", "./a", "a/../b", "ü"]
)
def test_names_that_lead_elsewhere_are_refused(
    place: Place, content: dict[str, bytes], tmp_path: Path, name: str
) -> None:
    with zipfile.ZipFile(tmp_path / "hostile.zip", "w") as file:
        for inside, data in sorted((content | {name: b""}).items()):
            file.writestr(zipfile.ZipInfo(inside, (1980, 1, 1, 0, 0, 0)), data)
    assert attacks.run(tmp_path / "hostile.zip", "--key", place.key).code == MALFORMED
