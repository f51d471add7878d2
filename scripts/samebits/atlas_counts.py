"""What the tables of the atlas count: what one setting changes here, and another CPU under each."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from samebits.atlas_table import NATIVE, PORTABLE, Atlas, Case, Condition, Framework, Settings

_GREAT = ((10**9, "G"), (10**6, "M"), (10**3, "k"))


@dataclass(frozen=True)
class Change:
    """One setting that is not the portable one."""

    what: str
    settings: Settings


def changes(atlas: Atlas) -> Iterator[Change]:
    """Every settings that differ from the portable ones in one respect."""
    for settings in atlas.settings:
        if settings == replace(PORTABLE, isa=settings.isa) != PORTABLE:
            yield Change(f"{settings.cap} on instruction sets", settings)
        if settings == replace(PORTABLE, onednn=settings.onednn) != PORTABLE:
            yield Change("oneDNN off", settings)
        if settings == replace(PORTABLE, threads=settings.threads) != PORTABLE:
            yield Change(f"{settings.threads} threads", settings)


def changed(framework: Framework, settings: Settings) -> tuple[Case, ...]:
    """What these settings alone change on the native CPU."""
    return framework.differing(framework.at(NATIVE, settings))


def by_group(cases: Sequence[Case]) -> Mapping[str, int]:
    """How many there are in each group, in the battery's order."""
    return Counter(case.group for case in cases)


def in_force(atlas: Atlas, settings: Settings) -> str:
    """What oneDNN said that it uses; where CPUs or TensorFlows differ in it, each."""
    said: dict[str, list[str]] = {}
    for cpu in atlas.frameworks[0].cpus:
        used = {f.version: _used(f.at(cpu, settings)) for f in atlas.frameworks}
        alike = len(set(used.values())) == 1
        for version, instructions in used.items():
            said.setdefault(instructions, []).append(cpu if alike else f"{cpu} {version}")
    if len(said) == 1:
        return next(iter(said))
    return "; ".join(f"{used} ({', '.join(dict.fromkeys(at))})" for used, at in said.items())


def _used(condition: Condition) -> str:
    return condition.isa_in_force or ("not told" if condition.settings.onednn else "not in use")


def few(number: int) -> str:
    """A number in at most four characters: 12,900 is 12k."""
    if number >= 10**12:
        return f"{number:.0e}".replace("e+", "e")
    for size, unit in _GREAT:
        if number >= max(size, 10**4):
            whole, tenth = number // size, number * 10 // size % 10
            return f"{whole}.{tenth}{unit}" if whole < 10 else f"{whole}{unit}"  # 1.2M, 12M
    return str(number)


def distance(ulp: int | None) -> str:
    """The largest distance, for people."""
    return "NaN or ∞" if ulp is None else f"{ulp:,} ULP"
