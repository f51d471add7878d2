"""
Build the environment of a stage with uv, unless Snakemake deploys with conda.

INPUTS      envs/{environment}.yaml and .lock.txt
OUTPUTS     .samebits/environments/{environment}/
GUARANTEES  exactly the locked files are installed; conda deploys from the same lock
"""


rule environment:
    input:
        launch=LAUNCH,
        script=SCRIPTS / "environment.py",
        code=code_of("environment"),
        definition=f"{ENVS}/{{environment}}.yaml",
        lock=f"{ENVS}/{{environment}}.lock.txt",
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
        " {input.script:q} --definition {input.definition:q} --lock {input.lock:q}"
        " --output {params.folder:q}"
