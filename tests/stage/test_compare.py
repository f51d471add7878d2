"""compare.py by its flags."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import factories

SCRIPT = Path(__file__).resolve().parents[2] / "scripts" / "compare.py"
EXPERIMENT, DATASET = "e" * 64, "d" * 64


def compare(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(SCRIPT), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def pair(folder: Path, **replica: Any) -> list[object]:
    """The flags for a control and a replica."""
    control = factories.write_run(folder / "control", EXPERIMENT, DATASET)
    other = factories.write_run(folder / "replica", EXPERIMENT, DATASET, **replica)
    return ["--control", control, "--replica", other, "--output", folder / "out" / "c.json"]


def test_equal_runs_are_identical(tmp_path: Path) -> None:
    done = compare(*pair(tmp_path))
    assert (done.returncode, done.stdout) == (0, "identical\n")
    assert json.loads((tmp_path / "out" / "c.json").read_text())["identical"] is True


def test_a_difference_is_a_result_and_not_a_failure(tmp_path: Path) -> None:
    weights = factories.weights()
    weights[1][1][2] = np.nextafter(weights[1][1][2], np.float32(1))
    done = compare(*pair(tmp_path, weights=weights))
    assert (done.returncode, done.stdout) == (0, "not identical\n")
    assert json.loads((tmp_path / "out" / "c.json").read_text())["identical"] is False


def test_several_replicas_are_each_held_against_the_control(tmp_path: Path) -> None:
    third = factories.write_run(tmp_path / "replica-2", EXPERIMENT, DATASET, metrics={"loss": [0]})
    assert compare(*pair(tmp_path), "--replica", third).returncode == 0
    runs = json.loads((tmp_path / "out" / "c.json").read_text())["runs"]
    assert [(run["run"], run["identical"]) for run in runs] == [
        ("replica", True),
        ("replica-2", False),
    ]


def test_damage_is_a_failure_that_leaves_no_output(tmp_path: Path) -> None:
    flags = pair(tmp_path)
    path = tmp_path / "replica" / "weights" / "00000.npy"
    path.write_bytes(path.read_bytes()[:-1])
    done = compare(*flags)
    assert done.returncode == 1
    assert str(path) in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("missing", ["--control", "--replica", "--output"])
def test_a_missing_flag_is_wrong_usage(tmp_path: Path, missing: str) -> None:
    flags = pair(tmp_path)
    position = flags.index(missing)
    done = compare(*flags[:position], *flags[position + 2 :])
    assert done.returncode == 2
    assert missing in done.stderr


LIMITED = """
import os, resource, runpy, sys
resource.setrlimit(resource.RLIMIT_DATA, (200 << 20, 200 << 20))
sys.argv = sys.argv[1:]
sys.path.insert(0, os.path.dirname(sys.argv[0]))
runpy.run_path(sys.argv[0], run_name="__main__")
"""


def test_memory_stays_bounded_whatever_the_size_of_the_weights(tmp_path: Path) -> None:
    """256 MiB of weights in each run, compared with 200 MiB of memory of its own."""
    large = np.zeros(1 << 26, "<f4")
    other = large.copy()
    other[-1] = 1
    flags = pair(tmp_path, weights=[("large", other)])
    factories.write_run(tmp_path / "control", EXPERIMENT, DATASET, weights=[("large", large)])
    environment = os.environ | {"OPENBLAS_NUM_THREADS": "1"}  # its threads' buffers count as well
    done = subprocess.run(
        [sys.executable, "-c", LIMITED, str(SCRIPT), *map(str, flags)],
        env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    found = json.loads((tmp_path / "out" / "c.json").read_text())["runs"][0]["artefacts"][1]
    assert found["differences"][0]["first"] == [(1 << 26) - 1]
