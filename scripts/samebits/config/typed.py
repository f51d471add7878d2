"""What a user typed, before Snakemake and YAML made values of it.

Snakemake types ``--config`` by rules of its own and strips quotes; YAML 1.1 reads 012 as octal, off
as a boolean, 1:30 as 90 and 1e3 as text. So files and the command line are read once more, and a
value is what Hydra's grammar makes of it, by every road.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from snakemake.utils import update_config

from samebits.config import overrides
from samebits.config.sweep import KEY as SWEEP
from samebits.errors import SamebitsError

_WHOLE = ("overrides", SWEEP)  # a text of several overrides, each with its own quotes
_TEXT = "tag:yaml.org,2002:str"
_MERGE = "tag:yaml.org,2002:merge"


class _Loader(yaml.SafeLoader):
    """YAML whose plain scalars are typed by Hydra; anchors, merge keys and tags as ever."""

    yaml_implicit_resolvers = {  # noqa: RUF012 (the base class declares it)
        first: [(tag, pattern) for tag, pattern in pairs if tag == _MERGE]
        for first, pairs in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }


def _scalar(loader: _Loader, node: yaml.ScalarNode) -> Any:
    if node.style is not None:
        return node.value
    return _plain(node.value)


_Loader.add_constructor(_TEXT, _scalar)


def _plain(text: str) -> Any:
    """A value without quotes around it; nothing, or YAML's ~, is null."""
    return None if text in ("", "~") else overrides.typed(text)


def config(
    given: Mapping[str, Any], config_files: Iterable[Path], entries: Sequence[str] | None
) -> dict[str, Any]:
    """Snakemake's ``given`` config, with what the user typed in place of what was made of it.

    ``entries``: KEY=VALUE, as on the command line. Raises SamebitsError for a file that is no YAML.
    """
    typed: dict[str, Any] = {}
    for path in config_files:
        update_config(typed, _file(path))
    for entry in entries or ():
        key, _, text = entry.partition("=")
        update_config(typed, {key: _entry(key, text)})
    return {**given, **typed}


def _file(path: Path) -> Any:
    try:
        return yaml.load(path.read_text(encoding="utf-8"), _Loader) or {}  # noqa: S506 (a safe one)
    except yaml.YAMLError as error:
        raise SamebitsError(f"{path}: cannot be read as YAML: {error}") from None


def _entry(key: str, text: str) -> Any:
    """One value of ``--config``; what Hydra's grammar leaves as it is may be YAML's mapping."""
    if key == _WHOLE[0] and text.startswith("["):  # no override begins so: ./samebits lists them
        return json.loads(text)
    plain = text if key in _WHOLE else _plain(text)
    if key in _WHOLE or plain != text:
        return plain
    try:
        read = yaml.load(text, _Loader)  # noqa: S506
    except yaml.YAMLError:
        return text
    return read if isinstance(read, Mapping | list) else text
