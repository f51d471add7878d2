#!/usr/bin/env python3
"""Building the DAG of a sweep, against a bare Snakefile's.

The bare one has as many jobs with as many input and output files, written out as text with
wildcards: no configs, no functions, no params, no checkpoint. Both show a dry run of a folder in
which nothing is made yet but the configs. What is taken is CPU time from the start of the command
to its end, which other work on the machine disturbs least. Growth is what one more combination
costs among hundreds, against one among tens: 1 is in proportion.
"""

import json
import resource
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from paired import ROOT, Line, figure, in_turn, main, ratio

COMBINATIONS = (10, 100, 1000)
_GOAL = 1.5  # times the bare Snakefile's, for the most combinations: less are mostly imports
RUNS = ("control", "replica")
_HALF = 2  # models; the other factor of a sweep are seeds
# Files of the checkout that the jobs of each rule read: the program that starts them, the script,
# its code as one file, locks, the model, and what a certificate rests on.
_FIXED = {
    "environment": 5, "load": 5, "train": 6, "compare": 3, "certify": 14, "render": 3, "index": 4,
}  # fmt: skip


def rule(name: str, inputs: list[str], outputs: list[str]) -> str:
    """A bare rule, with as many files of the checkout as the jobs of its namesake read."""
    fixed = sorted(map(str, (ROOT / "scripts/samebits").rglob("*.py")))[: _FIXED.get(name, 0)]
    lines = [f"rule {name}:", f"    input: {json.dumps([*inputs, *fixed])}"]
    if outputs:
        lines += [f"    output: {json.dumps(outputs)}", '    shell: "touch {output}"']
    return "\n".join([*lines, ""])


def environment(name: str) -> str:
    """The file that says that an environment is there."""
    return f"environments/{name}/environment.json"


def bare(folders: list[str]) -> str:
    """A Snakefile with as many jobs as a sweep over these experiments has."""
    one = "results/{experiment}"
    compared, issued, page = (
        f"{one}/{name}" for name in ("compare/replica.json", "certificate.json", "certificate.html")
    )
    all_issued = [issued.format(experiment=folder) for folder in folders]
    all_pages = [page.format(experiment=folder) for folder in folders]
    runs = [f"{one}/train/{run}" for run in RUNS]
    data, index = ["data/arrays", "data/record.json"], ["results/index.html", "results/index.csv"]
    certified = [environment("certify"), data[1], *runs, compared]
    rules = [
        rule("all", [*index, *all_issued, *all_pages], []),
        rule("environment", [], [environment("{environment}")]),
        rule("load", [environment("load")], data),
        rule("train", [environment("train"), data[0]], [f"{one}/train/{{run}}"]),
        rule("compare", [environment("compare"), *runs], [compared]),
        rule("certify", certified, [issued, f"{one}/config.json"]),
        rule("render", [environment("render"), issued], [page, f"{one}/badge.svg"]),
        rule("index", [environment("render"), *all_issued], index),
    ]
    return "\n".join(rules)


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
        stored = (json.loads(path.read_bytes()) for path in folder.glob(".samebits/configs/*"))
        (listed,) = (found["combinations"] for found in stored if "combinations" in found)
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
        """What the sweep's dry run costs."""
        return self._seconds(ROOT / "Snakefile", "--config", *self._sweep)

    def theirs(self) -> float:
        """What the bare Snakefile's costs."""
        return self._seconds(self._bare)

    def _seconds(self, snakefile: Path, *config: str) -> float:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        self._dry_run(snakefile, *config)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def lines(folder: Path, pairs: int) -> Iterator[Line]:
    """Ratios to the bare Snakefile's time, and growth."""
    ours: dict[int, list[float]] = {}
    for combinations in COMBINATIONS:
        where = folder / f"sweep-{combinations}"
        where.mkdir()
        bench = Bench(where, combinations)
        seconds = in_turn({"ours": bench.ours, "theirs": bench.theirs}, pairs)
        ours[combinations] = seconds["ours"]
        of = f"{combinations:,} combinations, {bench.jobs:,} jobs"
        goal = _GOAL if combinations == max(COMBINATIONS) else None
        yield ratio(f"{of}: CPU time", ours[combinations], seconds["theirs"], goal)
        yield figure(f"{of}: CPU time", "s", ours[combinations])
    few, some, many = COMBINATIONS
    further = _each(ours, some, many), _each(ours, few, some)
    yield ratio(f"one more combination among {many:,}, against among {some:,}", *further)


def _each(seconds: dict[int, list[float]], less: int, more: int) -> list[float]:
    """Seconds for each combination from some number of them to another."""
    pairs = zip(seconds[less], seconds[more], strict=True)
    return [(b - a) / (more - less) for a, b in pairs]


if __name__ == "__main__":
    main(lines, pairs=3)
