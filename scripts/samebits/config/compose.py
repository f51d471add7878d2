"""Hydra's composition, asked once for experiments that differ in plain values only.

Hydra needs a tenth of a second to compose a config. Of an override such as ``seed=7`` the outcome
is known without it, when nothing else in the config is made from that value: the composition
without the override, with that one value in its place. Whatever is not so plain goes to Hydra.
"""

import json
import math
import re
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jsonschema
from hydra import compose
from hydra.errors import HydraException
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from samebits.config.overrides import OPTION, Override
from samebits.errors import SamebitsError

_MISSING = "???"  # Hydra's way to say that the user has to name it
_KEY = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*")
_INTERPOLATION = re.compile(r"\$\{([A-Za-z_][\w.]*)\}")  # of another key by its whole name
_OTHER_INTERPOLATION = re.compile(r"\$\{(?![A-Za-z_][\w.]*\})")


@dataclass(frozen=True)
class Composed:
    """What Hydra made of some overrides."""

    plain: dict[str, Any]  # resolved, each group with the option that was chosen
    used: frozenset[str] | None  # keys that others are made from; None: not known

    def is_free(self, override: Override) -> bool:
        """Whether the override's value is seen in its own place only, which exists."""
        if self.used is None or any(f"{override.key}.".startswith(f"{k}.") for k in self.used):
            return False
        node: Any = self.plain
        for part in override.key.split("."):
            if not isinstance(node, Mapping) or part not in node:
                return False
            node = node[part]
        return not isinstance(node, Mapping | list)


class Composer:
    """Composes within ``initialize_config_dir``; remembers what was composed and checked."""

    def __init__(self, conf: Path, groups: Sequence[str]) -> None:
        """Nothing is composed yet. ``groups``: those of the tree that ``conf`` holds."""
        self._groups = groups
        self._schema = json.loads((conf / "schema.json").read_text(encoding="utf-8"))
        self._validator = jsonschema.Draft202012Validator(self._schema)
        self._composed: dict[tuple[tuple[str, ...], bool], Composed] = {}
        self._valid: set[tuple[str, str]] = set()  # parts of configs that are valid
        self._keys: set[frozenset[str]] = set()  # which parts those have
        self._known: dict[Hashable, Any] = {}

    def once(self, key: Hashable, find: Callable[[], Any]) -> Any:
        """What ``find`` finds, which is the same for every experiment that asks with this key."""
        if key not in self._known:
            self._known[key] = find()
        return self._known[key]

    def resolve(self, wanted: Sequence[Override], missing_ok: bool) -> dict[str, Any]:
        """The resolved config. Not to be changed: parts of it are shared with others."""
        plain = [override for override in wanted if self._is_plain(override, wanted)]
        if plain:
            base = self._compose([o for o in wanted if o not in plain], missing_ok=True)
            if all(base.is_free(override) for override in plain):
                resolved = base.plain
                for override in plain:
                    resolved = _with(resolved, override.key.split("."), override.value)
                if missing_ok or not _is_missing(resolved):
                    return resolved
        return self._compose(wanted, missing_ok).plain

    def _is_plain(self, override: Override, wanted: Sequence[Override]) -> bool:
        """Whether it sets one value that is what it looks like, and no other override touches it.

        Where several set the same key, the last one wins: all of them are Hydra's.
        """
        return (
            override.prefix in ("", "++")
            and override.key not in self._groups
            and not override.key.startswith("hydra")
            and _KEY.fullmatch(override.key) is not None
            and _is_scalar(override.value)
            and not any(o is not override and _related(o.key, override.key) for o in wanted)
        )

    def _compose(self, wanted: Sequence[Override], missing_ok: bool) -> Composed:
        key = tuple(override.hydra() for override in wanted), missing_ok
        if key not in self._composed:
            known = self._composed.get((key[0], True))
            if known is None or _is_missing(known.plain):
                known = self._by_hydra(key[0], missing_ok)
            self._composed[key] = known  # where nothing is missing, nothing need be allowed to be
        return self._composed[key]

    def _by_hydra(self, wanted: Sequence[str], missing_ok: bool) -> Composed:
        try:
            composed = compose("config", list(wanted), return_hydra_config=True)
            chosen = composed.hydra.runtime.choices
            node = OmegaConf.masked_copy(composed, [str(key) for key in composed if key != "hydra"])
            plain: Any = OmegaConf.to_container(node, resolve=True, throw_on_missing=not missing_ok)
        except (HydraException, OmegaConfBaseException) as error:
            raise SamebitsError(f"config: {_first_lines(error)}") from None
        for group in self._groups:
            if group in plain:
                plain[group] = dict(plain[group]) | {OPTION: chosen[group]}
        return Composed(dict(plain), _used(OmegaConf.to_container(node, resolve=False)))

    def violations(self, resolved: Mapping[str, Any]) -> list[Any]:
        """What the schema says. It judges each part by itself; equal parts are judged once."""
        parts = {(key, json.dumps(value, sort_keys=True)) for key, value in resolved.items()}
        names = frozenset(resolved)
        if names in self._keys and all(
            self._is_valid(key, resolved[key]) for key, _ in parts - self._valid
        ):
            self._valid |= parts
            return []
        found = list(self._validator.iter_errors(resolved))
        if not found:
            self._valid |= parts
            self._keys.add(names)
        return found

    def _is_valid(self, key: str, value: Any) -> bool:
        return next(self._validator.descend(value, self._schema["properties"][key]), None) is None


def _with(node: Mapping[str, Any], path: Sequence[str], value: Any) -> dict[str, Any]:
    """A copy with one value changed; what is not on the path is shared."""
    first, *rest = path
    return {**node, first: _with(node[first], rest, value) if rest else value}


def _is_scalar(value: Any) -> bool:
    """A value that Hydra takes as it is: neither resolved nor quoted nor asked for."""
    if isinstance(value, str):
        return value != _MISSING and value.isprintable() and not set(value) & set("$\\'\"")
    if isinstance(value, float):
        return math.isfinite(value)
    return value is None or isinstance(value, int)


def _related(one: str, other: str) -> bool:
    return f"{one}.".startswith(f"{other}.") or f"{other}.".startswith(f"{one}.")


def _is_missing(node: Any) -> bool:
    if isinstance(node, Mapping):
        return any(map(_is_missing, node.values()))
    return any(map(_is_missing, node)) if isinstance(node, list) else bool(node == _MISSING)


def _used(unresolved: Any) -> frozenset[str] | None:
    """The keys that interpolations name; None where one is not that simple."""
    texts = [text for text in _texts(unresolved) if "${" in text]
    if any(_OTHER_INTERPOLATION.search(text) for text in texts):
        return None
    return frozenset(key for text in texts for key in _INTERPOLATION.findall(text))


def _texts(node: Any) -> Iterator[str]:
    if isinstance(node, Mapping):
        for key, value in node.items():
            yield str(key)
            yield from _texts(value)
    elif isinstance(node, list):
        for value in node:
            yield from _texts(value)
    elif isinstance(node, str):
        yield node


def _first_lines(error: Exception) -> str:
    """Hydra's message without the search path it ends with."""
    return " ".join(str(error).split("Config search path")[0].split())
