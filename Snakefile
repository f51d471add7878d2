# From a resolved experiment to a certificate:
#
#   load ──┬──> train control ──┬──> compare ──> certify ──> certificate.json, .html, badge.svg
#          ├──> train replica ──┤       │
#          └──> train with-… ───┘ <─────┘ they differ, or protocol=exhaustive: one run per variation
#
#   sweep=… makes this for every combination, and from all certificates: index ──> index.html, .csv
#
#   prepare_replay ──> train replay ──> replay ──> the certificate with one more signed statement
#                  ──> train spot ────>            with epochs=K, of K epochs that are drawn at random
#
# Every rule runs scripts/<rule>.py in the environment envs/<rule>* and writes below <rule>/.
# Rules use `shell:`, because a run must be pinned before its interpreter starts: launch.py does
# that, and keeps the log.

import functools
import gc
import glob
import os
import shlex
import shutil
import sys
import time
from pathlib import Path

import psutil
from snakemake.exceptions import IncompleteCheckpointException
from snakemake.settings.types import DeploymentMethod
from snakemake.utils import min_version

min_version("9.0")

CHECKOUT = Path(workflow.current_basedir)  # of this file, wherever it is included
SCRIPTS = CHECKOUT / "scripts"
ENVS = CHECKOUT / "envs"
LAUNCH = SCRIPTS / "launch.py"
# Looked up when a job starts, so that another driver makes nothing again as another text would.
DRIVER = sys.executable
sys.path.insert(0, str(SCRIPTS))

from samebits.config import sources as code
from samebits.errors import SamebitsError, explain_os_error
from samebits.experiment import protocol
from samebits.formats import canonical, files
from samebits.launch import lease
from samebits.pages import summary
from samebits.workflow import nodes, plan as plans, start as starting

started = psutil.Process().create_time()
# A job lives as long as its DAG. To look for garbage among all of them as often as Python does costs
# a tenth of the time that a large sweep needs to start.
gc.set_threshold(100_000, 50, 50)


# ---- configure: the experiments, composed once -----------------------------------------------
try:
    plan = plans.plan(config, CHECKOUT / "conf")
    WRITTEN = {
        f"results/{name}/config.json": experiment.config
        for name, experiment in plan.experiments.items()
    }
    for experiment in plan.experiments.values():
        WRITTEN[f"data/{experiment.data_key}/config.json"] = experiment.part("data")
    if plan.sweep:
        WRITTEN[f"results/{plan.name}/sweep.json"] = plan.listed(
            certificate="certificate.json", page="certificate.html"
        )
    # What a killed snakemake left: its locks here, and in a cluster's queue its jobs.
    OWNERS, LEASES = (f".samebits/{kind}/{plan.name}" for kind in ("owners", "leases"))
    if workflow.is_main_process:
        lease.clear_dead_owners(Path(OWNERS), f"results/{plan.name}")
        made = [Path("results/.code"), *{Path(path).parent for path in WRITTEN}]
        starting.date_back(
            [*made, *Path(".samebits/environments").glob("*/environment.json")]
        )
    else:
        lease.require_living_owner(os.environ)
    starting.write(WRITTEN)
except SamebitsError as error:
    raise WorkflowError(str(error))
except OSError as error:
    raise WorkflowError(explain_os_error(error))

plan.first.signing.tell_jobs()

# A single experiment has its paths as they are; the experiments of a sweep share wildcards.
NAME = "{experiment}" if plan.sweep else plan.first.name
RESULTS = f"results/{NAME}"
LOGS = f"logs/{NAME}"
OF = ": {wildcards.experiment}" if plan.sweep else ""  # at the end of a message
DATA = "data/{data}"
SWEEP = f"results/{plan.name}"
# A replay: of all epochs, or of some that are drawn at random.
SPOT = plan.replay is not None and plan.replay.epochs is not None
REPEATED = "spot" if SPOT else "replay"
DRAWN = ""
if SPOT:
    DRAWN = shlex.join(
        [
            "--sampled-epochs",
            f"{RESULTS}/replay-plan.json",
            "--states",
            f"{RESULTS}/states",
        ]
    )
# The most there can be; which of these are made is known after the first comparison.
RUNS = {
    name: {run.name: run for run in protocol.runs(protocol.plan(made.config, None))}
    | {REPEATED: protocol.PlannedRun(REPEATED)}
    for name, made in plan.experiments.items()
}


def of(wildcards):
    """The experiment that a job belongs to."""
    return plan.experiments[wildcards.experiment] if plan.sweep else plan.first


def run_of(wildcards):
    """What the rule train makes."""
    return RUNS[of(wildcards).name][wildcards.run]


def each(value):
    """What an experiment has of something: the value where all have the same, else a function."""
    first, *others = map(value, plan.experiments.values())
    if all(other == first for other in others):
        return first
    return lambda wildcards: value(of(wildcards))


def code_of(*scripts):
    """The code that a stage runs, as one file that is another one when any of it changes."""
    digest, files = code.listed(SCRIPTS / script for script in scripts)
    path = f"results/.code/{Path(scripts[0]).stem}-{digest}.json"
    canonical.write_json_if_changed(Path(path), files)
    return path


# ---- environment: the same lock, by conda or by uv -------------------------------------------

CONDA = DeploymentMethod.CONDA in workflow.deployment_settings.deployment_method


def environment(name, embedded=not CONDA):
    """The embedded environment as an input; nothing when Snakemake itself deploys."""
    return f".samebits/environments/{name}/environment.json" if embedded else []


def python(name, embedded=not CONDA):
    return f".samebits/environments/{name}/bin/python" if embedded else "python"


wildcard_constraints:
    environment=r"[a-z][a-z0-9.-]*",
    experiment=plan.pattern,
    data=r"[^/]+-[0-9a-f]{12}",
    run="|".join(dict.fromkeys(run for runs in RUNS.values() for run in runs)),
    comparison="replica|each|cpu",


# Only trainings are worth a cluster's queue; and the signing key stays on the user's machine.
localrules:
    all,
    environment,
    load,
    compare,
    certify,
    index,
    repair,
    bundle,
    crate,
    prepare_replay,
    replay,


FACES = [
    f"{RESULTS}/certificate.json",
    f"{RESULTS}/certificate.html",
    f"{RESULTS}/badge.svg",
]
INDEX = [f"{SWEEP}/index.html", f"{SWEEP}/index.csv"]


rule all:
    input:
        INDEX if plan.sweep else FACES,
    message:
        "done"


rule environment:
    input:
        launch=LAUNCH,
        script=f"{SCRIPTS}/environment.py",
        code=code_of("environment.py"),
        definition=f"{ENVS}/{{environment}}.yaml",
        lock=f"{ENVS}/{{environment}}.lock.txt",
    output:
        record=".samebits/environments/{environment}/environment.json",
    log:
        "logs/environment/{environment}.log",
    conda:
        "envs/driver.yaml"
    params:
        folder=subpath(output.record, parent=True),
    message:
        "build the environment {wildcards.environment} (once)"
    shell:
        "{DRIVER:q} {input.launch:q} --python {DRIVER:q} --log {log:q} --"
        " {input.script:q} --definition {input.definition:q} --lock {input.lock:q}"
        " --output {params.folder:q}"


# ---- load: whatever the source, the pinned bytes ---------------------------------------------


rule load:
    input:
        environment("load"),
        launch=LAUNCH,
        script=f"{SCRIPTS}/load.py",
        code=code_of("load.py"),
        config=f"{DATA}/config.json",
        lock=f"{ENVS}/load.lock.txt",
    output:
        arrays=directory(f"{DATA}/arrays"),
        record=f"{DATA}/record.json",
    log:
        "logs/load/{data}.log",
    conda:
        "envs/load.yaml"
    params:
        python=python("load"),
    message:
        "load the data ({wildcards.data})"
    shell:
        "{DRIVER:q} {input.launch:q} --python {params.python:q} --log {log:q} --"
        " {input.script:q} --config {input.config:q} --lock {input.lock:q}"
        " --arrays {output.arrays:q} --record {output.record:q}"


# ---- train: in separate processes, pinned and varied before the interpreter starts ------------


def train_in(what):
    """``environment`` or ``python`` of a run; the variation `deployment` asks for the embedded one."""
    if not CONDA:
        return each(lambda made: what(made.environment))
    return lambda wildcards: what(
        of(wildcards).environment, "deployment" in run_of(wildcards).variations
    )


def train_lock(made):
    return ENVS / f"{made.environment}.lock.txt"


def other_nodes(wildcards):
    """Keeps the runs on `another node` off those of the control; asked for on a cluster only."""
    runs = RUNS[of(wildcards).name].values()
    if all(protocol.NODE not in planned.variations for planned in runs):
        return None
    return nodes.excluded(protocol.NODE in run_of(wildcards).variations)


@functools.cache
def digest_of(path):
    return files.digest(path)


def content_of(made):
    """Another text when the experiment, the model's code or the lock is another one."""
    files = [*made.model_files, train_lock(made)]
    return canonical.digest([made.digest, *map(digest_of, files)])


def time_limit(wildcards, resources):
    """What a scheduler calls a job's time, asked for by --set-resources, holds everywhere."""
    minutes = resources.get("runtime")
    return f"--limit-minutes {minutes}" if isinstance(minutes, int) else ""


rule train:
    input:
        train_in(environment),
        launch=LAUNCH,
        script=f"{SCRIPTS}/train.py",
        code=code_of("train.py", "launch.py"),
        model=each(lambda made: made.model_files),
        config=f"{RESULTS}/config.json",
        data=each(lambda made: f"data/{made.data_key}/arrays"),
        lock=each(train_lock),
        plan=f"{RESULTS}/replay-plan.json" if plan.replay else [],
        states=f"{RESULTS}/states" if SPOT else [],
    output:
        directory(f"{RESULTS}/train/{{run}}"),
    log:
        f"{LOGS}/train/{{run}}.log",
    conda:
        each(lambda made: f"envs/{made.environment}.yaml")
    threads: each(lambda made: made.config["determinism"]["intra_op_threads"] or 1)
    resources:
        gpu=each(lambda made: made.config["framework"]["gpus"]),
        slurm_extra=other_nodes,
    params:
        python=train_in(python),
        launched=lambda wildcards: shlex.join(
            run_of(wildcards).launch_flags()
            + of(wildcards).variables(run_of(wildcards).lift)
        ),
        changed=lambda wildcards: shlex.join(run_of(wildcards).train_flags()),
        drawn=DRAWN,
        source_path=lambda wildcards: of(wildcards).source_path,
        lease=f".samebits/leases/{NAME}/{{run}}",
        limit=time_limit,
        # Snakemake compares dates, and a clock can be wrong: this changes with what is trained.
        content=each(content_of),
        # Not an output: Snakemake removes those of a job that failed.
        checkpoints=f"{RESULTS}/checkpoints/{{run}}",
    message:
        f"train {{wildcards.run}}{OF}"
    shell:
        "{DRIVER:q} {input.launch:q} --python {params.python:q} --log {log:q} --lease {params.lease:q}"
        " {params.limit} {params.launched} --"
        " {input.script:q} --config {input.config:q} --data {input.data:q}"
        " --lock {input.lock:q} --source-path {params.source_path:q} --run {wildcards.run:q}"
        " {params.changed} {params.drawn} --checkpoints {params.checkpoints:q} --output {output:q}"


# ---- compare: measured, not judged; what it finds decides which runs are still wanted ---------


def planned(wildcards):
    """All comparisons of an experiment. Waits for the first one."""
    made = of(wildcards)
    wanted = {"experiment": made.name, "comparison": protocol.FIRST}
    first = checkpoints.compare.get(**wanted).output[0]
    try:
        found = canonical.read_json(first)
    except SamebitsError as error:
        raise WorkflowError(str(error))
    return protocol.plan(made.config, found)


def folder(wildcards, run):
    """What the rule train makes of a planned run."""
    return f"results/{of(wildcards).name}/train/{run.name}"


def folders(wildcards):
    """The runs of one comparison, its control first."""
    name = wildcards.comparison
    first = [protocol.first(of(wildcards).config)]
    comparisons = first if name == protocol.FIRST else planned(wildcards)
    wanted = next(comparison for comparison in comparisons if comparison.name == name)
    return [folder(wildcards, run) for run in (wanted.control, *wanted.runs)]


def known(wildcards):
    """The comparisons that are known: the first one, until it is made. Then this is asked again.

    That Snakemake knows some inputs beforehand halves its time where nothing is made yet.
    """
    try:
        return planned(wildcards)
    except IncompleteCheckpointException:
        name = of(wildcards).name
        if Path(f"results/{name}/compare/{protocol.FIRST}.json").is_file():
            raise  # what it says may be old
        return [protocol.first(of(wildcards).config)]


def all_folders(wildcards):
    """All runs of an experiment."""
    return [folder(wildcards, run) for run in protocol.runs(known(wildcards))]


def all_comparisons(wildcards):
    """All comparisons of an experiment, as files."""
    path = f"results/{of(wildcards).name}/compare"
    return [f"{path}/{comparison.name}.json" for comparison in known(wildcards)]


def flags(name, values):
    """A flag for each value, quoted for the shell: as text, which costs Snakemake least."""
    return shlex.join(word for value in values for word in (name, str(value)))


checkpoint compare:
    input:
        environment("compare"),
        launch=LAUNCH,
        script=f"{SCRIPTS}/compare.py",
        code=code_of("compare.py"),
        atlas=CHECKOUT / "docs/atlas.json",
        control=lambda wildcards: folders(wildcards)[0],
        replicas=lambda wildcards: folders(wildcards)[1:],
    output:
        f"{RESULTS}/compare/{{comparison}}.json",
    log:
        f"{LOGS}/compare/{{comparison}}.log",
    conda:
        "envs/compare.yaml"
    params:
        python=python("compare"),
        replicas=lambda wildcards, input: flags("--replica", input.replicas),
    message:
        f"compare the runs bit for bit ({{wildcards.comparison}}){OF}"
    shell:
        "{DRIVER:q} {input.launch:q} --python {params.python:q} --log {log:q} --"
        " {input.script:q} --control {input.control:q} {params.replicas}"
        " --atlas {input.atlas:q} --output {output:q}"


# ---- certify: graded, signed, for people and for programs --------------------------------------

STAGES = ["load", "compare", "certify"]


def locks(made):
    """The locks of the environments that an experiment is made in."""
    return [str(ENVS / f"{stage}.lock.txt") for stage in (*STAGES, made.environment)]


def dependencies(made):
    """What a certificate rests on beside the code, by the names that it has there."""
    pins = [path.replace(".lock.", ".linux-64.pin.") for path in locks(made)]
    named = {f"envs/{Path(path).name}": path for path in (*locks(made), *pins)}
    return {"Snakefile": str(CHECKOUT / "Snakefile")} | named


rule certify:
    input:
        environment("certify"),
        launch=LAUNCH,
        script=f"{SCRIPTS}/certify.py",
        code=code_of("certify.py"),
        config=f"{RESULTS}/config.json",
        load=each(lambda made: f"data/{made.data_key}/record.json"),
        runs=all_folders,
        comparisons=all_comparisons,
        lock=each(train_lock),
        dependencies=each(lambda made: list(dependencies(made).values())),
    output:
        certificate=f"{RESULTS}/certificate.json",
        page=report(
            f"{RESULTS}/certificate.html",
            category="Certificate",
            labels={"experiment": NAME},
            caption="docs/certificate.rst",
        ),
        badge=f"{RESULTS}/badge.svg",
    log:
        f"{LOGS}/certify.log",
    conda:
        "envs/certify.yaml"
    params:
        python=python("certify"),
        runs=lambda wildcards, input: flags("--run", input.runs),
        comparisons=lambda wildcards, input: flags("--comparison", input.comparisons),
        dependencies=each(
            lambda made: flags(
                "--dependency", map("=".join, dependencies(made).items())
            )
        ),
        overridden=each(lambda made: flags("--overridden", made.overridden)),
        # Who starts to sign, or no more, certifies again.
        signing=plan.first.signing.option,
        name=lambda wildcards: of(wildcards).name,
        repeat=lambda wildcards: of(wildcards).command(),
        checkout=subpath(input.script, ancestor=2),
    message:
        f"certify{OF}"
    shell:
        "{DRIVER:q} {input.launch:q} --python {params.python:q} --signing --log {log:q} --"
        " {input.script:q} --config {input.config:q} --name {params.name:q}"
        " --lock {input.lock:q} --load-record {input.load:q}"
        " {params.runs} {params.comparisons} {params.dependencies} {params.overridden}"
        " --checkout {params.checkout:q} --repeat {params.repeat:q}"
        " --output {output.certificate:q} --page {output.page:q} --badge {output.badge:q}"


# ---- index: all certificates of a sweep, side by side -----------------------------------------


rule index:
    input:
        environment("certify"),
        launch=LAUNCH,
        script=f"{SCRIPTS}/index.py",
        code=code_of("index.py"),
        sweep=f"{SWEEP}/sweep.json",
        certificates=[f"results/{name}/certificate.json" for name in plan.experiments],
    output:
        page=f"{SWEEP}/index.html",
        table=f"{SWEEP}/index.csv",
    log:
        f"logs/{SWEEP.removeprefix('results/')}/index.log",
    conda:
        "envs/certify.yaml"
    params:
        python=python("certify"),
    message:
        "put all certificates on one page"
    shell:
        "{DRIVER:q} {input.launch:q} --python {params.python:q} --log {log:q} --"
        " {input.script:q} --sweep {input.sweep:q} --page {output.page:q}"
        " --table {output.table:q}"


# ---- repair: what is damaged goes, and the same command makes it again ---------------------------
# snakemake --cores 2 repair --config …


def there(pattern, names):
    """The files of all of these that are there."""
    found = (
        path
        for name in names
        for path in Path().glob(pattern.format(glob.escape(name)))
    )
    return sorted(map(str, found))


rule repair:
    input:
        environment("certify"),
        launch=LAUNCH,
        script=f"{SCRIPTS}/repair.py",
        code=code_of("repair.py"),
    log:
        f"logs/{SWEEP.removeprefix('results/')}/repair.log",
    conda:
        "envs/certify.yaml"
    params:
        python=python("certify"),
        # Only data with its record: without one it is still being loaded.
        data=lambda wildcards: flags(
            "--data",
            [
                Path(record).with_name("arrays")
                for record in there(
                    "data/{}/record.json",
                    {made.data_key for made in plan.experiments.values()},
                )
            ],
        ),
        runs=lambda wildcards: flags(
            "--run", there("results/{}/train/[!.]*", plan.experiments)
        ),
        comparisons=lambda wildcards: flags(
            "--comparison", there("results/{}/compare/[!.]*.json", plan.experiments)
        ),
        certificates=lambda wildcards: flags(
            "--certificate", there("results/{}/certificate.json", plan.experiments)
        ),
    message:
        "look for what is damaged"
    shell:
        "{DRIVER:q} {input.launch:q} --python {params.python:q} --log {log:q} --"
        " {input.script:q} {params.data} {params.runs} {params.comparisons}"
        " {params.certificates}"


# ---- bundle and crate: what is handed on. Not part of `all`; `make bundle` asks for both -------


rule bundle:
    input:
        environment("certify"),
        launch=LAUNCH,
        script=f"{SCRIPTS}/bundle.py",
        code=code_of("bundle.py"),
        certificate=f"{RESULTS}/certificate.json",
        config=f"{RESULTS}/config.json",
        load=each(lambda made: f"data/{made.data_key}/record.json"),
        runs=all_folders,
        comparisons=all_comparisons,
        lock=each(train_lock),
    output:
        f"{RESULTS}/certificate.zip",
    log:
        f"{LOGS}/bundle.log",
    conda:
        "envs/certify.yaml"
    params:
        python=python("certify"),
        runs=lambda wildcards, input: flags("--run", input.runs),
        comparisons=lambda wildcards, input: flags("--comparison", input.comparisons),
    message:
        "put the certificate and its evidence in one file"
    shell:
        "{DRIVER:q} {input.launch:q} --python {params.python:q} --log {log:q} --"
        " {input.script:q} --certificate {input.certificate:q} --config {input.config:q}"
        " --lock {input.lock:q} --load-record {input.load:q}"
        " {params.runs} {params.comparisons} --output {output:q}"


rule crate:
    input:
        environment("crate"),
        launch=LAUNCH,
        script=f"{SCRIPTS}/crate.py",
        code=code_of("crate.py"),
        certificate=f"{RESULTS}/certificate.json",
        page=f"{RESULTS}/certificate.html",
        badge=f"{RESULTS}/badge.svg",
        bundle=f"{RESULTS}/certificate.zip",
        workflow=CHECKOUT / "Snakefile",
        locks=each(locks),
    output:
        crate=f"{RESULTS}/ro-crate-metadata.json",
        workflow=f"{RESULTS}/workflow.smk",
        sbom=directory(f"{RESULTS}/sbom"),
    log:
        f"{LOGS}/crate.log",
    conda:
        "envs/crate.yaml"
    params:
        python=python("crate"),
        locks=lambda wildcards, input: flags("--lock", input.locks),
        folder=subpath(output.crate, parent=True),
    message:
        "describe the results for other programs"
    shell:
        "{DRIVER:q} {input.launch:q} --python {params.python:q} --log {log:q} --"
        " {input.script:q} --certificate {input.certificate:q} --page {input.page:q}"
        " --badge {input.badge:q} --bundle {input.bundle:q} {params.locks}"
        " --workflow {input.workflow:q}"
        " --folder {params.folder:q} --sbom {output.sbom:q} --output {output.crate:q}"


# ---- replay: somebody's certificate, made again here --------------------------------------------
# snakemake --cores 2 replay --config certificate=PATH
# … epochs=K trains K epochs alone. They are drawn once, by prepare_replay: who goes on keeps the draw.

# Braces in a path are wildcards to Snakemake, unless they are doubled.
REPLAYED = "certificate=PATH"
if plan.replay:
    REPLAYED = plan.replay.path.replace("{", "{{").replace("}", "}}")


rule prepare_replay:
    input:
        environment("certify"),
        launch=LAUNCH,
        script=f"{SCRIPTS}/prepare_replay.py",
        code=code_of("prepare_replay.py"),
        certificate=REPLAYED,
    output:
        plan=f"{RESULTS}/replay-plan.json",
        states=[directory(f"{RESULTS}/states")] if SPOT else [],
    log:
        f"{LOGS}/prepare_replay.log",
    conda:
        "envs/certify.yaml"
    params:
        python=python("certify"),
        digest=plan.replay.digest if plan.replay else "",
        # Not inputs: that a folder was touched is no reason to draw again.
        drawn=lambda wildcards, output: " ".join(
            [
                flags("--epochs", [plan.replay.epochs] * SPOT),
                flags("--checkpoints", filter(None, [plan.replay.states])),
                flags("--states", output.states),
            ]
        ),
    message:
        "check the certificate, and whether this machine is inside of its scope"
    shell:
        "{DRIVER:q} {input.launch:q} --python {params.python:q} --log {log:q} --"
        " {input.script:q} --certificate {input.certificate:q} --digest {params.digest:q}"
        " {params.drawn} --output {output.plan:q}"


rule replay:
    input:
        environment("certify"),
        launch=LAUNCH,
        script=f"{SCRIPTS}/replay.py",
        code=code_of("replay.py"),
        certificate=REPLAYED,
        plan=f"{RESULTS}/replay-plan.json",
        run=f"{RESULTS}/train/{REPEATED}",
    output:
        certificate=f"{RESULTS}/replay/certificate.json",
        page=f"{RESULTS}/replay/certificate.html",
        badge=f"{RESULTS}/replay/badge.svg",
    log:
        f"{LOGS}/replay.log",
    conda:
        "envs/certify.yaml"
    params:
        python=python("certify"),
        signing=plan.first.signing.option,
        checkout=subpath(input.script, ancestor=2),
    message:
        "hold the run against the certificate"
    shell:
        "{DRIVER:q} {input.launch:q} --python {params.python:q} --signing --log {log:q} --"
        " {input.script:q} --certificate {input.certificate:q} --run {input.run:q}"
        " --plan {input.plan:q} --checkout {params.checkout:q}"
        " --output {output.certificate:q} --page {output.page:q} --badge {output.badge:q}"


if plan.sweep and workflow.is_main_process:
    # A dry run shows it too.
    print(plan.counted(STAGES), file=sys.stderr, flush=True)


onstart:
    try:
        lease.become_owner(Path(OWNERS), Path(LEASES), os.environ)
    except SamebitsError as error:
        raise WorkflowError(str(error))
    starting.write_locked(WRITTEN)
    # A protocol that only explains differences makes its further runs when there are some.
    chosen = plan.first.config["protocol"]
    if not plan.sweep and (chosen["alone"] or chosen["lift"]):
        wanted = protocol.plan(plan.first.config, None)
        print(
            summary.cost(wanted, workflow.cores or 1), file=sys.stderr, flush=True
        )


onerror:
    # A run that failed where the control failed as well shows nothing: it is made again.
    for name in plan.experiments:
        for record in Path("results", name, "train").glob("*/record.json"):
            if canonical.read_json(record)["status"] == "failed":
                shutil.rmtree(record.parent)


onsuccess:
    took, colour = time.time() - started, sys.stdout.isatty()
    for folder, tell in (
        (RESULTS, summary.text),
        (f"{RESULTS}/replay", summary.replay),
    ):
        issued, page = Path(folder, "certificate.json"), Path(
            folder, "certificate.html"
        )
        if issued.is_file() and issued.stat().st_mtime >= started:
            print(tell(canonical.read_json(issued), issued, page, took, colour))
    table, page = Path(SWEEP, "index.csv"), Path(SWEEP, "index.html")
    if plan.sweep and table.is_file() and table.stat().st_mtime >= started:
        print(summary.sweep(table, page, took, colour))
