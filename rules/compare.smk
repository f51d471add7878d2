"""
Compare the runs of an experiment with their control, bit for bit.

INPUTS      results/{experiment}/train/{run}/ of the comparison's control and runs; docs/atlas.json
OUTPUTS     results/{experiment}/compare/{comparison}.json
GUARANTEES  measures and does not judge; the first comparison decides which further runs are made
"""


checkpoint compare:
    input:
        **stage("compare"),
        outdated=outdated("compare/{comparison}.json"),
        atlas=CHECKOUT / "docs/atlas.json",
        control=lambda wildcards: run_folders(wildcards)[0],
        replicas=lambda wildcards: run_folders(wildcards)[1:],
    output:
        f"{RESULTS}/compare/{{comparison}}.json",
    log:
        f"{LOGS}/compare/{{comparison}}.log",
    localrule: True
    conda:
        "../envs/compare.yaml"
    params:
        python=python,
        replicas=lambda wildcards, input: flags("--replica", input.replicas),
    message:
        f"compare the runs bit for bit ({{wildcards.comparison}}){OF}"
    shell:
        command(
            "--control {input.control:q} {params.replicas} --atlas {input.atlas:q}"
            " --output {output:q}",
        )
