"""The atlas of ops that depend on the CPU, as two documents: the whole matrix, and what it means.

Both are made from the atlas's JSON and nothing else.
"""

from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Template

from samebits import atlas_counts, atlas_kernels, atlas_matrix, atlas_table, markdown, reader_tables
from samebits.atlas_kernels import Kernel
from samebits.atlas_table import GRADIENT, NATIVE, PORTABLE, Case
from samebits.formats import canonical
from samebits.pages import templates

TEMPLATE = Path(__file__).with_name("atlas_page.html.j2")
READERS = Path(__file__).with_name("same_bits.md.j2")
STYLE = Path(__file__).parent / "pages" / "style.css"  # all pages look alike


def render(atlas: Mapping[str, Any]) -> str:
    """The page with the whole matrix. Whatever was measured is escaped."""
    read = atlas_table.read(atlas)
    return _page().render(
        style=STYLE.name,
        atlas=read,
        portable=PORTABLE,
        native=NATIVE,
        found={f.version: atlas_kernels.found(f) for f in read.frameworks},
        changes=list(atlas_counts.changes(read)),
        counts=atlas_counts,
        matrix={f.version: list(atlas_matrix.blocks(read, f)) for f in read.frameworks},
        much=atlas_matrix.MUCH,
        digest=canonical.digest(atlas),
    )


@cache
def _page() -> Template:
    filters = {"distance": atlas_counts.distance, "reached": reached, "label": label}
    return templates.template(TEMPLATE, filters)


def readers_page(atlas: Mapping[str, Any]) -> str:
    """The page for readers, in Markdown."""
    read = atlas_table.read(atlas)
    return _readers().render(
        atlas=read,
        tables=reader_tables.tables(read),
        portable=PORTABLE,
        threads=_listed(sorted({settings.threads for settings in read.settings})),
    )


def _listed(numbers: Sequence[int]) -> str:
    *most, last = map(str, numbers)
    return f"{', '.join(most)} and {last}" if most else last


@cache
def _readers() -> Template:
    return markdown.template(READERS)


def label(case: Case) -> str:
    """What a row is called after its op's name."""
    return f"{case.dtype} {GRADIENT}" if case.output == GRADIENT else case.dtype


def reached(kernel: Kernel) -> Iterator[tuple[str, str]]:
    """By which ops a kernel is reached, and in which of their cases."""
    for name, cases in _by_name(kernel.reaches).items():
        yield name, ", ".join(_outputs(cases, kernel.name.rpartition(" ")[2]))


def _by_name(cases: Sequence[Case]) -> dict[str, list[Case]]:
    found: dict[str, list[Case]] = {}
    for case in cases:
        found.setdefault(case.name, []).append(case)
    return found


def _outputs(cases: Sequence[Case], dtype: str) -> Iterator[str]:
    """Value or gradient; the dtype where it is not the kernel's."""
    for case in cases:
        yield case.output if case.dtype == dtype else f"{case.dtype} {case.output}"
