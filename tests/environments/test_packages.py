"""Packages of a program upon a framework's lock, from a folder of wheels: no index is asked."""

import hashlib
import subprocess
import sys
from pathlib import Path

import pytest

from samebits.environments import build, packages
from samebits.environments.uv import beside_python
from samebits.errors import SamebitsError
from samebits.formats import lockfile
from samebits.formats.lockfile import Lock, LockedPackage
from wheels import wheel

pytestmark = pytest.mark.environment

FRAMEWORK = {"tensorflow-cpu": "2.21.0", "numpy": "2.4.6"}


@pytest.fixture
def wheels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only packages that uv knows of."""
    folder = tmp_path / "wheels"
    folder.mkdir()
    for name, version in FRAMEWORK.items():
        wheel(folder, name, version)
    wheel(folder, "numpy", "2.9.0")
    wheel(folder, "helper", "1.0", "numpy>=2")
    wheel(folder, "pandas-like", "3.0", "helper", "numpy")
    wheel(folder, "keras-like", "1.0", "tensorflow>=2.21")
    wheel(folder, "old-fashioned", "1.0", "numpy<2")
    settings = tmp_path / "uv/uv.toml"
    settings.parent.mkdir()
    settings.write_text(f"[pip]\nno-index = true\nfind-links = ['{folder}']\n")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    return folder


def framework(folder: Path, wheels: Path, name: str = "train-tf2.21") -> Path:
    """A framework's lock of these packages."""
    path = folder / f"{name}.lock.txt"
    locked = [
        LockedPackage(n, v, hashlib.sha256(wheel(wheels, n, v).read_bytes()).hexdigest())
        for n, v in FRAMEWORK.items()
    ]
    path.write_text(Lock("3.11", {f"{name}.in": "0" * 64}, tuple(locked)).text())
    return path


@pytest.fixture
def project(tmp_path: Path) -> Path:
    made = tmp_path / "project"
    made.mkdir()
    return made


@pytest.fixture
def base(tmp_path: Path, wheels: Path) -> Path:
    return framework(tmp_path, wheels)


def lock(wanted: str | list[str], project: Path, base: Path) -> tuple[Lock, bool]:
    path, is_new = packages.lock(wanted, project, base)
    return lockfile.read(path), is_new


def versions(lock: Lock) -> dict[str, str]:
    return {package.name: package.version for package in lock.packages}


def test_requirements_are_locked_once_upon_the_frameworks_packages(
    project: Path, base: Path, wheels: Path
) -> None:
    made, is_new = lock(["pandas-like", "tensorflow"], project, base)
    assert is_new
    assert versions(made) == FRAMEWORK | {"helper": "1.0", "pandas-like": "3.0"}
    assert {*lockfile.read(base).packages} < {*made.packages}
    text = (project / "requirements.samebits.lock").read_text()
    assert "commit it" in text
    assert "://" not in text
    wheel(wheels, "helper", "1.1", "numpy>=2")
    assert lock(["pandas-like", "tensorflow"], project, base) == (made, False)
    again, is_new = lock(["pandas-like", "keras-like"], project, base)
    assert is_new
    # Other requirements are resolved anew, and what was locked stays.
    assert versions(again) == versions(made) | {"keras-like": "1.0"}


def test_a_requirements_file_counts_with_those_that_it_names(project: Path, base: Path) -> None:
    (project / "requirements.txt").write_text("-r more.txt\npandas-like  # tables\n")
    (project / "more.txt").write_text("helper\n")
    assert lock("requirements.txt", project, base)[1]
    assert not lock("requirements.txt", project, base)[1]
    (project / "more.txt").write_text("keras-like\n")
    made, is_new = lock("requirements.txt", project, base)
    assert is_new
    assert "keras-like" in versions(made)


def test_another_framework_has_a_lock_of_its_own(
    project: Path, base: Path, tmp_path: Path, wheels: Path
) -> None:
    other = framework(tmp_path, wheels, "train-tf2.8")
    for _ in range(2):
        lock(["helper"], project, base)
        lock(["helper"], project, other)
    assert sorted(path.name for path in project.iterdir()) == [
        "requirements.samebits.lock", "requirements.tf2.8.samebits.lock",
    ]  # fmt: skip
    assert not lock(["helper"], project, base)[1]


@pytest.mark.parametrize(
    ("wanted", "parts"),
    [
        (["old-fashioned"], ["old-fashioned", "numpy<2", "numpy==2.4.6"]),
        (["numpy==2.9.0"], ["numpy==2.9.0", "numpy==2.4.6"]),
        (
            ["tensorflow==2.15", "helper"],
            ["packages: tensorflow==2.15 conflicts with TensorFlow 2.21.0 of train-tf2.21"],
        ),
        (["absent"], ["absent was not found"]),
        ("absent.txt", ["packages: ", "absent.txt cannot be read"]),
    ],
)
def test_what_does_not_fit_the_framework_is_named_and_nothing_is_written(
    project: Path, base: Path, wanted: str | list[str], parts: list[str]
) -> None:
    with pytest.raises(SamebitsError) as error:
        lock(wanted, project, base)
    assert [part for part in parts if part not in str(error.value)] == []
    assert list(project.iterdir()) == []


def test_a_folder_is_no_release_that_can_be_locked(
    project: Path, base: Path, tmp_path: Path
) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/pyproject.toml").write_text("[project]\nname = 'mine'\nversion = '1'\n")
    with pytest.raises(SamebitsError, match="mine: no release of a package index"):
        lock([f"mine @ {(tmp_path / 'mine').as_uri()}"], project, base)


def test_the_environment_is_built_from_the_lock_alone(
    project: Path, base: Path, tmp_path: Path
) -> None:
    path, _ = packages.lock(["keras-like", "pandas-like"], project, base)
    folder = tmp_path / "environments/train-tf2.21+0"
    assert build.build(folder, path, beside_python())
    program = "import keras_like, numpy, pandas_like; print(numpy.version)"
    said = subprocess.check_output([folder / "bin/python", "-I", "-c", program], text=True)
    assert said.strip() == "2.4.6"
    assert sys.version_info[:2] == (3, 11)
