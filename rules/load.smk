"""
Load the data of an experiment, or look at the inputs that a program declares.

INPUTS      the resolved config of the data; whichever source of the data answers; declared files
OUTPUTS     data/{data}/arrays/ and record.json; experiments with the same data share them
GUARANTEES  the arrays have the pinned digest, whatever the source
"""


rule load:
    input:
        **stage("load"),
        config=lambda wildcards: DATA_CONFIGS[wildcards.data],
        lock=ENVS / "load.lock.txt",
    output:
        arrays=directory(f"{DATA}/arrays"),
        record=f"{DATA}/record.json",
    log:
        "logs/load/{data}.log",
    localrule: True
    conda:
        "../envs/load.yaml"
    params:
        python=python,
        project=lambda wildcards: project_of(wildcards.data),
        # Not inputs: a folder of images has more than Snakemake looks at in a second.
        content=lambda wildcards: start.dates(inputs_of(wildcards.data)),
    message:
        "load the data ({wildcards.data})"
    shell:
        command(
            "--config {input.config:q} --lock {input.lock:q} --arrays {output.arrays:q}"
            " --record {output.record:q} {params.project}",
            installed="",
        )
