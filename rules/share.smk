"""
Package a certificate for people and programs elsewhere; ./samebits bundle asks for both.

INPUTS      results/{experiment}/certificate.json and its evidence
OUTPUTS     bundle  results/{experiment}/certificate.zip
            crate   results/{experiment}/ro-crate-metadata.json, workflow.smk and sbom/
GUARANTEES  the bundle is enough to verify and to replay; the crate says nothing more than the
            certificate
"""


rule bundle:
    input:
        **stage("bundle", "certify"),
        certificate=f"{RESULTS}/certificate.json",
        config=f"{RESULTS}/config.json",
        load=plan.each(lambda made: f"data/{made.data_key}/record.json"),
        runs=all_run_folders,
        comparisons=all_comparisons,
        lock=plan.each(lock_of),
    output:
        f"{RESULTS}/certificate.zip",
    log:
        f"{LOGS}/bundle.log",
    localrule: True
    conda:
        "../envs/certify.yaml"
    params:
        python=python,
        runs=lambda wildcards, input: flags("--run", input.runs),
        comparisons=lambda wildcards, input: flags("--comparison", input.comparisons),
        source=plan.each(
            lambda made: flags(
                "--source-path", [made.source_path] * made.bundles_source
            )
        ),
    message:
        "put the certificate and its evidence in one file"
    shell:
        command(
            "--certificate {input.certificate:q} --config {input.config:q}"
            " --lock {input.lock:q} --load-record {input.load:q} {params.runs}"
            " {params.comparisons} {params.source} --output {output:q}",
        )


rule crate:
    input:
        **stage("crate"),
        certificate=f"{RESULTS}/certificate.json",
        page=f"{RESULTS}/certificate.html",
        badge=f"{RESULTS}/badge.svg",
        bundle=f"{RESULTS}/certificate.zip",
        workflow=CHECKOUT / "Snakefile",
        locks=plan.each(locks),
    output:
        crate=f"{RESULTS}/ro-crate-metadata.json",
        workflow=f"{RESULTS}/workflow.smk",
        sbom=directory(f"{RESULTS}/sbom"),
    log:
        f"{LOGS}/crate.log",
    localrule: True
    conda:
        "../envs/crate.yaml"
    params:
        python=python,
        locks=lambda wildcards, input: flags("--lock", input.locks),
        folder=subpath(output.crate, parent=True),
    message:
        "describe the results as an RO-Crate"
    shell:
        command(
            "--certificate {input.certificate:q} --page {input.page:q}"
            " --badge {input.badge:q} --bundle {input.bundle:q} {params.locks}"
            " --workflow {input.workflow:q} --folder {params.folder:q}"
            " --sbom {output.sbom:q} --output {output.crate:q}",
        )
