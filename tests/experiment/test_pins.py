"""What a profile pins, and what unpinning a pin changes in it."""

from typing import Any

import pytest

from pipeline import ROOT, configure
from samebits.certificate import checks
from samebits.experiment import pins

ISA = ("ONEDNN_MAX_CPU_ISA", "DNNL_MAX_CPU_ISA")


def profile(name: str) -> dict[str, Any]:
    given = {"determinism": name}
    return dict(configure(given, ROOT / "conf").config["determinism"])


@pytest.mark.parametrize(
    ("name", "pinned"),
    [
        ("none", set()),
        ("seeds", {"hash_seed", *pins.SEEDS}),
        ("tf28", {"hash_seed", "op_determinism", *pins.SEEDS}),
        ("portable", set(pins.TITLES)),
    ],
)
def test_what_a_profile_pins(name: str, pinned: set[str]) -> None:
    assert set(pins.pinned(profile(name))) == pinned


@pytest.mark.parametrize(
    ("name", "changed", "variables"),
    [
        ("portable", {"hash_seed": 1}, {}),
        ("portable", {"op_determinism": False}, {}),
        ("portable", {"intra_op_threads": 2}, {}),
        ("portable", {"inter_op_threads": 2}, {}),
        ("portable", {"onednn": False}, {"TF_ENABLE_ONEDNN_OPTS": "0"}),
        ("portable", {"isa": "SSE41"}, dict.fromkeys(ISA, "SSE41")),
        ("tf21", {"op_determinism": False}, {"TF_DETERMINISTIC_OPS": "0"}),  # it carries it
        ("portable", {"replacements": []}, {}),
        ("portable", {"rewriting": True}, {}),
    ],
)
def test_unpinning_a_pin_changes_it_and_its_variables_alone(
    name: str, changed: dict[str, Any], variables: dict[str, str]
) -> None:
    before = profile(name)
    environment = before["environment"] | variables
    assert pins.unpin(before, list(changed)) == before | changed | {"environment": environment}
    assert before == profile(name)


@pytest.mark.parametrize("pin", pins.SEEDS)
def test_an_unpinned_seed_is_drawn_by_the_run_and_changes_no_profile(pin: str) -> None:
    assert pins.unpin(profile("portable"), [pin]) == profile("portable")


def test_a_run_has_to_show_what_was_replaced_and_what_was_not_rewritten() -> None:
    config = configure({}, ROOT / "conf").config
    asked = dict(checks.pins(config))
    assert asked["replaced ops"] == config["determinism"]["replacements"]
    assert asked["graph rewriting"] is False
    unpinned = dict(checks.pins(config, ["replacements"]))
    assert (unpinned["replaced ops"], unpinned["graph rewriting"]) == ([], False)


def test_nothing_replaced_and_everything_rewritten_is_no_pin() -> None:
    free = profile("portable") | {"replacements": [], "rewriting": True}
    assert set(pins.TITLES) - set(pins.pinned(free)) == {"replacements", "rewriting"}


def test_every_pin_of_a_profile_unpins_to_another_value() -> None:
    before = profile("portable")
    for pin in set(pins.TITLES) - set(pins.SEEDS):
        assert pins.unpin(before, [pin])[pin] != before[pin]
