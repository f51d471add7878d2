"""The readers' page: its tables, why kernels depend on the CPU, and Markdown as GitHub shows it.

Whatever a template quotes is escaped, and a table's rows stay whole:
https://github.github.com/gfm/ (a pipe in a cell is escaped even within a code span).
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, Template

from atlas import tables
from atlas.cases import NATIVE, PORTABLE, Atlas, Case, Framework, Settings
from atlas.kernels import Found, Kernel, found
from atlas.tables import Change
from samebits.pages import templates


class Markdown(str):
    """Text that is Markdown already."""


def tables_of(atlas: Atlas) -> dict[str, Markdown | None]:
    """The tables of one atlas by name; None for one that would be empty."""
    known = [(f, found(f)) for f in atlas.frameworks]
    changes = list(tables.changes(atlas))
    more = [change for change in changes if change.settings.threads > 1]
    return {
        "frameworks": _frameworks(atlas),
        "threads": _changes(atlas, more),
        "kernels_chosen": _changes(atlas, [change for change in changes if change not in more]),
        "cpus": _cpus(atlas),
        "reached": table(["TensorFlow", "cases"], _reached(known)),
        "guilty": _guilty(known),
        "reasons": _reasons(known),
        "unexplained": _unexplained(known),
    }


def safe_under(atlas: Atlas, framework: Framework) -> dict[str, dict[str, list[str]]]:
    """By group the ops with the same bits on every CPU: plain, replaced by portable; the rest."""
    moved = framework.differing(*framework.elsewhere(PORTABLE))
    by_case: dict[Case, set[str]] = {case: set() for case in moved}
    for kernel in found(framework).kernels:
        for case in kernel.reaches:
            by_case[case].add(kernel.name.partition(" ")[0])
    needs = dict.fromkeys((case.name for case in framework.cases), 0)
    for case, kernels in by_case.items():
        covered = kernels and all(REASONS.get(k, UNKNOWN)[1].startswith(_WIDE) for k in kernels)
        needs[case.name] = max(needs[case.name], 1 if covered else 2)
    return {
        group: {
            kind: [name for name in names if needs[name] == place]
            for place, kind in enumerate(("plain", "replaced", "none"))
        }
        for group in atlas.groups
        if (names := dict.fromkeys(c.name for c in framework.cases if c.group == group))
    }


def depends_on_threads(atlas: Atlas, framework: Framework) -> set[str]:
    """The ops whose bits the number of threads alone changes."""
    more = (c.settings for c in tables.changes(atlas) if c.settings.threads > 1)
    return {case.name for settings in more for case in tables.changed(framework, settings)}


def _frameworks(atlas: Atlas) -> Markdown:
    header = ["cases", *(f"TensorFlow {f.version}" for f in atlas.frameworks)]
    counts = [tables.totals(atlas, framework) for framework in atlas.frameworks]
    rows = [[what, *(f"{found[what]:,}" for found in counts)] for what in counts[0]]
    return table(
        header, [*rows, ["SHA-256 of the wheel", *(code(f.wheel) for f in atlas.frameworks)]]
    )


def share(part: int, whole: int) -> str:
    """How many of how many."""
    return f"{part:,} of {whole:,}"


def _changes(atlas: Atlas, changes: list[Change]) -> Markdown:
    header = ["instead of the portable settings"]
    header += [f"cases with other bits, TensorFlow {f.version}" for f in atlas.frameworks]
    return table(header, ([c.what, *_changed(atlas, c.settings)] for c in changes))


def _changed(atlas: Atlas, settings: Settings) -> Iterator[str]:
    for framework in atlas.frameworks:
        cases = tables.changed(framework, settings)
        groups = ", ".join(f"{g} {n:,}" for g, n in tables.by_group(cases).items())
        of = len(framework.compared(framework.at(NATIVE, settings)))
        yield share(len(cases), of) + (f": {groups}" if groups else "")


def _cpus(atlas: Atlas) -> Markdown:
    """One thread: more of them have a table of their own."""
    header = ["settings"]
    header += [f"{cpu}, TensorFlow {f.version}" for f in atlas.frameworks for cpu in f.emulated]
    single = [settings for settings in atlas.frameworks[0].settings if settings.threads == 1]
    return table(header, ([settings.said, *_elsewhere(atlas, settings)] for settings in single))


def _elsewhere(atlas: Atlas, settings: Settings) -> Iterator[str]:
    for framework in atlas.frameworks:
        for condition in framework.elsewhere(settings):
            yield share(len(framework.differing(condition)), len(framework.compared(condition)))


def _reached(every: list[tuple[Framework, Found]]) -> Iterator[list[str]]:
    for framework, known in every:
        of = len(framework.compared(*framework.elsewhere(PORTABLE)))
        yield [framework.version, share(known.reached, of)]


def _guilty(every: list[tuple[Framework, Found]]) -> Markdown | None:
    header = ["kernel", "TensorFlow", "elements that differ", "largest distance", "cases", "of"]
    rows = [_kernel(f, kernel) for f, known in every for kernel in known.kernels]
    return table(header, rows) if rows else None


def _kernel(framework: Framework, kernel: Kernel) -> list[object]:
    worst, names = kernel.worst, dict.fromkeys(case.name for case in kernel.reaches)
    apart = share(worst.elements, worst.of), tables.distance(worst.ulp)
    reached = f"{len(kernel.reaches):,}", Markdown(", ".join(map(code, names)))
    return [code(kernel.name), framework.version, *apart, *reached]


def _reasons(every: list[tuple[Framework, Found]]) -> Markdown | None:
    names = dict.fromkeys(k.name.partition(" ")[0] for _, known in every for k in known.kernels)
    header = ["kernel", "why its bits depend on the CPU", Markdown("what `portable` does")]
    rows = [[code(name), *REASONS.get(name, UNKNOWN)] for name in names]
    return table(header, rows) if rows else None


def _unexplained(every: list[tuple[Framework, Found]]) -> Markdown | None:
    rows = [_case(f, case) for f, known in every for case in known.unexplained]
    return table(["op", "TensorFlow", "kernels that it runs"], rows) if rows else None


def _case(framework: Framework, case: Case) -> list[object]:
    ran = framework.ran(case, *framework.elsewhere(PORTABLE))
    kernels = Markdown(", ".join(map(code, ran)))
    return [f"{case.name}, {case.dtype}, {case.output}", framework.version, kernels]


# --- why ---------------------------------------------------------------------------------------


# What is known of a kernel, and what determinism=portable does, where it replaces ops.
_FLOAT32 = (
    "In float64 its bits are the same everywhere, in float32 they are not: there it is computed by "
    "way of an approximate instruction."
)
_WIDE = "Computed in float64 and rounded once."
_UNREWRITTEN = " TensorFlow's rewriting of {} into this kernel is off."
_FUSED = (
    "It divides by a standard deviation, and the kernel exists for float32 alone.",
    "Not replaced. Keras 3 does not call it; under Keras 2 use BatchNormalization(fused=False).",
)
_OPTIMIZER = (
    "It takes a square root, and Keras 2 calls it for all of a variable at once.",
    "Not replaced, which is why portable replaces nothing below TensorFlow 2.21: there, Keras 3 "
    "writes its optimizers in single ops.",
)
_OLD = "Nothing: from TensorFlow 2.21 on its bits are the same everywhere."
_ONEDNN = (
    "Other bits on the emulated Intel CPUs and not on EPYC, with oneDNN alone: it chooses another "
    "way there although its instruction set is capped. By what was not found out.",
    _OLD,
)
REASONS = {
    "Rsqrt": (
        "The CPU's instruction for the reciprocal square root is an approximation. Each vendor "
        "chooses its low bits, and they are still seen in the result.",
        _WIDE + _UNREWRITTEN.format("a / sqrt(b)"),
    ),
    "Reciprocal": (
        "The CPU's instruction for 1 / x is an approximation too: the vendor chooses its low bits.",
        _WIDE + _UNREWRITTEN.format("1 / x"),
    ),
    # Erfc is what gelu uses.
    **dict.fromkeys(("Erfc", "Erfinv", "Ndtri", "Atan", "Atan2"), (_FLOAT32, _WIDE)),
    "Sqrt": ("TensorFlow 2.8 computes it by way of the approximate reciprocal square root.", _OLD),
    "Softmax": (
        "Without oneDNN it divides by way of the approximate reciprocal.",
        "Nothing: with oneDNN, which it sets, its bits are the same everywhere.",
    ),
    "EuclideanNorm": ("It takes a square root.", _OLD),
    **dict.fromkeys(("BatchMatMulV2", "Conv3DBackpropFilterV2"), _ONEDNN),
    "LRN": (_FLOAT32, "Not replaced: no layer of Keras uses it, and it has no float64."),
    **dict.fromkeys(("FusedBatchNormV3", "FusedBatchNormGradV3"), _FUSED),
    **{f"ResourceApply{name}": _OPTIMIZER for name in ("Adam", "RMSProp", "AdagradV2")},
}
UNKNOWN = ("Not known. The atlas shows that it is so.", "Nothing is known of it here.")


# --- Markdown -----------------------------------------------------------------------------------

# A dollar begins mathematics on GitHub.
_SPECIAL = re.compile(r"([\\`*_{}\[\]<>#&~$])")


@cache  # compiling takes longer than rendering
def template(path: Path) -> Template:
    """A document's template; a name that is not given is an error."""
    environment = Environment(
        loader=FileSystemLoader(path.parent),
        autoescape=False,  # noqa: S701 (that is HTML's: finalize escapes as Markdown wants)
        finalize=escape,
        keep_trailing_newline=True,
        **templates.OPTIONS,
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
