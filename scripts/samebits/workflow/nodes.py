"""Nodes for runs that must not meet: the cluster's, shared out to two sides.

A partition that has two usable nodes has some on either side. So two runs, one of each side, are
never on the same node, can start at once, and need nothing from an administrator.
"""

import subprocess
from collections.abc import Iterable
from functools import cache

from samebits.experiment import protocol
from samebits.experiment.protocol import PlannedRun

_USABLE = "idle,mixed,allocated,completing"
_SECONDS = 30  # a controller that is away must not hold the start


def apart(runs: Iterable[PlannedRun], run: PlannedRun) -> str | None:
    """What keeps `another node` off the other runs' nodes, for sbatch; None where nothing can."""
    if all(protocol.NODE not in planned.variations for planned in runs):
        return None
    sides = split(_nodes())
    others = sides[0 if protocol.NODE in run.variations else 1]
    return f"--exclude={','.join(others)}" if all(sides) else None


@cache
def _nodes() -> tuple[tuple[str, str], ...]:
    """(partition, node) of every node that can run something; none without Slurm."""
    command = ["sinfo", "--noheader", "--Node", "--states", _USABLE, "--format", "%R %N"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_SECONDS)
    except (OSError, subprocess.TimeoutExpired):
        return ()
    pairs = (line.split() for line in done.stdout.splitlines())
    return tuple((pair[0], pair[1]) for pair in pairs if len(pair) == 2)


def split(nodes: Iterable[tuple[str, str]]) -> tuple[list[str], list[str]]:
    """Two lists of nodes, balanced within each partition; the small partitions are served first."""
    partitions: dict[str, list[str]] = {}
    for partition, node in sorted(nodes):
        partitions.setdefault(partition, []).append(node)
    side: dict[str, int] = {}
    for members in sorted(partitions.values(), key=len):
        for node in members:
            taken = [side[other] for other in members if other in side]
            side.setdefault(node, int(taken.count(0) > taken.count(1)))
    return [n for n in side if side[n] == 0], [n for n in side if side[n] == 1]
