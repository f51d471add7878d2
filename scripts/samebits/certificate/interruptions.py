"""Runs that were killed and resumed: what their bits show, and what they do not.

A resumed run has the bits of an uninterrupted one if its checkpoints hold all state of the model.
Whether they do is shown by the run that has the canary: it trains its last epoch again, by a model
built anew, from the checkpoint before it; or by two equal runs that were interrupted differently.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from samebits.certificate.types import RunRecord
from samebits.experiment.protocol import CONTROL, REPLICA
from samebits.formats import states
from samebits.formats.names import COMPLETED
from samebits.text import few, listed

VARIATION = "interrupt"
FIRST_SUSPECT = "the interruption is the first suspect: repeat the runs without one"


def resumed(record: Mapping[str, Any]) -> list[int]:
    """The epochs after which a run was resumed."""
    return list((record.get("checkpoints") or {"resumed": []})["resumed"])


def lacking(control: Mapping[str, Any], replica: Mapping[str, Any]) -> str | None:
    """Why a run that resumes may have other bits; None: checkpoints hold all state of the model."""
    again = (replica.get("checkpoints") or {"again": None})["again"]
    if again is not None and again["digests"] is not None:
        same = again["digests"] == replica["checkpoints"]["digests"][-1]
        named = f" (differing in Python: {few(again['attributes'])})" if again["attributes"] else ""
        return None if same else _LACKING.format(named)
    same = replica["status"] == COMPLETED and control["digests"] == replica["digests"]
    if same and resumed(control) != resumed(replica):
        return None
    why = f" (the last epoch could not be trained again: {again['failure']})" if again else ""
    return f"nothing shows that the checkpoints hold all state of the model{why}"


_LACKING = (
    "the checkpoints do not hold all state of the model: its last epoch, trained again from the "
    "checkpoint before it, has other bits{}; keep that state in variables of the model, or use "
    "trainer.checkpoint=none"
)


def between(control: RunRecord, record: RunRecord) -> str | None:
    """How two runs were interrupted differently, and nobody meant it; None: they were not."""
    planned = VARIATION in record["variations"]["applied"] and not resumed(control)
    if planned or resumed(control) == resumed(record):
        return None
    return " and ".join(f"{run['run']} was {_resumed(run)}" for run in (control, record))


def _resumed(record: RunRecord) -> str:
    after = resumed(record)
    return f"resumed after epoch {listed(list(map(str, after)))}" if after else "not interrupted"


def problems(control: RunRecord, record: RunRecord, lacking: str | None) -> Iterator[str]:
    """Why resumed runs show nothing: their bits may be those of no uninterrupted run."""
    if lacking is None:
        return
    after = resumed(control)
    ended = [(run["digests"], states.from_record(run)) for run in (control, record)]
    differ = record["status"] == COMPLETED and ended[0] != ended[1]
    if differ and (how := between(control, record)):
        yield f"{how}, they differ, and {lacking}; {FIRST_SUSPECT}"
    elif after and after == resumed(record):
        yield f"{control['run']} and {record['run']} were both {_resumed(record)}, and {lacking}"


def sampling_problem(runs: Mapping[str, Any]) -> str | None:
    """Why no epoch can be trained alone, from its checkpoint; None: it can. ``runs``: records."""
    control, replica = runs.get(CONTROL), runs.get(REPLICA)
    if not control or not replica:
        return "two runs are needed to show that the checkpoints hold all state of the model"
    return lacking(control, replica)
