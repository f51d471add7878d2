"""Many experiments in one start: every combination of the values that ``sweep`` lists.

INPUTS      text in Hydra's own sweep grammar, the overrides that apply to every combination
OUTPUTS     a Sweep: the experiments by the folder that each has under results/
GUARANTEES  a combination is the experiment that its overrides make alone, to the digest; equal
            combinations become one experiment; all problems are listed before any job exists, each
            with the combinations that have it
"""

import math
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import islice, product
from typing import Any

from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import ChoiceSweep, RangeSweep
from hydra.core.override_parser.types import Override as Parsed
from hydra.errors import HydraException

from samebits.config import experiment as configure
from samebits.config import overrides
from samebits.config.compose import Composer, options
from samebits.config.experiment import GROUPS, Experiment, leaves, value_text
from samebits.config.overrides import Override
from samebits.errors import SamebitsError, require_none
from samebits.formats import canonical

KEY = "sweep"  # of Snakemake's config
_TYPED = 60  # characters of a folder's name that a person types
_MOST = 10_000  # combinations; more is a mistake, and too many for Snakemake
# A certificate is one experiment's: these are the keys of a replay.
_NOT_SWEPT = ("name", overrides.SIGNING, "certificate", "allow", "epochs", "checkpoints", KEY)
_GRAMMAR = "https://hydra.cc/docs/advanced/override_grammar/extended/"

Combination = tuple[Override, ...]


@dataclass(frozen=True)
class Sweep:
    """The experiments of a sweep, and the request."""

    name: str  # the folder under results/
    experiments: dict[str, Experiment]  # by the folder that each has under results/
    keys: tuple[str, ...]  # the swept keys in the user's order
    asked: int  # combinations as written; fewer experiments where some are equal


def sweep(text: Any, given: list[Override], composer: Composer) -> Sweep:
    """Every combination of the values that ``text`` lists, each with the user's other overrides.

    Raises SamebitsError that lists every problem of every combination.
    """
    groups = [o.key for o in given if o.key in GROUPS]
    swept = expand(list(overrides.texts(text, KEY)), groups)
    keys = {key: None for values in swept.values() for one in values for key in leaves(one)}
    name, combinations = _name(given, swept), list(product(*swept.values()))
    made = _experiments(name, combinations, given, composer)
    return Sweep(name, made, tuple(keys), len(combinations))


# --- the grammar: Hydra's ------------------------------------------------------------------------


def expand(texts: Iterable[str], elsewhere: Iterable[str]) -> dict[str, list[Override]]:
    """The values of every swept key. ``elsewhere``: groups that the user chose outside the sweep,
    where values of that option's keys may follow.
    """
    parser = OverridesParser.create(config_loader=GlobalHydra.instance().config_loader())
    found, problems = dict[str, list[Override]](), list[str]()
    for text in texts:
        try:
            values = _values(text, parser)
            if (key := values[0].key) in {*found, *elsewhere}:
                raise SamebitsError(f"{KEY}: {key} is given twice; leave one out")
            found[key] = values
        except SamebitsError as error:
            problems.append(str(error))
    if not found and not problems:
        problems = [f"{KEY}: expected KEY=VALUE,VALUE such as seed=range(0,10), got nothing"]
    count = math.prod(map(len, found.values()))
    if count > _MOST:
        problems.append(f"{KEY}: expected at most {_MOST:,} combinations, got {count:,} or more")
    require_none(problems)
    return found


def _values(text: str, parser: OverridesParser) -> list[Override]:
    """The values that one part of a sweep lists for its key, in order."""
    try:
        (parsed,) = parser.parse_overrides([text])
    except HydraException as error:
        raise SamebitsError(
            f"{KEY}: {text!r}: expected KEY=VALUE,VALUE as {_GRAMMAR} has it, got: {error}"
        ) from None
    group = parsed.key_or_group.partition(".")[0]
    if group in _NOT_SWEPT:
        raise SamebitsError(f"{KEY}: {group} applies to all combinations; give it outside {KEY}")
    if not parsed.is_sweep_override():
        return [overrides.from_parsed(parsed, parsed.value())]
    if not parsed.is_discrete_sweep():
        raise SamebitsError(f"{KEY}: {text!r}: an interval lists no values; use range or choice")
    values = [overrides.from_parsed(parsed, value) for value in _each(parsed)]
    if not values:
        raise SamebitsError(f"{KEY}: {text!r} lists no value; valid: {_valid(parsed)}")
    return values


def _each(parsed: Parsed) -> Iterator[Any]:
    """The values as written, at most as many as can be swept."""
    values = parsed.value()
    if isinstance(values, ChoiceSweep | RangeSweep):
        values.shuffle = False  # each start would have another order
    return islice(parsed.sweep_iterator(), _MOST + 1)


def _valid(parsed: Parsed) -> str:
    return ", ".join(options(parsed.key_or_group)) or f"a list of values, as {_GRAMMAR} has it"


# --- the combinations ----------------------------------------------------------------------------


def _experiments(
    name: str, combinations: list[Combination], given: list[Override], composer: Composer
) -> dict[str, Experiment]:
    """Each experiment once, by its folder: the name of its first combination below ``name``."""
    made, known = dict[str, Experiment](), set[tuple[str, str]]()
    problems: dict[str, list[str]] = {}
    for combination in combinations:
        own = _typable(_values_by_key(combination))
        wanted = sorted([*given, *combination], key=lambda o: o.key not in GROUPS)
        try:
            one = configure.experiment(wanted, composer)
        except SamebitsError as error:
            for line in str(error).splitlines():
                problems.setdefault(line, []).append(own)
            continue
        if (identity := (one.digest, one.source_path)) not in known:
            known.add(identity)
            folder = f"{name}/{own}"
            if folder in made:  # of thousands, two short digests may be equal
                folder = f"{folder}-{one.digest[:8]}"
            unnamed = tuple(o.hydra() for o in wanted if o.key != "name")
            made[folder] = replace(one, name=folder, overrides=unnamed)
    require_none(f"{line}{_where(own, len(combinations))}" for line, own in problems.items())
    return made


def _where(names: list[str], of: int) -> str:
    """Which combinations have a problem."""
    if len(names) == of:
        return f" (in all {of} combinations)"
    more = f" and {len(names) - 1} more" if len(names) > 1 else ""
    return f" (in the combination {names[0]}{more})"


def _name(given: list[Override], swept: Mapping[str, list[Override]]) -> str:
    """The folder of the sweep: the user's name, or one made from the overrides and the values."""
    named = [override.value for override in given if override.key == "name"]
    if named and named[-1] is not None:
        return str(named[-1])
    values = {key: [o.value for o in several] for key, several in swept.items()}
    given = [override for override in given if override.key not in swept]
    return "_".join(filter(None, [_typable(_values_by_key(given)), KEY, _typable(values)]))


def _values_by_key(wanted: Iterable[Override]) -> dict[str, list[Any]]:
    values = {o.prefix.strip("+") + o.key: [o.value] for o in wanted if o.key != "name"}
    return dict(sorted(values.items()))


def _typable(values: Mapping[str, list[Any]]) -> str:
    """Keys and values as a person types them, in no need of quotes: letters, digits, ``-_.=``.

    Where these would not say everything, or say more than a person types, a digest follows.
    """
    texts = {key: [value_text(value) for value in several] for key, several in values.items()}
    text = "_".join(f"{key}={'-'.join(several)}" for key, several in texts.items())
    plain = all(
        re.fullmatch(r"[\w.]+" if len(several) > 1 else r"[\w.-]+", one, re.ASCII)
        for key, several in texts.items()
        for one in (key, *several)
    )
    if plain and len(text) <= _TYPED:
        return text
    safe = re.sub(r"[^A-Za-z0-9._=-]+", "-", text)[: _TYPED - 9]
    return f"{safe.rstrip('-=_.')}-{canonical.digest(values)[:8]}"
