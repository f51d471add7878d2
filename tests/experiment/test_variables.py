"""Variables that affect results; the variations by name, and what a process learns about them."""

from pathlib import Path

import pytest

import launch
from samebits.experiment import variables, variations
from samebits.observation import environment


def test_every_variation_has_a_title_and_an_observation() -> None:
    assert list(variations.TITLES) == list(environment.observe(Path.cwd()))


def test_a_process_that_the_launcher_did_not_start_finds_no_variations() -> None:
    assert variations.of_environment({}) == {"applied": {}, "not_tried": {}}


def test_a_process_reads_what_the_launcher_wrote() -> None:
    told = {"applied": {"time_zone": "UTC"}, "not_tried": {"cpus": "only one CPU"}}
    assert variations.of_environment({variations.VARIABLE: variations.to_variable(**told)}) == told


def test_the_variables_that_variations_set_are_named() -> None:
    named = variations.variables(variations.TITLES)
    assert {name for name in named if variables.affects_results(name)} == {
        "LD_PRELOAD",
        "PYTHONHASHSEED",
    }
    assert all(name.startswith("FAKETIME") for name in named if not variables.affects_results(name))
    assert variations.variables(["time_zone"]) == set()


@pytest.mark.parametrize("wrong", ["color", "", "cpu", "cpu=", "umask=022", "Clock"])
def test_an_unknown_variation_or_a_wrong_value_is_refused(wrong: str) -> None:
    with pytest.raises(ValueError, match="expected"):
        variations.parse([wrong])


def test_what_affects_results_is_recognized_and_nothing_else() -> None:
    affecting = ["PYTHONHASHSEED", "PYTHONPATH", "TF_DETERMINISTIC_OPS", "OMP_THREADS"]
    affecting += ["LD_PRELOAD", "GLIBC_TUNABLES"]
    given = [*affecting, "PATH", "HOME", "LANG", "CUDA_VISIBLE_DEVICES"]
    assert [name for name in given if variables.affects_results(name)] == affecting


def test_an_isolated_run_gets_the_variables_of_the_system_and_those_that_are_given() -> None:
    system = ["PATH", "HOME", "LANG", "LC_NUMERIC", "TZ", "https_proxy", "CUDA_VISIBLE_DEVICES"]
    own = ["DEPTH", "WANDB_MODE", "XDG_CACHE_HOME", "KERAS_HOME", "SAMEBITS_SIGNING_KEY"]
    shell = dict.fromkeys([*system, *own], "x")
    found = launch.environment(shell, ["DEPTH=2"], isolated=True)
    assert found == {**dict.fromkeys(system, "x"), "DEPTH": "2"}


def test_a_variable_is_undeclared_that_nothing_sets_on_purpose() -> None:
    config = {"environment": {"DEPTH": "2"}, "determinism": {"environment": {"TF_X": "1"}}}
    asked = ["*", "DEPTH", "FACTOR", "HOME", "KERAS_HOME", "LD_PRELOAD", "PYTHONHASHSEED", "TF_X"]
    asked += ["SAMEBITS_EXTRA", "TF_CONFIG"]
    found = [n for n in asked if variables.is_undeclared(n, config, {"LD_PRELOAD"})]
    assert found == ["FACTOR", "TF_CONFIG"]


@pytest.mark.parametrize("name", ["TF_X", "PYTHONPATH", "KERAS_HOME", "HOME", "TMPDIR", "LD_AUDIT"])
def test_what_belongs_to_the_system_or_changes_what_is_computed_is_not_declared(name: str) -> None:
    (problem,) = variables.undeclarable({name: "x", "DEPTH": "2"})
    assert problem.startswith(f"environment.{name}:")
    assert list(variables.undeclarable({"DEPTH": "2"})) == []


def test_a_run_gets_the_given_variables_and_none_that_affect_results() -> None:
    shell = {"PATH": "/bin", "PYTHONHASHSEED": "5", "TF_ENABLE_ONEDNN_OPTS": "0", "OMP_X": "1"}
    expected = {"PATH": "/bin", "PYTHONHASHSEED": "0"}
    assert launch.environment(shell, ["PYTHONHASHSEED=0"]) == expected
