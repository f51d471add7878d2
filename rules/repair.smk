"""
Remove what is damaged, so that the same command makes it again.

    snakemake --cores 2 repair --config …

INPUTS      whatever there is of the experiments' data, runs, comparisons and certificates
OUTPUTS     what is damaged is removed; a certificate that rests on it is put aside
GUARANTEES  only what differs from its own digests is removed, and each is named with the reason
"""


rule repair:
    input:
        **stage("repair", "certify"),
    log:
        f"{SWEEP_LOGS}/repair.log",
    localrule: True
    conda:
        "../envs/certify.yaml"
    params:
        python=python,
        # Only data with its record: without one it is still being loaded.
        data=lambda wildcards: flags(
            "--data",
            [
                Path(record).with_name("arrays")
                for record in existing("data/{}/record.json", DATA_CONFIGS)
            ],
        ),
        runs=lambda wildcards: flags(
            "--run", existing("results/{}/train/*", plan.experiments)
        ),
        comparisons=lambda wildcards: flags(
            "--comparison", existing("results/{}/compare/*.json", plan.experiments)
        ),
        certificates=lambda wildcards: flags(
            "--certificate", existing("results/{}/certificate.json", plan.experiments)
        ),
    message:
        "look for what is damaged"
    shell:
        command(
            "{params.data} {params.runs} {params.comparisons} {params.certificates}",
        )
