"""What one start of Snakemake does beside its jobs.

INPUTS      Snakemake's workflow and config
OUTPUTS     .samebits/configs/DIGEST.json, .samebits/code/DIGEST.json, when the Snakefile is read
GUARANTEES  these files are named by their content and never change, so that a dry run, or a
            start with other values, touches no result; two starts that
            would make the same result are refused by Snakemake's own lock; an importing workflow
            gets rules and nothing else: owners and locks are the main workflow's
"""

import gc
import os
import shutil
import sys
import time
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import psutil

from samebits.config import sources
from samebits.config.experiment import Experiment
from samebits.experiment import protocol
from samebits.formats import canonical, files
from samebits.formats.names import FAILED
from samebits.launch import lease
from samebits.pages import summary
from samebits.text import say
from samebits.workflow.plan import Plan, as_workflow_errors, plan

DRIVER = "SAMEBITS_DRIVER"  # the Python that starts the launcher, for the shell of every job
STAGES = ("load", "compare", "certify", "render")  # environments of every experiment

_OWNERS = Path(".samebits/owners")  # the snakemakes that make each result
# Its path says what such a file holds, so its date must never make anything again.
_OLD = 315_532_800  # seconds: 1980
_digest = cache(files.digest)


def stored(kind: str, content: Any) -> str:
    """The path of a file with this content; absolute, so that no importer's prefix changes it."""
    data = canonical.dumps(content)
    path = Path(".samebits", kind, f"{canonical.digest(content)}.json").absolute()
    if not path.is_file() or path.read_bytes() != data:
        files.write_bytes(path, data)
        os.utime(path, (_OLD, _OLD))
    return str(path)


def code(scripts: Iterable[Path]) -> str:
    """The code that scripts run, as one file: its path changes when any of the code does."""
    return stored("code", sources.listed(scripts))


def content(made: Experiment, lock: Path) -> str:
    """Another text when the experiment, the model's code or the lock is another one."""
    return canonical.digest([made.digest, *map(_digest, [*map(Path, made.model_files), lock])])


def start(workflow: Any, config: Mapping[str, Any], conf: Path) -> Plan:
    """Compose the requested experiments. Raises WorkflowError that lists every problem."""
    with as_workflow_errors():
        made = plan(config, conf)
        os.environ[DRIVER] = sys.executable
        made.first.signing.tell_jobs()
        if not workflow.is_main_process:
            lease.require_living_owner(os.environ)
        elif workflow.modifier.is_main_snakefile():
            lease.clear_dead_owners(_OWNERS / made.name, f"results/{made.name}")
            # A job lives as long as its DAG. To look for garbage among all of them as often as
            # Python does costs a tenth of the time that a large sweep needs to start.
            gc.set_threshold(100_000, 50, 50)
            for line in made.announced(STAGES):  # a dry run shows them too
                say(line)
    return made


def announce(made: Plan, cores: int | None, jobs: int | None) -> None:
    """Become the owner of all jobs from now on, and show what an unusual protocol costs.

    ``cores``: of this machine, or None where a cluster runs up to ``jobs`` at a time.
    """
    with as_workflow_errors():
        leases = Path(".samebits/leases/results", made.name)
        lease.become_owner(_OWNERS / made.name, leases, os.environ)
    chosen = made.first.config["protocol"]
    # A protocol that only explains differences makes its further runs when there are some.
    if not made.sweep and (chosen["alone"] or chosen["unpin"]):
        places = f"on {cores} cores" if cores else f"in up to {jobs} jobs at a time"
        say(summary.cost(protocol.plan(made.first.config, None), places))


def forget_failed(made: Plan) -> None:
    """A run that failed where the control failed too shows nothing: it is made again."""
    for name in made.experiments:
        for record in Path("results", name, "train").glob("*/record.json"):
            if canonical.read_json(record)["status"] == FAILED:
                shutil.rmtree(record.parent)


def report(made: Plan) -> None:
    """Print how this start ended."""
    began, color = psutil.Process().create_time(), sys.stdout.isatty()
    took, results = time.time() - began, Path("results", made.name)

    def is_new(path: Path) -> bool:
        return path.is_file() and path.stat().st_mtime >= began

    for folder, text in ((results, summary.text), (results / "replay", summary.replay)):
        path, page = folder / "certificate.json", folder / "certificate.html"
        if is_new(path):
            print(text(canonical.read_json(path), path, page, took, color))
    if is_new(results / "index.csv"):
        print(summary.sweep(results / "index.csv", results / "index.html", took, color))
