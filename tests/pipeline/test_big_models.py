"""What compares, certifies, bundles and verifies streams: its memory does not grow with a model."""

import os
from pathlib import Path

import numpy as np
import pytest

import factories
import peak
from samebits.formats import canonical, files
from samebits.signing import keys

MOST = 300  # MiB; the weights of one run are more
MEBIBYTES = 400

pytestmark = pytest.mark.slow


def memory(script: str, *arguments: object) -> float:
    """MiB. The script has to end well."""
    return peak.run(script, *arguments).memory


def weights(change: bool = False) -> factories.Arrays:
    values = np.arange(MEBIBYTES << 18, dtype="<u4").view("<f4")
    if change:
        values[::3] = 1
    return [("dense/kernel", values), ("dense/bias", np.zeros(4, "<f4"))]


def test_memory_stays_bounded_from_comparison_to_bundle(tmp_path: Path) -> None:
    space = factories.workspace(tmp_path)
    run = files.digest(space.config), canonical.read_json(space.load_record)["digest"]
    factories.write_run(space.runs[0], *run, weights=weights())
    factories.write_run(
        space.runs[1], *run, weights=weights(), canary=factories.canary(), change=factories.vary
    )
    flags = ["--replica", space.runs[1], "--output", space.comparison]
    assert memory("compare", "--control", space.runs[0], *flags) < MOST
    evidence = [
        "--config", space.config, "--lock", space.lock, "--load-record", space.load_record,
        "--run", space.runs[0], "--run", space.runs[1], "--comparison", space.comparison,
    ]  # fmt: skip
    certificate, bundle = tmp_path / "certificate.json", tmp_path / "certificate.zip"
    assert memory("certify", *evidence, "--name", "big", "--output", certificate) < MOST
    assert canonical.read_json(certificate)["report"]["verdict"] == "REPRODUCIBLE"
    assert memory("bundle", *evidence, "--certificate", certificate, "--output", bundle) < MOST
    key = keys.folder(os.environ) / "key.pub"
    assert memory("verify", certificate, "--artifacts", tmp_path, "--key", key) < MOST
    assert memory("verify", bundle, "--key", key) < MOST


def test_memory_stays_bounded_when_a_third_of_all_weights_differs(tmp_path: Path) -> None:
    space = factories.workspace(tmp_path)
    run = files.digest(space.config), canonical.read_json(space.load_record)["digest"]
    factories.write_run(space.runs[0], *run, weights=weights())
    factories.write_run(space.runs[1], *run, weights=weights(change=True))
    flags = ["--replica", space.runs[1], "--output", space.comparison]
    assert memory("compare", "--control", space.runs[0], *flags) < MOST
    assert not canonical.read_json(space.comparison)["identical"]


def test_memory_stays_bounded_with_the_states_after_each_epoch(tmp_path: Path) -> None:
    space = factories.with_checkpoints(tmp_path / "made", weights=weights())
    certificate, bundle = tmp_path / "certificate.json", tmp_path / "certificate.zip"
    content = factories.certify(space, factories.signer())
    canonical.write_json(certificate, content)
    evidence = [
        "--config", space.config, "--lock", space.lock, "--load-record", space.load_record,
        "--run", space.runs[0], "--run", space.runs[1], "--comparison", space.comparison,
    ]  # fmt: skip
    assert memory("bundle", *evidence, "--certificate", certificate, "--output", bundle) < MOST
    assert memory("verify", bundle, "--key", factories.key_file(tmp_path)) < MOST
    drawn = "--epochs", 1, "--states", tmp_path / "states", "--output", tmp_path / "plan.json"
    digest = canonical.digest(content)
    assert memory("prepare_replay", "--certificate", bundle, "--digest", digest, *drawn) < MOST
