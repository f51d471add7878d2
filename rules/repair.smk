"""
Remove damaged data and results, so that the same command makes them again.

    ./samebits repair [the words of the experiment]

INPUTS      the existing files of the experiments' data, runs, comparisons and certificates
OUTPUTS     damaged files are removed; a certificate that rests on one is renamed
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
        "look for damaged files"
    shell:
        command(
            "{params.data} {params.runs} {params.comparisons} {params.certificates}",
        )
