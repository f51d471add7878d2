"""What compares, certifies, bundles and verifies streams: its memory does not grow with a model."""

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import attacks
import factories
import spots
from pipeline import SCRIPTS
from samebits import canonical, keys

MOST = 300  # MiB; the weights of one run are more
MEBIBYTES = 400
# Runs a script and tells the most memory that its process had, which Linux calls VmHWM.
PROGRAM = """
import runpy, sys
sys.argv = sys.argv[1:]
sys.path.insert(0, sys.argv[0].rpartition("/")[0])
try:
    runpy.run_path(sys.argv[0], run_name="__main__")
finally:
    print(next(line for line in open("/proc/self/status") if line.startswith("VmHWM")))
"""

pytestmark = pytest.mark.slow


def peak(script: str, *arguments: object) -> int:
    """MiB. The script has to end well."""
    command = [sys.executable, "-c", PROGRAM, str(SCRIPTS / f"{script}.py"), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    (found,) = re.findall(r"VmHWM:\s+(\d+) kB", done.stdout)
    return int(found) // 1024


def weights(change: bool = False) -> factories.Arrays:
    values = np.arange(MEBIBYTES << 18, dtype="<u4").view("<f4")
    if change:
        values[::3] = 1
    return [("dense/kernel", values), ("dense/bias", np.zeros(4, "<f4"))]


def test_memory_stays_bounded_from_comparison_to_bundle(tmp_path: Path) -> None:
    space = factories.workspace(tmp_path)
    run = canonical.file_digest(space.config), canonical.read_json(space.load_record)["digest"]
    factories.write_run(space.runs[0], *run, weights=weights())
    factories.write_run(
        space.runs[1], *run, weights=weights(), canary=factories.canary(), change=factories.vary
    )
    flags = ["--replica", space.runs[1], "--output", space.comparison]
    assert peak("compare", "--control", space.runs[0], *flags) < MOST
    evidence = [
        "--config", space.config, "--lock", space.lock, "--load-record", space.load_record,
        "--run", space.runs[0], "--run", space.runs[1], "--comparison", space.comparison,
    ]  # fmt: skip
    certificate, bundle = tmp_path / "certificate.json", tmp_path / "certificate.zip"
    faces = ["--page", tmp_path / "page.html", "--badge", tmp_path / "badge.svg"]
    assert peak("certify", *evidence, "--name", "big", "--output", certificate, *faces) < MOST
    assert canonical.read_json(certificate)["report"]["verdict"] == "REPRODUCIBLE"
    assert peak("bundle", *evidence, "--certificate", certificate, "--output", bundle) < MOST
    key = keys.folder(os.environ) / "key.pub"
    assert peak("verify", certificate, "--artifacts", tmp_path, "--key", key) < MOST
    assert peak("verify", bundle, "--key", key) < MOST


def test_memory_stays_bounded_when_a_third_of_all_weights_differs(tmp_path: Path) -> None:
    space = factories.workspace(tmp_path)
    run = canonical.file_digest(space.config), canonical.read_json(space.load_record)["digest"]
    factories.write_run(space.runs[0], *run, weights=weights())
    factories.write_run(space.runs[1], *run, weights=weights(change=True))
    flags = ["--replica", space.runs[1], "--output", space.comparison]
    assert peak("compare", "--control", space.runs[0], *flags) < MOST
    assert not canonical.read_json(space.comparison)["identical"]


def test_memory_stays_bounded_with_the_states_after_each_epoch(tmp_path: Path) -> None:
    space = spots.workspace(tmp_path / "made", weights=weights())
    certificate, bundle = tmp_path / "certificate.json", tmp_path / "certificate.zip"
    content = attacks.certify(space, attacks.signer())
    canonical.write_json(certificate, content)
    evidence = [
        "--config", space.config, "--lock", space.lock, "--load-record", space.load_record,
        "--run", space.runs[0], "--run", space.runs[1], "--comparison", space.comparison,
    ]  # fmt: skip
    assert peak("bundle", *evidence, "--certificate", certificate, "--output", bundle) < MOST
    assert peak("verify", bundle, "--key", attacks.key_file(tmp_path)) < MOST
    drawn = "--epochs", 1, "--states", tmp_path / "states", "--output", tmp_path / "admitted.json"
    digest = canonical.digest(content)
    assert peak("admit", "--certificate", bundle, "--digest", digest, *drawn) < MOST
