"""tools/lock.py by its flags: drift is found, and only what has to change changes."""

import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from samebits.formats import lockfile

ROOT = Path(__file__).resolve().parents[2]
SMALL = "compare"
NAMES = [path.stem for path in (ROOT / "envs").glob("*.in") if ".no-deps" not in path.name]
asks_the_index = pytest.mark.environment  # as what builds an environment does


def copied(folder: Path, *names: str) -> Path:
    """A folder with the files of these environments."""
    folder.mkdir(exist_ok=True)
    for name in names:
        for path in (ROOT / "envs").glob(f"{name}.*"):
            shutil.copy(path, folder)
    return folder


@pytest.fixture
def envs(tmp_path: Path) -> Path:
    """One small environment's files."""
    return copied(tmp_path, SMALL)


def lock(envs: Path, *flags: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / "tools/lock.py"), "--envs", str(envs), *flags]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


@pytest.mark.process
def test_the_committed_locks_and_scripts_are_up_to_date() -> None:
    done = lock(ROOT / "envs", "--check", "--offline")
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.process
@pytest.mark.parametrize(
    ("file", "old", "new", "message"),
    [
        (".in", "numpy", "numpy>=2", "was made from other files"),
        (".yaml", "3.11.15", "3.12.1", "was made from other files"),
        (".linux-64.pin.txt", "python-3.11.15", "python-3.11.14", "expected python"),
        (".post-deploy.sh", "--require-hashes", "", "is not what tools/lock.py makes"),
        (".lock.txt", "--hash=sha256:", "--hash=sha256:0", "expected name==version"),
        (".lock.txt", "numpy==2", "numpy==3", "compare.post-deploy.sh: is not what"),
    ],
)
def test_drift_of_any_file_is_found_without_a_network(
    envs: Path, file: str, old: str, new: str, message: str
) -> None:
    edit(envs / (SMALL + file), old, new)
    done = lock(envs, "--check", "--offline")
    assert done.returncode == 1
    assert message in done.stderr


@pytest.mark.process
def test_every_drift_is_reported_not_only_the_first(envs: Path) -> None:
    edit(envs / f"{SMALL}.in", "numpy", "numpy>=2")
    edit(envs / f"{SMALL}.linux-64.pin.txt", "python-3.11.15", "python-3.11.14")
    done = lock(envs, "--check", "--offline")
    assert "was made from other files" in done.stderr
    assert "expected python" in done.stderr


def numpy_of(envs: Path) -> str:
    (package,) = (
        p for p in lockfile.read(envs / f"{SMALL}.lock.txt").packages if p.name == "numpy"
    )
    return package.version


@asks_the_index
def test_a_locked_version_stays_until_it_is_upgraded(envs: Path) -> None:
    before = {path: path.read_bytes() for path in envs.iterdir()}
    done = lock(envs)
    assert (done.returncode, done.stderr) == (0, "")
    assert {path: path.read_bytes() for path in envs.iterdir()} == before
    newest = numpy_of(envs)
    edit(envs / f"{SMALL}.in", "numpy", "numpy<2.4")
    assert lock(envs).returncode == 0
    older = numpy_of(envs)
    assert older != newest
    edit(envs / f"{SMALL}.in", "numpy<2.4", "numpy")
    assert lock(envs).returncode == 0
    assert numpy_of(envs) == older
    assert lock(envs, "--upgrade", "numpy").returncode == 0
    assert numpy_of(envs) != older


@asks_the_index
def test_requirements_without_a_solution_change_nothing(envs: Path) -> None:
    before = (envs / f"{SMALL}.lock.txt").read_bytes()
    edit(envs / f"{SMALL}.in", "numpy", "numpy==0.0.0.1")
    done = lock(envs)
    assert done.returncode == 1
    assert "numpy==0.0.0.1" in done.stderr
    assert (envs / f"{SMALL}.lock.txt").read_bytes() == before


@asks_the_index
@pytest.mark.slow
def test_the_committed_locks_are_what_their_requirements_resolve_to(tmp_path: Path) -> None:
    """All of them, that of the GPU's TensorFlow too, which no test installs."""

    def drift(name: str) -> str:
        constraints = ["driver"] if name == "dev" else []
        return lock(copied(tmp_path / name, name, *constraints), "--check").stderr

    assert len(NAMES) > 10
    with ThreadPoolExecutor(4) as pool:  # most of the time is the index's
        assert dict(zip(NAMES, pool.map(drift, NAMES), strict=True)) == dict.fromkeys(NAMES, "")


@asks_the_index
def test_a_digest_edited_by_hand_is_found(envs: Path) -> None:
    digest = lockfile.read(envs / f"{SMALL}.lock.txt").packages[0].sha256
    for suffix in (".lock.txt", ".post-deploy.sh"):
        edit(envs / (SMALL + suffix), digest, "0" * 64)
    assert lock(envs, "--check", "--offline").returncode == 0  # both agree: only resolving tells
    done = lock(envs, "--check")
    assert done.returncode == 1
    assert f"{SMALL}.lock.txt: is not what tools/lock.py makes" in done.stderr
