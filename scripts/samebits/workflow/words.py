"""The words of a command: which are Hydra's, which this pipeline's, which Snakemake's.

A word with ``=`` is an override as in Hydra, or one of the keys that ask for something else than an
experiment (``sweep``, ``certificate``, …). A word that begins with ``-`` is Snakemake's, with the
values that Snakemake's own parser gives it. All other words are plain: a path, or a mistake.
"""

import json
import re
from argparse import Action
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from samebits.config import overrides, sweep
from samebits.replay import plan as replays

_OVERRIDE = re.compile(r"~[\w.]+|[+~]{0,2}[A-Za-z_][\w.@/-]*=.*", re.DOTALL)
_KEYS = {*replays.KEYS, sweep.KEY}  # not Hydra's: they say what is made of an experiment
_CONFIG = ("--config", "-C")


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
        else:
            (self.config if key in _KEYS else self.overrides).append(word)


def told_apart(words: Sequence[str]) -> Words:
    """The words of a command by whose they are."""
    found, rest = Words(), list(words)
    known = _options() if any(word.startswith("-") for word in words) else {}
    while rest:
        word = rest.pop(0)
        if word in _CONFIG:
            continue  # its values are words as all others
        if not word.startswith("-"):
            found.add(word)
            continue
        count = _values(known[word], rest) if word in known else 0
        found.options += [word, *rest[:count]]
        del rest[:count]
    return found


def _options() -> Mapping[str, Action]:
    from snakemake import cli  # takes a second

    options: Mapping[str, Action] = cli.get_argument_parser()._option_string_actions
    return options


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
