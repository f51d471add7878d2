"""The lines that end a run in the terminal."""

import re
from html import unescape
from pathlib import Path
from typing import Any

import jinja2
import pytest
from docutils.core import publish_parts  # type: ignore[import-untyped]

import certificates
import factories
from samebits import errors
from samebits.experiment import protocol
from samebits.experiment.protocol import PlannedComparison, PlannedRun
from samebits.pages import summary
from samebits.text import program, say

PATH, PAGE = Path("results/default/certificate.json"), Path("results/default/certificate.html")


def certificate(verdict: str, reasons: list[str], keyid: str | None = None) -> dict[str, Any]:
    """As much of a certificate as the summary reads."""
    control = {"digests": {"history": "c" * 64}, "unsupported": None}
    runs = {"control": control, "replica": {"digests": {}}}
    report = {
        "verdict": verdict,
        "reasons": reasons,
        "experiment": {"name": "default"},
        "source": factories.REPOSITORY | {"model": None},
        "issued": "2026-11-23T12:00:00Z",
        "issuer": {"keyid": keyid},
        "scope": {
            "cautions": [],
            "runs": 2,
            "same": [],
            "left": ["best.npy"],
            "depends_on": [],
            "repeatable": True,
            "differed": [
                {"what": "Python threads", "values": {"control": "none", "replica": "a.work"}}
            ],
            "variations": [
                {"what": "clock", "run": "replica", "outcome": "same bits"},
                {"what": "CPU", "run": "cpu-EPYC", "outcome": "not tried"},
            ],
            "undeclared": ["DEPTH"],
            "epochs": {"trained": 3, "at_most": 3},
            "resumed": {},
            "not_varied": ["other files", "network", "kernel", "terminal", "devices", "load"],
            "pins": [],
            "conditions": ["hash seed"],
        },
        "comparisons": [],
        "records": {"runs": runs | {"lost": None}},
    }
    return {"report": report, "replays": []}


def text(verdict: str = "REPRODUCIBLE", reasons: tuple[str, ...] = (), **options: Any) -> str:
    return summary.text(certificate(verdict, list(reasons)), summary.Ended(PATH, 41.25, **options))


def rows(said: str) -> dict[str, str]:
    """The lines that have a name."""
    return {line[2:14].strip(): line[15:] for line in said.splitlines() if line[2:14].strip()}


def test_it_says_verdict_digests_places_and_time() -> None:
    said = text()
    for part in ("REPRODUCIBLE", "default", "c" * 64, str(PATH), str(PAGE), "41.2 s"):
        assert part in said


def test_it_says_what_was_not_committed_and_read_from_elsewhere() -> None:
    assert "source" not in rows(text())
    content = certificate("REPRODUCIBLE", [])
    report, changed = content["report"], {"changed": ["a.py"], "inputs": ["mine.yaml"]}
    report["source"] |= changed | {
        "model": factories.REPOSITORY | {"commit": None, "problem": "no"}
    }
    read = [{"path": name, "sha256": "0" * 64} for name in ("/data/words", "near.npy", "~/far")]
    files = factories.NO_FILES | {"read": read}
    report["records"]["runs"]["control"]["files"] = files
    found = rows(summary.text(content, summary.Ended(PATH, 1.0)))
    said = "changed: a.py; not committed inputs of the experiment: mine.yaml"
    assert found["source"] == f"{factories.COMMIT[:12]}; {said}"
    assert "model's source unknown commit (no)" in summary.text(content, summary.Ended(PATH, 1.0))
    assert "  files        read outside of the source: /data/words and ~/far\n" in summary.text(
        content, summary.Ended(PATH, 1.0)
    )


def test_it_says_what_ran_in_threads() -> None:
    assert "Python threads: a.work\n" in text()


def test_it_names_files_that_one_run_leaves_for_another() -> None:
    assert "written and read by runs: best.npy\n" in text()


def test_a_run_without_a_history_is_said() -> None:
    lines = text().splitlines()
    assert [line.split()[-1] for line in lines if "history of" in line] == ["c" * 64, "none"]
    assert "1, in the certificate" in text()


def test_it_says_what_was_varied_and_under_what_the_claim_holds() -> None:
    said = text()
    assert "varied without effect: clock" in said
    assert "not tried: CPU" in said
    assert "only if pinned: hash seed" in said
    assert "looked up, set in no run: the variable DEPTH (declare it: environment.DEPTH=" in said
    assert "not varied: other files, network, kernel, terminal, devices and 1 more" in said


def test_only_a_protocol_of_many_runs_says_what_it_costs() -> None:
    runs = tuple(PlannedRun(f"with-{name}", vary=(name,)) for name in ("clock", "home"))
    emulated = PlannedRun("cpu-EPYC", vary=("cpu=EPYC",), samples=640, epochs=1)
    few = [PlannedComparison("replica", PlannedRun("control"), (PlannedRun("replica"),))]
    many = [*few, PlannedComparison("each", PlannedRun("control"), (*runs, emulated))]
    assert summary.cost(few, "on 2 cores") == ""
    assert summary.cost(many, "on 2 cores").startswith(
        "4 full trainings on 2 cores instead of 2: 2 vary one condition (clock and home folder)\n"
    )
    assert "1 emulated trainings of 640 samples" in summary.cost(many, "on 2 cores")


def test_a_protocol_that_kills_a_run_says_what_it_makes() -> None:
    config = factories.CONFIG | {
        "protocol": factories.CONFIG["protocol"] | {"alone": ["interrupt"]}
    }
    assert summary.cost(protocol.plan(config, protocol.ALIKE), "on 2 cores") == (
        "4 full trainings on 2 cores instead of 2: 1 as the control once more and 1 vary one "
        "condition (kill and resume)"
    )


ALIKE = protocol.ALIKE[protocol.FIRST]
DIFFERS = {protocol.FIRST: {**ALIKE, "identical": False}}
LEAVES = {protocol.FIRST: {**ALIKE, "left": ["best.npy"]}}


@pytest.mark.parametrize(
    ("found", "missing", "said"),
    [
        (
            DIFFERS,
            ["repeat"],
            "control and replica differ. 1 more training (repeat) shows whether they repeat, then "
            "up to 2 vary one condition each, about 1 min 30 s; to skip this: protocol.explain=[]",
        ),
        (
            DIFFERS | {"repeat": ALIKE},
            ["with-home", "with-cpus"],
            "repeat is identical to control. 2 more trainings, to find what is not, about "
            "1 min 0 s; to skip this: protocol.explain=[]",
        ),
        (
            {protocol.FIRST: ALIKE},
            ["with-home-2"],
            "bits differ where one condition alone is varied. 1 more training under the same "
            "conditions, to tell that from a race, about 30.0 s",
        ),
        (
            LEAVES,
            ["repeat"],
            "runs write files that runs look for (best.npy). 1 more training (repeat) shows "
            "whether they repeat, about 30.0 s",
        ),
        (
            LEAVES | {"repeat": {**ALIKE, "identical": False}},
            ["repeat-2"],
            "repeat differs from control: not repeatable under identical conditions. 1 more "
            "training, to find whether an earlier run left something, about 30.0 s",
        ),
    ],
    ids=["differ", "repeatable", "a race", "leave files", "not repeatable"],
)
def test_the_search_for_a_cause_says_before_what_it_trains_how_long_and_how_to_skip_it(
    found: protocol.Found, missing: list[str], said: str
) -> None:
    explain = factories.CONFIG["protocol"] | {"explain": ["home", "cpus"]}
    assert summary.search(factories.CONFIG | {"protocol": explain}, found, missing, 30.0) == said


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


def test_more_than_a_certificate_holds_is_said_before_hours_of_training() -> None:
    config = factories.CONFIG
    alone = [*config["protocol"]["replica"], "hash_seed"]
    exhaustive = config | {"protocol": config["protocol"] | {"alone": alone, "unpin": True}}
    twice, many = (protocol.plan(c, protocol.ALIKE) for c in (config, exhaustive))
    assert summary.size(20_000, twice) == ""
    assert summary.size(1_000, many) == ""
    assert summary.size(3_000, many).startswith("! 3,000 epochs in ")
    assert "protocol=varied" in summary.size(50_000, twice)


@pytest.mark.parametrize(
    "verdict", ["REPRODUCIBLE", "NOT REPRODUCIBLE", "UNSUPPORTED", "INCONCLUSIVE"]
)
def test_color_only_when_asked_for(verdict: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert "\033" not in text(verdict)
    assert "\033[1;3" in text(verdict, color=True)
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\033" not in text(verdict, color=True)


def test_minutes_are_told_as_minutes() -> None:
    said = summary.text(certificate("REPRODUCIBLE", []), summary.Ended(PATH, 125.0))
    assert "2 min 5 s" in said


# --- signatures and replays --------------------------------------------------------------------


def test_it_says_who_signed_and_how_to_verify() -> None:
    signed = summary.text(certificate("REPRODUCIBLE", [], "ab" * 32), summary.Ended(PATH, 1.0))
    assert rows(signed)["signature"] == "signed by key abababababababab…"
    assert rows(text())["signature"].startswith("UNSIGNED: anyone could have made it")
    assert rows(text())["verify"] == f"{program()} verify {PATH}"


def test_the_command_quotes_a_path_with_a_space() -> None:
    said = summary.text(
        certificate("REPRODUCIBLE", []), summary.Ended(Path("my results/c.json"), 1.0)
    )
    assert rows(said)["verify"] == f"{program()} verify 'my results/c.json'"


def replay(number: int, signed: bool = True, color: bool = False, **changes: Any) -> str:
    """What is said of the last replay."""
    replays = [*certificates.replays(number), certificates.replay(number, **changes)]
    whole = certificates.certificate(certificates.reproducible(), signed, replays)
    return summary.replay(whole, summary.Ended(PATH, 41.25, color))


def test_a_replay_says_its_outcome_and_of_whose_certificate() -> None:
    said = replay(0)
    assert said.split()[0] == "REPRODUCED"
    issuer = certificates.key("issuer")[0][:16]
    assert rows(said)["certified"] == f"REPRODUCIBLE by key {issuer}…, 2026-11-23 12:00 UTC"
    assert rows(said)["weights"] == "identical"
    assert rows(said)["certificate"] == str(PATH)
    assert not {"scope", "divergence"} & set(rows(said))
    assert rows(replay(0, signed=False))["certified"].startswith("REPRODUCIBLE UNSIGNED")


def test_a_replay_that_differs_says_what_and_where() -> None:
    said = replay(2)
    assert "NOT REPRODUCED  default" in said
    assert said.count("outside: ") == len(certificates.OUTSIDE)
    assert f"expected {'2' * 64}" in said
    assert f"got      {'5bd1e995' * 8}" in said
    assert rows(said)["divergence"].startswith("The runs first differ at step 17")
    assert rows(said)["signature"] == f"signed by key {certificates.key('reviewer')[0][:16]}…"


def test_a_replay_without_a_divergence_or_an_artifact_says_what_it_knows() -> None:
    lost = {"artifact": "history", "expected": "1" * 64, "got": None, "identical": False}
    said = replay(2, artifacts=[lost], divergence=None, issuer={"keyid": None})
    assert "got      none" in said
    assert "divergence" not in rows(said)
    assert rows(said)["signature"].startswith("UNSIGNED: anyone could have made it")
    assert said.split()[:3] == ["UNSIGNED", "NOT", "REPRODUCED"]


def test_unsigned_is_said_before_the_verdict() -> None:
    assert text().splitlines()[1] == "UNSIGNED  REPRODUCIBLE  default"
    shown = summary.text(certificate("REPRODUCIBLE", []), summary.Ended(PATH, 1.0, color=True))
    assert shown.splitlines()[1].startswith("\x1b[1;33mUNSIGNED\x1b[0m  \x1b[1;32mREPRODUCIBLE")


@pytest.mark.parametrize(("number", "color"), [(1, "32"), (2, "31")])
def test_a_replay_is_colored_by_its_outcome(number: int, color: str) -> None:
    assert f"\033[1;{color}m" in replay(number, color=True)
    assert "\033" not in replay(number)


def test_nothing_that_a_replay_quotes_steers_the_terminal() -> None:
    hostile = "\033[2Jgone"
    made = certificates.certificate(certificates.reproducible(), replays=certificates.replays(3))
    said = summary.replay(certificates.quoting(hostile, made), summary.Ended(PATH, 1.0))
    assert "\033" not in said
    assert said.count("gone") > 4


def test_a_sweep_is_a_line_per_combination_and_counts_of_many(tmp_path: Path) -> None:
    table = tmp_path / "index.csv"
    rows = [f"seed={i},{'NOT ' * (i == 3)}REPRODUCIBLE,{'UN' * (i == 4)}SIGNED" for i in range(25)]
    table.write_text("\r\n".join(["combination,verdict,signature", *rows, ""]))
    said = summary.sweep(summary.Ended(table, 7.0))
    assert "NOT REPRODUCIBLE  seed=3\n" in said
    assert "REPRODUCIBLE  seed=4  UNSIGNED\n" in said
    assert "seed=19" in said
    assert "seed=20" not in said
    assert "and 5 more, in the index" in said
    assert "24 REPRODUCIBLE, 1 NOT REPRODUCIBLE" in said
    assert "\033" in summary.sweep(summary.Ended(table, 7.0, color=True))


EVIL = "\x1b[2J\x1b]0;owned\x07\u202e\u2028\r\x9b1m"


def test_no_line_steers_a_terminal(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Whoever said it: a certificate, a replay, a metric's name in the progress, an error."""
    made = certificates.certificate(certificates.dependent(), replays=[certificates.replay(2)])
    made = certificates.quoting(EVIL, made)
    for tell in (summary.text, summary.replay):
        shown = tell(made, summary.Ended(tmp_path / f"a{EVIL}", 1.0))
        assert all(c.isprintable() or c == "\n" for c in shown)
    say(f"control: epoch 1/2, {EVIL} 0.5000\nand more")
    with pytest.raises(SystemExit):
        errors.run(lambda: fail(EVIL))
    shown = capsys.readouterr().err
    assert all(c.isprintable() or c == "\n" for c in shown)
    assert shown.count("\n") == 3


def fail(text: str) -> int:
    raise errors.SamebitsError(text)


def test_snakemakes_report_opens_on_the_closing_lines_as_they_are() -> None:
    """Nothing in them is Jinja, reStructuredText or HTML."""
    lines = ["{{ 7 * 7 }} {% raw %} {# a #}", ".. raw:: html", "   <b>x</b>", "`a`_ |b| *c*", "::"]
    said = "\n".join(["", "NOT REPRODUCIBLE  mine_", "", *lines, ""])
    jinja = jinja2.Environment()  # noqa: S701 (Snakemake's; reStructuredText escapes)
    text = jinja.from_string(summary.report(said)).render()
    made = publish_parts(text, writer="html", settings_overrides={"halt_level": 1})["html_body"]
    assert '<h1 class="title">NOT REPRODUCIBLE</h1>' in made
    (block,) = re.findall(r"<pre class=\"literal-block\">\n(.*?)</pre>", made, re.DOTALL)
    assert unescape(block).split("\n")[2 : 2 + len(lines)] == lines
    wide = f"REPRODUCIBLE  x\n  varied without effect: {', '.join(['number of CPUs'] * 20)}"
    assert max(map(len, summary.report(wide).splitlines())) < 80
    assert "no certificate yet" in summary.report("")
