"""What an index says of each certificate of a sweep: what the certificate says, in a row."""

import hashlib
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from samebits.certificate import certificate
from samebits.errors import SamebitsError, all_problems
from samebits.experiment.protocol import CONTROL
from samebits.formats import canonical, history
from samebits.pages import runs as compared

FORMAT = "samebits-sweep-1"  # of the file that lists the combinations
VALIDATION = "val_"  # Keras puts this before the name of a metric on validation data
_OPTION = "option"  # in a group of the config: which one was chosen
_USUAL, _LOSS, _SEED = "accuracy", "loss", "seed"

Report = Mapping[str, Any]
_ABSENT = object()


@dataclass(frozen=True)
class Row:
    """One certificate."""

    name: str  # of the combination
    certificate: str  # where it lies, and its page, from the index
    page: str
    sha256: str  # of the certificate's file
    digest: str  # of the experiment
    verdict: str
    signature: str  # SIGNED or UNSIGNED
    swept: Mapping[str, Any]  # by key; a key that the config has not is not there
    group: str | None  # the same for experiments that differ in the seed only
    seed: int | None
    metrics: Mapping[str, float]  # of the control's last epoch
    parted: Mapping[str, Any] | None  # where the control and another run part
    depends_on: tuple[str, ...]
    runs: int
    seconds: float  # of all runs' processes together


@dataclass(frozen=True)
class Spread:
    """A metric over the seeds of experiments that are otherwise the same."""

    swept: Mapping[str, Any]
    values: tuple[tuple[int, float], ...]  # by seed; finite ones
    not_finite: int

    @property
    def numbers(self) -> list[float]:
        """The values alone, sorted."""
        return sorted(value for _, value in self.values)

    @property
    def middle(self) -> float:
        """The median."""
        return median(self.numbers)


def read(sweep: Path) -> list[Row]:
    """The certificates that a sweep's file lists, in its order.

    Raises SamebitsError with every one that is missing, damaged or of another experiment.
    """
    listed = canonical.read_json(sweep)
    if listed.get("format") != FORMAT:
        raise SamebitsError(f"{sweep}: expected format {FORMAT}, got {listed.get('format')}")
    rows, problems = [], []
    for combination in listed["combinations"]:
        try:
            rows.append(_row(sweep.parent, combination, listed["keys"]))
        except SamebitsError as error:
            problems.append(str(error))
    if problems:
        raise SamebitsError(all_problems(problems))
    return rows


def _row(folder: Path, combination: Mapping[str, str], keys: Sequence[str]) -> Row:
    path = folder / combination["certificate"]
    content, sha256 = _certificate(path, combination["digest"])
    report = content["report"]
    experiment, config = report["experiment"], report["experiment"]["config"] or {}
    found = ((key, _value(config, key)) for key in keys)
    return Row(
        name=combination["name"],
        certificate=combination["certificate"],
        page=combination["page"],
        sha256=sha256,
        digest=experiment["digest"],
        verdict=report["verdict"],
        signature=content["signature"],
        swept={key: value for key, value in found if value is not _ABSENT},
        group=canonical.digest({k: v for k, v in config.items() if k != _SEED}) if config else None,
        seed=config.get(_SEED),
        metrics=_last(report),
        parted=_parted(report),
        depends_on=tuple(report["scope"]["depends_on"]),
        runs=len(report["records"]["runs"]),
        seconds=sum(_seconds(report)),
    )


def _certificate(path: Path, digest: str) -> tuple[dict[str, Any], str]:
    """A certificate of an experiment. It was verified when it was issued, and is not here."""
    content = canonical.read_json(path)
    form = content.get("format") if isinstance(content, dict) else None
    if form != certificate.FORMAT:
        raise SamebitsError(
            f"{path}: expected format {certificate.FORMAT}, got {form}; delete it to have it made "
            "again"
        )
    got = content["report"]["experiment"]["digest"]
    if got != digest:
        raise SamebitsError(
            f"{path}: expected the certificate of the experiment {digest}, got one of {got}; "
            "delete it to have it made again"
        )
    return content, hashlib.sha256(path.read_bytes()).hexdigest()


def _value(config: Mapping[str, Any], key: str) -> Any:
    """What a config has for a swept key; for a group, the option that was chosen."""
    node: Any = config
    for part in key.split("."):
        if not isinstance(node, Mapping) or part not in node:
            return _ABSENT
        node = node[part]
    return node[_OPTION] if isinstance(node, Mapping) and _OPTION in node else node


def _last(report: Report) -> dict[str, float]:
    found = report["histories"].get(CONTROL)
    if found is None:
        return {}
    return {name: values[-1] for name, values in history.from_json(found).items() if values}


def _parted(report: Report) -> Mapping[str, Any] | None:
    """The divergence of the replica, or of the run that differs with the fewest changes."""
    runs = compared.compared(report)
    differing = [run for run in compared.unexpected(runs) if run.result["divergence"]]
    for run in [*(run for run in runs[:1] if run in differing), *differing]:
        return {"run": run.run, **run.result["divergence"]}
    return None


def _seconds(report: Report) -> Iterator[float]:
    for record in report["records"]["runs"].values():
        seconds = ((record or {}).get("timing") or {}).get("seconds")
        if isinstance(seconds, int | float):
            yield seconds


# --- all rows together ---------------------------------------------------------------------------


def metrics(rows: Iterable[Row]) -> list[str]:
    """Every metric that any certificate has, each beside that on validation data, the loss last."""
    names = {name for row in rows for name in row.metrics}
    return sorted(names, key=lambda name: _place(name.removeprefix(VALIDATION), name))


def _place(metric: str, name: str) -> tuple[bool, bool, str, bool]:
    return metric == _LOSS, metric != _USUAL, metric, name != metric


def telling(rows: Iterable[Row]) -> list[str]:
    """The metric that says most, and the same on validation data: the last one is compared."""
    names = metrics(rows)
    first = next((name for name in names if not name.endswith(_LOSS)), _LOSS)
    return [name for name in (first, f"{VALIDATION}{first}") if name in names]


def spreads(rows: Iterable[Row], metric: str) -> dict[str, Spread]:
    """A metric over seeds by group, wherever experiments that are otherwise equal have several."""
    groups: dict[str, list[Row]] = {}
    for row in rows:
        if row.group is not None and row.seed is not None and metric in row.metrics:
            groups.setdefault(row.group, []).append(row)
    return {key: _spread(found, metric) for key, found in groups.items() if len(found) > 1}


def _spread(rows: Sequence[Row], metric: str) -> Spread:
    finite = sorted(
        (row.seed or 0, row.metrics[metric]) for row in rows if math.isfinite(row.metrics[metric])
    )
    swept = {key: value for key, value in rows[0].swept.items() if key != _SEED}
    return Spread(swept, tuple(finite), len(rows) - len(finite))
