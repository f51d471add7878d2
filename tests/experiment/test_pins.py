"""What a profile pins, and what unpinning a pin changes in it."""

from typing import Any

import pytest

from pipeline import ROOT
from samebits.certificate import checks
from samebits.config.experiment import configure
from samebits.experiment import pins


def profile(name: str) -> dict[str, Any]:
    given = {"determinism": name}
    return dict(configure(given, ROOT / "conf").config["determinism"])


@pytest.mark.parametrize(
    ("name", "pinned"),
    [
        ("none", set()),
        ("seeds", {"hash_seed", *pins.SEEDS}),
        ("tf28", {"hash_seed", "op_determinism", *pins.SEEDS}),
        ("portable", set(pins.TITLES) - {"replacements", "rewriting"}),
        ("exact", set(pins.TITLES)),
    ],
)
def test_what_a_profile_pins(name: str, pinned: set[str]) -> None:
    assert set(pins.pinned(profile(name))) == pinned


@pytest.mark.parametrize(
    ("pin", "value", "variables"),
    [
        ("hash_seed", 1, {}),
        ("op_determinism", False, {}),
        ("intra_op_threads", 2, {}),
        ("inter_op_threads", 2, {}),
        ("onednn", False, {"TF_ENABLE_ONEDNN_OPTS": "0"}),
        ("isa", "SSE41", {"ONEDNN_MAX_CPU_ISA": "SSE41", "DNNL_MAX_CPU_ISA": "SSE41"}),
    ],
)
def test_unpinning_a_pin_changes_it_and_its_variables_alone(
    pin: str, value: Any, variables: dict[str, str]
) -> None:
    before = profile("portable")
    unpinned = pins.unpin(before, [pin])
    assert unpinned == before | {pin: value, "environment": before["environment"] | variables}
    assert before == profile("portable")


@pytest.mark.parametrize("pin", pins.SEEDS)
def test_an_unpinned_seed_is_drawn_by_the_run_and_changes_no_profile(pin: str) -> None:
    assert pins.unpin(profile("portable"), [pin]) == profile("portable")


def test_a_variable_that_carries_op_determinism_is_unpinned_with_it() -> None:
    unpinned = pins.unpin(profile("tf21"), ["op_determinism"])
    assert unpinned["op_determinism"] is False
    assert unpinned["environment"] == {"TF_DETERMINISTIC_OPS": "0"}


@pytest.mark.parametrize(("pin", "value"), [("replacements", []), ("rewriting", True)])
def test_what_makes_a_profile_exact_is_unpinned_one_by_one(pin: str, value: Any) -> None:
    before = profile("exact")
    assert pins.unpin(before, [pin]) == before | {pin: value}


def test_a_run_has_to_show_what_was_replaced_and_what_was_not_rewritten() -> None:
    config = configure({"determinism": "exact"}, ROOT / "conf").config
    asked = dict(checks.pins(config))
    assert asked["exact ops"] == config["determinism"]["replacements"]
    assert asked["graph rewriting"] is False
    unpinned = dict(checks.pins(config, ["replacements"]))
    assert (unpinned["exact ops"], unpinned["graph rewriting"]) == ([], False)


def test_nothing_replaced_and_everything_rewritten_is_no_pin() -> None:
    free = profile("exact") | {"replacements": [], "rewriting": True}
    assert set(pins.pinned(free)) == set(pins.pinned(profile("portable")))


def test_every_pin_of_a_profile_unpins_to_another_value() -> None:
    before = profile("exact")
    for pin in set(pins.TITLES) - set(pins.SEEDS):
        assert pins.unpin(before, [pin])[pin] != before[pin]
