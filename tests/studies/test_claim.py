"""scripts/claim.py on TensorFlow 2.21, and scripts/claims.py: what holds, and a planted fault.

The images are noise: these tests are about the measuring, and need no download.
"""

import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import claim_factory
from pipeline import ROOT, SCRIPTS, Workspace, command
from samebits import claims
from samebits.formats import arrays, canonical

LOCK = ROOT / "envs" / "train-tf2.21.lock.txt"

SEEDING = "lambda np, tf: tf.keras.utils.set_random_seed("


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As many images as a claim trains on."""
    random, folder = np.random.default_rng(1), tmp_path_factory.mktemp("data") / "arrays"
    x = random.integers(0, 256, (claims.SAMPLES, 28, 28), np.uint8)
    y = random.integers(0, 10, claims.SAMPLES, np.uint8)
    arrays.save_arrays(folder, [("x_train", x), ("y_train", y)])
    return folder


@pytest.mark.parametrize(
    "key",
    [
        "seed-required",
        "hash-seed-inside-too-late",
        pytest.param("recipe-2.8", marks=pytest.mark.slow),
        pytest.param("nothing-pinned-differs", marks=pytest.mark.slow),
    ],
)
def test_a_claim_that_must_hold_is_measured_to_hold(
    workspace: Workspace, data: Path, tmp_path: Path, key: str
) -> None:
    found = _test(workspace, data, tmp_path, key)
    assert found["outcome"] == claims.YES, found["reason"]
    assert found["versions"]["tensorflow"] == "2.21.0"
    assert found["experiment"]["dataset"] == arrays.check_arrays(data)


def _test(
    workspace: Workspace, data: Path, folder: Path, key: str, scripts: Path = SCRIPTS
) -> dict[str, Any]:
    output, python = folder / f"{key}.json", workspace.python("train-tf2.21")
    command(
        sys.executable, scripts / "launch.py", "--python", python,
        "--log", folder / f"{key}.log", "--",
        scripts / "claim.py", "--claim", key, "--data", data, "--lock", LOCK, "--output", output,
        cwd=folder, variables={"PYTHONHASHSEED": "5", "TF_DETERMINISTIC_OPS": "1"},
    )  # fmt: skip
    found: dict[str, Any] = canonical.read_json(output)
    return found


def test_a_recipe_that_does_not_hold_comes_out_as_no(
    workspace: Workspace, data: Path, tmp_path: Path
) -> None:
    scripts = shutil.copytree(SCRIPTS, tmp_path / "scripts")
    lines = scripts / "samebits" / "claims.py"
    source = lines.read_text(encoding="utf-8")
    assert source.count(f"{SEEDING}1)") == 1
    another = source.replace(f"{SEEDING}1)", f"{SEEDING}random.SystemRandom().randrange(2**31))")
    lines.write_text(another, encoding="utf-8")
    found = _test(workspace, data, tmp_path, "recipe-2.8", scripts)
    assert (found["outcome"], found["reason"]) == (
        claims.NO,
        "2 trainings in one process: 2 different histories",
    )


def test_results_become_one_page_and_one_file(workspace: Workspace, tmp_path: Path) -> None:
    files = _write(tmp_path, claim_factory.results())
    output, page = tmp_path / "claims.json", tmp_path / "claims.html"
    stage = [workspace.python("render"), SCRIPTS / "claims.py", "--output", output, "--page", page]
    command(*stage, "--claim", *files, cwd=tmp_path)
    collected = canonical.read_json(output)
    assert [claim["claim"] for claim in collected["claims"]] == list(claims.BY_KEY)
    assert page.read_text(encoding="utf-8").startswith("<!DOCTYPE html>")


def test_a_missing_result_leaves_no_page(workspace: Workspace, tmp_path: Path) -> None:
    files = _write(tmp_path, claim_factory.results()[1:])
    output, page = tmp_path / "claims.json", tmp_path / "claims.html"
    stage = [workspace.python("render"), SCRIPTS / "claims.py", "--output", output, "--page", page]
    done = command(*stage, "--claim", *files, cwd=tmp_path, check=False)
    assert done.returncode == 1
    assert "recipe-2.1 (2.1.0)" in done.stdout
    assert not output.exists()
    assert not page.exists()


def _write(folder: Path, results: list[dict[str, Any]]) -> list[Path]:
    """One file per result, as the rule claim has them."""
    files = [folder / f"{place}.json" for place in range(len(results))]
    for file, result in zip(files, results, strict=True):
        canonical.write_json(file, result)
    return files
