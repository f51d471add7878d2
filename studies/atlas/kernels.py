"""Which kernels make the bits depend on the CPU: those that differing cases have in common.

A case runs several kernels, and only its result is compared. So a kernel is found guilty where it
is a case's only one, or the only one that no equal case runs. Kernels that run beside a guilty one
are not judged.
"""

import itertools
from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Any

from atlas.cases import NATIVE, PORTABLE, Atlas, Case, Condition, Framework, Settings


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
    possible: tuple[str, ...] = ()  # kernels that may be the cause in the unexplained cases


def found(framework: Framework, under: Sequence[Condition] | None = None) -> Found:
    """The kernels that depend on the CPU under some conditions: those of the portable settings."""
    conditions = framework.elsewhere(PORTABLE) if under is None else under
    moved = framework.differing(*conditions)
    still = [case for case in framework.compared(*conditions) if not case.differs(conditions)]
    ran = {case: set(framework.ran(case, *conditions)) for case in (*moved, *still)}
    cleared = {kernel for case in still for kernel in ran[case]}
    proofs = _proofs({case: ran[case] for case in moved}, cleared)
    unexplained = {case: ran[case] for case in moved if not ran[case] & set(proofs)}

    def kernel(name: str, proof: Sequence[Case]) -> Kernel:
        alone = any(ran[case] == {name} for case in proof)
        reaches = tuple(case for case in moved if name in ran[case])
        return Kernel(name, alone, worst(proof, conditions), reaches)

    kernels = sorted(itertools.starmap(kernel, proofs.items()), key=lambda k: -len(k.reaches))
    # Those that no equal case clears; where it clears all of a case, all.
    possible = {name for runs in unexplained.values() for name in runs - cleared or runs}
    return Found(tuple(kernels), tuple(unexplained), len(moved), tuple(sorted(possible)))


def _proofs(moved: Mapping[Case, Set[str]], cleared: Set[str]) -> dict[str, list[Case]]:
    """The guilty kernels, and by which cases each is shown."""
    proofs: dict[str, list[Case]] = {}
    for case, ran in moved.items():
        for kernel in _single(ran):
            proofs.setdefault(kernel, []).append(case)
    shown = set(proofs)
    for case, ran in moved.items():
        for kernel in _single(ran - cleared) if not ran & shown else ():
            proofs.setdefault(kernel, []).append(case)
    return proofs


def _single(kernels: Set[str]) -> Iterator[str]:
    return iter(kernels if len(kernels) == 1 else ())


def worst(cases: Sequence[Case], conditions: Sequence[Condition]) -> Worst:
    """The most elements that differ, the largest distance, and on which CPUs."""
    seen = [(case, c) for case in cases for c in conditions if c.key in case.different]
    most, of = max((case.different[c.key].elements, case.elements) for case, c in seen)
    ulps = [case.different[c.key].ulp for case, c in seen]
    finite = [ulp for ulp in ulps if ulp is not None]
    cpus = tuple(dict.fromkeys(c.cpu for c in conditions if any(c is s for _, s in seen)))
    return Worst(most, of, max(finite) if len(finite) == len(ulps) else None, cpus)


def depends(atlas: Atlas) -> list[dict[str, Any]]:
    """The CPU-dependent kernels under every combination of pinned settings; None: left free.

    ``shown``: found guilty. ``possible``: run by unexplained cases. What is left free the CPU may
    choose, so a kernel counts whose bits another setting changes on the native CPU.
    """
    return [row for framework in atlas.frameworks for row in _depends(framework)]


def _depends(framework: Framework) -> Iterator[dict[str, Any]]:
    settings = framework.settings
    keys = "isa", "onednn", "threads"
    tried = (dict.fromkeys([*(getattr(s, key) for s in settings), None]) for key in keys)
    for pins in itertools.product(*tried):
        pinned = dict(zip(keys, pins, strict=True))
        under = [s for s in settings if all(v in (None, getattr(s, k)) for k, v in pinned.items())]
        results = [found(framework, _conditions(framework, s, len(under) > 1)) for s in under]
        shown = {kernel.name for result in results for kernel in result.kernels}
        possible = {name for result in results for name in result.possible} - shown
        kernels = {"shown": sorted(shown), "possible": sorted(possible)}
        yield {"tensorflow": framework.version, **pinned, **kernels}


def _conditions(framework: Framework, settings: Settings, native: bool) -> list[Condition]:
    """Those of one settings: a difference under other settings shows nothing here."""
    conditions = (framework.at(cpu, settings) for cpu in framework.cpus)
    return [c for c in conditions if native or c.cpu != NATIVE]
