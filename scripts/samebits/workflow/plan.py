"""The experiments of one start, composed when Snakemake reads the Snakefile.

INPUTS      conf/, Snakemake's ``config``
OUTPUTS     a Plan: one experiment, every combination of a sweep, or a certificate's experiment
GUARANTEES  everything that is wrong with the config is listed before any job exists
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from samebits.config import experiment as experiments
from samebits.config import signing, sweep
from samebits.config.experiment import GROUPS, Experiment, composing
from samebits.config.sweep import Sweep
from samebits.errors import SamebitsError
from samebits.experiment import protocol
from samebits.replay import plan as replays
from samebits.replay.plan import Replay

FORMAT = "samebits-sweep-1"


@dataclass(frozen=True)
class Plan:
    """The experiments of one start, by the folder that each has under results/."""

    experiments: dict[str, Experiment]
    sweep: Sweep | None = None
    replay: Replay | None = None  # the certificate that the one experiment repeats

    @property
    def first(self) -> Experiment:
        """The experiment, or of a sweep the first: for what all have in common."""
        return next(iter(self.experiments.values()))

    @property
    def name(self) -> str:
        """The folder under results/ that holds everything."""
        return self.sweep.name if self.sweep else self.first.name

    @property
    def pattern(self) -> str:
        """A regular expression for the names of the experiments."""
        return rf"{re.escape(self.sweep.name)}/[^/]+" if self.sweep else re.escape(self.first.name)

    def listed(self, **files: str) -> dict[str, Any]:
        """The experiments as a file that lies beside their folders has them.

        ``files``: what is to be named of each folder, by what it is.
        """
        return {
            "format": FORMAT,
            "name": self.name,
            "keys": list(self.sweep.keys) if self.sweep else [],
            "combinations": [
                {"name": folder, "digest": experiment.digest}
                | {what: f"{folder}/{file}" for what, file in files.items()}
                for folder, experiment in self._folders()
            ],
        }

    def _folders(self) -> Iterator[tuple[str, Experiment]]:
        for name, experiment in self.experiments.items():
            yield name.rpartition("/")[2], experiment

    def counted(self, stages: Iterable[str]) -> str:
        """How much it is, in one line. ``stages``: environments beside those that train."""
        made = self.experiments.values()
        least, most = map(sum, zip(*(protocol.trainings(one.config) for one in made), strict=True))
        more = f" (up to {most:,} where bits differ)" if most > least else ""
        parts = [
            _number(len(made), "combination") + self._same(),
            _number(least, "training") + more,
            _number(len({one.data_key for one in made}), "data set"),
            _number(len({*stages, *(one.environment for one in made)}), "environment"),
        ]
        return f"{sweep.KEY} {self.name}: {', '.join(parts)}"

    def _same(self) -> str:
        twice = (self.sweep.asked if self.sweep else 0) - len(self.experiments)
        return f" ({twice:,} more are the same as one of these)" if twice > 0 else ""


def _number(count: int, what: str) -> str:
    return f"{count:,} {what}" + ("" if count == 1 else "s")


def plan(config: Mapping[str, Any], conf: Path) -> Plan:
    """Resolve Snakemake's ``config``. Raises SamebitsError that lists every problem."""
    asked = replays.asked(config)
    text = config.get(sweep.KEY)
    if asked and text is not None:
        raise SamebitsError(
            f"{sweep.KEY}: a certificate is replayed as one experiment; "
            f"leave out {sweep.KEY} or {replays.CERTIFICATE}"
        )
    apart = (*replays.KEYS, sweep.KEY)
    given = signing.read({key: config[key] for key in config if key not in apart}, GROUPS)
    with composing(conf) as composer:
        if text is not None:
            swept = sweep.sweep(text, given, composer)
            return Plan(swept.experiments, sweep=swept)
        if not asked:
            made = experiments.experiment(given, given.experiment, composer)
            return Plan({made.name: made})
        wanted, replay = replays.plan(asked, given.experiment, conf, composer)
        made = experiments.experiment(given, wanted, composer, replay.name)
        return Plan({made.name: made}, replay=replay)
