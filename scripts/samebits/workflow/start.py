"""What one start of Snakemake does beside its jobs.

INPUTS      Snakemake's workflow and config
OUTPUTS     .samebits/configs/DIGEST.json, .samebits/code/DIGEST.json, when the Snakefile is read;
            .samebits/report/NAME.rst, on which --report opens, likewise;
            .samebits/outdated/RESULT, when Snakemake asks which jobs to run
GUARANTEES  the first two are named by their content and never change, so that a dry run, or a
            start with other values, touches no result; a result of another experiment is made
            again, whatever its date and Snakemake's own records say, and so is a run of which a
            module or a file changed, with the file named; the certificate of another
            experiment is kept; the last lines are about the experiment that was asked for, or an
            error; two starts that would make the same result are refused by Snakemake's own lock;
            an importing workflow gets rules and nothing else: owners, locks and the keeping of a
            certificate are the main workflow's
"""

import atexit
import gc
import os
import shlex
import shutil
import sys
import time
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import psutil
from snakemake.exceptions import WorkflowError
from snakemake.settings.types import DeploymentMethod

from samebits.config import sources, typed
from samebits.config.experiment import Experiment
from samebits.errors import SamebitsError, open_streams, require_none
from samebits.experiment import protocol
from samebits.experiment.protocol import PlannedComparison
from samebits.experiment.variables import NO_KEY, SIGNING_KEY
from samebits.formats import canonical, files
from samebits.formats.names import FAILED
from samebits.launch import lease
from samebits.observation.checkout import CONFIG_FILES
from samebits.pages import summary
from samebits.pages.summary import Ended
from samebits.replay import inputs
from samebits.replay.inputs import Difference
from samebits.replay.plan import require_elsewhere
from samebits.text import say
from samebits.workflow import dry_run, locks, packages
from samebits.workflow.outcome import Outcome
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
    return canonical.digest([made.digest, *map(_digest, [*map(Path, made.source_files), lock])])


def dates(paths: Iterable[str]) -> str:
    """Another text when one of these files has another size or date."""
    found = ((path, os.stat(path)) for path in paths)  # noqa: PTH116
    return canonical.digest([[path, stat.st_size, stat.st_mtime_ns] for path, stat in found])


def outdated(result: Path, made: Experiment, is_main: bool, control: Path | None = None) -> str:
    """The path of a file that is newer than a result of another experiment, code or files.

    As an input it makes such a result again. Snakemake compares dates and its own records of past
    jobs, which --touch, --rerun-triggers mtime and a lost .snakemake bypass; the result itself
    names its experiment. ``control``: the record that says what a run of it executed and opened,
    which is known after the first one: as inputs these files would make that again. ``is_main``: a
    job's own Snakemake does not ask again.
    """
    mark = Path(".samebits/outdated", result).absolute()
    if is_main:
        mark.parent.mkdir(parents=True, exist_ok=True)
        mark.touch()
        if result.is_file() and not (
            _names(result, made.digest) and _is_fresh(result, control, made)
        ):
            mark.write_text(str(time.time_ns()))  # other bytes: Snakemake compares them as well
        else:
            os.utime(mark, (_OLD, _OLD))
    return str(mark)


def _is_fresh(result: Path, control: Path | None, made: Experiment) -> bool:
    """Whether what its runs executed and opened is here as it was."""
    if control is None:
        return True
    # A replica has folders of its own, so of its record only the files of the source count.
    changed = _changes(result, result.stat().st_mtime_ns, made.source_path)
    changes = [change for change in changed if change.own and change.expected]
    if control.is_file():
        changes += _changes(control, control.stat().st_mtime_ns, made.source_path)
    for line in dict.fromkeys(f"{change.path} {change.what}" for change in changes):
        _say_once(f"{made.name}: trained again: {line}")
    return not changes


@cache
def _changes(record: Path, written: int, source_path: str) -> tuple[Difference, ...]:
    """``written``: when the record was."""
    try:
        content = canonical.read_json(record)
    except SamebitsError:  # damaged: compare says so
        return ()
    return tuple(inputs.differences(content, Path(source_path)))


_say_once = cache(say)


def _names(result: Path, digest: str) -> bool:
    """Whether a record, a comparison or a certificate is of this experiment."""
    return f'"{digest}"'.encode() in result.read_bytes()  # parsing all of a sweep takes long


def start(workflow: Any, config: Mapping[str, Any], conf: Path) -> Plan:
    """Compose the requested experiments. Raises WorkflowError that lists every problem."""
    open_streams()
    is_main = workflow.is_main_process and workflow.modifier.is_main_snakefile()
    ending = Outcome(workflow)
    if is_main:
        ending.listen()
    with as_workflow_errors():
        _check_deployment(workflow.deployment_settings.deployment_method)
        _check_places({"checkout": conf.parent, "working folder": Path.cwd()})
        asked = workflow.config_settings
        if workflow.modifier.is_main_snakefile():
            config = typed.config(config, asked.configfiles, asked.config_args)
        else:  # a module is handed values
            config = typed.values(config)
        made = packages.locked(plan(config, conf), conf.parent / "envs")
        if made.replay:
            place = workflow.modifier.path_modifier.replace_prefix(f"results/{made.name}")
            require_elsewhere(made.replay.path, Path(place))
        ending.plan = made  # what fails from here on is no wrong usage
        os.environ[DRIVER] = sys.executable
        own = (str(Path(path).absolute()) for path in workflow.config_settings.configfiles)
        os.environ[CONFIG_FILES] = os.pathsep.join(own)
        if made.signing == NO_KEY:
            os.environ[SIGNING_KEY] = NO_KEY  # no command line or log names a key
        if not workflow.is_main_process:
            lease.require_living_owner(os.environ)
        elif is_main:
            locks.guard(lambda: _become_owner(made.name))
            if workflow.output_settings.dryrun:
                # When the process ends, the working folder is the user's again.
                atexit.register(dry_run.show, workflow, made, Path("results").absolute())
            # A job lives as long as its DAG. To look for garbage among all of them as often as
            # Python does costs a tenth of the time that a large sweep needs to start.
            gc.set_threshold(100_000, 50, 50)
            for line in made.announced(STAGES):  # a dry run shows them too
                say(line)
            workflow.report(str(_report_text(made)))
    return made


def _check_deployment(methods: Iterable[DeploymentMethod]) -> None:
    """Raise SamebitsError for a way of --sdm in which no environment is defined."""
    require_none(
        f"--sdm {method}: samebits has no {what}; leave --sdm out (uv builds the environments), or "
        "use --sdm conda: both install the same locks"
        for method, what in (
            (DeploymentMethod.APPTAINER, "container image"),
            (DeploymentMethod.ENV_MODULES, "environment modules"),
        )
        if method in methods
    )


def _check_places(places: Mapping[str, Path]) -> None:
    """Raise SamebitsError for a path that Snakemake would take for a pattern."""
    require_none(
        f"{path}: Snakemake takes braces in the path of the {what} for wildcards; rename it"
        for what, path in places.items()
        if set("{}") & set(str(path))
    )


def _become_owner(name: str) -> Path:
    """Own all jobs from now on; the lease that says so."""
    leases = Path(".samebits/leases/results", name)
    lease.become_owner(_OWNERS / name, leases, os.environ)
    return Path(os.environ[lease.OWNER]).absolute()


def announce(made: Plan, cores: int | None, jobs: int | None) -> None:
    """Show what an unusual protocol costs.

    ``cores``: of this machine, or None where a cluster runs up to ``jobs`` at a time.
    """
    planned = {
        name: protocol.plan(one.config, protocol.ALIKE) for name, one in made.experiments.items()
    }
    sizes = {summary.size(one.epochs or 0, planned[name]) for name, one in made.experiments.items()}
    for warning in sorted(sizes - {""}):
        say(warning)
    chosen = made.first.config["protocol"]
    # A protocol that only explains differences makes its further runs when there are some.
    if not made.sweep and (chosen["alone"] or chosen["unpin"]):
        places = f"on {cores} cores" if cores else f"in up to {jobs} jobs at a time"
        say(summary.cost(planned[made.first.name], places))
    if not cores:  # on this machine the terminal shows it
        run = made.repeated if made.replay else protocol.CONTROL
        log = Path("logs", made.first.name, "train", f"{run}.log").absolute()
        say(f"to follow a training, once it runs: tail -F {shlex.quote(str(log))}")


def claimed(made: Experiment, cores: int | None) -> int:
    """The cores that a training takes: of a cluster's (``cores``: None) as many as it has threads.

    On this machine half of all at most, so that control and replica run side by side.
    """
    threads = int(made.config["determinism"]["intra_op_threads"] or 1)
    return threads if cores is None else max(1, min(threads, cores // 2))


def explain(made: Experiment, known: list[PlannedComparison], results: Path, given: Any) -> None:
    """Say once, before it starts, why more runs are made than two, and how long that takes.

    ``results``: the experiment's folder; ``given``: Snakemake's settings of resources.
    """
    if len(known) < 2:
        return
    records = {
        run.name: results / "train" / run.name / "record.json" for run in protocol.runs(known)
    }
    missing = [name for name, path in records.items() if not path.is_file()]
    found = {
        name: canonical.read_json(path)
        for name in (protocol.FIRST, protocol.REPEAT)
        if name not in missing and (path := results / "compare" / f"{name}.json").is_file()
    }
    second = (one.runs for one in known if one.name.endswith(protocol.SECOND))
    if again := {run.name for runs in second for run in runs}:
        missing = [name for name in missing if name in again]
    first = found.get(protocol.FIRST)
    if first and missing and (first["left"] or not first["identical"] or again):
        claim = claimed(made, given.cores)
        at_once = max(1, given.cores // claim if given.cores else given.nodes or 1)
        run = canonical.read_json(records[protocol.CONTROL])["timing"]["seconds"]
        _say_once(f"{made.name}: {summary.search(made.config, found, missing, run / at_once)}")


def position(run: str, known: list[PlannedComparison]) -> str:
    """At the end of a message: which of the trainings a run is."""
    names = [planned.name for planned in protocol.runs(known)]
    return f" (training {names.index(run) + 1} of {len(names)})" if run in names else ""


def keep_others(made: Plan) -> None:
    """Rename certificates of other experiments in these folders: nothing overwrites them."""
    if made.is_against:
        return
    written = ("certificate.json", *(["replay/certificate.json"] if made.replay else []))
    for name, one in made.experiments.items():
        for path in (Path("results", name, part) for part in written):
            if path.is_file() and not _names(path, one.digest):
                kept = path.with_name(f"certificate-{files.digest(path)[:12]}.json")
                path.rename(kept)
                say(f"note: {path} is of another experiment and is replaced; kept as {kept.name}")


def forget_failed(made: Plan) -> None:
    """A run that failed where the control failed too shows nothing: it is made again."""
    for name in made.experiments:
        for record in Path("results", name, "train").glob("*/record.json"):
            if canonical.read_json(record)["status"] == FAILED:
                shutil.rmtree(record.parent)


def _report_text(made: Plan) -> Path:
    """What Snakemake's --report opens on: a file that is written anew at each start."""
    results = Path("results", made.name)
    path, table = results / "certificate.json", results / "index.csv"
    text = ""
    if made.sweep and table.is_file():
        text = f"sweep  {made.name}\n{summary.sweep(Ended(table))}"
    elif path.is_file():
        text = summary.text(canonical.read_json(path), Ended(path))
    target = Path(".samebits/report", f"{made.name}.rst").absolute()
    files.write_bytes(target, summary.report(text).encode())
    return target


def succeed(made: Plan) -> None:
    """Raise WorkflowError where Snakemake was told that another experiment's result is current."""
    began = psutil.Process().create_time()
    for name, one in made.experiments.items():
        for path in Path("results", name).glob("**/certificate.json"):
            if path.stat().st_mtime >= began and not _names(path, one.digest):
                raise WorkflowError(
                    f"{path}: this certificate is of another experiment than the one asked for; "
                    "run the same command without --touch"
                )
    if Outcome.current:
        Outcome.current.has_succeeded = True
