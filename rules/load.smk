"""
Load the data of an experiment.

INPUTS      the resolved config of the data; whichever source of the data answers
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
    message:
        "load the data ({wildcards.data})"
    shell:
        command(
            "--config {input.config:q} --lock {input.lock:q} --arrays {output.arrays:q}"
            " --record {output.record:q}",
            installed="",
        )
