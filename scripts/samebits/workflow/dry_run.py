"""The last lines of a dry run: what would be trained, and what that costs.

INPUTS      the jobs that Snakemake would run; records of earlier trainings in the same folders
OUTPUTS     lines on the terminal
GUARANTEES  nothing is written
"""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from statistics import mean
from typing import Any

from samebits.config.experiment import Experiment
from samebits.experiment import protocol
from samebits.experiment.protocol import PlannedRun
from samebits.formats import canonical
from samebits.pages import summary
from samebits.text import duration, few
from samebits.workflow.plan import Plan


def show(workflow: Any, plan: Plan, results: Path) -> None:
    """Print them; nothing where Snakemake would run nothing, which it says itself."""
    jobs, known = defaultdict[str, list[Any]](list), Counter[str]()
    for job in workflow.dag.jobs if workflow.dag else ():
        if job.rule.name == "train":
            known[plan.of(job.wildcards).name] += 1
        if workflow.dag.needrun(job):
            jobs[job.rule.name].append(job.wildcards)
    if jobs:
        print(summary.dry_run(plan.name, list(_rows(plan, jobs, known, results))), flush=True)


def _rows(
    plan: Plan, jobs: Mapping[str, list[Any]], known: Mapping[str, int], results: Path
) -> Iterator[tuple[str, str]]:
    """What would be done, and how much of it. ``known``: the runs of each experiment so far."""
    trained = [(plan.of(wildcards), plan.run(wildcards)) for wildcards in jobs["train"]]
    yield "train", _trainings(trained, plan) if trained else "nothing"
    if trained and not plan.replay:
        yield from _further({made.name: made for made, _ in trained}.values(), known)
    if trained:
        took = [*_seconds(plan, results)]
        about = duration(mean(took or [0]))
        yield "take", f"about {about} for each run" if took else "unknown before the first run"
    yield "load", few(sorted(wildcards.data for wildcards in jobs["load"])) or "nothing"
    built = sorted(wildcards.environment for wildcards in jobs["environment"])
    yield "build", few(built, len(built)) or "nothing"


def _trainings(trained: Sequence[tuple[Experiment, PlannedRun]], plan: Plan) -> str:
    sampled = plan.replay.epochs if plan.replay else None
    epochs = sum(sampled or run.epochs or made.epochs or 0 for made, run in trained)
    runs, found = len(trained), {made.name for made, _ in trained}
    names = few([run.name for _, run in trained])
    of = f"in {len(found):,} of {len(plan.experiments):,} combinations" if plan.sweep else names
    in_all = f", {epochs:,} epochs in all" if epochs else ""
    return f"{runs:,} run{'s' * (runs > 1)} ({of}){in_all}"


def _further(
    experiments: Collection[Experiment], known: Mapping[str, int]
) -> Iterator[tuple[str, str]]:
    """How many runs come after the first ones, and how many may."""
    counts = [(*protocol.trainings(made.config), known[made.name]) for made in experiments]
    if then := sum(max(least - made, 0) for least, _, made in counts):
        plans = (protocol.plan(made.config, protocol.ALIKE) for made in experiments)
        cpus = sum(run.variations == ("cpu",) for plan in plans for run in protocol.runs(plan))
        slow = f", of which {cpus:,} emulate a CPU, each about ten times slower" if cpus else ""
        yield "", f"then {then:,} more that the protocol asks for{slow}"
    if more := sum(most - max(least, made) for least, most, made in counts):
        yield "", f"up to {more:,} more where bits differ or runs leave files"


def _seconds(plan: Plan, results: Path) -> Iterator[float]:
    """What earlier runs in these folders took, whatever was trained."""
    for name in plan.experiments:
        for record in (results / name / "train").glob("*/record.json"):
            yield canonical.read_json(record)["timing"]["seconds"]
