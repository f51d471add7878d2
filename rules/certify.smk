"""
Grade the evidence, sign the report, and render it.

INPUTS      the resolved config, the records of data and runs, all comparisons, the locks
OUTPUTS     certify  results/{experiment}/certificate.json, and config.json that it names
            render   certificate.html and badge.svg beside any certificate.json, of a replay too
            index    results/{sweep}/index.html, index.csv and the list of its combinations
GUARANTEES  REPRODUCIBLE only when nothing is missing or inconsistent; nothing is signed that a
            third party could not verify; page and badge are made from the certificate alone, so
            that a change of a template or style renders again and never signs again
"""


rule certify:
    input:
        **stage("certify"),
        outdated=outdated("certificate.json"),
        config=plan.each(lambda made: CONFIGS[made.name]),
        load=plan.each(lambda made: f"data/{made.data_key}/record.json"),
        runs=all_run_folders,
        comparisons=all_comparisons,
        lock=plan.each(lock_of),
        dependencies=plan.each(lambda made: list(dependencies(made).values())),
    output:
        certificate=f"{RESULTS}/certificate.json",
        config=f"{RESULTS}/config.json",
    log:
        f"{LOGS}/certify.log",
    localrule: True
    conda:
        "../envs/certify.yaml"
    params:
        python=python,
        runs=lambda wildcards, input: flags("--run", input.runs),
        comparisons=lambda wildcards, input: flags("--comparison", input.comparisons),
        dependencies=plan.each(
            lambda made: flags(
                "--dependency", map("=".join, dependencies(made).items())
            )
        ),
        overridden=plan.each(lambda made: flags("--overridden", made.overridden)),
        # Who starts to sign, or no more, certifies again.
        signing=plan.signing,
        name=lambda wildcards: plan.of(wildcards).name,
        repeat=lambda wildcards: plan.of(wildcards).command(),
    message:
        f"certify{OF}"
    shell:
        command(
            "--config {output.config:q} --name {params.name:q} --lock {input.lock:q}"
            " --load-record {input.load:q} {params.runs} {params.comparisons}"
            " {params.dependencies} {params.overridden}"
            " --repeat {params.repeat:q} --output {output.certificate:q}",
            launcher="--signing",
            before="cp {input.config:q} {output.config:q} && ",
        )


rule render:
    input:
        **stage("render"),
        certificate="results/{place}/certificate.json",
    output:
        page=report(
            "results/{place}/certificate.html",
            category="Certificate",
            labels={"experiment": "{place}"},
            caption="../docs/certificate.rst",
        ),
        badge="results/{place}/badge.svg",
    log:
        "logs/{place}/render.log",
    localrule: True
    conda:
        "../envs/render.yaml"
    params:
        python=python,
        name=lambda wildcards: wildcards.place,
    message:
        "render the certificate: {wildcards.place}"
    shell:
        command(
            "--certificate {input.certificate:q} --page {output.page:q}"
            " --badge {output.badge:q}",
        )


rule index:
    input:
        **stage("index", "render"),
        sweep=SWEEP_CONFIG,
        certificates=[f"results/{name}/certificate.json" for name in plan.experiments],
    output:
        sweep=f"{SWEEP}/sweep.json",
        page=f"{SWEEP}/index.html",
        table=f"{SWEEP}/index.csv",
    log:
        f"{SWEEP_LOGS}/index.log",
    localrule: True
    conda:
        "../envs/render.yaml"
    params:
        python=python,
    message:
        "put all certificates on one page"
    shell:
        command(
            "--sweep {output.sweep:q} --page {output.page:q} --table {output.table:q}",
            before="cp {input.sweep:q} {output.sweep:q} && ",
        )
