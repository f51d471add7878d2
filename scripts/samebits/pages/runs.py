"""Runs compared with their control, as rows of the page, the most important first.

Control and replica are always shown; of the other runs those that differ, a few of them in full.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from samebits.certificate.types import ComparedRun, Divergence, Report
from samebits.comparison import attribution
from samebits.formats.names import COMPLETED, DIFFERENT, NOT_TRIED, SAME, TITLES
from samebits.pages import charts, wording

MOST_SHOWN = 3  # differing runs of which everything is shown; the rest are listed
MOST_DIFFERENCES = 40  # of one run
MOST_LAYERS = 12  # layers in the table of one run
_FEW_LAYERS = 3  # of a run that is listed
_MEANINGS = {
    "history": "loss and metrics of every epoch",
    "weights": "every number the model learned",
    "optimizer": "step count and moments, from which training would continue",
    "state": "all other variables of the model, lookup tables, the optimizers’ settings",
    "predictions": "answers for the first batch, and the evaluation of the validation set",
    "trace": "fingerprints of the weights during training, and of the batches",
}


def title(artifact: str) -> str:
    """An artifact's name, as the page writes it."""
    return TITLES[artifact].capitalize()


@dataclass(frozen=True)
class Compared:
    """One run beside its control."""

    control: str
    run: str
    status: tuple[str, str]  # of the control and of the run
    changed: tuple[str, ...]  # titles of its variations
    unpinned: str | None  # title of the setting that was unpinned in it
    result: ComparedRun
    record: Mapping[str, Any]  # empty where the certificate has none

    @property
    def tried(self) -> bool:
        """Whether it shows anything."""
        return self.status[0] == COMPLETED and self.status[1] != NOT_TRIED

    @property
    def differs(self) -> bool:
        """Whether it was tried and has other bits than its control."""
        return self.tried and not self.result["identical"]

    @property
    def bits(self) -> str:
        """Whether its bits are the control's, or why it has none, as variations say it."""
        if self.differs and self.status[1] != COMPLETED:
            return self.status[1]
        return DIFFERENT if self.differs else SAME if self.tried else NOT_TRIED

    @property
    def outcome(self) -> str:
        """How it came out, in a few words."""
        if self.status[1] != COMPLETED:
            return self.status[1]
        if not self.differs:
            return "identical"
        return "different when unpinned" if self.unpinned else "different"

    @property
    def title(self) -> str:
        """How this run differs from its control by design."""
        if self.unpinned:
            return f"unpinned: {self.unpinned}"
        if len(self.changed) > 1:
            return f"{len(self.changed)} things varied together"
        return f"varied: {self.changed[0]}" if self.changed else "nothing varied"


def compared(report: Report) -> list[Compared]:
    """Every run that was compared with a control, in the order of the certificate."""
    pins = {pin["run"]: pin["what"] for pin in report["scope"]["pins"]}
    changed: dict[str, list[str]] = {}
    for variation in report["scope"]["variations"]:
        if variation["outcome"] != NOT_TRIED:
            changed.setdefault(variation["run"], []).append(variation["what"])
    found, records = [], report["records"]["runs"]
    for comparison in report["comparisons"]:
        control, status = comparison["control"], comparison["status"]
        for result in comparison["runs"]:
            run, of_both = result["run"], (status.get(control, ""), status.get(result["run"], ""))
            varied = tuple(changed.get(run, ()))
            record: Mapping[str, Any] = records.get(run) or {}
            found.append(Compared(control, run, of_both, varied, pins.get(run), result, record))
    return found


def unexpected(runs: Sequence[Compared]) -> list[Compared]:
    """The runs that differ and should not, those with the fewest variations first."""
    found = [run for run in runs if run.differs and not run.unpinned]
    return sorted(found, key=lambda run: len(run.changed))


def shown(runs: Sequence[Compared]) -> list[Compared]:
    """The few unexpected runs that are shown in full, among them the first run if it differs."""
    found = [run for run in unexpected(runs) if run.result["divergence"]]
    first = [run for run in runs[:1] if run in found]
    return [run for run in found if run not in first][: MOST_SHOWN - len(first)] + first


# --- artifact by artifact --------------------------------------------------------------------


def artifacts(runs: Sequence[Compared]) -> Iterator[dict[str, Any]]:
    """Each artifact of the first two runs and of the few that differ; none without a control."""
    others = [run for run in shown(runs) if run is not runs[0]]
    for artifact in runs[0].result["artifacts"] if runs and runs[0].tried else ():
        name = artifact["artifact"]
        pair = zip((runs[0].control, runs[0].run), artifact["digests"], strict=True)
        yield {
            "title": title(name),
            "meaning": _MEANINGS[name],
            "identical": artifact["identical"],
            "absent": None in artifact["digests"],
            "runs": list(pair),
            "others": list(_others(name, runs[0].control, others)),
        }


def _others(name: str, control: str, others: Sequence[Compared]) -> Iterator[dict[str, Any]]:
    """The digests of one artifact in further runs, each after the digest of its control."""
    known = {control}
    for other in others:
        for found in (a for a in other.result["artifacts"] if a["artifact"] == name):
            of_control, digest = found["digests"]
            if other.control not in known:
                yield {"run": other.control, "digest": of_control, "control": None}
            known.add(other.control)
            same = {"control": other.control, "identical": found["identical"]}
            yield {"run": other.run, "digest": digest} | same


def counted(runs: Sequence[Compared]) -> str:
    """How many runs are not shown artifact by artifact, by outcome; empty when there are none."""
    rest = [run for run in runs[1:] if run not in shown(runs)]
    if not rest:
        return ""
    outcomes = [run.outcome for run in rest]
    said = ", ".join(f"{outcomes.count(outcome)} {outcome}" for outcome in dict.fromkeys(outcomes))
    runs_were = "run was" if len(rest) == 1 else "runs were"
    return f"{len(rest)} more {runs_were} compared with a control in the same way: {said}."


def differences(runs: Sequence[Compared]) -> tuple[list[dict[str, Any]], int]:
    """The first differences of the runs that are shown in full, and the number of the rest.

    Differences between fingerprints have no size and are left out.
    """
    first, more = list[dict[str, Any]](), 0
    for run in shown(runs):
        found = [
            difference | {"of": run.run, "from": run.control, "where": title(artifact["artifact"])}
            for artifact in run.result["artifacts"]
            for difference in artifact["differences"]
            if artifact["artifact"] != "trace" or difference["kind"] != "values"
        ]
        first += found[:MOST_DIFFERENCES]
        more += len(found[MOST_DIFFERENCES:])
    return first, more


# --- first divergence ------------------------------------------------------------------------


def divergences(runs: Sequence[Compared]) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Where each differing run diverges from its control: a few with charts, and the rest."""
    unpinned = [run for run in runs if run.differs and run.unpinned]
    drawn = [run for run in (*shown(runs), *unpinned) if run.result["divergence"]][:MOST_SHOWN]
    listed = [run for run in (*unexpected(runs), *unpinned) if run not in drawn]
    return [_divergence(run, draw=True) for run in drawn], [_divergence(run) for run in listed]


def _divergence(run: Compared, draw: bool = False) -> dict[str, Any]:
    found = run.result["divergence"]
    if found is None:
        where = _ENDS.get(run.status[1], "Where they first differ is unknown.")
        return {"run": run, "where": where, "loss": ""}
    return {"run": run} | describe(found, draw) | _attribution(run, found["step"])


def _attribution(run: Compared, first: int | None) -> dict[str, Any]:
    """The layers that the atlas names for a run on another CPU: in a table, and in a sentence.

    ``more``: how many layers are beyond the table.
    """
    found = run.result.get("attribution")
    if found is None:
        return {}
    layers = found["layers"] or []
    table, more = layers[:MOST_LAYERS], max(0, len(layers) - MOST_LAYERS)
    said = attribution.sentence(found, run.record, first, _FEW_LAYERS)
    return {"attribution": {"said": said, "table": table, "more": more, "atlas": found["atlas"]}}


def describe(divergence: Divergence, draw: bool) -> dict[str, Any]:
    """Where two runs diverge, in words and in charts of the growth and the final size."""
    found: dict[str, Any] = {
        "divergence": divergence,
        "where": wording.where(divergence),
        "loss": " ".join(wording.details(divergence)),
    }
    if draw:
        found["growth"] = charts.growth(divergence)
        found["histogram"] = charts.histogram(divergence["histograms"])
    return found


_ENDS = {
    "failed": "This run failed and its control did not.",
    "unsupported": "This run was refused and its control was not.",
}


# --- whether the comparison can detect a difference --------------------------------------------


def self_checks(report: Report) -> list[dict[str, Any]]:
    """Each flipped bit once, and whether every comparison with that control detected it."""
    found: dict[tuple[Any, ...], bool] = {}
    for comparison in report["comparisons"]:
        for check in comparison["self_check"]:
            key = comparison["control"], check["artifact"], check["name"], *check["index"]
            found[key] = found.get(key, True) and check["found"]
    return [
        {"of": of, "where": title(artifact), "name": name, "index": index, "found": seen}
        for (of, artifact, name, *index), seen in found.items()
    ]


def canaries(report: Report) -> list[dict[str, Any]]:
    """Trainings with a different seed, and where they diverge from the control."""
    return [
        comparison["canary"] | {"control": comparison["control"]}
        for comparison in report["comparisons"]
        if comparison["canary"]
    ]
