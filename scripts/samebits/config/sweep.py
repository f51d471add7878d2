"""Many experiments in one start: every combination of the values that ``sweep`` lists.

INPUTS      conf/, Snakemake's ``config``; its ``sweep`` is text in Hydra's own sweep grammar
OUTPUTS     a Plan: the experiments by the folder that each has under results/
GUARANTEES  a combination is the experiment that its overrides make by themselves, to the digest;
            one that is made twice by other words is there once; everything that is wrong with any
            is listed before any job, with the combinations that it is wrong in
"""

import math
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import islice, product
from pathlib import Path
from typing import Any

from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import ChoiceSweep, RangeSweep
from hydra.core.override_parser.types import Override as Parsed
from hydra.errors import HydraException

from samebits.config import experiment as configure
from samebits.config import overrides, signing
from samebits.config.compose import Composer
from samebits.config.experiment import GROUPS, Experiment, default_name, leaves
from samebits.config.overrides import Override
from samebits.errors import SamebitsError, all_problems
from samebits.experiment import protocol
from samebits.formats import canonical
from samebits.replay import plan as replaying

KEY = "sweep"  # of Snakemake's config
FORMAT = "samebits-sweep-1"
_MOST = 10_000  # combinations; more is a slip, and Snakemake would not hold them
_NOT_SWEPT = ("name", signing.GROUP, *replaying.KEYS, KEY)
_GRAMMAR = "https://hydra.cc/docs/advanced/override_grammar/extended/"

Combination = tuple[Override, ...]


@dataclass(frozen=True)
class Sweep:
    """What was asked for, beside the experiments themselves."""

    name: str  # the folder under results/
    keys: tuple[str, ...]  # what is swept, as the user ordered it
    asked: int  # combinations as written; fewer experiments where some are the same


@dataclass(frozen=True)
class Plan:
    """The experiments of one start, by the folder that each has under results/."""

    experiments: dict[str, Experiment]
    sweep: Sweep | None = None  # None: a single experiment

    @property
    def first(self) -> Experiment:
        """The experiment, or of a sweep the first: for what all have in common."""
        return next(iter(self.experiments.values()))

    @property
    def name(self) -> str:
        """The folder under results/ that holds everything."""
        return self.sweep.name if self.sweep else self.first.name

    @property
    def pattern(self) -> str:
        """A regular expression for the names of the experiments."""
        return rf"{re.escape(self.sweep.name)}/[^/]+" if self.sweep else re.escape(self.first.name)

    def listed(self, **files: str) -> dict[str, Any]:
        """The experiments as a file that lies beside their folders has them.

        ``files``: what is to be named of each folder, by what it is.
        """
        return {
            "format": FORMAT,
            "name": self.name,
            "keys": list(self.sweep.keys) if self.sweep else [],
            "combinations": [
                {"name": folder, "digest": experiment.digest}
                | {what: f"{folder}/{file}" for what, file in files.items()}
                for folder, experiment in self._folders()
            ],
        }

    def _folders(self) -> Iterator[tuple[str, Experiment]]:
        for name, experiment in self.experiments.items():
            yield name.rpartition("/")[2], experiment


def plan(config: Mapping[str, Any], conf: Path) -> Plan:
    """Resolve Snakemake's ``config``. Raises SamebitsError that lists every problem."""
    if config.get(KEY) is None:
        single = configure.configure({k: v for k, v in config.items() if k != KEY}, conf)
        return Plan({single.name: single})
    if config.get(replaying.CERTIFICATE) is not None:
        raise SamebitsError(
            f"{KEY}: expected one experiment with {replaying.CERTIFICATE}=PATH, got several; "
            f"leave {KEY} out"
        )
    rest = {key: value for key, value in config.items() if key != KEY}
    given = signing.read(rest, GROUPS)
    with configure.composing(conf) as composer:
        swept = expand(list(overrides.texts(config[KEY], KEY)), [o.key for o in given.experiment])
        name = _name(given.experiment, swept)
        made = _Made(name)
        for combination in product(*swept.values()):
            made.add(combination, given, composer)
    made.refuse()
    keys = {key: None for values in swept.values() for one in values for key in leaves(one)}
    return Plan(made.experiments, Sweep(name, tuple(keys), made.asked))


# --- the grammar: Hydra's ------------------------------------------------------------------------


def expand(texts: Iterable[str], elsewhere: Iterable[str]) -> dict[str, list[Override]]:
    """The values of every key that is swept. ``elsewhere``: keys that are given by themselves."""
    parser = OverridesParser.create(config_loader=GlobalHydra.instance().config_loader())
    found, problems = dict[str, list[Override]](), list[str]()
    for text in texts:
        try:
            values = _values(text, parser)
            key = values[0].key
            if key in found or key in elsewhere:
                raise SamebitsError(f"{KEY}: {key} is given twice; leave one of the two out")
            found[key] = values
        except SamebitsError as error:
            problems.append(str(error))
    if not found and not problems:
        problems = [f"{KEY}: expected KEY=VALUE,VALUE such as seed=range(0,10), got nothing"]
    count = math.prod(map(len, found.values()))
    if count > _MOST:
        problems.append(f"{KEY}: expected at most {_MOST:,} combinations, got {count:,} or more")
    if problems:
        raise SamebitsError(all_problems(problems))
    return found


def _values(text: str, parser: OverridesParser) -> list[Override]:
    """What one part of a sweep sets its key to, one after the other."""
    try:
        (parsed,) = parser.parse_overrides([text])
    except HydraException as error:
        raise SamebitsError(
            f"{KEY}: {text!r}: expected KEY=VALUE,VALUE as {_GRAMMAR} has it, got: {error}"
        ) from None
    group = parsed.key_or_group.partition(".")[0]
    if group in _NOT_SWEPT:
        raise SamebitsError(f"{KEY}: {group} is for all combinations; give it by itself")
    if not parsed.is_sweep_override():
        return [overrides.of(parsed, parsed.value())]
    if not parsed.is_discrete_sweep():
        raise SamebitsError(
            f"{KEY}: {text!r}: an interval has no list of values; use range or choice"
        )
    values = [overrides.of(parsed, value) for value in _each(parsed)]
    if not values:
        raise SamebitsError(f"{KEY}: {text!r} is no value at all; valid: {_valid(parsed)}")
    return values


def _each(parsed: Parsed) -> Iterator[Any]:
    """The values, no more than can be swept, in the order in which they are written."""
    values = parsed.value()
    if isinstance(values, ChoiceSweep | RangeSweep):
        values.shuffle = False  # the order shows nothing, and each start would have its own
    return islice(parsed.sweep_iterator(), _MOST + 1)


def _valid(parsed: Parsed) -> str:
    options = GlobalHydra.instance().config_loader().get_group_options(parsed.key_or_group)
    return ", ".join(options) or f"a list of values, as {_GRAMMAR} has it"


# --- the combinations ----------------------------------------------------------------------------


class _Made:
    """The experiments made so far, and what is wrong with the others."""

    def __init__(self, name: str) -> None:
        self.experiments: dict[str, Experiment] = {}
        self.asked = 0
        self._name = name
        self._known: set[tuple[str, str]] = set()
        self._wrong: dict[str, list[str]] = {}

    def add(
        self,
        combination: Combination,
        given: signing.Wanted,
        composer: Composer,
    ) -> None:
        self.asked += 1
        own = default_name(combination)
        wanted = sorted([*given.experiment, *combination], key=lambda o: o.key not in GROUPS)
        try:
            made = configure.experiment(given, wanted, composer)
        except SamebitsError as error:
            for line in str(error).splitlines():
                self._wrong.setdefault(line, []).append(own)
            return
        identity = made.digest, made.source_path
        if identity not in self._known:
            self._known.add(identity)
            name = f"{self._name}/{own}"
            if name in self.experiments:  # 1 and '1' are two values with one name
                name = f"{name}-{made.digest[:8]}"
            unnamed = tuple(o.hydra() for o in wanted if o.key != "name")
            self.experiments[name] = replace(made, name=name, overrides=unnamed)

    def refuse(self) -> None:
        """Raise SamebitsError when any combination is wrong."""
        if self._wrong:
            said = (f"{line}{self._where(names)}" for line, names in sorted(self._wrong.items()))
            raise SamebitsError("\n".join(said))

    def _where(self, names: list[str]) -> str:
        if len(names) == self.asked:
            return f" (in all {self.asked} combinations)"
        more = f" and {len(names) - 1} more" if len(names) > 1 else ""
        return f" (in the combination {names[0]}{more})"


def _name(given: list[Override], swept: Mapping[str, list[Override]]) -> str:
    """The folder for all: the user's name, or one made from all that was given."""
    named = [override.value for override in given if override.key == "name"]
    if named and named[-1] is not None:
        return str(named[-1])
    digest = canonical.digest([[o.hydra() for o in values] for values in swept.values()])
    return f"{default_name([*given, Override(KEY, '+'.join(swept))])}-{digest[:8]}"


# --- what is said of them ------------------------------------------------------------------------


def counted(plan: Plan, stages: Iterable[str]) -> str:
    """How much a sweep is, in one line. ``stages``: environments beside those that train."""
    made = plan.experiments.values()
    least, most = map(sum, zip(*(protocol.trainings(one.config) for one in made), strict=True))
    more = f" (up to {most:,} where bits differ)" if most > least else ""
    parts = [
        _number(len(made), "combination") + _same(plan),
        _number(least, "training") + more,
        _number(len({one.data_key for one in made}), "data set"),
        _number(len({*stages, *(one.environment for one in made)}), "environment"),
    ]
    return f"{KEY} {plan.name}: {', '.join(parts)}"


def _same(plan: Plan) -> str:
    twice = (plan.sweep.asked if plan.sweep else 0) - len(plan.experiments)
    return f" ({twice:,} more are the same as one of these)" if twice > 0 else ""


def _number(count: int, what: str) -> str:
    return f"{count:,} {what}" + ("" if count == 1 else "s")
