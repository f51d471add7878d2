"""What a user typed, before Snakemake and YAML made values of it.

Snakemake types ``--config`` by rules of its own and strips quotes; YAML 1.1 reads 012 as octal, off
as a boolean, 1:30 as 90 and 1e3 as text. So files and the command line are read once more, and a
value is what Hydra's grammar makes of it, by every road; what has quotes is text.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from snakemake.utils import update_config

from samebits.config import overrides
from samebits.config.overrides import OF_PROFILE
from samebits.config.sweep import KEY as SWEEP
from samebits.errors import SamebitsError

_PROFILE = "config*.yaml"  # Snakemake's name for the file that makes a folder a profile
_WHOLE = ("overrides", SWEEP)  # a text of several overrides, each with its own quotes
# Keys whose values are text even if they look like numbers, where nobody knows who put quotes.
_TEXTS = (overrides.NAME, overrides.ENVIRONMENT, overrides.SCRIPT, *_WHOLE)
_TEXT = "tag:yaml.org,2002:str"
_MERGE = "tag:yaml.org,2002:merge"


class _Loader(yaml.SafeLoader):
    """YAML whose plain scalars are typed by Hydra; anchors, merge keys and tags as ever."""

    yaml_implicit_resolvers = {  # noqa: RUF012 (the base class declares it)
        first: [(tag, pattern) for tag, pattern in pairs if tag == _MERGE]
        for first, pairs in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        """As ever, but a key that is given twice is an error: the first value would be lost."""
        node = super().compose_mapping_node(anchor)
        lines: dict[str, int] = {}
        for key in [key for key, _ in node.value if isinstance(key, yaml.ScalarNode)]:
            line = key.start_mark.line + 1
            if key.tag != _MERGE and lines.setdefault(key.value, line) != line:
                raise yaml.MarkedYAMLError(
                    problem=f"{key.value} is given twice, first in line {lines[key.value]}; "
                    "leave one out",
                    problem_mark=key.start_mark,
                )
        return node


def _scalar(loader: _Loader, node: yaml.ScalarNode) -> Any:
    if node.style is not None:
        return node.value
    return _plain(node.value)


_Loader.add_constructor(_TEXT, _scalar)


def _plain(text: str) -> Any:
    """A value without quotes around it; nothing, or YAML's ~, is null."""
    return overrides.typed(text) if text else None


def values(given: Mapping[str, Any]) -> dict[str, Any]:
    """A config that an importing workflow hands on: no one knows how its texts were typed."""
    return {key: v if key in _TEXTS else overrides.typed(v) for key, v in given.items()}


def config(
    given: Mapping[str, Any], config_files: Iterable[Path], entries: Sequence[str] | None
) -> dict[str, Any]:
    """Snakemake's ``given`` config, with what the user typed in place of what was made of it.

    ``entries``: KEY=VALUE, as on the command line. Raises SamebitsError for a file that is no YAML.
    """
    typed: dict[str, Any] = {}
    for path in config_files:
        content = _file(path)
        if any(path.parent.glob(_PROFILE)) and isinstance(content, dict):
            content = {OF_PROFILE: content}
        update_config(typed, content)
    for entry in entries or ():
        key, _, text = entry.partition("=")
        update_config(typed, {key: _entry(key, text)})
    of_profile = typed.get(OF_PROFILE, {})
    kept = {key: given[key] for key in given if key not in of_profile}
    return {**values(kept), **typed}


def _file(path: Path) -> dict[str, Any]:
    try:
        read = yaml.load(path.read_text(encoding="utf-8"), _Loader)  # noqa: S506 (a safe one)
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise SamebitsError(f"{path}: cannot be read as YAML in UTF-8: {error}") from None
    except RecursionError:
        raise SamebitsError(f"{path}: nested too deeply to be a config") from None
    if not isinstance(read or {}, Mapping):
        raise SamebitsError(f"{path}: expected keys with values, such as seed: 7; got {read!r:.40}")
    return {str(key): value for key, value in (read or {}).items()}


def _entry(key: str, text: str) -> Any:
    """One value of ``--config``; what Hydra's grammar leaves as it is may be YAML's mapping."""
    if key == _WHOLE[0] and text.startswith("["):  # no override begins so: ./samebits lists them
        return json.loads(text)
    if key == overrides.SCRIPT:  # as a shell has it
        return text or None
    plain = text if key in _WHOLE else _plain(text)
    if key in _WHOLE or plain != text:
        return plain
    try:
        read = yaml.load(text, _Loader)  # noqa: S506
    except yaml.YAMLError:
        return text
    return read if isinstance(read, Mapping | list) else text
