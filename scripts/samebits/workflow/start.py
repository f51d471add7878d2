"""What one start of Snakemake does beside its jobs.

INPUTS      Snakemake's workflow and config
OUTPUTS     .samebits/configs/DIGEST.json, .samebits/code/DIGEST.json, when the Snakefile is read
GUARANTEES  these files are named by what is in them and never change, so that a dry run, or a
            start with other values, touches nothing that belongs to a result; two starts that
            would make the same result are refused by Snakemake's own lock; an importing workflow
            gets rules and nothing else: owners and locks are the main workflow's
"""

import gc
import os
import shutil
import sys
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import psutil
from snakemake.exceptions import WorkflowError

from samebits.config import sources
from samebits.config.experiment import Experiment
from samebits.errors import SamebitsError, explain_os_error
from samebits.experiment import protocol
from samebits.formats import canonical, files
from samebits.launch import lease
from samebits.pages import summary
from samebits.workflow.plan import Plan, plan

DRIVER = "SAMEBITS_DRIVER"  # the Python that starts the launcher, for the shell of every job
STAGES = ("load", "compare", "certify", "render")  # environments of every experiment

_digest = cache(files.digest)


def stored(kind: str, content: Any) -> str:
    """The path of a file with this content; absolute, so that no importer's prefix changes it."""
    data = canonical.dumps(content)
    path = Path(".samebits", kind, f"{canonical.digest(content)}.json").absolute()
    if not files.equals(path, data):
        files.write_bytes(path, data)
    return str(path)


def code(scripts: Iterable[Path]) -> str:
    """The code that scripts run, as one file: its path changes when any of the code does."""
    return stored("code", sources.listed(scripts))


def content(made: Experiment, lock: Path) -> str:
    """Another text when the experiment, the model's code or the lock is another one."""
    return canonical.digest([made.digest, *map(_digest, [*map(Path, made.model_files), lock])])


@dataclass(frozen=True)
class Start:
    """One start of the main workflow."""

    plan: Plan
    began: float  # seconds since the epoch

    @property
    def owners(self) -> Path:
        """Where the snakemakes that make these results are named."""
        return Path(".samebits/owners", self.plan.name)

    def announce(self, cores: int) -> None:
        """Become the owner of all jobs from now on, and say what an unusual protocol costs."""
        try:
            lease.become_owner(
                self.owners, Path(".samebits/leases/results", self.plan.name), os.environ
            )
        except SamebitsError as error:
            raise WorkflowError(str(error)) from None
        config = self.plan.first.config
        # A protocol that only explains differences makes its further runs when there are some.
        if not self.plan.sweep and (config["protocol"]["alone"] or config["protocol"]["lift"]):
            _tell(summary.cost(protocol.plan(config, None), cores))

    def forget_failed(self) -> None:
        """A run that failed where the control failed too shows nothing: it is made again."""
        for name in self.plan.experiments:
            for record in Path("results", name, "train").glob("*/record.json"):
                if canonical.read_json(record)["status"] == "failed":
                    shutil.rmtree(record.parent)

    def report(self) -> None:
        """What this start made, in a few lines."""
        took, color = time.time() - self.began, sys.stdout.isatty()
        results = Path("results", self.plan.name)
        for folder, text in ((results, summary.text), (results / "replay", summary.replay)):
            certificate, page = folder / "certificate.json", folder / "certificate.html"
            if self._made(certificate):
                print(text(canonical.read_json(certificate), certificate, page, took, color))
        table, page = results / "index.csv", results / "index.html"
        if self._made(table):
            print(summary.sweep(table, page, took, color))

    def _made(self, path: Path) -> bool:
        return path.is_file() and path.stat().st_mtime >= self.began


def _tell(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def start(workflow: Any, config: Mapping[str, Any], conf: Path) -> Start:
    """Compose what is asked for. Raises WorkflowError that lists every problem."""
    try:
        made = Start(plan(config, conf), psutil.Process().create_time())
        os.environ[DRIVER] = sys.executable
        made.plan.first.signing.tell_jobs()
        if not workflow.is_main_process:
            lease.require_living_owner(os.environ)
        elif workflow.modifier.is_main_snakefile():
            lease.clear_dead_owners(made.owners, f"results/{made.plan.name}")
            # A job lives as long as its DAG. To look for garbage among all of them as often as
            # Python does costs a tenth of the time that a large sweep needs to start.
            gc.set_threshold(100_000, 50, 50)
            for line in made.plan.announced(STAGES):  # a dry run shows them too
                _tell(line)
    except SamebitsError as error:
        raise WorkflowError(str(error)) from None
    except OSError as error:
        raise WorkflowError(explain_os_error(error)) from None
    return made
