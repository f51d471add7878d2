# From a resolved experiment to a certificate:
#
#   load ──┬──> train control ──┬──> compare ──> certify ──> certificate.json, certificate.html
#          └──> train replica ──┘
#
# Every rule runs scripts/<rule>.py in the environment envs/<rule>* and writes below <rule>/.
# Rules use `shell:`, because a run must be pinned before its interpreter starts: launch.py does
# that, and keeps the log.

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

from samebits import canonical, code, summary
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
except SamebitsError as error:
    raise WorkflowError(str(error))
except OSError as error:
    raise WorkflowError(explain_os_error(error))

LOGS = f"logs/{experiment.name}"
RUNS = ["control", "replica"]
TRAIN = experiment.config["framework"]["environment"]
PROFILE = experiment.config["determinism"]


# ---- environment: the same lock, by conda or by uv -------------------------------------------

CONDA = DeploymentMethod.CONDA in workflow.deployment_settings.deployment_method


def environment(name):
    """The embedded environment as an input; nothing when Snakemake itself deploys."""
    return [] if CONDA else f".samebits/environments/{name}/environment.json"


def python(name):
    return "python" if CONDA else f".samebits/environments/{name}/bin/python"


wildcard_constraints:
    environment=r"[a-z][a-z0-9.-]*",
    run="|".join(RUNS),


localrules:
    all,
    environment,


rule all:
    input:
        f"{RESULTS}/certificate.json",
        f"{RESULTS}/certificate.html",
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


# ---- train: twice, in separate processes, pinned before the interpreter starts ---------------


rule train:
    input:
        environment(TRAIN),
        launch=LAUNCH,
        script=f"{SCRIPTS}/train.py",
        code=code.files(SCRIPTS / "train.py"),
        model=experiment.model_files,
        config=f"{RESULTS}/config.json",
        data=f"{DATA}/arrays",
        lock=f"{ENVS}/{TRAIN}.lock.txt",
    output:
        directory(f"{RESULTS}/train/{{run}}"),
    log:
        f"{LOGS}/train/{{run}}.log",
    conda:
        f"envs/{TRAIN}.yaml"
    threads: PROFILE["intra_op_threads"] or 1
    resources:
        gpu=experiment.config["framework"]["gpus"],
    params:
        python=python(TRAIN),
        pinned=experiment.variables(),
        source_path=lambda wildcards: experiment.source_path,
    message:
        "train {wildcards.run}"
    shell:
        "{params.python:q} {input.launch:q} --log {log:q} {params.pinned:q} --"
        " {input.script:q} --config {input.config:q} --data {input.data:q}"
        " --lock {input.lock:q} --source-path {params.source_path:q} --run {wildcards.run:q}"
        " --output {output:q}"


# ---- compare: measured, not judged -----------------------------------------------------------


rule compare:
    input:
        environment("compare"),
        launch=LAUNCH,
        script=f"{SCRIPTS}/compare.py",
        code=code.files(SCRIPTS / "compare.py"),
        control=f"{RESULTS}/train/control",
        replica=f"{RESULTS}/train/replica",
    output:
        f"{RESULTS}/compare/comparison.json",
    log:
        f"{LOGS}/compare.log",
    conda:
        "envs/compare.yaml"
    params:
        python=python("compare"),
    message:
        "compare the runs bit for bit"
    shell:
        "{params.python:q} {input.launch:q} --log {log:q} --"
        " {input.script:q} --control {input.control:q} --replica {input.replica:q}"
        " --output {output:q}"


# ---- certify: graded, for people and for programs --------------------------------------------


rule certify:
    input:
        environment("certify"),
        launch=LAUNCH,
        script=f"{SCRIPTS}/certify.py",
        code=code.files(SCRIPTS / "certify.py"),
        config=f"{RESULTS}/config.json",
        load=f"{DATA}/record.json",
        runs=expand(f"{RESULTS}/train/{{run}}", run=RUNS),
        comparison=f"{RESULTS}/compare/comparison.json",
        lock=f"{ENVS}/{TRAIN}.lock.txt",
    output:
        certificate=f"{RESULTS}/certificate.json",
        page=f"{RESULTS}/certificate.html",
    log:
        f"{LOGS}/certify.log",
    conda:
        "envs/certify.yaml"
    params:
        python=python("certify"),
        name=experiment.name,
        repeat=experiment.command(),
        checkout=subpath(input.script, ancestor=2),
    message:
        "certify"
    shell:
        "{params.python:q} {input.launch:q} --log {log:q} --"
        " {input.script:q} --config {input.config:q} --name {params.name:q}"
        " --lock {input.lock:q} --load-record {input.load:q}"
        " --run {input.runs[0]:q} --run {input.runs[1]:q} --comparison {input.comparison:q}"
        " --checkout {params.checkout:q} --repeat {params.repeat:q}"
        " --output {output.certificate:q} --page {output.page:q}"


onsuccess:
    issued, page = Path(RESULTS, "certificate.json"), Path(
        RESULTS, "certificate.html"
    )
    if issued.is_file():
        took = time.time() - started
        print(
            summary.text(
                canonical.read_json(issued), issued, page, took, sys.stdout.isatty()
            )
        )
