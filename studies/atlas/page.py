"""The atlas of ops that depend on the CPU, as two documents: the whole matrix, and a guide to it.

Both are made from the atlas's JSON and nothing else.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from atlas import readers, tables
from atlas.cases import GRADIENT, NATIVE, PORTABLE, Case, newest_first, read
from atlas.kernels import Kernel, found
from samebits.formats import canonical
from samebits.pages import templates
from samebits.text import listed

TEMPLATE = Path(__file__).with_name("page.html.j2")
READERS = Path(__file__).with_name("same_bits.md.j2")


def render(atlas: Mapping[str, Any]) -> str:
    """The page with the whole matrix. Whatever was measured is escaped."""
    content = newest_first(read(atlas))
    filters = {"distance": tables.distance, "reached": reached, "label": label}
    return templates.template(TEMPLATE, filters).render(
        atlas=content,
        portable=PORTABLE,
        unaided=replace(PORTABLE, onednn=False),
        native=NATIVE,
        found={f.version: found(f) for f in content.frameworks},
        safe=readers.safe_under(content, content.frameworks[0]),
        threaded=readers.depends_on_threads(content, content.frameworks[0]),
        totals=[tables.totals(content, framework) for framework in content.frameworks],
        changes=list(tables.changes(content)),
        counts=tables,
        matrix={f.version: list(tables.blocks(content, f)) for f in content.frameworks},
        much=tables.MUCH,
        digest=canonical.digest(atlas),
    )


def readers_page(atlas: Mapping[str, Any]) -> str:
    """The page for readers, in Markdown."""
    content = newest_first(read(atlas))
    counts = sorted({settings.threads for settings in content.frameworks[0].settings})
    return readers.template(READERS).render(
        atlas=content, tables=readers.tables_of(content), portable=PORTABLE, threads=listed(counts)
    )


def label(case: Case) -> str:
    """What a row is called after its op's name."""
    return f"{case.dtype} {GRADIENT}" if case.output == GRADIENT else case.dtype


def reached(kernel: Kernel) -> Iterator[tuple[str, str]]:
    """By which ops a kernel is reached, and in which of their cases.

    Value or gradient; the dtype where it is not the kernel's.
    """
    dtype = kernel.name.rpartition(" ")[2]
    for name in dict.fromkeys(case.name for case in kernel.reaches):
        cases = (case for case in kernel.reaches if case.name == name)
        said = (c.output if c.dtype == dtype else f"{c.dtype} {c.output}" for c in cases)
        yield name, ", ".join(said)
