"""./samebits: words, and what Snakemake is given for them."""

import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from snakemake.settings.types import Quietness

from pipeline import ROOT, SCRIPTS
from samebits.config import overrides, typed
from samebits.config.experiment import GROUPS
from samebits.errors import SamebitsError
from samebits.text import quoted
from samebits.workflow import commands, words

HYDRA = [
    "model=cnn",
    "trainer.epochs=5",
    "data.path=/tmp/a b/größe.npz",
    'data.x="/tmp/it\'s here.npz"',
    "trainer.loss={class_name: Huber, config: {delta: 2.0}}",
    "trainer.metrics=[accuracy, mae]",
    "++environment.DEPTH='2'",
    "~trainer.metrics",
    "name=x=y",
]


def parsed(line: list[str], profile: Path | None = None) -> Any:
    """As Snakemake reads it; imported here, because that takes a second of each worker."""
    from snakemake import cli

    return cli.get_argument_parser(profiles=[profile] if profile else None).parse_args(line)


def given(*arguments: str) -> dict[str, Any]:
    """Snakemake's config for the words of a command, as the Snakefile has it."""
    made = parsed(words.told_apart(arguments).snakemake())
    return typed.config({}, [], made.config)


@pytest.mark.process
@pytest.mark.parametrize("word", HYDRA)
def test_a_word_reaches_hydra_as_it_was_typed(word: str) -> None:
    assert given(word) == {"overrides": [word]}
    assert given("--cores", "2", word, "-n") == {"overrides": [word]}


@pytest.mark.parametrize(
    ("line", "command"),
    [
        ("trainer.epochs=5 model=cnn", "model=cnn trainer.epochs=5"),
        ("trainer='{epochs: 5}'", "trainer.epochs=5"),
        ("name=\"'1.10'\"", "\"name='1.10'\""),
        (
            "model='{_target_: a.b, n: \"2\"}'",
            "model=custom ++model._target_=a.b \"++model.n='2'\"",
        ),
    ],
)
def test_an_experiment_names_the_words_that_make_it(line: str, command: str) -> None:
    found = overrides.from_config(given(*shlex.split(line)), GROUPS)
    assert " ".join(quoted(overrides.plainly(one.hydra())) for one in found) == command


@pytest.mark.parametrize(
    "word", ["sweep=seed=1,2 model=mlp,cnn", "certificate='a b.zip'", "epochs=1"]
)
def test_a_key_of_the_pipeline_is_an_entry_of_config(word: str) -> None:
    assert words.told_apart([word]).config == [word]


@pytest.mark.parametrize(
    ("line", "options"),
    [
        ("--cores 2 seed=7 -n", ["--cores", "2", "-n"]),
        (
            "--set-resources train:mem_mb=9 a:b=1 -n seed=7",
            ["--set-resources", "train:mem_mb=9", "a:b=1", "-n"],
        ),
        ("--configfile my.yaml seed=7", ["--configfile", "my.yaml"]),
        ("--quiet seed=7", ["--quiet"]),
        ("--quiet rules host seed=7 -c1", ["--quiet", "rules", "host", "-c1"]),
        ("seed=7 --report", ["--report"]),
        ("--config seed=7", []),
        ("--config overrides='seed=7'", []),
    ],
)
def test_what_begins_with_a_dash_is_snakemakes_with_its_values(
    line: str, options: list[str]
) -> None:
    found = words.told_apart(shlex.split(line))
    assert (found.options, found.overrides, found.plain) == (options, ["seed=7"], [])


@pytest.mark.parametrize(
    ("line", "script", "options"),
    [
        ("train.py --epochs 3 a=b -n", "train.py --epochs 3 a=b -n", []),
        ("--cores 2 seed=7 train.py --cores 4", "train.py --cores 4", ["--cores", "2"]),
        ("-m pkg.train --help", "-m pkg.train --help", []),
        ("train.py 'a b' 1,2", "train.py 'a b' 1,2", []),
    ],
)
def test_from_the_name_of_a_program_on_all_words_are_the_programs(
    line: str, script: str, options: list[str]
) -> None:
    found = words.told_apart(shlex.split(line), takes_program=True)
    assert found.options == options
    assert overrides.parse(found.overrides[-1]).value == script


def test_a_script_among_the_words_is_as_a_shell_has_it_or_quoted_as_hydra_has_it() -> None:
    (plain,) = words.told_apart(["script=train.py --lr 1,2 'a b'"]).overrides
    assert overrides.parse(plain).value == "train.py --lr 1,2 'a b'"
    assert words.told_apart(['script="a.py 1","a.py 2"']).overrides == ['script="a.py 1","a.py 2"']


@pytest.fixture
def lines(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """The command lines that Snakemake is given; it does nothing."""
    found: list[list[str]] = []

    def main(line: list[str]) -> None:
        found.append(line)
        raise SystemExit(0)

    def start(line: list[str], check: bool) -> subprocess.CompletedProcess[str]:
        assert line[1:3] == ["-m", "snakemake"]
        found.append(line[3:])
        return subprocess.CompletedProcess(line, 0)

    monkeypatch.setattr("snakemake.cli.main", main)
    monkeypatch.setattr("subprocess.run", start)
    return found


@pytest.mark.parametrize(
    ("line", "targets", "config"),
    [
        (["certificate", "seed=7"], [[]], {"overrides": ["seed=7"]}),
        (["bundle"], [["bundle", "crate"]], {}),
        (
            ["replay", "it's [1].zip", "epochs=1"],
            [["replay"]],
            {"certificate": "it's [1].zip", "epochs": 1},
        ),
        (["replay", "certificate=a.zip"], [["replay"]], {"certificate": "a.zip"}),
        (["repair"], [["repair"], []], {}),
        (
            ["sweep", "model=mlp,cnn", "seed=range(0,3)", "trainer.epochs=1", "name=s"],
            [[]],
            {"sweep": "model=mlp,cnn seed=range(0,3)", "overrides": ["trainer.epochs=1", "name=s"]},
        ),
        (["sweep", "seed=1,2", "seed=3"], [[]], {"sweep": "seed=1,2 seed=3"}),
    ],
)
def test_each_command_asks_snakemake_for_its_targets(
    lines: list[list[str]], line: list[str], targets: list[list[str]], config: dict[str, Any]
) -> None:
    assert commands.run(line) == 0
    made = [parsed(one) for one in lines]
    assert [list(one.targets) for one in made] == targets
    assert all(typed.config({}, [], one.config) == config for one in made)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (["certficate"], "certficate: no such command; did you mean certificate?"),
        (
            ["certificate", "cnn"],
            "cnn: expected KEY=VALUE, or an option that begins with -; did you mean model=cnn?",
        ),
        (["certificate", "exhaustiv"], "did you mean protocol=exhaustive?"),
        (["replay"], "replay: expected one certificate.json or .zip, got 0"),
        (["replay", "a.zip", "b.zip"], "got 2"),
        (["sweep", "seed=1"], "sweep: expected a KEY=VALUE,VALUE such as model=mlp,cnn, got none"),
        (
            ["certificate", "--coers", "2", "seed=7"],
            "--coers: Snakemake has no such option; did you mean --cores?",
        ),
        (["report", "--dry"], "--dry: Snakemake has no such option; did you mean --dryrun?"),
        (["certificate", "--jbos=3"], "--jbos: Snakemake has no such option; did you mean --jobs?"),
        (["certificate", "-Q"], "-Q: Snakemake has no such option\n"),
        (["certificate", "--cores", "many"], "(--cores, -c): must be integer or 'all'."),
        (["certificate", "--quiet", "all", "much"], "argument --quiet/-q: invalid choice: 'much'"),
        (["certificate", "--profile"], "argument --profile: expected one argument"),
    ],
)
def test_a_wrong_word_is_refused_with_the_nearest_in_two_lines(
    lines: list[list[str]], line: list[str], said: str
) -> None:
    with pytest.raises(SamebitsError) as refused:
        commands.run(line)
    shown = f"{refused.value}\n"
    assert said in shown and shown.count("\n") <= 2
    assert lines == []


def test_what_snakemake_does_unless_told_otherwise_is_what_its_own_command_finds_as_a_profile(
    lines: list[list[str]],
) -> None:
    def settings(words: list[str], profile: Path | None) -> dict[str, Any]:
        found = vars(parsed(words, profile))
        found["max_jobs_per_timespan"] = vars(found["max_jobs_per_timespan"])
        return {name: value for name, value in found.items() if name != "workflow_profile"}

    own = ROOT / "profiles/default"
    commands.run(["certificate"])
    rest = ["--snakefile", str(ROOT / "Snakefile"), "--cores", "all"]
    assert settings(lines[0], None) == settings(rest, own) != settings(rest, None)
    commands.run(["certificate", "--quiet", "all", "--resources", "gpu=2"])
    assert settings(lines[1], None)["quiet"] == {Quietness.ALL}
    commands.run(["certificate", "--workflow-profile", str(own)])
    assert lines[2].count("--workflow-profile") == 1 and "--rerun-incomplete" not in lines[2]


COMPLETED = [
    (["cert"], ["certificate"]),
    ([""], [*commands.TABLE, "--help", "--version"]),
    (["certificate", "mo"], ["model="]),
    (["certificate", "--cores", "2", "model", "="], ["cnn", "custom", "mlp"]),
    (["certificate", "model", "=", "c"], ["cnn", "custom"]),
    (["certificate", "trainer.epochs", "="], []),
    (["certificate", "--dr"], ["--dry-run"]),
]


@pytest.mark.process
@pytest.mark.parametrize(("typed", "offered"), COMPLETED)
def test_bash_completes_commands_groups_and_their_options(
    typed: list[str], offered: list[str]
) -> None:
    program = f"""
        source {SCRIPTS}/completion.bash; compopt() {{ :; }}
        COMP_WORDS=({shlex.join([str(ROOT / "samebits"), *typed])}) COMP_CWORD={len(typed)}
        _samebits; printf '%s\\n' "${{COMPREPLY[@]}}"
    """
    shell = [str(shutil.which("bash")), "-c", program]
    done = subprocess.run(shell, capture_output=True, text=True, check=True)
    assert done.stdout.split() == offered, done.stderr


def test_the_last_lines_of_a_report_name_its_file(
    capsys: pytest.CaptureFixture[str], lines: list[list[str]]
) -> None:
    assert commands.run(["report"]) == 0
    assert lines[0][-2:] == ["--report", "report.html"]
    assert "  report       report.html\n  took " in capsys.readouterr().out


@pytest.mark.process
def test_a_terminal_of_another_encoding_shows_what_it_can() -> None:
    line = [sys.executable, str(SCRIPTS / "start.py"), "--help"]
    variables = os.environ | {"PYTHONIOENCODING": "latin-1"}
    done = subprocess.run(line, env=variables, capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (0, b"")
    assert b"[KEY=VALUE \\u2026] [Snakemake's options]" in done.stdout


@pytest.mark.process
def test_help_names_the_commands_and_each_its_example_and_the_options(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert commands.run(["--help"]) == commands.run([]) == 0
    said = capsys.readouterr().out
    assert all(f"  {name} " in said for name in commands.TABLE)
    assert commands.run(["sweep", "-h"]) == 0
    said = capsys.readouterr().out
    assert "samebits sweep model=mlp,cnn 'seed=range(0,10)'\n" in said
    assert "  protocol     exhaustive, nodes, twice, varied\n" in said
    assert commands.run(["--version"]) == 0
    assert capsys.readouterr().out.startswith("samebits, commit ")
