"""What a program needs, through the whole pipeline: packages, downloads, files of its machine."""

import os
from pathlib import Path
from typing import Any

import pytest

from pipeline import Workspace
from samebits.formats import files, lockfile
from sites import CONTENT, SHA256, Site

pytestmark = pytest.mark.slow

PROGRAM = """
import keras
import numpy as np
import tqdm

mean = np.fromfile(keras.utils.get_file("a.bin", "{url}/a.bin"), "uint8").mean()
table = np.loadtxt("{outside}")
model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
model.compile("sgd", "mse")
model.fit(table, table * mean / 255, epochs=1, verbose=0)
"""


def test_packages_are_locked_downloads_are_shared_and_what_is_undeclared_is_told(
    tmp_path: Path, site: Site
) -> None:
    outside, project = tmp_path / "outside.csv", tmp_path / "project"
    outside.write_text("1\n2\n3\n")
    project.mkdir()
    (project / "train.py").write_text(PROGRAM.format(url=site.url, outside=outside))
    workspace = Workspace.make(project)
    given = ["name=mine", "script=train.py", "packages=[tqdm]", "protocol=twice", "signing=none"]

    def start(*config: str, check: bool = True) -> str:
        return workspace.snakemake("--config", *given, *config, check=check)

    assert "requirements.samebits.lock: 1 packages locked beside those of train-tf2.21" in start()
    lock = project / "requirements.samebits.lock"
    report: Any = workspace.report("mine")
    assert report["verdict"] == "REPRODUCIBLE", report["reasons"]
    assert report["lock"]["name"] == f"envs/train-tf2.21+{files.digest(lock)[:12]}.lock.txt"
    assert "tqdm" in [package.name for package in lockfile.read(lock).packages]
    program = report["records"]["runs"]["control"]["program"]
    url = f"{site.url}/a.bin"
    assert program["fetched"] == [{"url": url, "name": "a.bin", "sha256": SHA256, "pinned": False}]
    assert program["undeclared"] == [str(outside)]
    assert site.handler.asked == ["/a.bin"]
    assert (project / "data/downloads" / SHA256).read_bytes() == CONTENT
    said = start("inputs=[strict]", check=False)
    assert "strict, and the program read what no input declares" in said
    assert str(outside) in said and url in said
    declared = f"inputs=[strict, {outside}, {{url: '{url}', sha256: {SHA256}}}]"
    start(declared)
    report = workspace.report("mine")
    assert report["verdict"] == "REPRODUCIBLE", report["reasons"]
    assert report["records"]["runs"]["control"]["program"]["undeclared"] == []
    assert os.listdir(project / "data/downloads").count(SHA256) == 1  # noqa: PTH208
