"""The words of a command: which are Hydra's, which this pipeline's, which Snakemake's.

A word with ``=`` is an override as in Hydra, or one of the keys that ask for something else than an
experiment (``sweep``, ``certificate``, …). A word that begins with ``-`` is Snakemake's, with the
values that Snakemake's own parser gives it. All other words are plain: a path, or a mistake. From
the name of a program on, where a command takes one, all words are the program's.
"""

import json
import re
import shlex
import sys
from argparse import Action, ArgumentParser
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NoReturn

from samebits.config import overrides, sweep
from samebits.config import program as programs
from samebits.config.keys import nearest
from samebits.config.overrides import Override
from samebits.errors import SamebitsError
from samebits.replay import plan as replays

_OVERRIDE = re.compile(r"~[\w.]+|[+~]{0,2}[A-Za-z_][\w.@/-]*=.*", re.DOTALL)
_KEYS = {
    *replays.KEYS,
    sweep.KEY,
    overrides.SIGNING,
}  # not Hydra's: they say what is made of an experiment
_CONFIG = ("--config", "-C")
_UNKNOWN = "unrecognized arguments: "  # begins what argparse says of a word that is no option


@dataclass
class Words:
    """What a user typed after a command, in the order of typing."""

    overrides: list[str] = field(default_factory=list)  # one of Hydra's each
    config: list[str] = field(default_factory=list)  # KEY=VALUE of Snakemake's --config
    options: list[str] = field(default_factory=list)  # Snakemake's
    plain: list[str] = field(default_factory=list)
    expect: str = ""  # the verdicts that end with exit code 0; no part of the experiment

    def snakemake(self) -> list[str]:
        """Snakemake's command line for them."""
        hydra = json.dumps(self.overrides, ensure_ascii=False)
        config = [*self.config, *([f"overrides={hydra}"] if self.overrides else [])]
        return [*self.options, *(["--config", *config] if config else [])]

    def add(self, word: str) -> None:
        """Put a word that is not Snakemake's where it belongs."""
        key, _, value = word.partition("=")
        if not _OVERRIDE.fullmatch(word):
            self.plain.append(word)
        elif key == "expect":
            self.expect = value
        elif key == "overrides":
            self.overrides += overrides.split(value)
        elif key == programs.SCRIPT and value[:1] not in ("'", '"'):
            # As a shell has it. What begins with a quote is Hydra's, as in a sweep.
            self.overrides.append(Override(key, value).hydra())
        else:
            (self.config if key in _KEYS else self.overrides).append(word)


def told_apart(words: Sequence[str], takes_program: bool = False) -> Words:
    """The words of a command by whose they are. ``takes_program``: so the first plain one is."""
    found, rest = Words(), list(words)
    parser = _parser() if any(word.startswith("-") for word in words) else None
    known = parser._option_string_actions if parser else {}
    while rest:
        word = rest.pop(0)
        if word in _CONFIG:
            continue  # its values are words as all others
        if takes_program and (word == programs.MODULE or not _is_ours(word)):
            found.add(f"{programs.SCRIPT}={shlex.join([word, *rest])}")
            break
        if not word.startswith("-"):
            found.add(word)
            continue
        count = _values(known[word], rest) if word in known else 0
        found.options += [word, *rest[:count]]
        del rest[:count]
    if parser:
        _require_known(parser, found.options)
    return found


def _is_ours(word: str) -> bool:
    """Whether it is an option, or an override."""
    return word.startswith("-") or _OVERRIDE.fullmatch(word) is not None


def _parser() -> ArgumentParser:
    from snakemake import cli  # takes a second

    parser: ArgumentParser = cli.get_argument_parser()
    parser.allow_abbrev = False  # with what follows, only whole names tell whose a word is
    return parser


def _require_known(parser: ArgumentParser, given: Sequence[str]) -> None:
    """Raise SamebitsError for what Snakemake would refuse below a list of all its options."""
    from snakemake.exceptions import CliException

    def refuse(message: str) -> NoReturn:
        problem = message
        if problem.startswith(_UNKNOWN):
            option = problem.removeprefix(_UNKNOWN).partition(" ")[0].partition("=")[0]
            near = nearest(option, parser._option_string_actions).partition("valid: ")[0]
            problem = f"{option}: Snakemake has no such option" + (f"; {near}" if near else "")
        own = f"{sys.executable} -m snakemake --help"
        raise SamebitsError(f"{problem.strip()}\nall of Snakemake's options: {own}")

    parser.error = refuse  # type: ignore[method-assign]
    try:
        parser.parse_args(given)
    except CliException as error:
        refuse(str(error))


def _values(option: Action, following: Sequence[str]) -> int:
    """How many words are the option's values.

    An option that takes as many as there are takes no override, unless it takes such pairs itself.
    """
    if option.nargs in (None, 0) or isinstance(option.nargs, int):
        return 1 if option.nargs is None else int(option.nargs)
    most, count = 1 if option.nargs == "?" else len(following), 0
    for word in following[:most]:
        if word.startswith("-") or ("=" in word and "=" not in str(option.metavar)):
            break
        count += 1
    return count
