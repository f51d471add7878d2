#!/usr/bin/env python3
"""Measure what a replay of one epoch of many costs, against one of all.

A certificate with checkpoints is made once, of MNIST with the default model. Then both replays of
its bundle run in turn, pair by pair, each without earlier results; environments and data are there.
Their wall times hold what any replay costs (Snakemake, the import of TensorFlow, verifying), so the
training alone is told as well, as the runs record it.

    spot.py [--pairs N] [--epochs N]
"""

import argparse
import json
import os
import shutil
import statistics
import sys
import tempfile
from pathlib import Path

from bench import ROOT, Cost, measure


def _snakemake(folder: Path, *arguments: str) -> Cost:
    where = ["--snakefile", str(ROOT / "Snakefile"), "--directory", str(folder)]
    profile = ["--workflow-profile", str(ROOT / "profiles/default")]
    command = [sys.executable, "-m", "snakemake", "--cores", "all", *where, *profile, *arguments]
    return measure(command, cwd=ROOT)


def _replay(folder: Path, run: str, *epochs: str) -> tuple[float, float]:
    """Seconds of a replay, and of its training alone."""
    given = f"certificate={folder / 'certificate.zip'}"
    shutil.rmtree(folder / "results/again", ignore_errors=True)
    cost = _snakemake(folder, "replay", "--config", given, "name=again", *epochs)
    record = json.loads((folder / "results/again/train" / run / "record.json").read_bytes())
    return cost.wall, float(record["timing"]["fit_seconds"])


def _row(what: str, all_of_it: list[float], one: list[float]) -> str:
    ratios = [part / whole for part, whole in zip(one, all_of_it, strict=True)]
    medians = f"{statistics.median(all_of_it):8.1f} s {statistics.median(one):8.1f} s"
    spread = f"{statistics.median(ratios):6.3f} ({min(ratios):.3f} to {max(ratios):.3f})"
    return f"{what:20}{medians}  {spread}"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=20)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        os.environ["XDG_CONFIG_HOME"] = str(folder / "config")  # a key of the benchmark's own
        own = f"overrides=trainer.checkpoint=epoch trainer.epochs={options.epochs}"
        _snakemake(folder, "all", "bundle", "--config", "name=made", own)
        (folder / "results/made/certificate.zip").rename(folder / "certificate.zip")
        whole, one = [], []
        for _ in range(options.pairs):
            whole.append(_replay(folder, "replay"))
            one.append(_replay(folder, "spot", "epochs=1"))
    print(f"1 of {options.epochs} epochs against all, {options.pairs} pairs; median, ratio")
    for position, what in enumerate(("replay, wall", "training alone")):
        print(_row(what, [cost[position] for cost in whole], [cost[position] for cost in one]))


if __name__ == "__main__":
    main()
