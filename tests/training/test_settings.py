"""Probing what is in force in this process, without TensorFlow."""

import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from samebits.errors import SamebitsError
from samebits.training import settings
from samebits.training.settings import Setting

SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"


def probed(profile: dict[str, Any], inside: str = "", **environment: str) -> dict[str, Any]:
    """Setting name -> (holds, effective) as a new interpreter started so finds it."""
    program = (
        f"import sys, os, json; sys.path.insert(0, {str(SCRIPTS)!r}); {inside}\n"
        "from samebits.training import settings\n"
        f"found = settings.of_process({profile!r})\n"
        "print(json.dumps({s.name: [s.holds(), s.effective] for s in found}))"
    )
    command = [sys.executable, "-c", program]
    answer = subprocess.run(command, env=environment, capture_output=True, check=True)
    return dict(json.loads(answer.stdout))


STOPPED = {"arithmetic_optimization": False, "constant_folding": False}


@pytest.mark.parametrize("seed", [0, 7])
def test_a_hash_seed_set_before_the_interpreter_starts_holds(seed: int) -> None:
    profile = {"hash_seed": seed, "environment": {}}
    assert probed(profile, PYTHONHASHSEED=str(seed))["hash seed"] == [True, seed]


@pytest.mark.parametrize("environment", [{}, {"PYTHONHASHSEED": "8"}, {"PYTHONHASHSEED": "random"}])
def test_another_hash_seed_is_found(environment: dict[str, str]) -> None:
    profile = {"hash_seed": 7, "environment": {}}
    assert probed(profile, **environment)["hash seed"] == [False, "another"]


def test_a_hash_seed_set_inside_the_program_is_too_late_and_found() -> None:
    profile = {"hash_seed": 7, "environment": {}}
    found = probed(profile, inside="os.environ['PYTHONHASHSEED'] = '7'")
    assert found["hash seed"][0] is False


def test_a_variable_set_inside_the_program_is_found() -> None:
    profile = {"hash_seed": None, "environment": {"TF_DETERMINISTIC_OPS": "1"}}
    inside = "os.environ['TF_DETERMINISTIC_OPS'] = '1'"
    assert probed(profile, inside)["TF_DETERMINISTIC_OPS"] == [False, None]
    assert probed(profile, TF_DETERMINISTIC_OPS="1")["TF_DETERMINISTIC_OPS"] == [True, "1"]


def test_a_variable_that_the_experiment_does_not_name_is_found() -> None:
    profile: dict[str, Any] = {"hash_seed": None, "environment": {}}
    found = probed(profile, OMP_NUM_THREADS="1", LANG="C", PYTHONHASHSEED="3")
    assert found["other variables"] == [False, {"OMP_NUM_THREADS": "1"}]


def test_every_wrong_setting_is_reported() -> None:
    wrong = [Setting("b", 1, 2, "probe"), Setting("a", "x", None, "probe")]
    wrong.append(Setting("c", None, 3, "not pinned"))
    with pytest.raises(SamebitsError) as caught:
        settings.require_pinned(wrong)
    assert "a: expected 'x', got None (probe)\nb: expected 1, got 2 (probe)" in str(caught.value)
    assert "c:" not in str(caught.value)


@pytest.mark.parametrize(
    ("passes", "xla", "effective"),
    [({}, False, True), (STOPPED, False, False), (STOPPED, True, True)],
)
def test_rewriting_is_probed_where_it_alone_is_pinned(
    passes: dict[str, bool], xla: bool, effective: bool
) -> None:
    optimizer = SimpleNamespace(
        get_experimental_options=lambda: passes, get_jit=lambda: "autoclustering" if xla else ""
    )
    tensorflow = SimpleNamespace(config=SimpleNamespace(optimizer=optimizer))
    (found,) = settings.of_exact(tensorflow, {"rewriting": False})
    assert (found.name, found.expected, found.effective) == ("graph rewriting", False, effective)
    assert settings.of_exact(tensorflow, {}) == []
