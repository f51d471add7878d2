"""Runs that were killed and resumed: what their bits show, and what they do not.

A resumed run has the bits of an uninterrupted one if its checkpoints hold all state of the model.
Whether they do is shown by the run that has the canary: it trains its last epoch again, by a model
built anew, from the checkpoint before it, and finds no number in Python that differs; or by a run
that was resumed and equals one that was not.
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
        numbers = again["attributes"]
        if again["digests"] == replica["checkpoints"]["digests"][-1]:
            return _COUNTING.format(few(numbers)) if numbers else None
        return _LACKING.format(f" (differing in Python: {few(numbers)})" if numbers else "")
    same = replica["status"] == COMPLETED and control["digests"] == replica["digests"]
    if same and bool(resumed(control)) != bool(resumed(replica)):
        return None
    why = f" (the last epoch could not be trained again: {again['failure']})" if again else ""
    return f"nothing shows that the checkpoints hold all state of the model{why}"


_WAY_OUT = "keep that state in variables of the model, or use trainer.checkpoint=none"
_LACKING = (
    "the checkpoints do not hold all state of the model: its last epoch, trained again from the "
    f"checkpoint before it, has other bits{{}}; {_WAY_OUT}"
)
_COUNTING = (
    "the checkpoints do not hold the numbers in Python that change while the model trains ({}), "
    f"and these may decide what some epoch does; {_WAY_OUT}"
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
    ended = [(run["digests"], states.from_record(run)) for run in (control, record)]
    differ = record["status"] == COMPLETED and ended[0] != ended[1]
    how = between(control, record)
    if differ and how:
        yield f"{how}, they differ, and {lacking}; {FIRST_SUSPECT}"
    elif resumed(control) and resumed(record):
        both = f"{control['run']} and {record['run']} were both {_resumed(record)}"
        yield f"{how or both}, and {lacking}"


def sampling_problem(runs: Mapping[str, Any]) -> str | None:
    """Why no epoch can be trained alone, from its checkpoint; None: it can. ``runs``: records."""
    control, replica = runs.get(CONTROL), runs.get(REPLICA)
    if not control or not replica:
        return "two runs are needed to show that the checkpoints hold all state of the model"
    return lacking(control, replica)
