"""The commands of ./samebits.

INPUTS      the user's words; conf/ for the names that exist
OUTPUTS     those of the Snakefile; the exit code
GUARANTEES  KEY=VALUE reaches Hydra, and what begins with ``-`` reaches Snakemake, as it was typed;
            a word that is neither is refused with the nearest that exists, before anything is made
"""

import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import yaml

from samebits.config import overrides
from samebits.config import program as programs
from samebits.config.keys import nearest
from samebits.errors import SamebitsError
from samebits.formats import names
from samebits.observation.checkout import git
from samebits.replay import plan as replays
from samebits.text import program
from samebits.workflow import words
from samebits.workflow.words import Words

CHECKOUT = Path(__file__).resolve().parents[3]
_PROFILE = CHECKOUT / "profiles/default/config.v9+.yaml"
_PLACES = {"--cores", "-c", "--jobs", "-j", "--profile"}  # options that say where and how many


@dataclass(frozen=True)
class Command:
    """What one word of ``./samebits WORD …`` does."""

    about: str  # in the list of commands
    example: str  # words to begin with
    run: Callable[[Words], int]
    takes_program: bool = False  # after which all words are the program's


def snakemake(given: Words, *targets: str) -> int:
    """Run Snakemake in this process; the exit code."""
    from samebits.workflow import outcome  # takes a second

    expected = names.expected_verdicts(given.expect)
    return outcome.run(_line(given, *targets), expected)


def _line(given: Words, *targets: str) -> list[str]:
    """Snakemake's command line. Raises SamebitsError for words that are none of a command's."""
    if given.plain:
        raise SamebitsError("\n".join(map(_unknown, given.plain)))
    line = [*targets, "--snakefile", str(CHECKOUT / "Snakefile")]
    if "--workflow-profile" not in given.options:
        line += ["--workflow-profile", "none", *_defaults()]
    if not _PLACES.intersection(given.options):
        line += ["--cores", "all"]
    return [*line, *given.snakemake()]


def _defaults() -> Iterator[str]:
    """The settings of profiles/default as options: for a profile Snakemake prints a line first."""
    for name, value in yaml.safe_load(_PROFILE.read_text(encoding="utf-8")).items():
        values = value if isinstance(value, list) else [value]
        yield from (f"--{name}", *(str(one) for one in values if one is not True))


def _repair(given: Words) -> int:
    # A process of its own, which lets go of the results that the next start makes again.
    line = [sys.executable, "-m", "snakemake", *_line(given, "repair")]
    return subprocess.run(line, check=False).returncode or snakemake(given)


def _program(given: Words) -> int:
    if not any(word.startswith(f"{programs.SCRIPT}=") for word in given.overrides):
        raise SamebitsError("run: expected a program such as train.py, got none")
    return snakemake(given)


def _report(given: Words) -> int:
    from samebits.pages import summary

    began, made = time.monotonic(), Path("report.html")
    given.options += ["--report", str(made)]
    code = snakemake(given)
    if not code:
        print(summary.files(summary.Ended(made, time.monotonic() - began, made=[made])))
    return code


def _replay(given: Words) -> int:
    paths, given.plain = given.plain, []
    given.config += [f"{replays.CERTIFICATE}={overrides.literal(path)}" for path in paths]
    if sum(entry.startswith(f"{replays.CERTIFICATE}=") for entry in given.config) != 1:
        raise SamebitsError(f"replay: expected one certificate.json or .zip, got {len(paths)}")
    return snakemake(given, "replay")


def _sweep(given: Words) -> int:
    listing = [word for word in given.overrides if overrides.lists_several(word)]
    if not listing:
        raise SamebitsError("sweep: expected a KEY=VALUE,VALUE such as model=mlp,cnn, got none")
    keys = {word.partition("=")[0] for word in listing}
    several = [word for word in given.overrides if word.partition("=")[0] in keys]
    given.overrides = [word for word in given.overrides if word not in several]
    given.config.append(f"sweep={' '.join(several)}")
    return snakemake(given)


def _of_wrapper(given: Words) -> int:
    raise SamebitsError("this command is run by ./samebits itself")


TABLE = {
    "run": Command(
        "certify a program of your own, as it is", "train.py --epochs 3", _program, True
    ),
    "certificate": Command("train twice, compare, certify", "model=cnn seed=7", snakemake),
    "verify": Command("check a certificate or a bundle", "certificate.json", _of_wrapper),
    "trust": Command("trust a key from now on", "key.pub alice", _of_wrapper),
    "diff": Command(
        "what differs between two certificates, bundles, results or runs, and their bits",
        "golden.zip results/default",
        _of_wrapper,
    ),
    "bundle": Command(
        "one zip with the certificate and its evidence, SBOMs, an RO-Crate",
        "model=cnn",
        lambda given: snakemake(given, "bundle", "crate"),
    ),
    "replay": Command(
        "train a certificate's experiment again and sign the outcome",
        "certificate.zip epochs=1",
        _replay,
    ),
    "repair": Command("remove damaged results, by digest, and make them again", "", _repair),
    "sweep": Command(
        "a certificate for each combination of values, and an index",
        "model=mlp,cnn 'seed=range(0,10)'",
        _sweep,
    ),
    "report": Command("report.html, Snakemake's, of results that exist", "", _report),
}


def run(arguments: Sequence[str]) -> int:
    """Run a command; the exit code. Raises SamebitsError for words that are none."""
    name, *rest = arguments or ["--help"]
    if name in ("--help", "-h", "help"):
        print(_overview())
        return 0
    if name == "--version":
        print(_version())
        return 0
    if name not in TABLE:
        raise SamebitsError(f"{name}: no such command; {nearest(name, TABLE)}")
    takes_program = TABLE[name].takes_program
    if {"--help", "-h"}.intersection(rest[:1] if takes_program else rest):
        print(_help(name))
        return 0
    return TABLE[name].run(words.told_apart(rest, takes_program))


def _overview() -> str:
    rows = [f"  {name:<12} {command.about}" for name, command in TABLE.items()]
    return "\n".join(
        [f"usage: {program()} COMMAND [KEY=VALUE …] [Snakemake's options]", "", *rows, ""]
    )


def _help(name: str) -> str:
    command = TABLE[name]
    groups = [path for path in sorted((CHECKOUT / "conf").iterdir()) if path.is_dir()]
    options = [(path.name, sorted(file.stem for file in path.glob("*.yaml"))) for path in groups]
    return "\n".join(
        [
            *("", f"  {command.about}", "", f"  {program()} {name} {command.example}".rstrip(), ""),
            "KEY=VALUE, as in Hydra: one option of a group, or a single value",
            *(f"  {group:<12} {', '.join(found)}" for group, found in options),
            "  values       trainer.epochs=5 model.units=64 seed=7 checkpoint=epoch signing=none …",
            "what begins with -, as in Snakemake",
            "  --cores N, --dry-run, --keep-going, --configfile FILE, --profile FOLDER …",
            f"all of them: {CHECKOUT / 'docs/usage.md'}",
            "",
        ]
    )


def _version() -> str:
    try:
        commit = git(CHECKOUT, "describe", "--always", "--dirty").strip()
    except SamebitsError:  # no repository
        commit = "unknown"
    python = sys.version.split()[0]
    return f"samebits, commit {commit}; Snakemake {version('snakemake')}; Python {python}"


def _unknown(word: str) -> str:
    """What a word that is neither an override nor an option was perhaps meant to be."""
    options = {path.stem: path.parent.name for path in (CHECKOUT / "conf").glob("*/*.yaml")}
    hint = nearest(word, options).partition("?")[0].removeprefix("did you mean ")
    meant = f"; did you mean {options[hint]}={hint}?" if hint in options else ""
    return f"{word}: expected KEY=VALUE, or an option that begins with -{meant}"
