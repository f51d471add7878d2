"""Which kernels make the bits depend on the CPU: what the cases that differ have in common.

A case runs several kernels, and only its result is compared. So a kernel is found guilty where it
is a case's only one, or the only one that no equal case runs. What runs beside a guilty kernel is
not judged.
"""

from collections.abc import Iterator, Sequence, Set
from dataclasses import dataclass

from samebits.atlas_table import PORTABLE, Case, Condition, Framework


@dataclass(frozen=True)
class Worst:
    """The most that some cases differ."""

    elements: int
    of: int
    ulp: int | None  # None where a NaN or an infinity takes part
    cpus: tuple[str, ...]


@dataclass(frozen=True)
class Kernel:
    """One whose bits depend on the CPU."""

    name: str  # with its dtype, as ``Rsqrt float32``
    alone: bool  # shown by a case that runs nothing else, or else by elimination
    worst: Worst  # of the cases that show it
    reaches: tuple[Case, ...]  # every case that differs and runs it


@dataclass(frozen=True)
class Found:
    """All that is known of one TensorFlow."""

    kernels: tuple[Kernel, ...]  # the one that reaches most cases first
    unexplained: tuple[Case, ...]  # they differ, and no kernel of theirs was found guilty
    reached: int  # how many cases differ
    suspected: tuple[Kernel, ...] = ()  # which of them the unexplained cases are about: not known


def found(framework: Framework, under: Sequence[Condition] | None = None) -> Found:
    """The kernels that depend on the CPU under some conditions: those of the portable settings."""
    conditions = framework.elsewhere(PORTABLE) if under is None else under
    moved = framework.differing(*conditions)
    still = [case for case in framework.cases if not case.differs(conditions)]
    proofs = _proofs(framework, moved, still)
    version = framework.version
    kernels = (_kernel(name, version, proofs[name], moved, conditions) for name in proofs)
    unexplained = [case for case in moved if not _ran(case, framework) & set(proofs)]
    by_reach = sorted(kernels, key=lambda kernel: -len(kernel.reaches))
    doubts = _doubts(framework, unexplained, still)
    suspected = (_kernel(name, version, doubts[name], moved, conditions) for name in doubts)
    return Found(tuple(by_reach), tuple(unexplained), len(moved), tuple(suspected))


def _doubts(
    framework: Framework, unexplained: Sequence[Case], still: Sequence[Case]
) -> dict[str, list[Case]]:
    """The kernels of unexplained cases that no equal case clears; where it clears all, all."""
    doubts: dict[str, list[Case]] = {}
    cleared = _cleared(framework, still)
    for case in unexplained:
        for kernel in sorted(_ran(case, framework) - cleared or _ran(case, framework)):
            doubts.setdefault(kernel, []).append(case)
    return doubts


def _cleared(framework: Framework, still: Sequence[Case]) -> Set[str]:
    return {kernel for case in still for kernel in _ran(case, framework)}


def _ran(case: Case, framework: Framework) -> Set[str]:
    return set(case.kernels[framework.version])


def _proofs(
    framework: Framework, moved: Sequence[Case], still: Sequence[Case]
) -> dict[str, list[Case]]:
    """The guilty kernels, and by which cases each is shown."""
    proofs: dict[str, list[Case]] = {}
    for case in moved:
        for kernel in _single(_ran(case, framework)):
            proofs.setdefault(kernel, []).append(case)
    cleared = _cleared(framework, still)
    for case in [case for case in moved if not _ran(case, framework) & set(proofs)]:
        for kernel in _single(_ran(case, framework) - cleared):
            proofs.setdefault(kernel, []).append(case)
    return proofs


def _single(kernels: Set[str]) -> Iterator[str]:
    return iter(kernels if len(kernels) == 1 else ())


def _kernel(
    name: str,
    version: str,
    proof: Sequence[Case],
    moved: Sequence[Case],
    conditions: Sequence[Condition],
) -> Kernel:
    alone = any(set(case.kernels[version]) == {name} for case in proof)
    reaches = tuple(case for case in moved if name in case.kernels[version])
    return Kernel(name, alone, worst(proof, conditions), reaches)


def worst(cases: Sequence[Case], conditions: Sequence[Condition]) -> Worst:
    """The most elements that differ, the largest distance, and on which CPUs."""
    seen = [(case, c) for case in cases for c in conditions if c.key in case.different]
    most, of = max((case.different[c.key].elements, case.elements) for case, c in seen)
    ulps = [case.different[c.key].ulp for case, c in seen]
    finite = [ulp for ulp in ulps if ulp is not None]
    cpus = tuple(dict.fromkeys(c.cpu for c in conditions if any(c is s for _, s in seen)))
    return Worst(most, of, max(finite) if len(finite) == len(ulps) else None, cpus)
