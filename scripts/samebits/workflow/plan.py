"""The experiments of one start, composed when Snakemake reads the Snakefile.

INPUTS      conf/, Snakemake's ``config``
OUTPUTS     a Plan: one experiment, every combination of a sweep, or a certificate's experiment,
            with the runs and comparisons of each
GUARANTEES  every problem of the config is listed before any job exists
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from snakemake.exceptions import IncompleteCheckpointException, WorkflowError

from samebits.config import experiment as experiments
from samebits.config import sweep
from samebits.config.experiment import GROUPS, Experiment, composing
from samebits.config.keys import shown
from samebits.config.overrides import SIGNING, from_config
from samebits.config.sweep import Sweep
from samebits.errors import SamebitsError, explain_os_error
from samebits.experiment import protocol
from samebits.experiment.protocol import PlannedComparison, PlannedRun
from samebits.experiment.variables import NO_KEY
from samebits.formats import canonical
from samebits.formats.names import SWEEP_FORMAT
from samebits.replay import plan as replays
from samebits.replay.plan import ReplayPlan
from samebits.text import plain_lines


@contextmanager
def as_workflow_errors() -> Iterator[None]:
    """Expected errors as Snakemake shows them: the message without a traceback."""
    try:
        yield
    except (SamebitsError, OSError) as error:
        said = explain_os_error(error) if isinstance(error, OSError) else str(error)
        raise WorkflowError(plain_lines(said)) from None
    except RecursionError:  # Hydra's, OmegaConf's, of a value that contains itself
        raise WorkflowError("config: a value is nested too deeply, or contains itself") from None


LOCAL = "local"  # by the key of this machine, or the one that a variable names


@dataclass(frozen=True)
class Plan:
    """The experiments of one start, by the folder that each has under results/."""

    experiments: dict[str, Experiment]
    sweep: Sweep | None = None
    replay: ReplayPlan | None = None  # the certificate that the one experiment is compared with
    signing: str = LOCAL  # or NO_KEY

    @property
    def first(self) -> Experiment:
        """The experiment, or the first of a sweep, for values that all have in common."""
        return next(iter(self.experiments.values()))

    @property
    def name(self) -> str:
        """The folder under results/ that holds everything."""
        return self.sweep.name if self.sweep else self.first.name

    @property
    def pattern(self) -> str:
        """A regular expression for the names of the experiments."""
        return rf"{re.escape(self.sweep.name)}/[^/]+" if self.sweep else re.escape(self.first.name)

    @property
    def outputs(self) -> list[str]:
        """The default targets."""
        if self.is_against:
            return [f"results/{self.name}/against.json"]
        index = [f"results/{self.name}/index.{kind}" for kind in ("html", "csv")]
        kinds = ("certificate.json", "certificate.html", "badge.svg")
        found = [f"results/{name}/{kind}" for name in self.experiments for kind in kinds]
        return (index if self.sweep else []) + found

    @property
    def is_sampled(self) -> bool:
        """Whether a replay repeats some epochs alone."""
        return self.replay is not None and self.replay.epochs is not None

    @property
    def is_against(self) -> bool:
        """Whether the one experiment is the user's own, and its bits are compared."""
        return self.replay is not None and self.replay.against

    @property
    def repeated(self) -> str:
        """The name of the run that a replay makes, or the one that is compared."""
        return "present" if self.is_against else "sampled" if self.is_sampled else "replay"

    # --- of a job, which Snakemake knows by its wildcards ---

    def of(self, wildcards: Any) -> Experiment:
        """The experiment that a job belongs to."""
        return self.experiments[wildcards.experiment] if self.sweep else self.first

    def each(self, value: Callable[[Experiment], Any]) -> Any:
        """A value of each experiment: one value where all are equal, else a function of the job."""
        first, *rest = map(value, self.experiments.values())
        if all(other == first for other in rest):
            return first
        return lambda wildcards: value(self.of(wildcards))

    @cached_property
    def runs(self) -> dict[str, dict[str, PlannedRun]]:
        """All possible runs; the first comparison decides which of them are made."""
        extra = {self.repeated: PlannedRun(self.repeated)}
        return {
            name: {run.name: run for run in protocol.runs(protocol.plan(made.config, None))} | extra
            for name, made in self.experiments.items()
        }

    def run(self, wildcards: Any) -> PlannedRun:
        """The run that a job makes."""
        return self.runs[self.of(wildcards).name][wildcards.run]

    def planned(
        self,
        wildcards: Any,
        compare: Any,
        found: dict[str, Any] | None = None,
        wanted: str | None = None,
    ) -> list[PlannedComparison]:
        """All comparisons of an experiment; waits for those of the checkpoint that decide.

        ``found``: is filled with them. ``wanted``: those up to this one are enough.
        """
        made, found = self.of(wildcards), {} if found is None else found
        while name := protocol.pending(made.config, found):
            if wanted and any(wanted == one.name for one in protocol.plan(made.config, found)):
                break
            path = compare.get(experiment=made.name, comparison=name).output[0]
            with as_workflow_errors():
                found[name] = canonical.read_json(Path(path))
        return protocol.plan(made.config, found)

    def known(self, wildcards: Any, compare: Any) -> list[PlannedComparison]:
        """The comparisons that are known; asked again when one that decides is made.

        That Snakemake knows some inputs beforehand halves its time where nothing is made yet.
        """
        found: dict[str, Any] = {}
        try:
            return self.planned(wildcards, compare, found)
        except IncompleteCheckpointException as error:
            if Path(str(error.targetfile)).is_file():
                raise  # the file may be out of date
            return protocol.plan(self.of(wildcards).config, found)

    def compared(self, wildcards: Any, compare: Any) -> list[PlannedRun]:
        """The runs of the comparison that a job makes, its control first."""
        config, name = self.of(wildcards).config, wildcards.comparison
        every = {one.name: one for one in protocol.plan(config, None)}
        if name not in (protocol.FIRST, protocol.REPEAT):  # these have the same runs in every plan
            every = {one.name: one for one in self.planned(wildcards, compare, wanted=name)}
        return [every[name].control, *every[name].runs]

    # --- of all experiments ---

    @property
    def listed(self) -> dict[str, Any]:
        """The experiments of a sweep as a file beside their folders lists them."""
        combinations = [
            {"name": name.rpartition("/")[2], "digest": made.digest}
            for name, made in self.experiments.items()
        ]
        listed = {"format": SWEEP_FORMAT, "name": self.name, "combinations": combinations}
        return listed | {"keys": self.sweep.keys if self.sweep else ()}

    def announced(self, stages: Iterable[str]) -> list[str]:
        """Lines for the user before anything runs: how much a sweep is, what a replay ignores.

        ``stages``: environments beside those that train.
        """
        of_replay = self.replay.notes if self.replay else ()
        own = dict.fromkeys(note for made in self.experiments.values() for note in made.notes)
        notes = [f"note: {note}" for note in (*own, *of_replay)]
        if not self.sweep:
            return notes
        made, asked = self.experiments.values(), self.sweep.asked
        least, most = map(sum, zip(*(protocol.trainings(one.config) for one in made), strict=True))
        numbers = {
            "combinations": f"{len(made):,}" + f" ({asked:,} with repeats)" * (asked > len(made)),
            "trainings": f"{least:,}"
            + f" (up to {most:,} where bits differ or runs leave files)" * (most > least),
            "data sets": f"{len({one.data_key for one in made}):,}",
            "environments": len({*stages, *(one.environment for one in made)}),
        }
        said = ", ".join(f"{k}: {v}" for k, v in numbers.items())
        return [*notes, f"{sweep.KEY} {self.name}: {said}"]


def plan(config: Mapping[str, Any], conf: Path) -> Plan:
    """Resolve Snakemake's ``config``. Raises SamebitsError that lists every problem."""
    if "expect" in config:
        raise SamebitsError(
            "expect: Snakemake's own command ends with 0 whatever the verdict; "
            "use ./samebits certificate expect=…"
        )
    request = replays.requested(config)
    text = config.get(sweep.KEY)
    if request and text is not None:
        raise SamebitsError(
            f"{sweep.KEY}: a certificate is compared with one experiment; leave out {sweep.KEY}, "
            f"or {replays.CERTIFICATE} and {replays.AGAINST}"
        )
    signing = config.get(SIGNING, LOCAL)
    if signing not in (LOCAL, NO_KEY):
        raise SamebitsError(f"{SIGNING}: expected {LOCAL} or {NO_KEY}, got {shown(signing)}")
    apart = (*replays.KEYS, sweep.KEY, SIGNING)
    wanted = from_config({key: config[key] for key in config if key not in apart}, GROUPS)
    with composing(conf) as composer:
        if text is not None:
            swept = sweep.sweep(text, wanted, composer)
            return Plan(swept.experiments, sweep=swept, signing=signing)
        replay = None
        if request:
            wanted, replay = replays.plan(request, wanted, conf, composer)
        made = experiments.experiment(wanted, composer, replay.name if replay else None)
        return Plan({made.name: made}, replay=replay, signing=signing)
