"""What differs between two runs: their bits, and what could be the cause.

INPUTS      two sides, see samebits.replay.sides
OUTPUTS     JSON of format samebits-diff-1, which samebits.pages.difference puts into words
GUARANTEES  bits are compared by digest, in every artifact that both runs recorded in the same way;
            all differences are listed, sorted by name; where bits differ, the first epoch by the
            histories, in ULP, and the first step and tensors by the traces, or why they are unknown
"""

from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import Any

import numpy as np

from samebits.certificate import checks
from samebits.certificate.report import facts
from samebits.certificate.types import RunRecord
from samebits.comparison import runs
from samebits.comparison.difference import measure
from samebits.comparison.divergence import as_computed
from samebits.config import keys
from samebits.errors import SamebitsError, require_none
from samebits.formats import history
from samebits.formats.names import ARTIFACTS, COMPLETED, NOT_TRIED
from samebits.replay.sides import Side

FORMAT = "samebits-diff-1"
# Of the facts about a run's environment, those about its software.
_SOFTWARE = ("Python", "TensorFlow", "Keras", "packages")
_FEATURES = "CPU features"
_UNNAMED = ("curves", "loss_curve")  # of a divergence: for charts


def difference(a: Side, b: Side) -> dict[str, Any]:
    """Everything that differs, as JSON. Raises SamebitsError where neither has a result."""
    require_none(
        f"{given.path}: its run was not tried, so nothing is known of it"
        for given in (a, b)
        if given.record["status"] == NOT_TRIED
    )
    if not a.record["digests"] and not b.record["digests"]:
        raise SamebitsError(f"{a.path}, {b.path}: neither run completed, so no bits are known")
    artifacts = list(_artifacts(a.record, b.record))
    same = all(found["same"] is not False for found in artifacts)
    parted = None if same else _parted(a, b)
    return {
        "format": FORMAT,
        "same": same,
        "a": _described(a),
        "b": _described(b),
        "artifacts": artifacts,
        "history": None if same else _first_epoch(a.history, b.history),
        "divergence": parted and parted["divergence"],
        "tensors": parted and parted["tensors"],
        "causes": {name: list(find(a.record, b.record)) for name, find in _CAUSES.items()},
    }


def _described(given: Side) -> dict[str, Any]:
    record = given.record
    return {
        "path": str(given.path),
        "what": given.what,
        "signed": given.signed,
        "status": record["status"],
        "has_files": given.run is not None,
    }


# --- bits --------------------------------------------------------------------------------------


def _artifacts(a: RunRecord, b: RunRecord) -> Iterator[dict[str, Any]]:
    """Each artifact by digest; ``same`` is None for traces with rows of other steps."""
    traced = [(record["trace"] or {}).get("every") for record in (a, b)]
    for name in ARTIFACTS:
        ours, theirs = a["digests"].get(name), b["digests"].get(name)
        is_same = ours == theirs and a["tensors"].get(name) == b["tensors"].get(name)
        comparable = name != "trace" or None in traced or traced[0] == traced[1]
        yield {"artifact": name, "same": is_same if comparable else None, "a": ours, "b": theirs}


def _parted(a: Side, b: Side) -> dict[str, Any] | None:
    """The first step and tensors, and the arrays that only one has or that have another form."""
    if a.run is None or b.run is None or {a.record["status"], b.record["status"]} != {COMPLETED}:
        return None
    found = runs.compare_pair(a.run, b.run)
    where = found["divergence"]
    named = [
        {"name": d["name"], "kind": d["kind"], "a": d["control"], "b": d["replica"]}
        for one in found["artifacts"]
        for d in one["differences"]
        if d["kind"] != "values" and one["artifact"] == "weights"
    ]
    return {
        "divergence": where and {key: where[key] for key in where if key not in _UNNAMED},
        "tensors": named,
    }


def _first_epoch(a: Any, b: Any) -> dict[str, Any] | None:
    """The first epoch, from 1, in which histories differ, with every metric that differs there."""
    if a is None or b is None:
        return None
    ours, theirs = (history.from_json(content) for content in (a, b))
    common = sorted({*ours} & {*theirs})
    apart = [
        (epoch, found)
        for name in common
        for epoch, pair in enumerate(zip(ours[name], theirs[name], strict=False), start=1)
        if (found := _apart(name, *pair))
    ]
    first = min((epoch for epoch, _ in apart), default=None)
    return {
        "epoch": first,
        "metrics": [found for epoch, found in apart if epoch == first],
        "epochs": [max(map(len, values.values()), default=0) for values in (ours, theirs)],
        "only": [sorted(set(values) - set(common)) for values in (ours, theirs)],
    }


def _apart(name: str, *pair: float) -> dict[str, Any] | None:
    """Two values of a metric, their bits and distance, as float32 where they are; None: equal."""
    both = as_computed(*(np.array([value], "<f8") for value in pair))
    found = measure(*both)
    if found is None:
        return None
    return {
        "metric": name,
        "dtype": both[0].dtype.name,
        "a": asdict(found.control),
        "b": asdict(found.replica),
        "ulp": found.largest_ulp,
    }


# --- possible causes ---------------------------------------------------------------------------


def _changes(a: Mapping[str, Any], b: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Every name with another value, or none on one side, sorted."""
    for name in sorted({*a, *b}):
        if not checks.same(a.get(name), b.get(name)):
            yield {"what": name, "a": a.get(name), "b": b.get(name)}


def _code(a: RunRecord, b: RunRecord) -> Iterator[dict[str, Any]]:
    """The modules that ran and the files that were read, by path, and the commits."""
    yield from _changes(*({e["path"]: e["sha256"] for e in _executed(r)} for r in (a, b)))
    yield from _changes(*(_commits(record) for record in (a, b)))


def _executed(record: RunRecord) -> Iterator[Any]:
    yield from record["source"]
    yield from record["files"]["read"]


def _commits(record: RunRecord) -> dict[str, Any]:
    found: Any = record.get("repositories") or {}
    return {
        f"commit of the {name}": repository["commit"]
        for name, repository in found.items()
        if repository is not None
    }


def _config(a: RunRecord, b: RunRecord) -> Iterator[dict[str, Any]]:
    for found in keys.differences(a["config"], b["config"]):
        sides = (keys.shown(value) for value in (found.expected, found.got))
        yield {"what": found.key, **dict(zip("ab", sides, strict=True))}


def _packages(a: RunRecord, b: RunRecord) -> Iterator[dict[str, Any]]:
    yield from _changes(*({p["name"]: p["version"] for p in r["packages"]} for r in (a, b)))
    yield from _changes(*(_facts(record, software=True) for record in (a, b)))


def _machine(a: RunRecord, b: RunRecord) -> Iterator[dict[str, Any]]:
    """What the machine is, and the settings that took effect."""
    ours, theirs = (_facts(record, software=False) for record in (a, b))
    features = [set((found.pop(_FEATURES, None) or "").split()) for found in (ours, theirs)]
    only = [" ".join(sorted(left - right)) for left, right in (features, features[::-1])]
    yield from _changes(ours | {_FEATURES: only[0]}, theirs | {_FEATURES: only[1]})
    yield from _changes(
        *({s["name"]: s["effective"] for s in record.get("settings", ())} for record in (a, b))
    )


def _facts(record: RunRecord, software: bool) -> dict[str, Any]:
    return {
        what: value
        for what, value in facts(record).items()
        if what.startswith(_SOFTWARE) == software
    }


def _data(a: RunRecord, b: RunRecord) -> Iterator[dict[str, Any]]:
    """The data set, and what the training received of it, whatever the order."""
    yield from _changes(*({"data set": record["dataset"]} for record in (a, b)))
    yield from _changes(*({f"received: {k}": v for k, v in _received(r)} for r in (a, b)))


def _received(record: RunRecord) -> Iterator[tuple[str, Any]]:
    data = record["data"]
    if data is not None:
        yield from (("samples", data["samples"]), ("fingerprint", data["fingerprint"]))


_CAUSES = {
    "code": _code,
    "config": _config,
    "packages": _packages,
    "machine": _machine,
    "data": _data,
}
