"""The tables of the readers' page, in Markdown, from the atlas."""

from collections.abc import Iterator
from dataclasses import dataclass

from samebits import atlas_counts, atlas_kernels, kernel_reasons
from samebits.atlas_counts import Change
from samebits.atlas_kernels import Found, Kernel
from samebits.atlas_table import NATIVE, PORTABLE, Atlas, Case, Framework, Settings
from samebits.markdown import Markdown, code, table


@dataclass(frozen=True)
class Tables:
    """All of them."""

    frameworks: Markdown
    threads: Markdown
    kernels_chosen: Markdown  # oneDNN off, the cap lifted
    cpus: Markdown
    reached: Markdown
    guilty: Markdown | None  # None: no kernel depends on the CPU
    reasons: Markdown | None
    unexplained: Markdown | None


def tables(atlas: Atlas) -> Tables:
    """Made from one atlas."""
    found = [(f, atlas_kernels.found(f)) for f in atlas.frameworks]
    changes = list(atlas_counts.changes(atlas))
    more = [change for change in changes if change.settings.threads > 1]
    return Tables(
        frameworks=table(["TensorFlow", "cases", "SHA-256 of the wheel"], _frameworks(atlas)),
        threads=_changes(atlas, more),
        kernels_chosen=_changes(atlas, [change for change in changes if change not in more]),
        cpus=_cpus(atlas),
        reached=table(["TensorFlow", "cases"], _reached(found)),
        guilty=_guilty(found),
        reasons=_reasons(found),
        unexplained=_unexplained(found),
    )


def _frameworks(atlas: Atlas) -> Iterator[list[object]]:
    for framework in atlas.frameworks:
        yield [framework.version, f"{len(framework.cases):,}", code(framework.wheel)]


def share(part: int, whole: int) -> str:
    """How many of how many."""
    return f"{part:,} of {whole:,}"


def _changes(atlas: Atlas, changes: list[Change]) -> Markdown:
    header = ["instead of the portable settings"]
    header += [f"cases with other bits, TensorFlow {f.version}" for f in atlas.frameworks]
    return table(header, ([c.what, *_changed(atlas, c.settings)] for c in changes))


def _changed(atlas: Atlas, settings: Settings) -> Iterator[str]:
    for framework in atlas.frameworks:
        cases = atlas_counts.changed(framework, settings)
        groups = ", ".join(f"{g} {n:,}" for g, n in atlas_counts.by_group(cases).items())
        of = len(framework.compared(framework.at(NATIVE, settings)))
        yield share(len(cases), of) + (f": {groups}" if groups else "")


def _cpus(atlas: Atlas) -> Markdown:
    """One thread: more of them have a table of their own."""
    header = ["settings"]
    header += [f"{cpu}, TensorFlow {f.version}" for f in atlas.frameworks for cpu in f.emulated]
    single = [settings for settings in atlas.settings if settings.threads == 1]
    return table(header, ([settings.said, *_elsewhere(atlas, settings)] for settings in single))


def _elsewhere(atlas: Atlas, settings: Settings) -> Iterator[str]:
    for framework in atlas.frameworks:
        for condition in framework.elsewhere(settings):
            yield share(len(framework.differing(condition)), len(framework.compared(condition)))


def _reached(found: list[tuple[Framework, Found]]) -> Iterator[list[str]]:
    for framework, known in found:
        of = len(framework.compared(*framework.elsewhere(PORTABLE)))
        yield [framework.version, share(known.reached, of)]


def _guilty(found: list[tuple[Framework, Found]]) -> Markdown | None:
    header = ["kernel", "TensorFlow", "elements that differ", "largest distance", "reached by"]
    rows = [_kernel(f, kernel) for f, known in found for kernel in known.kernels]
    return table(header, rows) if rows else None


def _kernel(framework: Framework, kernel: Kernel) -> list[object]:
    worst = kernel.worst
    names = dict.fromkeys(case.name for case in kernel.reaches)
    return [
        code(kernel.name),
        framework.version,
        share(worst.elements, worst.of),
        atlas_counts.distance(worst.ulp),
        Markdown(", ".join(map(code, names))),
    ]


def _reasons(found: list[tuple[Framework, Found]]) -> Markdown | None:
    names = dict.fromkeys(k.name.partition(" ")[0] for _, known in found for k in known.kernels)
    header = ["kernel", "why its bits depend on the CPU", Markdown("what `determinism=exact` does")]
    known = ((name, kernel_reasons.reason(name)) for name in names)
    rows = [[code(name), reason.why, reason.exact] for name, reason in known]
    return table(header, rows) if rows else None


def _unexplained(found: list[tuple[Framework, Found]]) -> Markdown | None:
    rows = [_case(f, case) for f, known in found for case in known.unexplained]
    return table(["op", "TensorFlow", "kernels that it runs"], rows) if rows else None


def _case(framework: Framework, case: Case) -> list[object]:
    ran = framework.ran(case, *framework.elsewhere(PORTABLE))
    kernels = Markdown(", ".join(map(code, ran)))
    return [f"{case.name}, {case.dtype}, {case.output}", framework.version, kernels]
