"""Downloads of a program by Keras itself, in the environments of each framework."""

import io
import json
import os
import subprocess
import tarfile
import zipfile
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest

from pipeline import SCRIPTS, Workspace
from samebits.formats import canonical, files
from samebits.launch import fetch
from sites import CONTENT, MD5, SHA256, Site

PROGRAM = Path(__file__).with_name("served_program.py")
MNIST = "https://storage.googleapis.com/tensorflow/tf-keras-datasets/mnist.npz"


def _archives(site: Site) -> None:
    """A zip file and a tar file with a text in each, and numbers."""
    packed, zipped = io.BytesIO(), io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        entry = tarfile.TarInfo("t/in.txt")
        entry.size = 3
        archive.addfile(entry, io.BytesIO(b"abc"))
    with zipfile.ZipFile(zipped, "w") as file:
        file.writestr("z.txt", "abc")
    site.handler.contents |= {"/t.tar.gz": packed.getvalue(), "/z.zip": zipped.getvalue()}
    site.handler.contents["/n.csv"] = b"1\n2\n"


@pytest.mark.parametrize("framework", ["tf2.21", "tf2.8", "tf2.1"])
def test_keras_gets_what_the_launcher_vouches_for_and_writes_to_no_home(
    framework: str, workspace: Workspace, site: Site, tmp_path: Path
) -> None:
    python = workspace.python(f"train-{framework}")
    _archives(site)
    (tmp_path / "declared").write_bytes(b"declared")
    np.savez(tmp_path / "mine.npz", x_train=[[1]], y_train=[2], x_test=[[3]], y_test=[4])
    data, home, keras = (tmp_path / name for name in ("data/inputs-0/arrays", "home", "keras"))
    for folder in (data, home, keras, tmp_path / "here"):
        folder.mkdir(parents=True)
    declared = {"declared": f"{site.url}/declared", "mine.npz": MNIST}
    digests = {name: files.digest(tmp_path / name) for name in declared}
    entries = [{"path": n, "sha256": digests[n], "url": url} for n, url in declared.items()]
    canonical.write_json(data / "inputs.json", entries)
    own = {"HOME": str(home), "KERAS_HOME": str(keras), "MD5": MD5, "SHA256": SHA256}
    with ExitStack() as ends:
        desk = fetch.Desk(ends, data, tmp_path, None)
        process = subprocess.Popen(
            [python, PROGRAM, SCRIPTS, site.url],
            env={**os.environ, **desk.environ, **own, "CUDA_VISIBLE_DEVICES": ""},
            pass_fds=desk.descriptors,
            stdout=subprocess.PIPE,
            cwd=tmp_path,
        )
        desk.begin()
        said = process.communicate(timeout=180)[0]
    assert process.returncode == 0
    found = json.loads(said.splitlines()[-1])
    fetched = {entry["url"]: entry for entry in found.pop("fetched")}
    assert fetched[MNIST] == {
        "url": MNIST,
        "name": "mnist.npz",
        "sha256": digests["mine.npz"],
        "pinned": True,
    }
    assert len(fetched) == 6
    wrong = found.pop("wrong")
    assert f"/a.bin: expected SHA-256 {'1' * 64} (pinned), got {SHA256}" in wrong
    assert found.pop("connections") == ([] if framework == "tf2.21" else None)
    assert found == {
        **dict.fromkeys(("plain", "again", "md5", "sha256", "own folder"), CONTENT[:6].decode()),
        **dict.fromkeys(("declared", "declared again"), "declar"),
        "here": True,
        "untar": ["in.txt"],
        "extract": ["z.txt"],
        "mnist": [[[1]], [4]],
        "loadtxt": [1.0, 2.0],
        "home": [],
    }
