"""Markdown as GitHub shows it: what a template quotes is escaped, and a table's rows are whole.

https://github.github.com/gfm/: a pipe in a cell is escaped even within a code span.
"""

import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template

# A dollar begins mathematics on GitHub.
_SPECIAL = re.compile(r"([\\`*_{}\[\]<>#&~$])")


class Markdown(str):
    """Text that is Markdown already."""


def template(path: Path) -> Template:
    """A document's template; a name that is not given is an error."""
    environment = Environment(
        loader=FileSystemLoader(path.parent),
        autoescape=False,  # noqa: S701 (that is HTML's: finalize escapes as Markdown wants)
        finalize=escape,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    return environment.get_template(path.name)


def escape(value: object) -> Markdown:
    """A value as text on one line."""
    if isinstance(value, Markdown):
        return value
    return Markdown(_SPECIAL.sub(r"\\\1", " ".join(str(value).split())))


def code(text: str) -> Markdown:
    """A name as code, or as text where code could not show it."""
    plain = text.strip() and not set(text) & set("`\\|\n")
    return Markdown(f"`{text}`") if plain else escape(text)


def table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> Markdown:
    """A table. Raises ValueError for a row that has more or fewer cells than the header."""
    lines = [_line(header), _line([Markdown("---")] * len(header))]
    for row in rows:
        if len(row) != len(header):
            raise ValueError(f"expected {len(header)} cells, got {len(row)}")
        lines.append(_line(row))
    return Markdown("\n".join(lines))


def _line(cells: Sequence[object]) -> str:
    return "| " + " | ".join(escape(cell).replace("|", "\\|") for cell in cells) + " |"
