"""What cases of drawn shapes show: which kernels are wrong, and whose bits depend on the CPU.

A result is wrong where it is far from float64, or its computation ends the process. It depends on
the CPU where processes with the same number of threads have different bits. What computed a result
is known by what oneDNN made for it; where it made nothing, TensorFlow computed it by itself.
"""

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from samebits.errors import SamebitsError
from samebits.experiment import pins
from samebits.training import replaced_ops

FORMAT = "samebits-drawn-1"
# Measured: sound kernels are at most 3.2e-5 off in 4,000 cases, all wrong ones 0.2 and more.
LIMIT = 1e-3
NATIVE = "native"
_FEATURES = " (features "  # what follows is a digest for machines

Kernel = tuple[str, str, str]  # kind, implementation, direction
_Key = tuple[int, int, int]  # seed, number of the case, threads
_Line = Mapping[str, Any]
_ByCpu = dict[str, _Line]
_VALUE, _OF_INPUT, _OF_FILTER = "value", "gradient 1", "gradient 2"
_OWN = "TensorFlow's own"
# Kinds of computation whose products TensorFlow itself computes in one way, Eigen's contraction.
_PRODUCTS = ("dense", "matmul", "tensordot", "recurrent")


@dataclass(frozen=True)
class Process:
    """The lines of one process."""

    about: Mapping[str, Any]
    lines: Sequence[Mapping[str, Any]]

    @property
    def cpu(self) -> str:
        """Its name, where it is not the native one: emulated, or what ``cpuid`` says alone."""
        if not self.about["emulated"]:
            return NATIVE
        name = str(self.about["cpu"]).partition(_FEATURES)[0]
        return f"{name}, cpuid" if self.about["disguise"] else f"{name}, QEMU"


def read(path: Path) -> Process:
    """Raises SamebitsError where it is not what a process wrote, or not all of it."""
    lines = [json.loads(line) for line in path.read_text(encoding="ascii").splitlines()]
    if not lines or lines[0].get("format") != FORMAT or len(lines) - 1 != lines[0]["count"]:
        raise SamebitsError(f"{path}: expected a {FORMAT} with all of its cases; make it again")
    return Process(lines[0], lines[1:])


def judge(processes: Sequence[Process]) -> dict[str, Any]:
    """What they show, as JSON: without the replacements of the portable profile, and with them.

    Raises SamebitsError where they cannot be compared.
    """
    if len({process.about["tensorflow"] for process in processes}) > 1:
        raise SamebitsError("drawn cases of more than one TensorFlow; judge them apart")
    if len({process.about["cpu"] for process in processes if process.cpu == NATIVE}) > 1:
        raise SamebitsError("drawn cases of more than one native CPU; make all on one machine")
    parts = {
        replaced: [process for process in processes if process.about["replaced"] is replaced]
        for replaced in (False, True)
    }
    return {
        "format": FORMAT,
        "tensorflow": processes[0].about["tensorflow"],
        "limit": LIMIT,
        "plain": _judged(parts[False]),
        "replaced": _judged(parts[True]),
    }


def _judged(processes: Sequence[Process]) -> dict[str, Any]:
    cases: dict[_Key, _ByCpu] = {}
    for process in processes:
        for line in process.lines:
            key = process.about["seed"], line["index"], process.about["threads"]
            if process.cpu in cases.setdefault(key, {}):
                raise SamebitsError(f"case {key[1]} was computed twice on {process.cpu}")
            cases[key][process.cpu] = line
    wrong = [found for key, by_cpu in cases.items() for found in _wrong(key, by_cpu)]
    dependent = [found for key, by_cpu in cases.items() for found in _dependent(key, by_cpu)]
    where = {_place(found) for found in wrong}  # of what else lay in memory
    dependent = [found for found in dependent if _place(found) not in where]
    return {
        "cases": _counted(cases),
        "largest": max((off for b in cases.values() for off in _sound(b)), default=None),
        "kernels": list(_by_kernel(cases, wrong, dependent)),
        "wrong": wrong,
        "dependent": dependent,
    }


def _place(found: Mapping[str, Any]) -> tuple[Any, ...]:
    return found["seed"], found["index"], found["threads"], found.get("result")


def _counted(cases: Mapping[_Key, _ByCpu]) -> list[dict[str, Any]]:
    """How many were computed, by threads and CPU."""
    found: dict[tuple[int, str], int] = {}
    for (_, _, threads), by_cpu in cases.items():
        for cpu in by_cpu:
            found[threads, cpu] = found.get((threads, cpu), 0) + 1
    return [{"threads": t, "cpu": cpu, "cases": n} for (t, cpu), n in sorted(found.items())]


def _sound(by_cpu: _ByCpu) -> Iterator[float]:
    for line in by_cpu.values():
        yield from (off for off in line.get("off", {}).values() if off <= LIMIT)


def _wrong(key: _Key, by_cpu: _ByCpu) -> Iterator[dict[str, Any]]:
    for cpu, line in by_cpu.items():
        if "died" in line:
            yield {**_named(key, line), "cpu": cpu, "died": line["died"]} | {
                "kernels": [_kernel(made) for made in line["last"]]
            }
        for result, off in line.get("off", {}).items():
            if not off <= LIMIT:  # no number, too
                kernels = computed_by(line, result)
                yield {**_named(key, line), "cpu": cpu, "result": result, "off": off} | {
                    "kernels": kernels
                }


def _dependent(key: _Key, by_cpu: _ByCpu) -> Iterator[dict[str, Any]]:
    known = {cpu: line["digests"] for cpu, line in by_cpu.items() if "digests" in line}
    first: Mapping[str, str] = known.get(NATIVE) or next(iter(known.values()), {})
    for result, digest in first.items():
        others = [cpu for cpu, digests in known.items() if digests[result] != digest]
        if others:
            ran = [computed_by(by_cpu[cpu], result) for cpu in known]
            kernels = sorted({tuple(kernel) for kernels in ran for kernel in kernels})
            named = _named(key, next(iter(by_cpu.values())))
            shapes = sorted({one for cpu in known for one in _shaped(by_cpu[cpu], result)})
            found = {"differs": others, "kernels": kernels, "shapes": shapes}
            yield {**named, "result": result, **found}


def _named(key: _Key, line: _Line) -> dict[str, Any]:
    seed, index, threads = key
    return {"seed": seed, "index": index, "threads": threads} | {
        "kind": line["kind"],
        "drawn": line["drawn"],
    }


def _by_kernel(
    cases: Mapping[_Key, _ByCpu],
    wrong: Sequence[Mapping[str, Any]],
    dependent: Sequence[Mapping[str, Any]],
) -> Iterator[dict[str, Any]]:
    """Each kernel at each number of threads: in how many cases it ran, and what was found."""
    ran: defaultdict[tuple[Kernel, int], tuple[set[_Key], ...]]
    ran = defaultdict(lambda: (set(), set(), set()))  # cases; those that depend; those wrong
    shapes: defaultdict[tuple[Kernel, int], set[str]] = defaultdict(set)
    for key, by_cpu in cases.items():
        for line in by_cpu.values():
            for result in line.get("digests", {}):
                for kernel in computed_by(line, result):
                    ran[kernel, key[2]][0].add(key)
    for place, found in ((1, dependent), (2, wrong)):
        for one in found:
            for kernel in one["kernels"]:
                key = one["seed"], one["index"], one["threads"]
                ran[tuple(kernel), one["threads"]][place].add(key)
    for one in dependent:
        for kernel, shape in one["shapes"]:
            shapes[tuple(kernel), one["threads"]].add(shape)
    for (kernel, threads), counts in sorted(ran.items()):
        named = dict(zip(("kind", "implementation", "direction"), kernel, strict=True))
        of = zip(("cases", "dependent", "wrong"), map(len, counts), strict=True)
        yield {**named, "threads": threads, **dict(of), "shapes": sorted(shapes[kernel, threads])}


def computed_by(line: _Line, result: str) -> list[Kernel]:
    """What may have computed a result of a case, several where it is not known which."""
    kind = line["kind"]
    found = {kernel for kernel, _ in _shaped(line, result)}
    if found and kind != "recurrent":  # which has a product without oneDNN, too
        return sorted(found)
    bias = line["drawn"].get("bias") and result == list(line["digests"])[-1]
    what = "sum (bias)" if bias else "matmul" if kind in _PRODUCTS else kind
    return [*sorted(found), (what, _OWN, "value" if result == _VALUE else "gradient")]


def _shaped(line: _Line, result: str) -> Iterator[tuple[Kernel, str]]:
    """The primitives that may have computed a result of a case, and in which shape."""
    for made in line["primitives"]:
        if result in _results(line["kind"], made, line["digests"]):
            yield _kernel(made), made["shape"]


def _kernel(made: Mapping[str, str]) -> Kernel:
    return made["kind"], made["implementation"], made["direction"]


def _results(case: str, made: Mapping[str, str], results: Mapping[str, Any]) -> set[str]:
    """The results that a primitive may have computed; none where it only moves numbers."""
    kind, forward = made["kind"], made["direction"].startswith("forward")
    if kind == "convolution":
        if made["direction"] == "backward_weights":
            return {_OF_FILTER}
        return {_VALUE if forward != (case == "transposed") else _OF_INPUT}
    if kind == "matmul" or case == "recurrent":
        return set(results)
    if kind == "reorder":
        return set()
    return {_VALUE} if forward else set(results) - {_VALUE}


def primitives(made: Mapping[str, Any]) -> list[dict[str, Any]]:
    """What the atlas has of oneDNN's primitives: with which replacements and threads each was
    drawn, how often another CPU had other bits, and in which shapes.
    """
    profile = {"replacements": [*replaced_ops.NAMES]}
    found = []
    for part in ("plain", "replaced"):
        for row in made[part]["kernels"]:
            if row["implementation"] != _OWN:
                threads = {"intra_op_threads": row["threads"]}
                ops = pins.possible(profile | threads, made["tensorflow"])["replacements"]
                under = {"replacements": sorted(ops) if part == "replaced" else []}
                about = {"tensorflow": made["tensorflow"], **row, **under}
                found.append({key: about[key] for key in sorted(about.keys() - {"wrong"})})
    return found


def said(found: Mapping[str, Any]) -> str:
    """One result that is wrong or depends on the CPU, in a line."""
    kernels = ", ".join(" ".join(kernel) for kernel in found["kernels"])
    how = "other bits"
    if "cpu" in found:
        how = found.get("died") or f"{found['off']:.1e} off"
    where = found["cpu"] if "cpu" in found else " and ".join(found["differs"])
    shape = ", ".join(f"{name} {value}" for name, value in found["drawn"].items())
    result = found.get("result", "all")
    return (
        f"{found['kind']}, {result}, {found['threads']} threads, {where}: {how}; {kernels}; "
        f"{shape} (seed {found['seed']}, case {found['index']})"
    )
