# From a resolved experiment to a certificate:
#
#   load ──┬──> train control ──┬──> compare ──> certify ──> certificate.json, .html, badge.svg
#          ├──> train replica ──┤       │
#          └──> train with-… ───┘ <─────┘ they differ, or protocol=exhaustive: one run per variation
#
#   admit ──> train replay ──> replay ──> the certificate with one more signed statement
#
# Every rule runs scripts/<rule>.py in the environment envs/<rule>* and writes below <rule>/.
# Rules use `shell:`, because a run must be pinned before its interpreter starts: launch.py does
# that, and keeps the log.

import shutil
import sys
import time
from pathlib import Path

import psutil
from snakemake.settings.types import DeploymentMethod
from snakemake.utils import min_version

min_version("9.0")

SCRIPTS = Path(workflow.basedir, "scripts")
ENVS = Path(workflow.basedir, "envs")
LAUNCH = SCRIPTS / "launch.py"
sys.path.insert(0, str(SCRIPTS))

from samebits import canonical, code, heads, nodes, protocol, summary
from samebits.claims import BY_KEY as CLAIMS
from samebits.configure import configure
from samebits.errors import SamebitsError, explain_os_error

started = psutil.Process().create_time()


# ---- configure: the experiment, composed once ------------------------------------------------
try:
    experiment = configure(config, Path(workflow.basedir, "conf"))
    DATA = f"data/{experiment.data_key}"
    RESULTS = f"results/{experiment.name}"
    # Written only when they differ: a change re-runs what depends on it and nothing else.
    canonical.write_json_if_changed(f"{DATA}/config.json", experiment.part("data"))
    canonical.write_json_if_changed(f"{RESULTS}/config.json", experiment.config)
    # What a killed snakemake left: its locks here, and in a cluster's queue its jobs.
    HEADS, LEASES = (
        f".samebits/{kind}/{experiment.name}" for kind in ("heads", "leases")
    )
    if workflow.is_main_process:
        heads.clear(Path(HEADS), RESULTS)
    else:
        heads.refuse_orphan(os.environ)
except SamebitsError as error:
    raise WorkflowError(str(error))
except OSError as error:
    raise WorkflowError(explain_os_error(error))

experiment.signing.tell_jobs()

LOGS = f"logs/{experiment.name}"
# The most there can be; which of these are made is known after the first comparison.
RUNS = {run.name: run for run in protocol.runs(protocol.plan(experiment.config, None))}
RUNS["replay"] = protocol.PlannedRun("replay")
TRAIN = experiment.config["framework"]["environment"]
PROFILE = experiment.config["determinism"]


# ---- environment: the same lock, by conda or by uv -------------------------------------------

CONDA = DeploymentMethod.CONDA in workflow.deployment_settings.deployment_method


def environment(name, embedded=not CONDA):
    """The embedded environment as an input; nothing when Snakemake itself deploys."""
    return f".samebits/environments/{name}/environment.json" if embedded else []


def python(name, embedded=not CONDA):
    return f".samebits/environments/{name}/bin/python" if embedded else "python"


wildcard_constraints:
    environment=r"[a-z][a-z0-9.-]*",
    run="|".join(RUNS),
    comparison="replica|each|cpu",


# Only trainings are worth a cluster's queue; and the signing key stays on the user's machine.
localrules:
    all,
    environment,
    load,
    compare,
    certify,
    bundle,
    crate,
    admit,
    replay,
    claims,


rule all:
    input:
        f"{RESULTS}/certificate.json",
        f"{RESULTS}/certificate.html",
        f"{RESULTS}/badge.svg",
    message:
        "done"


rule environment:
    input:
        launch=LAUNCH,
        script=f"{SCRIPTS}/environment.py",
        code=code.files(SCRIPTS / "environment.py"),
        definition=f"{ENVS}/{{environment}}.yaml",
        lock=f"{ENVS}/{{environment}}.lock.txt",
    output:
        record=".samebits/environments/{environment}/environment.json",
    log:
        "logs/environment/{environment}.log",
    conda:
        "envs/driver.yaml"
    params:
        python=sys.executable,
        folder=subpath(output.record, parent=True),
    message:
        "build the environment {wildcards.environment} (once)"
    shell:
        "{params.python:q} {input.launch:q} --log {log:q} --"
        " {input.script:q} --definition {input.definition:q} --lock {input.lock:q}"
        " --output {params.folder:q}"


# ---- load: whatever the source, the pinned bytes ---------------------------------------------


rule load:
    input:
        environment("load"),
        launch=LAUNCH,
        script=f"{SCRIPTS}/load.py",
        code=code.files(SCRIPTS / "load.py"),
        config=f"{DATA}/config.json",
        lock=f"{ENVS}/load.lock.txt",
    output:
        arrays=directory(f"{DATA}/arrays"),
        record=f"{DATA}/record.json",
    log:
        f"logs/load/{experiment.data_key}.log",
    conda:
        "envs/load.yaml"
    params:
        python=python("load"),
    message:
        "load the data ({experiment.data_key})"
    shell:
        "{params.python:q} {input.launch:q} --log {log:q} --"
        " {input.script:q} --config {input.config:q} --lock {input.lock:q}"
        " --arrays {output.arrays:q} --record {output.record:q}"


# ---- train: in separate processes, pinned and varied before the interpreter starts ------------


def by_uv(run):
    """Whether a run's environment is the embedded one; the variation `deployment` asks for it."""
    return not CONDA or "deployment" in RUNS[run].variations


def other_nodes(run):
    """Keeps the runs on `another node` off those of the control; asked for on a cluster only."""
    if all(protocol.NODE not in planned.variations for planned in RUNS.values()):
        return None
    return nodes.excluded(protocol.NODE in RUNS[run].variations)


rule train:
    input:
        lambda wildcards: environment(TRAIN, by_uv(wildcards.run)),
        launch=LAUNCH,
        script=f"{SCRIPTS}/train.py",
        code=sorted({*code.files(SCRIPTS / "train.py"), *code.files(LAUNCH)}),
        model=experiment.model_files,
        config=f"{RESULTS}/config.json",
        data=f"{DATA}/arrays",
        lock=f"{ENVS}/{TRAIN}.lock.txt",
        admitted=f"{RESULTS}/admitted.json" if experiment.replay else [],
    output:
        directory(f"{RESULTS}/train/{{run}}"),
    log:
        f"{LOGS}/train/{{run}}.log",
    conda:
        f"envs/{TRAIN}.yaml"
    threads: PROFILE["intra_op_threads"] or 1
    resources:
        gpu=experiment.config["framework"]["gpus"],
        slurm_extra=lambda wildcards: other_nodes(wildcards.run),
    params:
        python=lambda wildcards: python(TRAIN, by_uv(wildcards.run)),
        pinned=lambda wildcards: experiment.variables(RUNS[wildcards.run].lift),
        varied=lambda wildcards: RUNS[wildcards.run].launch_flags(),
        changed=lambda wildcards: RUNS[wildcards.run].train_flags(),
        source_path=lambda wildcards: experiment.source_path,
        lease=f"{LEASES}/{{run}}",
        # Not an output: Snakemake removes those of a job that failed.
        checkpoints=f"{RESULTS}/checkpoints/{{run}}",
    message:
        "train {wildcards.run}"
    shell:
        "{params.python:q} {input.launch:q} --log {log:q} --lease {params.lease:q}"
        " {params.varied:q} {params.pinned:q} --"
        " {input.script:q} --config {input.config:q} --data {input.data:q}"
        " --lock {input.lock:q} --source-path {params.source_path:q} --run {wildcards.run:q}"
        " {params.changed:q} --checkpoints {params.checkpoints:q} --output {output:q}"


# ---- compare: measured, not judged; what it finds decides which runs are still wanted ---------


def planned():
    """All comparisons of this experiment. Waits for the first one."""
    first = checkpoints.compare.get(comparison=protocol.FIRST).output[0]
    return protocol.plan(experiment.config, canonical.read_json(first))


def folders(name):
    """The runs of one comparison, its control first."""
    known = [protocol.first(experiment.config)] if name == protocol.FIRST else planned()
    wanted = next(comparison for comparison in known if comparison.name == name)
    return [f"{RESULTS}/train/{run.name}" for run in (wanted.control, *wanted.runs)]


def flags(name, values):
    return [word for value in values for word in (name, value)]


checkpoint compare:
    input:
        environment("compare"),
        launch=LAUNCH,
        script=f"{SCRIPTS}/compare.py",
        code=code.files(SCRIPTS / "compare.py"),
        control=lambda wildcards: folders(wildcards.comparison)[0],
        replicas=lambda wildcards: folders(wildcards.comparison)[1:],
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
        "compare the runs bit for bit ({wildcards.comparison})"
    shell:
        "{params.python:q} {input.launch:q} --log {log:q} --"
        " {input.script:q} --control {input.control:q} {params.replicas:q} --output {output:q}"


# ---- certify: graded, signed, for people and for programs --------------------------------------

STAGES = ["load", TRAIN, "compare", "certify"]
DEPENDENCIES = {"Snakefile": workflow.main_snakefile} | {
    f"envs/{stage}.{kind}.txt": str(ENVS / f"{stage}.{kind}.txt")
    for stage in STAGES
    for kind in ("lock", "linux-64.pin")
}


rule certify:
    input:
        environment("certify"),
        launch=LAUNCH,
        script=f"{SCRIPTS}/certify.py",
        code=code.files(SCRIPTS / "certify.py"),
        config=f"{RESULTS}/config.json",
        load=f"{DATA}/record.json",
        runs=lambda _: [
            f"{RESULTS}/train/{run.name}" for run in protocol.runs(planned())
        ],
        comparisons=lambda _: [f"{RESULTS}/compare/{c.name}.json" for c in planned()],
        lock=f"{ENVS}/{TRAIN}.lock.txt",
        dependencies=list(DEPENDENCIES.values()),
    output:
        certificate=f"{RESULTS}/certificate.json",
        page=report(
            f"{RESULTS}/certificate.html",
            category="Certificate",
            labels={"experiment": experiment.name},
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
        dependencies=flags("--dependency", map("=".join, DEPENDENCIES.items())),
        overridden=flags("--overridden", experiment.overridden),
        signing=experiment.signing.option,  # who starts to sign, or no more, certifies again
        name=experiment.name,
        repeat=experiment.command(),
        checkout=subpath(input.script, ancestor=2),
    message:
        "certify"
    shell:
        "{params.python:q} {input.launch:q} --signing --log {log:q} --"
        " {input.script:q} --config {input.config:q} --name {params.name:q}"
        " --lock {input.lock:q} --load-record {input.load:q}"
        " {params.runs:q} {params.comparisons:q} {params.dependencies:q} {params.overridden:q}"
        " --checkout {params.checkout:q} --repeat {params.repeat:q}"
        " --output {output.certificate:q} --page {output.page:q} --badge {output.badge:q}"


# ---- bundle and crate: what is handed on. Not part of `all`; `make bundle` asks for both -------


rule bundle:
    input:
        environment("certify"),
        launch=LAUNCH,
        script=f"{SCRIPTS}/bundle.py",
        code=code.files(SCRIPTS / "bundle.py"),
        certificate=f"{RESULTS}/certificate.json",
        config=f"{RESULTS}/config.json",
        load=f"{DATA}/record.json",
        runs=lambda _: [
            f"{RESULTS}/train/{run.name}" for run in protocol.runs(planned())
        ],
        comparisons=lambda _: [f"{RESULTS}/compare/{c.name}.json" for c in planned()],
        lock=f"{ENVS}/{TRAIN}.lock.txt",
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
        "{params.python:q} {input.launch:q} --log {log:q} --"
        " {input.script:q} --certificate {input.certificate:q} --config {input.config:q}"
        " --lock {input.lock:q} --load-record {input.load:q}"
        " {params.runs:q} {params.comparisons:q} --output {output:q}"


rule crate:
    input:
        environment("crate"),
        launch=LAUNCH,
        script=f"{SCRIPTS}/crate.py",
        code=code.files(SCRIPTS / "crate.py"),
        certificate=f"{RESULTS}/certificate.json",
        page=f"{RESULTS}/certificate.html",
        badge=f"{RESULTS}/badge.svg",
        bundle=f"{RESULTS}/certificate.zip",
        workflow=workflow.main_snakefile,
        locks=[str(ENVS / f"{stage}.lock.txt") for stage in STAGES],
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
        locks=flags("--lock", [str(ENVS / f"{stage}.lock.txt") for stage in STAGES]),
        folder=subpath(output.crate, parent=True),
    message:
        "describe the results for other programs"
    shell:
        "{params.python:q} {input.launch:q} --log {log:q} --"
        " {input.script:q} --certificate {input.certificate:q} --page {input.page:q}"
        " --badge {input.badge:q} --bundle {input.bundle:q} {params.locks:q}"
        " --workflow {input.workflow:q}"
        " --folder {params.folder:q} --sbom {output.sbom:q} --output {output.crate:q}"


# ---- replay: somebody's certificate, made again here --------------------------------------------
# snakemake --cores 2 replay --config certificate=PATH

# Braces in a path are wildcards to Snakemake, unless they are doubled.
REPLAYED = "certificate=PATH"
if experiment.replay:
    REPLAYED = experiment.replay.path.replace("{", "{{").replace("}", "}}")


rule admit:
    input:
        environment("certify"),
        launch=LAUNCH,
        script=f"{SCRIPTS}/admit.py",
        code=code.files(SCRIPTS / "admit.py"),
        certificate=REPLAYED,
    output:
        f"{RESULTS}/admitted.json",
    log:
        f"{LOGS}/admit.log",
    conda:
        "envs/certify.yaml"
    params:
        python=python("certify"),
        digest=experiment.replay.digest if experiment.replay else "",
    message:
        "check the certificate, and whether this machine is inside of its scope"
    shell:
        "{params.python:q} {input.launch:q} --log {log:q} --"
        " {input.script:q} --certificate {input.certificate:q} --digest {params.digest:q}"
        " --output {output:q}"


rule replay:
    input:
        environment("certify"),
        launch=LAUNCH,
        script=f"{SCRIPTS}/replay.py",
        code=code.files(SCRIPTS / "replay.py"),
        certificate=REPLAYED,
        admitted=f"{RESULTS}/admitted.json",
        run=f"{RESULTS}/train/replay",
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
        signing=experiment.signing.option,
        checkout=subpath(input.script, ancestor=2),
    message:
        "hold the run against the certificate"
    shell:
        "{params.python:q} {input.launch:q} --signing --log {log:q} --"
        " {input.script:q} --certificate {input.certificate:q} --run {input.run:q}"
        " --admitted {input.admitted:q} --checkout {params.checkout:q}"
        " --output {output.certificate:q} --page {output.page:q} --badge {output.badge:q}"


# ---- claims: the sentences of the article, each run on three frameworks -----------------------
# Not part of `all`: `make claims` asks for results/article/claims.html.

CLAIMED = "results/article/claims"
CLAIMED_FRAMEWORKS = ["tf2.1", "tf2.8", "tf2.21"]


def mnist(wildcards):
    """The data that the article is about; the rule load makes the configured data only."""
    option = experiment.config["data"]["option"]
    if option != "mnist":
        raise WorkflowError(
            f"claims: expected data=mnist, got data={option}; leave data out of --config"
        )
    return f"{DATA}/arrays"


rule claim:
    input:
        lambda wildcards: environment(f"train-{wildcards.framework}"),
        launch=LAUNCH,
        script=f"{SCRIPTS}/claim.py",
        code=code.files(SCRIPTS / "claim.py"),
        data=mnist,
        lock=f"{ENVS}/train-{{framework}}.lock.txt",
    output:
        f"{CLAIMED}/{{framework}}/{{claim}}.json",
    log:
        "logs/article/claim/{framework}/{claim}.log",
    wildcard_constraints:
        framework="|".join(CLAIMED_FRAMEWORKS),
        claim="|".join(CLAIMS),
    conda:
        "envs/train-{framework}.yaml"
    params:
        python=lambda wildcards: python(f"train-{wildcards.framework}"),
    message:
        "test the claim {wildcards.claim} on {wildcards.framework}"
    shell:
        "{params.python:q} {input.launch:q} --log {log:q} --"
        " {input.script:q} --claim {wildcards.claim:q} --data {input.data:q}"
        " --lock {input.lock:q} --output {output:q}"


rule claims:
    input:
        environment("certify"),
        launch=LAUNCH,
        script=f"{SCRIPTS}/claims.py",
        code=code.files(SCRIPTS / "claims.py"),
        tested=expand(
            f"{CLAIMED}/{{framework}}/{{claim}}.json",
            framework=CLAIMED_FRAMEWORKS,
            claim=CLAIMS,
        ),
    output:
        collected="results/article/claims.json",
        page="results/article/claims.html",
    log:
        "logs/article/claims.log",
    conda:
        "envs/certify.yaml"
    params:
        python=python("certify"),
    message:
        "put the claims on one page"
    shell:
        "{params.python:q} {input.launch:q} --log {log:q} --"
        " {input.script:q} --claim {input.tested:q}"
        " --output {output.collected:q} --page {output.page:q}"


onstart:
    try:
        heads.begin(Path(HEADS), Path(LEASES), os.environ)
    except SamebitsError as error:
        raise WorkflowError(str(error))
    # A protocol that only explains differences makes its further runs when there are some.
    chosen = experiment.config["protocol"]
    if chosen["alone"] or chosen["lift"]:
        wanted = protocol.plan(experiment.config, None)
        print(
            summary.cost(wanted, workflow.cores or 1), file=sys.stderr, flush=True
        )


onerror:
    # A run that failed where the control failed as well shows nothing: it is made again.
    for record in Path(RESULTS, "train").glob("*/record.json"):
        if canonical.read_json(record)["status"] == "failed":
            shutil.rmtree(record.parent)


onsuccess:
    for folder, tell in (
        (RESULTS, summary.text),
        (f"{RESULTS}/replay", summary.replay),
    ):
        issued, page = Path(folder, "certificate.json"), Path(
            folder, "certificate.html"
        )
        if issued.is_file() and issued.stat().st_mtime >= started:
            took, colour = time.time() - started, sys.stdout.isatty()
            print(tell(canonical.read_json(issued), issued, page, took, colour))
