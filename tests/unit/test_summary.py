"""The lines that end a run in the terminal."""

from pathlib import Path
from typing import Any

import pytest

from samebits import summary
from samebits.protocol import PlannedComparison, PlannedRun

PATH, PAGE = Path("results/default/certificate.json"), Path("results/default/certificate.html")


def certificate(verdict: str, reasons: list[str]) -> dict[str, Any]:
    """As much of a certificate as the summary reads."""
    runs = {"control": {"digests": {"history": "c" * 64}}, "replica": {"digests": {}}}
    return {
        "verdict": verdict,
        "reasons": reasons,
        "experiment": {"name": "default"},
        "scope": {
            "statement": "What was found.",
            "variations": [
                {"what": "clock", "outcome": "same bits"},
                {"what": "CPU", "outcome": "not tried"},
            ],
            "conditions": ["hash seed"],
        },
        "records": {"runs": runs | {"lost": None}},
    }


def text(verdict: str = "REPRODUCIBLE", reasons: tuple[str, ...] = (), **options: Any) -> str:
    return summary.text(certificate(verdict, list(reasons)), PATH, PAGE, 41.25, **options)


def test_it_says_verdict_digests_places_and_time() -> None:
    said = text()
    for part in ("REPRODUCIBLE", "default", "c" * 64, str(PATH), str(PAGE), "41.2 s"):
        assert part in said


def test_a_run_without_a_history_is_said() -> None:
    lines = text().splitlines()
    assert [line.split()[-1] for line in lines if "history of" in line] == [
        "c" * 64,
        "none",
    ]
    assert "1, in the certificate" in text()


def test_it_says_what_was_varied_and_under_what_the_claim_holds() -> None:
    said = text()
    assert "same under another: clock" in said
    assert "not tried: CPU" in said
    assert "only with these pinned: hash seed" in said


def test_only_a_protocol_of_many_runs_says_what_it_costs() -> None:
    runs = tuple(PlannedRun(f"with-{name}", vary=(name,)) for name in ("clock", "home"))
    emulated = PlannedRun("cpu-EPYC", vary=("cpu=EPYC",), samples=640, epochs=1)
    few = [PlannedComparison("replica", PlannedRun("control"), (PlannedRun("replica"),))]
    many = [*few, PlannedComparison("each", PlannedRun("control"), (*runs, emulated))]
    assert summary.cost(few, 2) == ""
    assert "4 whole trainings on 2 cores instead of 2" in summary.cost(many, 2)
    assert "1 emulated ones of 640 samples" in summary.cost(many, 2)


def test_reasons_are_given_unless_reproducible() -> None:
    assert "because" not in text(reasons=("because",))
    assert "- because" in text("INCONCLUSIVE", ("because",))


def test_many_reasons_are_counted() -> None:
    said = text("INCONCLUSIVE", tuple(f"reason {i}" for i in range(20)))
    assert "reason 7" in said
    assert "reason 8" not in said
    assert "and 12 more" in said


def test_nothing_quoted_steers_the_terminal() -> None:
    assert "\033" not in text("INCONCLUSIVE", ("\033[2Jgone",))


@pytest.mark.parametrize("verdict", ["REPRODUCIBLE", "NOT REPRODUCIBLE", "UNSUPPORTED", "ODD"])
def test_colour_only_when_asked_for(verdict: str) -> None:
    assert "\033" not in text(verdict)
    assert "\033[1;3" in text(verdict, colour=True)


def test_minutes_are_told_as_minutes() -> None:
    said = summary.text(certificate("REPRODUCIBLE", []), PATH, PAGE, 125.0)
    assert "2 min 5 s" in said
