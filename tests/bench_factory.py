"""A bench as bench.py makes it, made up: nothing is measured."""

from typing import Any

import bench_page
from bench_page import Part
from paired import figure, ratio, skipped


def lines(text: str = "the plain script") -> list[Any]:
    """A figure of every kind."""
    return [
        figure(f"{text}: time", "s", [19.0, 21.0, 20.0]),
        ratio("certificate: time", [13.0, 14.0], [20.0, 20.0], goal=0.5),
        ratio("a sweep: CPU time", [1.45, 1.4], [1.0, 1.0], goal=1.5),
        skipped("jobs on Slurm: longer", f"no Slurm: {text}", "s", goal=20.0),
    ]


def bench(text: str = "the plain script") -> bench_page.Bench:
    """One part with every kind of figure, and one that failed."""
    machine = {"cpu": "A CPU", "cpus": 2, "memory_bytes": 8 << 30, "os": "Linux", "gpu": None}
    parts = (
        Part("plain", f"A script, {text}.", f"Both train {text}.", tuple(lines(text)), 99.5),
        Part("dag", "A graph.", "Nothing is made.", (), 1.5, f"OSError: {text}"),
    )
    return bench_page.Bench(
        "2026-11-24T09:30:00Z", 101.0, 0.25, machine, {"Python": "3.11.7"}, "c" * 40, True, parts
    )
