#!/usr/bin/env python3
"""Measure what a cluster's queue costs: the default experiment here, and through Slurm.

Both go from the start of the command to the certificate on disk, in turn, with environments built
and data loaded before. On the tests' cluster, two nodes on this machine, the trainings themselves
take as long: what is left is Slurm, Snakemake's two starts in a job, and the time until its plugin
looks.

    tests/loopback.py bench/slurm.py [--pairs N]
"""

import argparse
import os
import shutil
import statistics
import sys
import tempfile
from pathlib import Path

from bench import ROOT, measure

WAYS = {"here": ["--cores", "all"], "Slurm": ["--profile", str(ROOT / "profiles/slurm")]}


def _seconds(folder: Path, way: list[str]) -> float:
    shutil.rmtree(folder / "results", ignore_errors=True)
    where = ["--snakefile", str(ROOT / "Snakefile"), "--directory", str(folder)]
    return measure([sys.executable, "-m", "snakemake", *where, *way], cwd=ROOT).wall


def main() -> None:
    """Print a line for each pair, and the median."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pairs", type=int, default=3)
    pairs = parser.parse_args().pairs
    if shutil.which("sbatch") is None:
        sys.exit("expected Slurm's commands, got none; run it on a cluster, or as shown above")
    more = []
    with tempfile.TemporaryDirectory() as name:
        os.environ["XDG_CONFIG_HOME"] = str(Path(name, "config"))  # a key of the benchmark's own
        _seconds(Path(name), WAYS["here"])  # builds environments and loads the data
        for _ in range(pairs):
            took = {way: _seconds(Path(name), flags) for way, flags in WAYS.items()}
            more.append(took["Slurm"] - took["here"])
            print(", ".join(f"{way} {seconds:.1f} s" for way, seconds in took.items()), flush=True)
    print(f"Slurm takes {statistics.median(more):.1f} s more (median of {pairs} pairs)")


if __name__ == "__main__":
    main()
