"""The last lines of a start of Snakemake, and its exit code, on small workflows."""

import logging
import os
import signal
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from snakemake.settings.types import OutputSettings, Quietness

import factories
import starts
import terminal
import verify
from in_process import stage
from pipeline import ROOT, SCRIPTS
from refusals import refused
from samebits import errors
from samebits.errors import INTERRUPTED, OTHER
from samebits.formats import canonical, names
from samebits.pages.summary import Failure
from samebits.pages.wording import LOOKS
from samebits.workflow import outcome
from samebits.workflow.plan import plan

pytestmark = pytest.mark.process

SNAKEFILE = f"""
import sys
from types import SimpleNamespace

sys.path.insert(0, {str(SCRIPTS)!r})
from samebits.workflow.outcome import Outcome

ending = Outcome(workflow)
ending.listen()
first = SimpleNamespace(config={{"trainer": {{"checkpoint": "none"}}}})
ending.plan = SimpleNamespace(name="mine", replay=None, sweep=None, first=first)
"""


def rule(name: str, shell: str) -> str:
    return f"""
rule {name}:
    output: "{name}.out"
    log: "{name}.log"
    message: "make {name}"
    shell: {shell!r}
"""


PROGRAM = f"""
import sys
sys.path.insert(0, {str(SCRIPTS)!r})
from samebits.workflow import outcome
expected = [verdict for verdict in sys.argv[1].split(",") if verdict]
sys.exit(outcome.run(sys.argv[2:], expected))
"""
QUIET = ("--quiet", "host", "progress", "reason", "--cores", "1")


def run(
    folder: Path, rules: str, *words: str, code: int, expected: str = "", cwd: Path | None = None
) -> str:
    (folder / "Snakefile").write_text(SNAKEFILE + rules)
    shown, wanted = folder / "shown.txt", [verdict for verdict in expected.split(",") if verdict]
    ended = starts.samebits(cwd or folder, [*QUIET, *words], wanted, shown)
    said = shown.read_text(encoding="utf-8")
    assert ended == code, said
    return said.partition("Job ")[2] if "Job " in said else said


# What a job does, and the cause that is shown.
FAILURES = {
    "explained": ("echo 'error: expected x, got y' > {log}; exit 1", "expected x, got y"),
    "several": (r"printf 'error: a: wrong\nb: wrong\n' > {log}; exit 1", "a: wrong"),
    "bare": ("echo 'what it said last' > {log}; exit 1", "what it said last"),
    "hostile": (r"printf 'error: \033]0;title\007x\n' > {log}; exit 1", " ]0;title x"),
    "mute": ("exit 1", "its command failed before it wrote a log"),
}


def test_each_failure_has_its_cause_and_nothing_of_snakemakes_own_frames(tmp_path: Path) -> None:
    rules = "rule all:\n    input: " + ", ".join(f"'{name}.out'" for name in FAILURES)
    rules += "".join(rule(name, shell) for name, (shell, _) in FAILURES.items())
    said = run(tmp_path, rules, "--keep-going", code=1)
    block = said.partition("\nFAILED  mine\n")[2]
    for name, (_, cause) in FAILURES.items():
        assert f"make {name}" in block and cause in block, name
    for frame in ("WorkflowError", "RuleException", "line ", "set -euo", "Error in rule"):
        assert frame not in said
    assert "\033" not in said and "\a" not in said


SWEEP = """
made = {f"mine/seed={n}": SimpleNamespace(digest=n * 64) for n in "123"}
ending.plan.sweep, ending.plan.experiments = "seed=1,2,3", made
rule all:
    input: "fails.out", "results/mine/seed=2/certificate.json"
rule certify:
    output: "results/mine/seed=2/certificate.json"
    shell: "echo '{wildcards}{rule}' > {output}"
"""


def test_what_of_a_sweep_is_certified_although_some_of_it_failed_is_counted(tmp_path: Path) -> None:
    for seed, digest in (("1", "1" * 64), ("3", "0" * 64)):  # the latter: of another experiment
        canonical.write_json(tmp_path / f"results/mine/seed={seed}/certificate.json", digest)
    rules = SWEEP.replace("{wildcards}{rule}", "2" * 64) + rule("fails", "exit 1")
    said = run(tmp_path, rules, "--keep-going", code=1)
    assert ["certified", "2 of 3 combinations, in results/mine; the index needs all"] in rows(said)


ALL = """
rule all:
    input: "results/mine/certificate.json", "results/mine/certificate.zip"

rule bundle:
    output: "results/mine/certificate.zip"
    shell: "echo > {output}"
"""


@pytest.fixture
def folder(tmp_path: Path, issued: Any) -> Path:
    """A folder in which a certificate was issued."""
    canonical.write_json(tmp_path / "results/mine/certificate.json", issued)
    return tmp_path


def rows(said: str) -> list[list[str]]:
    return [line.split(maxsplit=1) for line in said.splitlines() if line.startswith("  ")]


def test_the_last_lines_are_the_result_also_when_nothing_was_to_be_done(folder: Path) -> None:
    first = run(folder, ALL, code=0)
    (folder / "elsewhere").mkdir()
    away = ("--snakefile", "../Snakefile", "--directory", "..")
    again = run(folder, ALL, *away, code=0, cwd=folder / "elsewhere")
    for said, where in ((first, ""), (again, "../")):
        assert ["certificate", f"{where}results/mine/certificate.json"] in rows(said)
        assert ["bundle", f"{where}results/mine/certificate.zip"] in rows(said)
    assert "nothing: all of it was made before" in again.splitlines()[-2]
    assert "took" in first.splitlines()[-2] and "nothing" not in first


def test_a_target_without_a_certificate_ends_with_its_files(tmp_path: Path) -> None:
    claims = 'rule claims:\n    output: "claims.html"\n    shell: "echo > {output}"\n'
    assert ["page", "claims.html"] in rows(run(tmp_path, claims, "claims", code=0))


@pytest.mark.parametrize(
    ("expected", "code"),
    [("UNSUPPORTED,REPRODUCIBLE", 0), ("NOT REPRODUCIBLE", OTHER)],
)
def test_another_verdict_than_the_expected_ones_is_told_by_line_and_code(
    folder: Path, expected: str, code: int
) -> None:
    said = run(folder, ALL, code=code, expected=expected)
    assert ("expected NOT REPRODUCIBLE, got REPRODUCIBLE (mine)" in said) == bool(code)


def test_other_bits_than_a_certificates_are_told_by_line_and_code_whenever_asked(
    tmp_path: Path,
) -> None:
    space = factories.workspace(tmp_path / "space")
    ids, weights = space.ids, factories.differing()
    other = factories.write_run(space.folder / "train" / "present", *ids, weights=weights)
    found = tmp_path / "results/mine/against.json"
    stage("diff", space.runs[0], other, "--output", found)
    for same, code in ((True, OTHER), (False, 0)):
        rules = f"ending.plan.replay = SimpleNamespace(same={same})\n"
        rules += 'rule against:\n    output: "results/mine/against.json"\n    shell: ""\n'
        said = run(tmp_path, rules, code=code)
        assert "OTHER BITS" in said and "nothing: all of it was made before" in said


def test_a_dry_run_and_a_question_have_no_last_lines(folder: Path) -> None:
    for words in (["--dry-run"], ["--list-rules"], ["--dag"]):
        assert "certificate  " not in run(folder, ALL, *words, code=0)


def test_an_error_that_nobody_expected_keeps_its_traceback() -> None:
    said = ["Traceback (most recent call last):", '  File "a.py", line 1, in b', "KeyError: 'x'"]
    ending = outcome.Outcome(None)
    ending.emit(logging.makeLogRecord({"levelno": logging.ERROR, "msg": "\n".join(said)}))
    assert ending._failure() == Failure("", said[-1], said[:-1])


def test_an_error_of_snakemake_itself_is_the_cause(tmp_path: Path) -> None:
    said = run(tmp_path, "rule all:\n    input: 'a.out'\n", code=1)
    assert "cause        Missing input files for rule all" in said.partition("FAILED  mine")[2]
    empty = rule("empty", "echo 'nothing happens' > {log}")
    said = run(tmp_path, empty, "--latency-wait", "0", code=1)
    assert "some output files are missing" in said.partition("FAILED  mine")[2]


@pytest.mark.parametrize(
    ("status", "cause"),
    [
        ("FAILED", "expected x, got y"),
        ("TIMEOUT", "Slurm ended job 7: TIMEOUT"),
        ("CANCELLED", "Slurm ended job 7: CANCELLED"),
    ],
)
def test_a_job_of_slurm_has_the_trainings_cause_unless_slurm_ended_it(
    tmp_path: Path, status: str, cause: str
) -> None:
    log = tmp_path / "train.log"
    log.write_text("error: expected x, got y\n")
    said = f"SLURM-job '7' failed, SLURM status is: '{status}'. Detailed failure reason unavailable"
    job = {"log": [str(log)], "rule_msg": "train control", "rule_name": "train"}
    assert outcome._failure(job, said).cause == cause


def test_what_snakemake_says_of_itself_is_shown_only_where_a_user_needs_it() -> None:
    handler = outcome.Outcome(
        SimpleNamespace(output_settings=OutputSettings(quiet={Quietness.HOST}))
    )
    outcome.Outcome.current = None
    for text, shown in (
        ("No SLURM account given, trying to guess.", False),
        ("Unable to guess SLURM account. Trying to proceed without.", False),
        ("No account was given, not able to get a SLURM account via sacct: x", False),
        ("Job 5 has been submitted with SLURM jobid 1", True),
        ("Updating checkpoint dependencies.", False),
        ("Reasons:\n    (check individual jobs above for details)", False),
        ("Some jobs were triggered by provenance information, see 'reason' section", False),
        ("This was a dry-run (flag -n). The order of jobs does not reflect", False),
        ("Nothing to be done (all requested files are present and up to date).", True),
    ):
        record = logging.LogRecord("", logging.WARNING, "", 0, text, None, None)
        assert handler._is_shown(record) == shown


def test_ctrl_c_ends_with_what_was_interrupted_and_the_command_to_go_on(tmp_path: Path) -> None:
    sleeping = rule("sleep", "echo begun > {log}; sleep 60").replace("rule sleep", "rule train")
    sleeping = sleeping.replace("    log", '    input: "done.out"\n    log')
    done = rule("done", "echo > {output}; echo > {log}")
    (tmp_path / "Snakefile").write_text(SNAKEFILE + sleeping + done)
    line = [sys.executable, "-c", PROGRAM, "", *QUIET, "--directory", str(tmp_path)]
    line += ["--snakefile", str(tmp_path / "Snakefile")]
    log = tmp_path / "sleep.log"
    ended = terminal.run(line, os.environ, when=log.is_file)
    assert ended.code == INTERRUPTED, ended.shown
    block = ended.shown.decode().partition("INTERRUPTED")[2]
    for part in ("mine", "Ctrl-C during: make sleep", "sleep.log", "checkpoint=epoch keeps"):
        assert part in block
    for part in ("make done", "Traceback", "Error"):
        assert part not in block


def test_a_name_that_the_golden_certificate_has_is_wrong_usage_and_nothing_is_made(
    tmp_path: Path, issued: Any
) -> None:
    golden = tmp_path / "results/mine/certificate.json"
    own = factories.copied(issued)
    own["report"]["records"]["runs"]["control"]["config"] = plan({}, ROOT / "conf").first.config
    canonical.write_json(golden, own)
    shown = tmp_path / "shown.txt"
    words = [*QUIET, "--snakefile", str(ROOT / "Snakefile"), "--config", f"against={golden}"]
    assert starts.samebits(tmp_path, [*words, "name=mine"], [], shown) == errors.USAGE
    said = shown.read_text(encoding="utf-8")
    assert "where the certificate lies that it repeats" in said and "next  " not in said
    assert [path for path in (tmp_path / "results").rglob("*") if path.is_file()] == [golden]


def test_what_cannot_be_written_is_a_failure_with_a_next_command_and_no_wrong_usage(
    tmp_path: Path,
) -> None:
    (tmp_path / ".samebits").mkdir()
    (tmp_path / ".samebits/report").touch()  # where a folder has to be
    shown = tmp_path / "shown.txt"
    words = [*QUIET, "--snakefile", str(ROOT / "Snakefile")]
    assert starts.samebits(tmp_path, words, [], shown) == errors.FAILED
    said = shown.read_text(encoding="utf-8")
    assert (
        "FAILED  default" in said and "File exists" in said and "goes on where it stopped" in said
    )


def test_that_snakemake_cannot_write_its_own_log_is_not_told_by_tracebacks(tmp_path: Path) -> None:
    full = "import logging\nfrom snakemake.logging import logger\n"
    full += "logger.addHandler(logging.StreamHandler(open('/dev/full', 'w')))\n"
    said = run(tmp_path, full + rule("fails", "echo 'error: why' > {log}; exit 1"), code=1)
    assert "why" in said.partition("FAILED  mine")[2] and "Traceback" not in said


def test_snakemakes_own_command_refuses_what_only_samebits_can_tell_by_its_exit_code() -> None:
    with refused("expect: Snakemake's own command ends with 0", "./samebits certificate expect="):
        plan({"experiment": "smoke", "expect": "reproducible"}, ROOT / "conf")


# --- exit codes, as documented ------------------------------------------------------------------


def table() -> list[list[str]]:
    """The rows of the table of exit codes."""
    text = (ROOT / "docs/usage.md").read_text(encoding="utf-8").partition("## Exit codes")[2]
    lines = text.partition("`make` ends")[0].splitlines()
    return [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines if "|" in line][2:]


def test_the_documented_exit_codes_are_those_of_the_code() -> None:
    sigterm = errors.SIGNALED + signal.SIGTERM
    codes = [0, errors.FAILED, errors.USAGE, errors.NOT_TRUSTED, OTHER, INTERRUPTED, sigterm]
    found = {int(code): (samebits, verify) for code, samebits, verify, _ in table()}
    assert list(found) == codes
    for code, (headline, _) in verify._RESULTS.items():
        assert headline in found[code][1]
    assert "expect=" in found[OTHER][0] and "--expect" in found[OTHER][1]


def test_each_verdict_has_a_word_that_is_documented_and_other_words_are_refused() -> None:
    text = (ROOT / "docs/usage.md").read_text(encoding="utf-8")
    assert set(names.VERDICT_WORDS.values()) == set(LOOKS)
    for word, verdict in names.VERDICT_WORDS.items():
        assert f"`{word}`" in text and names.expected_verdicts(word) == [verdict]
    assert names.expected_verdicts("[unsupported, reproducible]") == ["UNSUPPORTED", "REPRODUCIBLE"]
    with refused("expect: no such verdict 'reproduced'; valid: reproducible, equal-within-tol"):
        names.expected_verdicts("reproduced")
