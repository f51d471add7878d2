"""Spot replays: what a draw chooses, what is believed of them, and that a part is never a whole."""

import base64
import hashlib
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import attacks
import factories
from factories import ISSUER, LABORATORY
from samebits.certificate import certificate, replays, schema, statements
from samebits.certificate.schema import MalformedError
from samebits.formats import canonical, states
from samebits.pages import certificate as page
from samebits.pages import charts, summary
from samebits.signing.trusted import Trusted
from samebits.verification import levels
from samebits.verification.levels import DOES_NOT_HOLD, VERIFIED, Verification

Json = Any
TRUSTED = [Trusted("issuer", ISSUER.public), Trusted("a laboratory", LABORATORY.public)]
OTHER = "0" * 64
OTHER_STATE = dict.fromkeys(states.PARTS, OTHER)


@pytest.fixture(scope="module")
def issued(tmp_path_factory: pytest.TempPathFactory) -> Json:
    return factories.certify(factories.with_checkpoints(tmp_path_factory.mktemp("space")), ISSUER)


@pytest.fixture(scope="module")
def passed(issued: Json) -> Json:
    """With one sampled replay of two of three epochs, and what it found was the same."""
    return factories.replayed(issued, LABORATORY, factories.sampled_record(issued, 2))


@pytest.fixture(scope="module")
def failed(issued: Json) -> Json:
    run = factories.sampled_record(issued, 2)
    run["sampled"]["epochs"][1]["to"] = OTHER_STATE
    return factories.replayed(issued, LABORATORY, run)


def verified(content: Json) -> Verification:
    return levels.verify(certificate.parse(canonical.dumps(content)), TRUSTED)


def problems(found: Verification) -> str:
    return " ".join(problem for check in found.checks for problem in check.problems)


# --- the draw ----------------------------------------------------------------------------------


def test_the_epochs_are_the_first_when_all_are_sorted_by_digest() -> None:
    of, draw = "a" * 64, "b" * 64
    ranks = {}
    for epoch in range(1, 13):
        text = f'{{"certificate":"{of}","draw":"{draw}","epoch":{epoch}}}\n'
        ranks[hashlib.sha256(text.encode()).hexdigest()] = epoch
    for count in range(1, 13):
        expected = sorted(ranks[rank] for rank in sorted(ranks)[:count])
        assert replays.drawn(of, draw, 12, count) == expected


def test_a_draw_is_a_new_one_each_time_and_another_certificate_has_other_epochs() -> None:
    draws = {replays.new_draw() for _ in range(50)}
    assert len(draws) == 50
    assert all(re.fullmatch("[0-9a-f]{64}", draw) for draw in draws)
    chosen = {tuple(replays.drawn(digit * 64, OTHER, 1000, 3)) for digit in "0123456789abcdef"}
    assert len(chosen) == 16


def test_every_epoch_is_drawn_as_often_as_any_other() -> None:
    times = dict.fromkeys(range(1, 11), 0)
    for number in range(1000):
        for epoch in replays.drawn("a" * 64, canonical.digest(number), 10, 2):
            times[epoch] += 1
    chi = sum((count - 200) ** 2 / 200 for count in times.values())
    assert chi < 27.9  # the draws are given, so this never fails by chance: p = 0.001


@pytest.mark.parametrize("count", [-1, 0, 3, 4])
def test_all_epochs_none_or_more_are_no_spot_replay(issued: Json, count: int) -> None:
    said = replays.count_problem(issued["report"], count)
    assert said is not None
    assert f"got {count}" in said


def test_only_what_commits_to_one_checkpoint_per_epoch_can_be_drawn_from(issued: Json) -> None:
    assert replays.count_problem(issued["report"], 1) is None
    changes: list[Callable[[Json], Any]] = [
        lambda run: run.update(checkpoints=None),
        lambda run: run["checkpoints"].update(root=OTHER),
        lambda run: run["checkpoints"]["digests"].append(OTHER_STATE),
    ]
    for change in changes:
        report = factories.copied(issued["report"])
        change(report["records"]["runs"]["control"])
        assert replays.count_problem(report, 1) is not None


# --- what is said ------------------------------------------------------------------------------


def test_a_passed_one_says_how_many_which_and_by_what_draw(passed: Json) -> None:
    said = passed["replays"][0]["report"]
    drawn = [epoch["epoch"] for epoch in said["epochs"]]
    assert said["outcome"] == "EPOCHS REPRODUCED"
    payload = json.loads(base64.b64decode(passed["replays"][0]["statement"]["payload"]))
    (attribute,) = payload["predicate"]["attributes"]
    assert attribute["attribute"] == "EPOCHS_REPRODUCED"
    assert attribute["conditions"]["epochs"] == {
        "checked": 2, "in all": 3, "draw": said["draw"],
        "identical": {str(epoch): True for epoch in drawn},
    }  # fmt: skip
    assert replays.drawn(statements.of(passed), said["draw"], 3, 2) == drawn
    found = verified(passed)
    assert (found.code, problems(found)) == (VERIFIED, "")
    assert found.signatories[1].outcome == "EPOCHS REPRODUCED"
    assert found.signatories[1].extent == f"2 of 3 epochs: {drawn[0]} and {drawn[1]}"


def test_no_rendering_calls_a_part_reproduced(passed: Json, failed: Json, issued: Json) -> None:
    shown = page.render(passed)
    terminal = summary.replay(passed, summary.Ended(Path("c.json"), 1.0))
    said = [c.summary for c in verified(passed).checks] + [
        link.result for link in verified(passed).signatories
    ]
    for text in (re.sub("<[^>]*>", "", shown), terminal, *said):
        for match in re.finditer("REPRODUCED", text):
            assert text[: match.start()].endswith("EPOCHS ")
            assert re.match(r"REPRODUCED( \(2 of 3 epochs|  default\n)", text[match.start() :])
    assert "◐ EPOCHS REPRODUCED (2 of 3 epochs" in shown
    assert passed["replays"][0]["report"]["draw"] in shown
    assert "checked      2 of 3 epochs" in terminal
    assert charts.badge(passed) == charts.badge(failed) == charts.badge(issued)
    assert "✗ NOT REPRODUCED (2 of 3 epochs" in page.render(failed)


def test_one_other_bit_is_not_reproduced_and_the_epoch_is_named(failed: Json) -> None:
    said = failed["replays"][0]["report"]
    number = said["epochs"][1]["epoch"]
    assert said["outcome"] == "NOT REPRODUCED"
    found = verified(failed)
    assert found.code == DOES_NOT_HOLD
    assert "a laboratory did not reproduce it" in problems(found)
    assert f"; not the same: {number}" in problems(found)
    assert f"not the same: {number}" in page.render(failed)
    terminal = summary.replay(failed, summary.Ended(Path("c.json"), 1.0))
    assert f"not the same: {number}" in terminal
    assert re.search(
        rf"epoch {number} +expected [0-9a-f]{{64}} \(optimizer\)\n +got +{OTHER} \(optimizer\)",
        terminal,
    )


def test_equal_weights_with_another_loss_are_not_reproduced(issued: Json) -> None:
    run = factories.sampled_record(issued)
    run["sampled"]["epochs"][0]["history"]["metrics"]["loss"] = [0.25]
    made = factories.replayed(issued, LABORATORY, run)
    assert made["replays"][0]["report"]["outcome"] == "NOT REPRODUCED"
    assert "values differ" in page.render(made)
    assert "values differ" in summary.replay(made, summary.Ended(Path("c.json"), 1.0))


@pytest.mark.parametrize("metrics", [{}, {"loss": []}, {"more": [1.0]}])
def test_a_history_with_fewer_or_more_values_is_not_the_same(issued: Json, metrics: Json) -> None:
    run = factories.sampled_record(issued)
    held = run["sampled"]["epochs"][0]["history"]
    held["metrics"] = held["metrics"] | metrics if metrics else {}
    made = factories.replayed(issued, LABORATORY, run)
    assert made["replays"][0]["report"]["outcome"] == "NOT REPRODUCED"


def test_a_training_that_failed_reproduces_no_epoch(issued: Json) -> None:
    run = factories.sampled_record(issued) | {"status": "failed"}
    run["failure"] = {"error": "ValueError", "message": "the model raised this"}
    run["sampled"]["epochs"] = []
    made = factories.replayed(issued, None, run)
    assert made["replays"][0]["report"]["outcome"] == "NOT REPRODUCED"
    assert verified(made).code == VERIFIED  # nobody who is trusted says so
    assert "✗ missing" in page.render(made)


def test_each_spot_replay_is_a_statement_of_its_own(issued: Json) -> None:
    content = issued
    for number in (1, 2, 3):
        content = factories.replayed(
            content, LABORATORY, factories.sampled_record(content, 1, number)
        )
    found = verified(content)
    assert found.code == VERIFIED, problems(found)
    assert [link.outcome for link in found.signatories[1:]] == ["EPOCHS REPRODUCED"] * 3


def test_a_draw_counts_once(issued: Json) -> None:
    draw = canonical.digest("drawn")
    content = factories.replayed(issued, LABORATORY, factories.sampled_record(issued, 1, 1, draw))
    content = factories.replayed(content, LABORATORY, factories.sampled_record(content, 1, 2, draw))
    assert "another replay already, so the draw was not random" in problems(verified(content))


# --- what is refused ---------------------------------------------------------------------------


def _another_epoch(run: Json) -> None:
    """One that was not drawn, with all that belongs to it."""
    drawn = run["sampled"]["drawn"][0]
    other = next(epoch for epoch in (1, 2, 3) if epoch != drawn)
    run["sampled"]["drawn"] = [other]
    digests = run["digests_of_control"]
    run["sampled"]["epochs"][0] |= {
        "epoch": other, "from": digests[other - 2] if other > 1 else None, "to": digests[other - 1]
    }  # fmt: skip


def _began_elsewhere(run: Json) -> None:
    run["sampled"]["epochs"][0]["from"] = OTHER_STATE


FAULTS: dict[str, tuple[Callable[[Json], Any], str]] = {
    "changed draw": (
        lambda run: run["sampled"].update(draw="7" * 64),
        "does not choose the epochs",
    ),
    "not drawn": (_another_epoch, "does not choose the epochs"),
    "not trained": (lambda run: run["sampled"].update(epochs=[]), "trained none"),
    "twice": (
        lambda run: run["sampled"].update(epochs=run["sampled"]["epochs"] * 2),
        "it drew the epochs",
    ),
    "all of it": (lambda run: run["sampled"].update(drawn=[1, 2, 3]), "less than 3"),
    "began elsewhere": (_began_elsewhere, "began from another state"),
    "another certificate": (
        lambda run: run["sampled"].update(certificate=OTHER),
        "drawn for another certificate",
    ),
    "experiment": (lambda run: run.update(experiment=OTHER), "another experiment"),
    "lock": (lambda run: run.update(lock=OTHER), "another lock"),
    "data": (lambda run: run.update(dataset=OTHER), "other data"),
    "source": (lambda run: run["source"][0].update(sha256=OTHER), "different source code"),
    "setting": (lambda run: run["settings"][0].update(effective=7), "hash seed is 7"),
    "package": (lambda run: run["packages"].pop(1), "numpy: expected 2.4.6"),
    "unpinned": (lambda run: run.update(unpinned=["hash_seed"]), "removed pins: expected none"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_run_that_is_no_spot_replay_is_refused(issued: Json, fault: str) -> None:
    plant, said = FAULTS[fault]
    run = factories.sampled_record(issued, draw=_draw_of(issued, 2))
    control = issued["report"]["records"]["runs"]["control"]
    run["digests_of_control"] = control["checkpoints"]["digests"]
    plant(run)
    if fault == "changed draw":  # one that chooses another epoch
        run["sampled"]["draw"] = _draw_of(issued, 3)
    del run["digests_of_control"]
    found = verified(factories.replayed(issued, LABORATORY, run))
    assert found.code == DOES_NOT_HOLD
    assert said in problems(found)


def _draw_of(issued: Json, epoch: int) -> str:
    """A draw that chooses this epoch of three."""
    draws = (canonical.digest(number) for number in range(100))
    of = statements.of(issued)
    return next(draw for draw in draws if replays.drawn(of, draw, 3, 1) == [epoch])


def test_an_epoch_that_does_not_exist_is_refused(passed: Json) -> None:
    said = factories.copied(passed["replays"][0]["report"])
    said["record"]["sampled"]["drawn"] = [4, 5]
    for number, (epoch, told) in enumerate(
        zip(said["record"]["sampled"]["epochs"], said["epochs"], strict=True), 4
    ):
        epoch["epoch"] = told["epoch"] = number
    assert verified(factories.replay_again(passed, said)).code == DOES_NOT_HOLD


@pytest.mark.parametrize("one_in", [12, pytest.param(1, marks=pytest.mark.slow)])
def test_nothing_that_a_dishonest_signer_changes_in_it_is_believed(
    passed: Json, one_in: int
) -> None:
    """But for what only the one who repeated can know."""
    said = passed["replays"][0]["report"]
    derived = {key: said[key] for key in ("of", "outcome", "outside_scope", "draw", "in_all")}
    rest = {key: said[key] for key in ("format", "record", "issued", "issuer", "source")}
    held = 0
    for mutant in attacks.drawn(attacks.mutants(derived | {"epochs": said["epochs"]}), one_in):
        if not isinstance(mutant.value, dict):
            continue
        try:
            found = verified(factories.replay_again(passed, rest | mutant.value, LABORATORY))
        except MalformedError:
            continue
        held += 1
        assert found.code == DOES_NOT_HOLD, str(mutant)
    assert held > 20 // one_in


def test_a_changed_statement_does_not_hold(passed: Json) -> None:
    forged = factories.copied(passed)
    forged["replays"][0]["report"]["draw"] = "7" * 64
    assert verified(forged).code == DOES_NOT_HOLD


# --- formats: a part is never taken for a whole ------------------------------------------------


def violations(record: Json, name: str = "sampledRecord") -> list[str]:
    return list(schema.violations(record, schema.definition(name)))


def test_the_record_of_some_epochs_is_none_of_a_training(issued: Json) -> None:
    run = factories.sampled_record(issued)
    assert violations(run) == []
    assert any("samebits-train-1" in said for said in violations(run, "trainRecord"))
    assert violations(issued["report"]["records"]["runs"]["control"])
    wrong: list[Json] = [{"digests": {"weights": OTHER}}, {"trace": {}}, {"run": "control"}]
    assert all(violations(run | more) for more in wrong)


def test_it_is_no_replay_of_all_and_the_other_way_round(issued: Json, passed: Json) -> None:
    whole = factories.replayed(issued, LABORATORY)
    spotted = factories.copied(passed)
    spotted["replays"][0]["report"]["format"] = "samebits-replay-1"
    whole["replays"][0]["report"]["format"] = replays.SAMPLED_FORMAT
    for content in (spotted, whole):
        with pytest.raises(MalformedError):
            certificate.parse(canonical.dumps(content))


@pytest.mark.parametrize("outcome", ["REPRODUCED", "REPRODUCIBLE"])
def test_it_cannot_say_that_all_was_reproduced(passed: Json, outcome: str) -> None:
    forged = factories.copied(passed)
    forged["replays"][0]["report"]["outcome"] = outcome
    with pytest.raises(MalformedError):
        certificate.parse(canonical.dumps(forged))
