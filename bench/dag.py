#!/usr/bin/env python3
"""Measure what Snakemake needs to build the DAG of a sweep, against a bare Snakefile's.

The bare one has as many jobs with the same input files and as many outputs, written out as text
with wildcards: no configs, no functions, no checkpoint. Both show a dry run of a folder in which
nothing is made yet but the configs. A pair is one run of each, in turn, from the start of the
command to its end; the median of the ratios is quoted, and the growth with the number of
combinations.

    dag.py [--pairs N] [--combinations N ...]
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SCRIPTS = ROOT / "scripts"
sys.path.insert(0, str(SCRIPTS))

from samebits import code  # noqa: E402

RUNS = ("control", "replica")
_HALF = 2  # models; the other factor of a sweep are seeds


def rule(name: str, inputs: list[str], outputs: list[str], script: str | None = None) -> str:
    """A bare rule that reads the script's code too."""
    files = [*inputs, *(code.files(SCRIPTS / f"{script}.py") if script else [])]
    lines = [f"rule {name}:", f"    input: {json.dumps(files)}"] if files else [f"rule {name}:"]
    lines += [f"    output: {json.dumps(outputs)}"] if outputs else []
    return "\n".join([*lines, '    shell: "true"', ""])


def environment(name: str) -> str:
    """The file that says that an environment is there."""
    return f"environments/{name}/environment.json"


def bare(folders: list[str]) -> str:
    """A Snakefile with as many jobs as a sweep over these experiments has."""
    one, config = "results/{experiment}", "results/{experiment}/config.json"
    compared, issued = f"{one}/compare/replica.json", f"{one}/certificate.json"
    issued_all = [issued.format(experiment=folder) for folder in folders]
    runs = [f"{one}/train/{run}" for run in RUNS]
    faces = [issued, f"{one}/certificate.html", f"{one}/badge.svg"]
    parts = [
        rule("all", ["results/index.html", "results/index.csv"], []),
        rule("environment", [], [environment("{environment}")], "environment"),
        rule("load", [environment("load")], ["data/arrays", "data/record.json"], "load"),
        rule(
            "train",
            [environment("train"), "data/arrays", config],
            [f"{one}/train/{{run}}"],
            "train",
        ),
        rule("compare", [environment("compare"), *runs], [compared], "compare"),
        rule(
            "certify",
            [environment("certify"), config, "data/record.json", *runs, compared],
            faces,
            "certify",
        ),
        rule(
            "index",
            [environment("certify"), *issued_all],
            ["results/index.html", "results/index.csv"],
            "index",
        ),
    ]
    return "\n".join(parts)


class Bench:
    """A folder with a sweep's configs, in which nothing is made."""

    def __init__(self, folder: Path, combinations: int) -> None:
        """Start each command once: the configs are written, the files are in the cache."""
        seeds = combinations // _HALF
        self._sweep = [
            "name=sweep",
            "experiment=smoke",
            f"sweep=model=mlp,cnn seed=range(0,{seeds})",
        ]
        self._folder, self._bare = folder, folder / "bare.smk"
        self.ours()
        listed = json.loads((folder / "results/sweep/sweep.json").read_bytes())["combinations"]
        self._bare.write_text(bare([f"sweep/{made['name']}" for made in listed]))
        self.jobs = self._count(self._dry_run(ROOT / "Snakefile", "--config", *self._sweep))
        theirs = self._count(self._dry_run(self._bare))
        if self.jobs != theirs:
            raise SystemExit(f"not as many jobs: {self.jobs}, {theirs}")

    def _dry_run(self, snakefile: Path, *config: str) -> str:
        where = ["--snakefile", str(snakefile), "--directory", str(self._folder)]
        quiet = ["--quiet", "rules", "reason", "host"]
        command = [sys.executable, "-m", "snakemake", "--cores", "2", "--dry-run", *where, *quiet]
        return subprocess.check_output(
            [*command, *config], cwd=self._folder, text=True, stderr=subprocess.STDOUT
        )

    @staticmethod
    def _count(shown: str) -> int:
        return next(int(line.split()[1]) for line in shown.splitlines() if line.startswith("total"))

    def ours(self) -> float:
        """Seconds of the sweep's dry run."""
        started = time.monotonic()
        self._dry_run(ROOT / "Snakefile", "--config", *self._sweep)
        return time.monotonic() - started

    def theirs(self) -> float:
        """Seconds of the bare Snakefile's."""
        started = time.monotonic()
        self._dry_run(self._bare)
        return time.monotonic() - started


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--combinations", type=int, nargs="+", default=[10, 100, 1000])
    options = parser.parse_args()
    print(f"{platform.machine()}, {os.cpu_count()} CPUs, {options.pairs} pairs; medians")
    print(f"{'combinations':>12}{'jobs':>8}{'sweep':>10}{'bare':>10}{'ratio':>8}{'per job':>12}")
    for combinations in options.combinations:
        with tempfile.TemporaryDirectory() as name:
            bench = Bench(Path(name), combinations)
            pairs = [(bench.ours(), bench.theirs()) for _ in range(options.pairs)]
        ours, theirs = (statistics.median(times) for times in zip(*pairs, strict=True))
        ratio = statistics.median(our / their for our, their in pairs)
        per_job = 1000 * ours / bench.jobs
        print(
            f"{combinations:>12,}{bench.jobs:>8,}{ours:>8.2f} s{theirs:>8.2f} s{ratio:>8.2f}"
            f"{per_job:>9.2f} ms",
            flush=True,
        )


if __name__ == "__main__":
    main()
