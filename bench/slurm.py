#!/usr/bin/env python3
"""A cluster's queue: the default experiment by Slurm, against here.

Both go from the start of the command to the certificate on disk. Both trainings are jobs, side by
side, so that what is more is what one job costs: Slurm, Snakemake's two starts in it, and the time
until its plugin looks. Where no Slurm answers, one of two nodes is started on this machine, which
needs root; the trainings themselves take as long there.
"""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from subprocess import DEVNULL

from paired import ROOT, Line, attributes, figure, in_turn, main, ratio, skipped
from prepared import Prepared

import loopback

_GOAL = 20.0  # seconds more
# The profile asks for checkpoints; so does the other, so that both train the same.
_WAYS = {
    "here": ("--cores", "all", "--config", "checkpoint=epoch"),
    "Slurm": ("--profile", str(ROOT / "profiles/slurm")),
}
_TITLES = ("trainings as jobs: time of all", "trainings as jobs: longer")


def _answers() -> bool:
    """Whether there is a Slurm, this machine's own or one that was started around this program."""
    sinfo = shutil.which("sinfo")
    return sinfo is not None and subprocess.call([sinfo], stdout=DEVNULL, stderr=DEVNULL) == 0


@contextmanager
def cluster(folder: Path) -> Iterator[None]:
    """Slurm answers meanwhile. Raises loopback.NoClusterError."""
    if _answers():
        yield
        return
    loopback.install()
    folder.mkdir()
    started = loopback.Cluster(folder)
    try:
        started.start()
        os.environ["SLURM_CONF"] = str(started.configuration)
        yield
    finally:
        started.stop()


def lines(folder: Path, pairs: int) -> Iterator[Line]:
    """How much longer it takes, or why that cannot be said."""
    try:
        with cluster(folder / "slurm"):
            prepared = Prepared(folder)
            runs = {name: partial(prepared.certificate, way=way) for name, way in _WAYS.items()}
            took = attributes(in_turn(runs, pairs), "wall")
    except loopback.NoClusterError as error:
        yield skipped(_TITLES[0], f"no Slurm: {error}")
        yield skipped(_TITLES[1], f"no Slurm: {error}", "s", _GOAL)
        return
    yield ratio(_TITLES[0], took["Slurm"], took["here"])
    more = [a - b for a, b in zip(took["Slurm"], took["here"], strict=True)]
    yield figure(_TITLES[1], "s", more, _GOAL)


if __name__ == "__main__":
    main(lines, pairs=3)
