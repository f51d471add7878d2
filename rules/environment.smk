"""
Build the environment of a stage with uv, unless Snakemake deploys with conda.

INPUTS      envs/{environment}.yaml and .lock.txt; with a program's packages a lock of the user's
OUTPUTS     .samebits/environments/{environment}/
GUARANTEES  exactly the locked files are installed; conda deploys from the same lock
"""

LOCKS = {made.environment: lock_of(made) for made in plan.experiments.values()}


rule environment:
    input:
        launch=LAUNCH,
        script=SCRIPTS / "environment.py",
        code=code_of("environment"),
        lock=lambda wildcards: LOCKS.get(
            wildcards.environment, ENVS / f"{wildcards.environment}.lock.txt"
        ),
    output:
        record=".samebits/environments/{environment}/environment.json",
    log:
        "logs/environment/{environment}.log",
    localrule: True
    conda:
        "../envs/driver.yaml"
    params:
        folder=subpath(output.record, parent=True),
    message:
        "build the environment {wildcards.environment} (once)"
    shell:
        '"$SAMEBITS_DRIVER" {input.launch:q} --python "$SAMEBITS_DRIVER" --log {log:q} --'
        " {input.script:q} --lock {input.lock:q}"
        " --output {params.folder:q}"
