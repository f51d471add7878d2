"""Runs that were killed and resumed: what a certificate says of them."""

from pathlib import Path
from typing import Any

import pytest

import certificates
import factories
from factories import edit
from samebits.certificate import replays
from samebits.certificate.interruptions import FIRST_SUSPECT
from samebits.formats import arrays, canonical, states
from samebits.pages import certificate, summary

OTHER = dict.fromkeys(states.PARTS, "0" * 64)
LACKING = "the checkpoints do not hold all state of the model"
UNKNOWN = "nothing shows that the checkpoints hold all state of the model"
COUNTING = "the checkpoints do not hold the numbers in Python that change while"
TWO = "control was resumed after epoch 1 and replica was resumed after epoch 2"
ONE = "control was not interrupted and replica was resumed after epoch 1"


def certify(
    folder: Path,
    control: list[int],
    replica: list[int],
    holds: bool | str | None,
    differ: bool = False,
    planned: bool = False,
) -> Any:
    """The report on two runs that were resumed after these epochs.

    ``holds``: what the last epoch showed when it was trained again; None: it was not; a text: it
    had the same bits, and other numbers in Python.
    """
    space = factories.with_checkpoints(folder)

    def change(run: str) -> Any:
        def changed(record: Any) -> None:
            found = record["checkpoints"]
            found["resumed"] = {"control": control, "replica": replica}[run]
            if differ and run == "replica":
                path = space.runs[1] / "weights.safetensors"
                digest = arrays.write(path, factories.differing()).sha256
                record["digests"]["weights"] = found["digests"][-1]["weights"] = digest
                found["root"] = states.root(found["digests"])
            if run == "replica":
                digests = found["digests"][-1] if holds else OTHER
                made: Any = {
                    "epoch": factories.EPOCHS,
                    "digests": digests,
                    "failure": None,
                    "attributes": [] if holds is True else ["Counting.steps"],
                }
                found["again"] = None if holds is None else made
            if planned and run == "replica":
                record["variations"]["applied"]["interrupt"] = "killed once"
                record["observed"]["interrupt"] = "resumed"

        return changed

    if planned:
        config = canonical.read_json(space.config)
        config["protocol"]["replica"].append("interrupt")
        digest = canonical.write_json(space.config, config)
        for run in space.runs:
            edit(run / "record.json", lambda r: r.update(config=config, experiment=digest))
    for run in space.runs:
        edit(run / "record.json", change(run.name))
    return factories.report_of(space.compare())


LAST = [factories.EPOCHS - 1]  # whose epoch, trained again, would show nothing


@pytest.mark.parametrize(
    ("control", "replica", "holds", "differ", "verdict", "reason"),
    [
        ([], [], True, False, "REPRODUCIBLE", ""),
        ([], [], False, False, "REPRODUCIBLE", ""),  # nobody used a checkpoint
        ([1], [1], True, False, "REPRODUCIBLE", ""),
        ([1], [], False, False, "REPRODUCIBLE", ""),
        (LAST, LAST, None, False, "INCONCLUSIVE", f"both resumed after epoch 2, and {UNKNOWN}"),
        ([1], [1], False, False, "INCONCLUSIVE", f"both resumed after epoch 1, and {LACKING}"),
        ([], [1], False, True, "INCONCLUSIVE", f"{ONE}, they differ, and {LACKING}"),
        ([], LAST, None, True, "INCONCLUSIVE", f"they differ, and {UNKNOWN}"),
        ([], [1], True, True, "NOT REPRODUCIBLE", f"{ONE}: {FIRST_SUSPECT}."),
        ([], [], False, True, "NOT REPRODUCIBLE", ""),
        ([1], [], "counts", False, "REPRODUCIBLE", ""),
        ([1], [1], "counts", False, "INCONCLUSIVE", f"both resumed after epoch 1, and {COUNTING}"),
        ([1], LAST, None, False, "INCONCLUSIVE", f"{TWO}, and {UNKNOWN}"),
        ([], LAST, None, False, "REPRODUCIBLE", ""),
    ],
)  # fmt: skip
def test_resumed_runs_show_what_uninterrupted_ones_would_only_if_checkpoints_hold_all_state(
    tmp_path: Path,
    control: list[int],
    replica: list[int],
    holds: bool | str | None,
    differ: bool,
    verdict: str,
    reason: str,
) -> None:
    report = certify(tmp_path, control, replica, holds, differ)
    assert report["verdict"] == verdict, report["reasons"]
    assert reason in report["reasons"][0]
    of = {"control": control, "replica": replica}
    assert report["scope"]["resumed"] == {run: after for run, after in of.items() if after}
    issued = certificates.certificate(report)
    page, lines = certificate.render(issued), summary.text(issued, summary.Ended(Path("c"), 1.0))
    for run, after in report["scope"]["resumed"].items():
        assert f"{run} after epoch {after[0]}" in page
        assert f"{run} after epoch {after[0]}" in lines


def test_no_culprit_is_named_from_runs_that_were_interrupted_differently(tmp_path: Path) -> None:
    report = certify(tmp_path, [], [1], holds=True, differ=True)
    scope = report["scope"]
    assert (scope["depends_on"], scope["repeatable"]) == ([], None)
    assert {row["outcome"] for row in scope["variations"]} == {"not tried"}
    assert "replica was resumed after epoch 1" in scope["variations"][0]["why"]


def test_an_interruption_on_purpose_is_a_variation_like_any_other(tmp_path: Path) -> None:
    report = certify(tmp_path, [], [1], holds=False, planned=True)
    assert report["verdict"] == "REPRODUCIBLE", report["reasons"]
    row = next(row for row in report["scope"]["variations"] if row["key"] == "interrupt")
    assert row["outcome"] == "same bits"


@pytest.mark.parametrize(
    ("replica", "holds", "problem"),
    [([], True, None), ([], False, LACKING), (LAST, None, None)],
)
def test_epochs_are_replayed_alone_only_where_checkpoints_were_shown_to_hold_all_state(
    tmp_path: Path, replica: list[int], holds: bool | None, problem: str | None
) -> None:
    """An interrupted run that equals an uninterrupted one shows it as well."""
    found = replays.count_problem(certify(tmp_path, [], replica, holds), 1)
    assert (found is None) if problem is None else (problem in str(found))


@pytest.mark.parametrize(
    "again", [None, {"epoch": 2, "digests": OTHER, "failure": None, "attributes": []}]
)
def test_whoever_has_the_canary_must_have_trained_the_last_epoch_again(
    tmp_path: Path, again: Any
) -> None:
    space = factories.with_checkpoints(tmp_path)
    edit(space.runs[1] / "record.json", lambda r: r["checkpoints"].update(again=again))
    report = factories.report_of(space)
    assert report["verdict"] == "INCONCLUSIVE"
    assert "again" in report["reasons"][0]
