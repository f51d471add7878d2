"""Snakemake's ``config`` as a list of Hydra overrides, the same for every form of input."""

import math
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override as Parsed
from hydra.core.override_parser.types import QuotedString
from hydra.errors import HydraException

from samebits.errors import SamebitsError, require_none

OPTION = "option"  # inside a group's mapping: which option of the group
NAME, ENVIRONMENT, SCRIPT = "name", "environment", "script"
SIGNING = "signing"  # who signs is no part of an experiment, so Hydra never sees it
OF_PROFILE = "of the profile"  # the keys of a file that lies in a profile of Snakemake's
CUSTOM = "custom"  # the model group's option for a user's own _target_

_PARSER = OverridesParser.create()
_OPEN, _CLOSE, _QUOTES = "([{", ")]}", "'\""
# YAML's words for what Hydra's grammar has other words for, or none.
_YAML = {"~": None, ".nan": math.nan, ".inf": math.inf, "+.inf": math.inf, "-.inf": -math.inf}


@dataclass(frozen=True)
class Override:
    """One override: a key such as ``trainer.epochs`` or a group, and a JSON value."""

    key: str
    value: Any
    prefix: str = ""  # Hydra's "+" (add), "++" (add or change) or "~" (delete)
    own: bool = field(default=True, compare=False)  # False: a profile's, the user did not ask

    def hydra(self) -> str:
        """The override in Hydra's grammar, quoted so that it reads back to the same value."""
        try:
            value = "" if self.prefix == "~" else "=" + literal(self.value)
        except SamebitsError as error:
            raise SamebitsError(f"{self.key}: {error}") from None
        return self.prefix + self.key + value


# What no one can have meant as a list, a mapping, a quoted text or an interpolation.
_PLAIN = re.compile(
    r"(?P<prefix>\+{0,2})(?P<key>[A-Za-z_]\w*(\.\w+)*)"
    r"=(?P<value>[^\s'\"$\[{}()\]][^\[{}()\]]*)"
)

_NO_TEXT = re.compile("[\0\ud800-\udfff]")  # no path has a NUL, UTF-8 no half of a character
_SHOWN = 40  # characters of an override in a message, where it is long

# Hydra's grammar halves backslashes that stand before a quote, the closing one too.
_BEFORE_QUOTE = re.compile(r"(\\+)(?='|\Z)")


def literal(value: Any) -> str:
    """A JSON value in Hydra's override grammar. Raises SamebitsError for anything else."""
    match value:
        case None:
            return "null"
        case bool():
            return "true" if value else "false"
        case int():
            return str(value)
        case float() if math.isfinite(value):
            return repr(value)
        case str() if not _NO_TEXT.search(value):
            return "'" + _BEFORE_QUOTE.sub(r"\1\1", value).replace("'", "\\'") + "'"
        case list():
            return "[" + ",".join(map(literal, value)) + "]"
        case dict():
            return "{" + ",".join(f"{key}:{literal(v)}" for key, v in value.items()) + "}"
    raise SamebitsError(
        f"expected null, a boolean, a finite number, text, a list or a mapping; "
        f"got {value!r} ({type(value).__name__}); put text in quotes"
    )


def split(text: str) -> list[str]:
    """Split at white space that is outside of quotes and brackets."""
    parts: list[str] = []
    current, depth, quote = "", 0, ""
    for char in text:
        if quote:
            quote = "" if char == quote else quote
        elif char in _QUOTES:
            quote = char
        elif char in _OPEN or char in _CLOSE:
            depth += 1 if char in _OPEN else -1
        elif char.isspace() and depth == 0:
            parts, current = [*parts, current], ""
            continue
        current += char
    return [part for part in [*parts, current] if part]


def _plain(value: Any) -> Any:
    """Hydra's parsed value as JSON types."""
    if isinstance(value, QuotedString):
        return value.text
    if isinstance(value, list):
        return [_plain(v) for v in value]
    if isinstance(value, dict):
        return {str(key): _plain(v) for key, v in value.items()}
    return value


def typed(value: Any) -> Any:
    """A value with all text in it typed as Hydra would type it."""
    if isinstance(value, Mapping):
        return {str(key): typed(v) for key, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [typed(v) for v in value]
    if not isinstance(value, str) or value == "":
        return value
    if value.lower() in _YAML:
        return _YAML[value.lower()]
    try:
        parsed = _parsed("key=" + value)
    except HydraException:
        return value  # text that Hydra's grammar accepts in quotes only
    return value if parsed.is_sweep_override() else _plain(parsed.value())


def _parsed(text: str) -> Parsed:
    """Hydra's parsed override. Raises HydraException, and SamebitsError for too long a number."""
    try:
        return _PARSER.parse_override(text)
    except ValueError as error:  # what Python does not take for an int, as of 5,000 digits
        raise SamebitsError(f"{text[:_SHOWN]}…: {error}") from None


def parse(text: str) -> Override:
    """One override in Hydra's own notation. Raises SamebitsError when it is not one.

    A path with letters that Hydra's grammar accepts in quotes only needs none here either.
    """
    plain = _PLAIN.fullmatch(text)
    if plain and plain["value"].lower() in _YAML:
        return Override(plain["key"], _YAML[plain["value"].lower()], plain["prefix"])
    try:
        parsed = _parsed(text)
    except HydraException as error:
        if plain:
            return Override(plain["key"], plain["value"], plain["prefix"])
        raise SamebitsError(
            f"override {text!r}: expected KEY=VALUE, got: {str(error) or type(error).__name__}; "
            'a VALUE with blanks, quotes, commas or brackets needs quotes: KEY="VALUE"'
        ) from None
    if parsed.is_sweep_override():
        raise SamebitsError(
            f"override {text!r}: expected one value, got several; ./samebits sweep takes them"
        )
    return from_parsed(parsed, parsed.value())


def plainly(text: str) -> str:
    """The same override without quotes that it does not need."""
    bare = re.sub(r"='([^'\\]*)'\Z", r"=\1", text)
    with suppress(SamebitsError):
        if parse(bare) == parse(text):
            return bare
    return text


def lists_several(text: str) -> bool:
    """Whether an override lists several values, which is a sweep's."""
    try:
        return bool(_PARSER.parse_override(text).is_sweep_override())
    except HydraException:
        return False


def from_parsed(parsed: Parsed, value: Any) -> Override:
    """The override that Hydra parsed, with one of the values that it lists."""
    key = parsed.get_key_element().lstrip("+~")
    if not key:
        raise SamebitsError(f"override {parsed.input_line!r}: expected KEY=VALUE, got no key")
    if parsed.is_delete():
        return Override(key, None, "~")
    prefix = "++" if parsed.is_force_add() else "+" if parsed.is_add() else ""
    nothing = value == "" and str(parsed.input_line).endswith("=")  # and no quotes
    return Override(key, None if nothing else _plain(value), prefix)


def texts(value: Any, key: str) -> Iterator[str]:
    """Each override in a value of Snakemake's ``config``: a text of several, or a list of them."""
    if isinstance(value, Mapping) and len(value) == 1:
        # Snakemake took `trainer={epochs: 5}` for YAML and split it at the colon: join it again.
        value = ": ".join(map(str, *value.items()))
    for item in value if isinstance(value, (list, tuple)) else [value]:
        if not isinstance(item, str):
            raise SamebitsError(f"{key}: expected text such as trainer.epochs=5, got {item!r}")
        yield from [item] if isinstance(value, (list, tuple)) else split(item)


def _from_text(value: Any, groups: Collection[str]) -> Iterator[Override]:
    """The ``overrides`` key, in Hydra's notation."""
    problems = []
    for text in texts(value, "overrides"):
        try:
            found = parse(text)
            whole = found.key in groups and not found.prefix and isinstance(found.value, Mapping)
            yield from _from_group(found.key, found.value) if whole else [found]
        except SamebitsError as error:
            problems.append(str(error))
    require_none(problems)


def _from_group(group: str, mapping: Mapping[str, Any]) -> Iterator[Override]:
    """A mapping for a group: its option, if named, and one override per key."""
    option = mapping.get(OPTION, CUSTOM if "_target_" in mapping else None)
    if option is not None:
        yield Override(group, str(option))
    # Hydra lets a user's model have any keyword argument; keys of other options must exist.
    prefix = "++" if option == CUSTOM else ""
    for key, value in mapping.items():
        if key != OPTION:
            yield Override(f"{group}.{key}", value, prefix)


def from_config(config: Mapping[str, Any], groups: Iterable[str]) -> list[Override]:
    """Snakemake's ``config`` as overrides: groups first, later ones win.

    Raises SamebitsError that lists every entry that cannot be read.
    """
    known, found, problems = set(groups), list[Override](), list[str]()
    config = dict(config)
    if of_profile := config.pop(OF_PROFILE, None):
        found = [replace(one, own=False) for one in from_config(of_profile, known)]
    for key, value in config.items():
        try:
            if key == "overrides":
                found += list(_from_text(value, known)) if value is not None else []
            elif key in known and isinstance(value, Mapping):
                found += list(_from_group(key, value))
            else:
                found.append(Override(key, value))
        except SamebitsError as error:
            problems.append(str(error))
    require_none(problems)
    found = [declared for override in found for declared in _declared(override)]
    return sorted(found, key=lambda override: override.key not in known)


def _declared(override: Override) -> Iterator[Override]:
    """An override that declares variables, whose names no option of the config lists, adds them."""
    if override.key == ENVIRONMENT and isinstance(override.value, Mapping):
        yield from (Override(f"{ENVIRONMENT}.{n}", v, "++") for n, v in override.value.items())
    else:
        new = override.key.startswith(f"{ENVIRONMENT}.") and not override.prefix
        yield replace(override, prefix="++") if new else override
