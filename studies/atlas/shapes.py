"""The readers' page of the drawn shapes: which kernels are wrong, and which depend on the CPU."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from atlas import readers
from atlas.drawn import NATIVE, Kernel
from atlas.readers import Markdown, code, share, table

TEMPLATE = Path(__file__).with_name("drawn.md.j2")
# Settings that are not in force.
_NONE: tuple[Any, ...] = (False, "", [1], [1, 1], [1, 1, 1])
_SHAPES = ("kernel", "sizes", "batch", "inner", "outer")  # which are told whatever they are
_SHOWN = 3  # shapes of one kernel; drawn.json has all

_Part = Mapping[str, Any]
_NAMES = ("kind", "implementation", "direction")


def page(made: Mapping[str, Any]) -> str:
    """The page, from what was judged."""
    plain, replaced = made["plain"], made["replaced"]
    counts = sorted({row["threads"] for row in plain["cases"]})
    return readers.template(TEMPLATE).render(
        made=made,
        counts=counts,
        cases=_cases(plain),
        kernels=_kernels(plain, counts),
        wrong=_found(plain["wrong"]),
        dependent=_found(plain["dependent"]),
        replaced=_cases(replaced) if replaced["cases"] else None,
        remaining=_found([*replaced["wrong"], *replaced["dependent"]]),
    )


def _cases(part: _Part) -> Markdown:
    cpus = sorted({row["cpu"] for row in part["cases"]}, key=lambda cpu: (cpu != NATIVE, cpu))
    known = {(row["threads"], row["cpu"]): row["cases"] for row in part["cases"]}
    rows = [
        [threads, *(f"{known.get((threads, cpu), 0):,}" for cpu in cpus)]
        for threads in sorted({threads for threads, _ in known})
    ]
    return table(["threads", *cpus], rows)


def _kernels(part: _Part, counts: Sequence[int]) -> Markdown:
    """What ran, with how many of its cases depend on the CPU, at each number of threads."""
    rows: dict[Kernel, dict[int, _Part]] = {}
    for row in part["kernels"]:
        rows.setdefault((row["kind"], row["implementation"], row["direction"]), {})[
            row["threads"]
        ] = row
    header = [*_NAMES, *(f"other bits on another CPU, threads: {n}" for n in counts), "wrong"]
    return table(header, (_kernel(kernel, by, counts) for kernel, by in rows.items()))


def _kernel(kernel: Kernel, by: Mapping[int, _Part], counts: Sequence[int]) -> Sequence[object]:
    kind, implementation, direction = kernel
    other = [share(by[n]["dependent"], by[n]["cases"]) if n in by else "–" for n in counts]
    total = share(sum(r["wrong"] for r in by.values()), sum(r["cases"] for r in by.values()))
    return [kind, code(implementation), direction, *other, total]


def _found(found: Sequence[_Part]) -> Markdown | None:
    """The first shapes of each kernel and number of threads; None where nothing was found."""
    cases: dict[tuple[Any, ...], list[_Part]] = {}
    for one in found:
        cases.setdefault((one["threads"], one["seed"], one["index"]), []).append(one)
    shown: dict[tuple[Any, ...], int] = {}
    rows = []
    for parts in sorted(cases.values(), key=lambda parts: (_said(parts), parts[0]["threads"])):
        key = _said(parts), parts[0]["threads"]
        shown[key] = shown.get(key, 0) + 1
        if shown[key] <= _SHOWN:
            rows.append([*_row(parts)])
    header = ["kernels", "threads", "what differs", "computation", "seed, case"]
    return table(header, rows) if rows else None


def _said(parts: Sequence[_Part]) -> str:
    return ", ".join(sorted({" ".join(kernel) for one in parts for kernel in one["kernels"]}))


def _row(parts: Sequence[_Part]) -> Iterator[object]:
    first = parts[0]
    yield code(_said(parts))
    yield first["threads"]
    results: dict[str, list[str]] = {}
    for one in parts:
        results.setdefault(_how(one), []).append(one.get("result", "all"))
    yield "; ".join(f"{', '.join(found)}: {how}" for how, found in results.items())
    settings = (_setting(*pair) for pair in sorted(first["drawn"].items()) if _tells(*pair))
    yield f"{first['kind']}: {', '.join(settings)}"
    yield f"{first['seed']}, {first['index']}"


def _how(one: _Part) -> str:
    if "died" in one:
        return f"{one['died']} ({one['cpu']})"
    if "off" in one:
        return f"{one['off']:.0%} off ({one['cpu']})"
    return " and ".join(sorted(one["differs"]))


def _tells(name: str, value: Any) -> bool:
    return name in _SHAPES or value not in _NONE


def _setting(name: str, value: Any) -> str:
    if value is True:
        return name
    return f"{name} {' x '.join(map(str, value)) if isinstance(value, list) else value}"
