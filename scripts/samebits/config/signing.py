"""The user's choice of a signing key. Its location must appear in no name, record, message or log.

So the location is taken out before Hydra composes anything: Hydra's messages, the experiment's
overrides and the folder's name are made without it. Messages here name the setting alone.
"""

import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from samebits.config import overrides
from samebits.config.overrides import OPTION, Override
from samebits.errors import SamebitsError, require_none
from samebits.experiment.variables import NO_KEY, SIGNING_KEY

GROUP = "signing"
LOCAL = "local"

_KEY = f"{GROUP}.key"
_EXPECTED = f"{_KEY}: expected the path of a key file as text, or null; got something else"
_NO_INTERPOLATION = f"{_KEY}: expected a path, got an interpolation; set SAMEBITS_SIGNING_KEY"
_OPTIONS = f"{GROUP}: no such option; valid: {LOCAL}, {NO_KEY}; a key file is given by {_KEY}=PATH"
_KEYS = f"{GROUP}: no such key; valid: {_KEY}"
_UNREADABLE = (
    f"--config: cannot be read; expected KEY=VALUE, special characters in quotes. It is not shown, "
    f"because it names {_KEY}"
)
_GIVES_KEY = re.compile(rf"{GROUP}.*key", re.DOTALL)


@dataclass(frozen=True)
class Signing:
    """Whether a certificate is signed, and by which key; None: see conf/signing/local.yaml."""

    option: str
    key: str | None = field(default=None, repr=False)

    def tell_jobs(self) -> None:
        """Set the variable that jobs inherit, so that no command line or log names the key."""
        location = NO_KEY if self.option == NO_KEY else self.key
        if location is not None:
            os.environ[SIGNING_KEY] = location


@dataclass(frozen=True)
class UserOverrides:
    """The user's overrides; those of signing apart. Hydra sees ``choice`` and no ``keys``."""

    experiment: list[Override]
    choice: list[Override]
    keys: list[str | None] = field(repr=False)  # the last one wins

    def signing(self, composed: dict[str, Any]) -> dict[str, Any]:
        """The group as composed, with the key that the user gave."""
        return {**composed, "key": self.keys[-1]} if self.keys else composed


def gives_key(text: str) -> bool:
    """Whether a command names the location of a key."""
    return _GIVES_KEY.search(text) is not None


def read(config: Mapping[str, Any], groups: Iterable[str]) -> UserOverrides:
    """Snakemake's ``config`` as overrides. Raises SamebitsError that shows no key's location."""
    try:
        wanted = overrides.from_config(config, groups)
    except SamebitsError:
        if gives_key(repr(config)):
            raise SamebitsError(_UNREADABLE) from None
        raise
    ours = [override for override in wanted if _is_ours(override)]
    leaves = [leaf for override in ours for leaf in _leaves(override)]
    require_none(problem for leaf in leaves for problem in _problems(leaf))
    return UserOverrides(
        experiment=[override for override in wanted if not _is_ours(override)],
        choice=[leaf for leaf in leaves if leaf.key == GROUP],
        keys=[leaf.value for leaf in leaves if leaf.key == _KEY],
    )


def _is_ours(override: Override) -> bool:
    return re.match(rf"{GROUP}(?!\w)", override.key) is not None


def _leaves(override: Override) -> Iterator[Override]:
    """A mapping for the group as one override per key."""
    if override.key == GROUP and isinstance(override.value, Mapping):
        for key, value in override.value.items():
            yield Override(f"{GROUP}.{key}", value)
    else:
        yield override


def _problems(override: Override) -> Iterator[str]:
    if override.key == GROUP:
        if override.prefix or override.value not in (LOCAL, NO_KEY):
            yield _OPTIONS
    elif override.key != _KEY:
        yield _KEYS
    elif isinstance(override.value, str) and "${" in override.value:
        yield _NO_INTERPOLATION
    elif (
        override.prefix == "~"
        or not (override.value is None or isinstance(override.value, str))
        or "\0" in (override.value or "")
    ):
        yield _EXPECTED


def schema_problem(path: Sequence[Any]) -> str:
    """The message for a value that violates the schema, without the value."""
    key = ".".join(map(str, path))
    return _EXPECTED if key == _KEY else f"{key}: expected {OPTION} and key, got something else"


def pair_problem(signing: Mapping[str, Any]) -> Iterator[str]:
    """A key where nothing is signed."""
    if signing[OPTION] == NO_KEY and signing["key"] is not None:
        yield f"{_KEY}: {GROUP}={NO_KEY} signs with no key; leave one of the two out"
