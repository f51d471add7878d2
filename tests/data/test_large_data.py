"""Training data that need not fit into memory: from the user's file to fit it stays on the disk."""

import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

import killing
from killing import Training
from pipeline import ROOT, SCRIPTS, Workspace, configure, skip_without
from samebits.formats import canonical, dataset, files

SAMPLES, SIDE = 768, 512  # 1 MiB of float32 each
MOST = 480  # MiB; TensorFlow itself takes 150 to 400
COPIES = 2  # of the data, that fit without samebits.training.memory takes on TensorFlow 2.21

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder of arrays as load.py makes it, made without ever holding all of it."""
    folder = tmp_path_factory.mktemp("large")
    path = folder / "x.npy"
    x = np.lib.format.open_memmap(path, "w+", np.float32, (SAMPLES, SIDE, SIDE))
    row = np.random.RandomState(0).rand(SIDE, SIDE).astype(np.float32)
    for number in range(SAMPLES):
        x[number] = row + number % 3
    y = (np.arange(SAMPLES) % 3).astype(np.uint8)
    (folder / "arrays").mkdir()
    dataset.write(folder / "arrays", {"x_train": x, "y_train": y})
    path.unlink()
    yield folder
    (folder / "arrays/x_train.npy").unlink()


def anonymous(pid: int) -> int:
    """MiB that only this process or one that it started has, on no disk."""
    found = 0
    parent = psutil.Process(pid)
    for process in [parent, *parent.children(recursive=True)]:
        try:
            status = Path(f"/proc/{process.pid}/status").read_text()
        except OSError:
            continue
        kib = [int(line.split()[1]) for line in status.splitlines() if line.startswith("RssAnon")]
        found = max(found, sum(kib) // 1024)
    return found


def most(process: "subprocess.Popen[Any]") -> int:
    """The most of it until the process ends, looked at many times a second."""
    peak = 0
    while process.poll() is None:
        peak = max(peak, anonymous(process.pid))
        time.sleep(0.02)
    return peak


@pytest.mark.parametrize(
    ("framework", "profile", "scale"),
    [
        ("tf2.21", "seeds", 1.0),
        ("tf2.21", "seeds", 2.0),
        ("tf2.8", "seeds", 1.0),
        ("tf2.1", "tf21", 1.0),
    ],
)
def test_without_op_determinism_a_training_holds_no_copy_of_its_data(
    stored: Path, tmp_path: Path, workspace: Workspace, framework: str, profile: str, scale: float
) -> None:
    if framework != "tf2.21":
        skip_without("3.7")
    made = training(tmp_path, stored, workspace, framework, profile, scale)
    with made.started() as process:
        peak = most(process)
    assert process.returncode == 0, made.log()
    assert peak < MOST, f"{peak} MiB for {SAMPLES} MiB of data"


def test_with_op_determinism_it_holds_one(
    stored: Path, tmp_path: Path, workspace: Workspace
) -> None:
    """TensorFlow rewrites the pipeline then, and takes the data along."""
    made = training(tmp_path, stored, workspace, "tf2.21", "portable", 1.0)
    with made.started() as process:
        peak = most(process)
    assert process.returncode == 0, made.log()
    assert peak < SAMPLES + MOST / 2 < COPIES * SAMPLES, f"{peak} MiB for {SAMPLES} MiB of data"


def training(
    folder: Path, stored: Path, workspace: Workspace, framework: str, profile: str, scale: float
) -> Training:
    data = {"option": "npz", "path": "x.npz", "sha256": "0" * 64, "shape": [SIDE, SIDE]}
    trainer = {"epochs": 1, "batch_size": 8, "steps_per_execution": 10}
    given = {
        "data": data | {"classes": 3, "scale": scale}, "framework": framework,
        "determinism": profile, "trainer": trainer, "model": {"units": 2},
    }  # fmt: skip
    experiment = configure(given, ROOT / "conf")
    canonical.write_json(folder / "config.json", experiment.config)
    (folder / "arrays").symlink_to(stored / "arrays")
    python = workspace.python(experiment.config["framework"]["environment"])
    return killing.Training(folder, python, experiment)


def test_a_users_file_is_unpacked_to_the_disk(
    stored: Path, tmp_path: Path, workspace: Workspace
) -> None:
    path = tmp_path / "mine.npz"
    given = dataset.read(stored / "arrays")
    np.savez(path, x_train=given["x_train"], y_train=given["y_train"])
    data = {"option": "npz", "path": str(path), "sha256": files.digest(path)}
    config = {"data": data | {"x": "x_train", "y": "y_train"}, "model": {"_target_": "x.y"}}
    composed = configure(config | {"source_path": str(mine(tmp_path))}, ROOT / "conf").config
    canonical.write_json(tmp_path / "config.json", composed)
    command = [
        workspace.python("load"), SCRIPTS / "load.py", "--config", tmp_path / "config.json",
        "--lock", ROOT / "envs/load.lock.txt", "--arrays", tmp_path / "arrays",
        "--record", tmp_path / "record.json",
    ]  # fmt: skip
    with subprocess.Popen([str(word) for word in command]) as process:
        peak = most(process)
    assert process.returncode == 0
    assert peak < MOST / 4, f"{peak} MiB for {SAMPLES} MiB of data"
    assert dataset.check(tmp_path / "arrays") == dataset.check(stored / "arrays")
    assert not list(tmp_path.glob(".*"))  # nothing unpacked is left


def mine(folder: Path) -> Path:
    (folder / "x.py").write_text("def y():\n    pass\n")
    return folder
