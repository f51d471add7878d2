"""How one start of Snakemake ends: its last lines, and its exit code.

INPUTS      what Snakemake reports to its logger, the logs of jobs, results/
OUTPUTS     the last lines on the terminal; the exit code of ./samebits
GUARANTEES  results that were asked for are shown, also when nothing was to be done; a failure has
            one cause, from the log of the first job that failed, and a next command; errors of
            Snakemake that are shown in no other way are that cause, and its own log has them all
"""

import atexit
import csv
import logging
import os
import re
import shlex
import signal
import sys
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import psutil
from snakemake.common import NOTHING_TO_BE_DONE_MSG
from snakemake.logging import logger
from snakemake_interface_logger_plugins.common import LogEvent

from samebits import text
from samebits.certificate import signatories
from samebits.errors import FAILED, INTERRUPTED, OTHER, SIGNALED, USAGE
from samebits.formats import canonical
from samebits.launch import logs
from samebits.pages import summary
from samebits.pages.summary import Ended, Failure
from samebits.workflow.plan import Plan

# What Snakemake says of itself, and what it says of every failure.
_CHATTER = (
    *("Assuming unrestricted", "Building DAG", "Using shell", "Conda environments: ignored"),
    *("Select jobs", "Execute ", "Complete log", "Elapsed time", "Shutting down", "Terminating"),
    *("DAG of jobs will be updated", "Updating checkpoint dependencies"),
    # After a dry run's list of jobs, of which the last lines say what it comes to.
    *("Reasons:", "Some jobs were triggered by provenance", "Rules with provenance triggered"),
    *("This was a dry-run", "The run involves checkpoint jobs"),
    # Slurm's plugin, where a cluster needs no account, or has no accounting database.
    *("No SLURM account given", "No account was given", "Guessed SLURM account"),
    "Unable to guess SLURM account",
)
# Of a job that did not fail by itself.
_ENDED_BY_SLURM = re.compile(r"SLURM-job '(\w+)' failed.*SLURM status is: '(?!FAILED')(\w+)'", re.S)
_IN_VAIN = re.compile(r"At least one job did not|Exiting because a job execution failed")
_FRAME = re.compile(r'  File ".*", line \d+, in |\w+(Error|Exception)( in \w+ .*)?:$')

Job = TypeVar("Job")


class Outcome(logging.Handler):
    """Listens to Snakemake from the reading of the Snakefile on, and has the last word."""

    current: "Outcome | None" = None

    def __init__(self, workflow: Any) -> None:
        """The last lines come when the process ends, unless somebody calls ``finish`` before."""
        super().__init__()
        self.plan: Plan | None = None  # None: what the user asked for could not be resolved
        self._workflow, self._signal, self._folder = workflow, 0, Path.cwd()
        self.has_succeeded = self._is_idle = False
        self._began: dict[int, dict[str, Any]] = {}  # what Snakemake reported of jobs
        self._failed: dict[int, Failure] = {}
        self._errors: list[str] = []
        Outcome.current = self

    def listen(self) -> None:
        """Begin; errors are no longer shown where they arise, unless Snakemake is to tell all."""
        for handler in logger.handlers:
            if handler.name == "DefaultStreamHandler":
                handler.addFilter(self._is_shown)
        logger.addHandler(self)
        logging.raiseExceptions = False  # Snakemake's log on a full disk: the cause is shown below
        if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
            signal.signal(signal.SIGINT, self._interrupt)
        atexit.register(self.finish)

    def _interrupt(self, number: int, _: Any) -> None:
        self._signal = number
        raise KeyboardInterrupt

    def _is_shown(self, record: logging.LogRecord) -> bool:
        settings = self._workflow.output_settings
        if settings.verbose or not settings.quiet:
            return True
        return record.levelno < logging.ERROR and not str(record.msg).startswith(_CHATTER)

    def emit(self, record: logging.LogRecord) -> None:
        """Remember jobs, errors, and that nothing was to be done."""
        event, known = getattr(record, "event", None), record.__dict__
        if event == LogEvent.JOB_INFO:
            self._began[known["jobid"]] = known
        elif event == LogEvent.JOB_ERROR and not self._signal:
            began = self._began.get(known["jobid"], known)
            self._failed[known["jobid"]] = _failure(began, known["rule_msg"] or "")
        elif record.levelno >= logging.ERROR and event != LogEvent.JOB_ERROR:
            self._errors.append(_without_frames(record.getMessage()))
        elif record.msg == NOTHING_TO_BE_DONE_MSG:
            self._is_idle = True
        elif str(record.msg).startswith("Will exit after finishing"):
            self._signal = signal.SIGTERM

    def finish(self, code: int = 0, expected: Collection[str] = ()) -> int:
        """Show the last lines; the exit code of ./samebits.

        ``code``: Snakemake's own; ``expected``: the verdicts that end with 0, any without one.
        """
        atexit.unregister(self.finish)
        logger.removeHandler(self)
        # As seen from where the user is: Snakemake has left the folder of --directory by now.
        self._folder = Path(os.path.relpath(self._folder))
        name, color = self.plan.name if self.plan else "", sys.stderr.isatty()
        if self._signal:
            _show(summary.interrupted(name, self._interruption(), self._again(), color))
            return SIGNALED + self._signal
        if (self._failed or self._errors) and not self.has_succeeded:
            found = self._unfinished(self._failed) or [self._failure()]
            failures = [replace(failure, log=self._place(failure.log)) for failure in found]
            done = self._certified(self.plan) if self.plan and self.plan.sweep else ""
            _show(summary.failed(name, failures, done, self._again(), color))
            return FAILED if self.plan else USAGE
        if code or self.plan is None or self._workflow.dryrun:
            return code
        return self._results(self.plan, expected) if self._began or self._is_idle else 0

    # --- failures ---

    def _failure(self) -> Failure:
        """An error of Snakemake itself: the first says why, the others that it was in vain."""
        wanted = [error for error in self._errors if not _IN_VAIN.match(error)]
        first = (wanted or self._errors)[0]
        if not first.startswith("Traceback"):
            return Failure("", first)
        *said, cause = first.splitlines()  # an error that nobody expected
        return Failure("", cause, said[-logs.MOST_LINES :])

    def _certified(self, plan: Plan) -> str:
        """What of a sweep is complete, although some of it failed."""
        results, count = self._folder / "results", 0
        for name, made in plan.experiments.items():
            path = results / name / "certificate.json"
            count += path.is_file() and made.digest.encode() in path.read_bytes()
        of = f"{count:,} of {len(plan.experiments):,} combinations, in {results / plan.name}"
        return f"{of}; the index needs all"

    def _place(self, path: str) -> str:
        return str(self._folder / path) if path else ""

    def _unfinished(self, jobs: Mapping[int, Job]) -> list[Job]:
        """Those that did not end well, by now: some are tried again."""
        done = {job.jobid for job in self._workflow.dag.finished_jobs} if jobs else set()
        return [job for number, job in jobs.items() if number not in done]

    def _interruption(self) -> summary.Interruption:
        jobs = [job for job in self._unfinished(self._began) if job["log"]]
        trainer = self.plan.first.config.get("trainer", {}) if self.plan else {}
        saves = trainer.get("checkpoint") == "epoch"
        return summary.Interruption(
            "Ctrl-C" if self._signal == signal.SIGINT else signal.Signals(self._signal).name,
            [_title(job) for job in jobs],
            [self._place(job["log"][0]) for job in jobs],
            starts_over=not saves and any(job["rule_name"] == "train" for job in jobs),
        )

    def _again(self) -> str:
        """The command as it was typed; empty where it would fail again."""
        program, *words = sys.argv
        names = {"start.py": text.program(), "__main__.py": "snakemake"}
        typed = f"{names.get(Path(program).name, program)} {shlex.join(words)}"
        return typed if self.plan else ""

    # --- results ---

    def _results(self, plan: Plan, expected: Collection[str]) -> int:
        """Show what was asked for; whether it is what was expected."""
        jobs = self._workflow.dag.targetjobs
        targets = (job.input if job.is_norun else job.output for job in jobs)
        made = sorted(self._folder / path for paths in targets for path in paths)
        took = time.time() - psutil.Process().create_time() if self._began else None
        color, verdicts = sys.stdout.isatty(), dict[str, str]()
        results = self._folder / "results" / plan.name
        index, against = results / "index.csv", results / "against.json"
        results /= "replay" if plan.replay else ""
        certificate = results / "certificate.json"
        if against in made:
            found = canonical.read_json(against)
            print(summary.against(found, Ended(against, took, color)), flush=True)
            return OTHER if plan.replay and plan.replay.same and not found["same"] else 0
        if index in made:
            print(summary.sweep(Ended(index, took, color)))
            with index.open(encoding="utf-8", newline="") as file:
                verdicts = {row["combination"]: row["verdict"] for row in csv.DictReader(file)}
        elif certificate.is_file() and any(path.parent == results for path in made):
            content = canonical.read_json(certificate)
            tell = summary.replay if plan.replay else summary.text
            print(tell(content, Ended(certificate, took, color, made)))
            verdicts = {plan.name: [*signatories.listed(content)][-1 if plan.replay else 0].outcome}
        elif made:
            print(summary.files(Ended(results, took, made=made)))
        sys.stdout.flush()
        other = {name: verdict for name, verdict in verdicts.items() if verdict not in expected}
        if expected and other:
            _show(summary.unexpected(other, expected))
        failed = other if expected else signatories.NOT_REPRODUCED in verdicts.values()
        return OTHER if failed else 0


def run(line: Sequence[str], expected: Collection[str] = ()) -> int:
    """Run Snakemake in this process, with its last lines; the exit code of ./samebits."""
    from snakemake import cli

    Outcome.current = None
    try:
        cli.main(list(line))
    except SystemExit as end:
        code = int(end.code or 0)
    except KeyboardInterrupt:
        code = INTERRUPTED
    return Outcome.current.finish(code, expected) if Outcome.current else code


def _failure(job: dict[str, Any], error: str) -> Failure:
    """Why a job failed: its own explanation, what Snakemake knows, or the end of its log."""
    log = next(filter(_is_new, job["log"]), "")
    cause, said = logs.explained(Path(log)) if log else ("", [])
    if ended := _ENDED_BY_SLURM.match(error):
        cause = f"Slurm ended job {ended[1]}: {ended[2]}"
    nothing = "its command failed before it wrote a log; --verbose shows all that Snakemake knows"
    cause = cause or text.brief(error) or next(reversed(said), nothing)
    return Failure(_title(job), cause, said, log)


def _is_new(log: str) -> bool:
    path = Path(log)
    return path.is_file() and path.stat().st_mtime >= psutil.Process().create_time()


def _title(job: dict[str, Any]) -> str:
    return str(job["rule_msg"] or job["rule_name"])


def _without_frames(text: str) -> str:
    """An expected error as Snakemake formats it, without places in our files and Snakemake's."""
    if text.startswith("Traceback"):
        return text
    return "\n".join(line for line in text.splitlines() if line and not _FRAME.match(line))


def _show(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
