"""The shared random number generators of two runs: whether they ended in the same states."""

from collections.abc import Mapping
from typing import Any


def compare(control: Mapping[str, Any], replica: Mapping[str, Any]) -> dict[str, Any] | None:
    """Which generators ended in other states, by the runs' records.

    None where that shows nothing: a run without results, without a seed, or that was resumed.
    """
    both = (control, replica)
    if control["config"]["determinism"]["seeding"] is None or any(map(_tells_nothing, both)):
        return None
    ours, theirs = (record["generators"] for record in both)
    differing = sorted(name for name in ours if ours[name] != theirs[name])
    return {"identical": not differing, "differing": differing}


def _tells_nothing(record: Mapping[str, Any]) -> bool:
    resumed = (record.get("checkpoints") or {}).get("resumed")
    return record["generators"] is None or bool(record["unpinned"]) or bool(resumed)
