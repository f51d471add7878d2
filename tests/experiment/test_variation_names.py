"""The names of the variations, and what a process is told about them."""

from pathlib import Path

import pytest

from samebits.experiment import variables, variations
from samebits.training import surroundings


def test_every_variation_has_a_title_and_an_observation() -> None:
    assert list(variations.TITLES) == list(surroundings.observe(Path.cwd()))


def test_a_process_that_the_launcher_did_not_start_was_told_nothing() -> None:
    assert variations.of_environment({}) == {"applied": {}, "not_tried": {}}


def test_a_process_reads_what_the_launcher_wrote() -> None:
    told = {"applied": {"time_zone": "UTC"}, "not_tried": {"cpus": "only one CPU"}}
    assert variations.of_environment({variations.VARIABLE: variations.to_variable(**told)}) == told


def test_only_variables_that_affect_results_are_named_as_set_on_purpose() -> None:
    named = variations.variables(variations.TITLES)
    assert named == {"LD_PRELOAD", "PYTHONHASHSEED"}
    assert all(variables.affects_results(name) for name in named)
    assert variations.variables(["time_zone"]) == set()


@pytest.mark.parametrize("wrong", ["colour", "", "cpu", "cpu=", "time_zone=UTC", "Clock"])
def test_an_unknown_variation_or_a_wrong_value_is_refused(wrong: str) -> None:
    with pytest.raises(ValueError, match="expected"):
        variations.parse([wrong])
