"""Runs compared with their control, as rows and charts of the page, the most important first.

Runs with equal bits are one row and one chart, however many they are.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

from samebits.certificate.types import ComparedRun, Divergence, Report
from samebits.comparison import attribution
from samebits.formats import names
from samebits.formats.names import COMPLETED, DIFFERENT, NOT_TRIED, SAME, TITLES
from samebits.pages import charts, wording
from samebits.text import few, when

MOST_DRAWN = 2  # groups of runs that differ of which everything is shown; the rest are listed
MOST_DIFFERENCES = 20  # of one group
MOST_DIGESTS = 4  # of one artifact
MOST_LAYERS = 12  # layers in the table of one run
_FEW_LAYERS = 3  # of a run that is listed
_EQUAL = "identical"
_MEANINGS = {
    "history": "loss and metrics of every epoch",
    "weights": "every number the model learned",
    "optimizer": "step count and moments, from which training would continue",
    "state": "all other variables of the model, lookup tables, the optimizers’ settings",
    "predictions": "answers for the first batch, and the evaluation of the validation set",
    "trace": "fingerprints of the weights during training, and of the batches",
}
_OF_PROGRAM = {
    "weights": "every number that its models learned",
    "state": "all other variables, lookup tables, the optimizers’ settings",
    "predictions": "what evaluate, predict and steps on batches returned, and files that it wrote",
    "trace": "fingerprints of all that its optimizers updated, at every step",
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
            return _EQUAL if self.tried else "without a control"
        return "different when unpinned" if self.unpinned else "different"

    @property
    def title(self) -> str:
        """How this run differs from its control by design."""
        if self.unpinned:
            return f"{self.unpinned} unpinned"
        if len(self.changed) > 1:
            return f"{len(self.changed)} things varied together"
        return f"{self.changed[0] if self.changed else 'nothing'} varied"


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


def groups(runs: Sequence[Compared]) -> list[list[Compared]]:
    """The runs that differ, those with the same bits together; the unexpected ones first."""
    found: dict[tuple[str, ...], list[Compared]] = {}
    for run in (*unexpected(runs), *(run for run in runs if run.differs and run.unpinned)):
        of_run = run.result.get("checkpoints"), run.result["generators"]
        digests = [digest for a in run.result["artifacts"] for digest in a["digests"]]
        key = (run.control, run.outcome, *of_run, *digests)
        found.setdefault(tuple(map(str, key)), []).append(run)
    return list(found.values())


def drawn(runs: Sequence[Compared]) -> list[list[Compared]]:
    """The few groups of which everything is shown: of those that diverge alike the first."""
    alike: dict[tuple[str, str], list[Compared]] = {}
    for group in groups(runs):
        if found := group[0].result["divergence"]:
            alike.setdefault((group[0].control, wording.where(found)), group)
    return list(alike.values())[:MOST_DRAWN]


def counted(runs: Sequence[Compared]) -> str:
    """How all runs came out: "17 of 20 runs equal; 1 different; 2 not tried"."""
    controls = {run.control for run in runs if run.status[0] == COMPLETED}
    outcomes = Counter(run.outcome for run in runs)
    equal, total = outcomes.pop(_EQUAL, 0), len({*controls, *(run.run for run in runs)})
    rest = [f"{count} {outcome}" for outcome, count in outcomes.items()]
    if not equal:
        return "; ".join(
            ["no run equals its control" if controls else "no control completed", *rest]
        )
    return "; ".join([f"{equal + len(controls)} of {total} runs equal", *rest])


# --- artifact by artifact --------------------------------------------------------------------


def artifacts(runs: Sequence[Compared]) -> Iterator[dict[str, Any]]:
    """Each artifact with its digests, each once with the runs that have it; none where the first
    run shows nothing.
    """
    tried = [run for run in (*runs[:1], *chain(*groups(runs)), *runs) if run.tried]
    for name in names.ARTIFACTS if runs[:1] and runs[0].tried else ():
        digests, wrong = dict[str | None, dict[str, bool]](), False
        for run in tried:
            for found in (a for a in run.result["artifacts"] if a["artifact"] == name):
                of_control, of_run = found["digests"]
                digests.setdefault(of_control, {}).setdefault(run.control, True)
                expected = found["identical"] or run.unpinned is not None
                digests.setdefault(of_run, {})[run.run] = expected
                wrong |= not expected
        rows = [(of, few(list(same), 2), all(same.values())) for of, same in digests.items()]
        of_program = _OF_PROGRAM if tried[0].record.get("program") else {}
        yield {
            "title": title(name),
            "meaning": of_program.get(name, _MEANINGS[name]),
            "state": "identical" if not wrong else "missing" if None in digests else "different",
            "digests": rows[:MOST_DIGESTS],
            "more": len(rows[MOST_DIGESTS:]),
        }


def differences(runs: Sequence[Compared]) -> tuple[list[dict[str, Any]], int]:
    """The first differences of the groups that are shown in full, and the number of the rest.

    Differences between fingerprints have no size and are left out.
    """
    first, more = list[dict[str, Any]](), 0
    for group in drawn(runs):
        of = {"of": few([run.run for run in group]), "from": group[0].control}
        found = [
            difference | of | {"where": title(artifact["artifact"]), "ulp": _ulp(difference)}
            for artifact in group[0].result["artifacts"]
            for difference in artifact["differences"]
            if artifact["artifact"] != "trace" or difference["kind"] != "values"
        ]
        first += found[:MOST_DIFFERENCES]
        more += len(found[MOST_DIFFERENCES:])
    return first, more


def _ulp(difference: Mapping[str, Any]) -> str:
    """The largest distance in steps of the type that was computed: of float32 where float64 holds
    what Keras computed as float32, whose steps are 2**29 of float64's.
    """
    distance = difference["largest_ulp"]
    if distance is None:
        return ""
    if difference["dtype"] != "F64":
        return f"{distance:,} ULP"
    steps, rest = divmod(distance, 1 << 29)
    return f"{distance:,} ULP of float64" if rest else f"{steps:,} ULP of float32"


# --- first divergence ------------------------------------------------------------------------


def divergences(runs: Sequence[Compared]) -> tuple[list[dict[str, Any]], list[tuple[str, str]]]:
    """Where each group diverges from its control: a few with charts; of the rest all runs that do
    so alike, with a sentence.
    """
    shown, alike = drawn(runs), dict[str, list[str]]()
    for group in groups(runs):
        if group not in shown:
            found = divergence(group, draw=False)
            said = [found["where"], found["loss"], found.get("attribution", {}).get("said", "")]
            titles = [f"{run.run} ({run.title})" for run in group]
            alike.setdefault(" ".join(filter(None, said)), []).extend(titles)
    listed = [(few(titles), said) for said, titles in alike.items()]
    return [divergence(group, draw=True) for group in shown], listed


def divergence(group: Sequence[Compared], draw: bool) -> dict[str, Any]:
    """Where a group diverges from its control, and who that is."""
    run, found = group[0], group[0].result["divergence"]
    titles = few(list(dict.fromkeys(run.title for run in group)))
    said = {"runs": few([each.run for each in group]), "control": run.control, "title": titles}
    if found is None:
        return said | {"where": _ENDS.get(run.status[1], _UNKNOWN), "loss": ""}
    return said | describe(found, draw) | _attribution(run, found["step"])


def first_difference(run: Compared) -> str:
    """Where a run diverges; where no traced weight does, which artifacts differ."""
    found, where = run.result["divergence"], divergence([run], draw=False)["where"]
    if found is None or found["step"] is not None:
        return str(where)
    differing = [names.TITLES[a["artifact"]] for a in run.result["artifacts"] if not a["identical"]]
    return f"{where} What differs: {few(differing) or 'states of random number generators'}."


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
    """Where two runs diverge, in words and in a chart of the growth."""
    found: dict[str, Any] = {
        "where": wording.where(divergence),
        "loss": " ".join(wording.details(divergence)),
    }
    if draw:
        at = when({**divergence, "epoch": None})
        found["mark"] = at if divergence["step"] else "before the first step"
        found["growth"] = charts.growth(divergence)
    return found


_ENDS = {
    "failed": "Failed, where the control completed.",
    "unsupported": "Refused, where the control completed.",
}
_UNKNOWN = "Where they first differ is unknown."


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
