"""
From a resolved experiment to a certificate.

    load ──┬──> train control ──┬──> compare ──> certify ──> render ──> certificate.html, badge.svg
           ├──> train replica ──┤       │
           └──> train with-… ───┘ <─────┘ they differ, or protocol=exhaustive: one run per variation

    sweep=… makes this for every combination, and from all certificates: index ──> index.html, .csv

    prepare_replay ──> train replay ──> countersign ──> the certificate with one more statement
                   ──> train sampled ─>                 with epochs=K, of K epochs drawn at random

    share.smk: bundle, crate        repair.smk: repair        environment.smk: environment

INPUTS      conf/ and --config: one experiment, a sweep, or a certificate
OUTPUTS     results/NAME/, data/KEY/, logs/; see the head of each file below rules/
GUARANTEES  every problem of a config is listed before any job; running it again
            is a no-op; every path is spelled once, in rules/; every artifact has one writer

Every rule runs a script in an environment of its own: scripts/<rule>.py in envs/<rule>*, or the one
that its rule names. Rules use `shell:`, because a run must be pinned before its interpreter starts:
launch.py does that, and keeps the log. Another workflow uses all of this as

    module samebits:
        snakefile: "path/to/Snakefile"
        config: config["samebits"]
        prefix: "repro"

    use rule * from samebits as samebits_*
"""

import sys
from pathlib import Path

import snakemake
from snakemake.exceptions import WorkflowError

# Of this file, wherever it is included, and however many links lead to it.
CHECKOUT = Path(workflow.current_basedir).resolve()
sys.path.insert(0, str(CHECKOUT / "scripts"))

try:
    if int(snakemake.__version__.partition(".")[0]) < 9:
        raise ImportError("it is older than 9.0")
    from samebits.workflow import start
except ImportError as error:  # Hydra may be missing, too
    raise WorkflowError(
        f"Snakemake {snakemake.__version__} of {sys.prefix} cannot run samebits: {error}; "
        f"run {CHECKOUT}/samebits instead, which brings the Snakemake of envs/driver.lock.txt"
    ) from None

plan = start.start(workflow, config, CHECKOUT / "conf")


rule all:  # the first one; default_target would replace an importer's
    input:
        plan.outputs,
    localrule: True
    message:
        "done"


include: "rules/common.smk"
include: "rules/environment.smk"
include: "rules/load.smk"
include: "rules/train.smk"
include: "rules/compare.smk"
include: "rules/certify.smk"
include: "rules/share.smk"
include: "rules/replay.smk"
include: "rules/repair.smk"


# Of the main workflow alone: Snakemake ignores these in a module.
onstart:
    settings = workflow.resource_settings
    start.announce(plan, settings.cores, settings.nodes)
    if not workflow.touch:
        start.keep_others(plan)


onerror:
    start.forget_failed(plan)


onsuccess:
    start.succeed(plan)
