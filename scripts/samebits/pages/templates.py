"""Jinja as the pages use it: text is escaped, and an unknown name is an error."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template
from markupsafe import Markup

FOLDER = Path(__file__).parent / "templates"
OPTIONS: Any = {"undefined": StrictUndefined, "trim_blocks": True, "lstrip_blocks": True}
_COMPILED: dict[Path, Template] = {}  # compiling takes ten times as long as rendering


def template(path: Path, filters: Mapping[str, Any]) -> Template:
    """A page's template, which may include files beside it, and style.css."""
    if path not in _COMPILED:
        loader = FileSystemLoader([path.parent, FOLDER.parent])
        environment = Environment(loader=loader, autoescape=True, **OPTIONS)
        environment.filters |= {"breakable": _breakable, **filters}
        _COMPILED[path] = environment.get_template(path.name)
    return _COMPILED[path]


def _breakable(name: str) -> Markup:
    """A long name, as sweeps and TensorFlow make them, that may end a line after / and _."""
    return Markup("<wbr>").join(re.split(r"(?<=[/_])", name))
