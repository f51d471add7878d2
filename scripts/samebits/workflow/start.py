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

from samebits.config import sources
from samebits.config.experiment import Experiment
from samebits.experiment import protocol
from samebits.formats import canonical, files
from samebits.launch import lease
from samebits.pages import summary
from samebits.text import say
from samebits.workflow.plan import Plan, as_workflow_errors, plan

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
        """Become the owner of all jobs from now on, and show what an unusual protocol costs."""
        leases, config = Path(".samebits/leases/results", self.plan.name), self.plan.first.config
        with as_workflow_errors():
            lease.become_owner(self.owners, leases, os.environ)
        # A protocol that only explains differences makes its further runs when there are some.
        if not self.plan.sweep and (config["protocol"]["alone"] or config["protocol"]["unpin"]):
            say(summary.cost(protocol.plan(config, None), cores))

    def forget_failed(self) -> None:
        """A run that failed where the control failed too shows nothing: it is made again."""
        for name in self.plan.experiments:
            for record in Path("results", name, "train").glob("*/record.json"):
                if canonical.read_json(record)["status"] == "failed":
                    shutil.rmtree(record.parent)

    def report(self) -> None:
        """Show the end of what this start made."""
        took, color = time.time() - self.began, sys.stdout.isatty()
        results = Path("results", self.plan.name)
        for folder, text in ((results, summary.text), (results / "replay", summary.replay)):
            path, page = folder / "certificate.json", folder / "certificate.html"
            if self._is_new(path):
                print(text(canonical.read_json(path), path, page, took, color))
        if self._is_new(results / "index.csv"):
            print(summary.sweep(results / "index.csv", results / "index.html", took, color))

    def _is_new(self, path: Path) -> bool:
        return path.is_file() and path.stat().st_mtime >= self.began


def start(workflow: Any, config: Mapping[str, Any], conf: Path) -> Start:
    """Compose what is asked for. Raises WorkflowError that lists every problem."""
    with as_workflow_errors():
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
                say(line)
    return made
