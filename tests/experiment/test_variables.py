"""Variables of the user's shell that must not reach a run."""

import pytest

import launch
from samebits.experiment import variables


@pytest.mark.parametrize(
    "name",
    [
        "PYTHONHASHSEED",
        "PYTHONPATH",
        "TF_DETERMINISTIC_OPS",
        "OMP_THREADS",
        "LD_PRELOAD",
        "GLIBC_TUNABLES",
    ],
)
def test_what_affects_results_is_recognized(name: str) -> None:
    assert variables.affects_results(name)


@pytest.mark.parametrize("name", ["PATH", "HOME", "LANG", "CUDA_VISIBLE_DEVICES"])
def test_what_does_not_affect_results_is_not(name: str) -> None:
    assert not variables.affects_results(name)


def test_a_run_gets_the_given_variables_and_none_that_affect_results() -> None:
    shell = {"PATH": "/bin", "PYTHONHASHSEED": "5", "TF_ENABLE_ONEDNN_OPTS": "0", "OMP_X": "1"}
    expected = {"PATH": "/bin", "PYTHONHASHSEED": "0"}
    assert launch.environment(shell, ["PYTHONHASHSEED=0"]) == expected
