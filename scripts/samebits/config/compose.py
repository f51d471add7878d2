"""Hydra's composition, asked once for all experiments that differ in values only.

Hydra needs a tenth of a second to compose a config: it merges the options of the groups, then
updates values with OmegaConf. Here Hydra merges once per choice of options; values are updated and
interpolations resolved for each experiment, by the same calls of OmegaConf that Hydra makes.
"""

import copy
import json
import re
from collections.abc import Callable, Hashable, Mapping, Sequence
from pathlib import Path
from typing import Any

import jsonschema
from hydra import compose
from hydra.core.global_hydra import GlobalHydra
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import ConfigAttributeError, ConfigKeyError, OmegaConfBaseException

from samebits.config.keys import KERAS_OBJECTS
from samebits.config.overrides import OPTION, Override
from samebits.errors import SamebitsError

_KEY = re.compile(r"(?!hydra\b)[A-Za-z_]\w*(\.[A-Za-z_]\w*)*")


# JSON Schema takes 2.0 for an integer; range() and TensorFlow do not.
_Strict = jsonschema.validators.extend(  # type: ignore[no-untyped-call]
    jsonschema.Draft202012Validator,
    type_checker=jsonschema.Draft202012Validator.TYPE_CHECKER.redefine(
        "integer", lambda checker, value: isinstance(value, int) and not isinstance(value, bool)
    ),
)


class Composer:
    """Composes within ``initialize_config_dir``; remembers what was composed."""

    def __init__(self, conf: Path, groups: Sequence[str]) -> None:
        """Nothing is composed yet. ``groups``: those of the tree that ``conf`` holds."""
        self._groups = groups
        self._validator = _Strict(json.loads((conf / "schema.json").read_text(encoding="utf-8")))
        self._known: dict[Hashable, Any] = {}

    def once(self, key: Hashable, find: Callable[[], Any]) -> Any:
        """The result of ``find``, called once for all experiments that ask with this key."""
        if key not in self._known:
            self._known[key] = find()
        return self._known[key]

    def resolve(self, wanted: Sequence[Override], missing_ok: bool = False) -> dict[str, Any]:
        """The resolved config, each group with the option that was chosen. Not to be changed.

        Raises SamebitsError with the reason that Hydra or OmegaConf gives.
        """
        key = tuple(override.hydra() for override in wanted), missing_ok
        resolved: dict[str, Any] = self.once(key, lambda: self._resolve(wanted, missing_ok))
        return resolved

    def _resolve(self, wanted: Sequence[Override], missing_ok: bool) -> dict[str, Any]:
        values = [override for override in wanted if not self.is_choice(override)]
        # Hydra applies all choices first, then the values in their order.
        special = [place for place, value in enumerate(values, 1) if not _is_update(value)]
        first = [v for v in values[: max(special, default=0)] if not _replaces(v)]
        updates = [value for value in values if value not in first]
        merged = tuple(o.hydra() for o in wanted if self.is_choice(o) or o in first)
        try:
            parts, chosen = self.once(merged, lambda: _merged(*merged))
            node = _updated(parts, updates)
            plain: Any = OmegaConf.to_container(node, resolve=True, throw_on_missing=not missing_ok)
        except (HydraException, OmegaConfBaseException) as error:
            raise SamebitsError(f"config: {_first_lines(error)}") from None
        options = {group: {OPTION: chosen[group]} for group in self._groups if group in plain}
        return dict(plain) | {group: plain[group] | option for group, option in options.items()}

    def options(self, group: str) -> list[str]:
        """The names of a group's options, sorted."""
        found: list[str] = self.once(group, lambda: options(group))
        return found

    def is_choice(self, override: Override) -> bool:
        """Whether it chooses the option of a group."""
        return override.key in self._groups and not isinstance(override.value, Mapping)

    def violations(self, resolved: Mapping[str, Any]) -> list[Any]:
        """The schema's errors."""
        return list(self._validator.iter_errors(resolved))


def _is_update(override: Override) -> bool:
    """Whether it sets a value, and neither adds nor deletes nor belongs to Hydra itself."""
    return override.prefix in ("", "++") and _KEY.fullmatch(override.key) is not None


def _replaces(override: Override) -> bool:
    """Whether it names another object of Keras: nothing is left of the one that stood there."""
    named = isinstance(override.value, Mapping) and "class_name" in override.value
    return _is_update(override) and override.key in KERAS_OBJECTS and named


def options(group: str) -> list[str]:
    """The names of a group's options, sorted."""
    return GlobalHydra.instance().config_loader().get_group_options(group)


def _merged(*overrides: str) -> tuple[dict[str, Any], Mapping[str, str]]:
    """The parts of the config as OmegaConf's nodes, not resolved, and the options chosen."""
    composed = compose("config", list(overrides), return_hydra_config=True)
    node = OmegaConf.masked_copy(composed, [str(key) for key in composed if key != "hydra"])
    parts = {str(key): part for key, part in node.items_ex(resolve=False)}
    return parts, composed.hydra.runtime.choices


def _updated(parts: Mapping[str, Any], values: Sequence[Override]) -> DictConfig:
    """The parts with some values set; those that no value touches are shared, not copied."""
    touched = {override.key.partition(".")[0] for override in values}
    node = DictConfig({}, flags={"no_deepcopy_set_nodes": True})
    for key, part in parts.items():
        node[key] = copy.deepcopy(part) if key in touched else part
    OmegaConf.set_struct(node, True)
    for override in values:
        force = override.prefix == "++"
        try:
            merge = not _replaces(override)
            OmegaConf.update(node, override.key, override.value, merge=merge, force_add=force)
        except (ConfigAttributeError, ConfigKeyError) as error:
            why = f"{error.full_key}: no such key; ++{override.hydra()} adds it"
            raise SamebitsError(why) from None
    return node


def _first_lines(error: Exception) -> str:
    """Hydra's message without the search path it ends with."""
    return " ".join(str(error).split("Config search path")[0].split()) or type(error).__name__
