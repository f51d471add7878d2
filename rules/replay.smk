"""
Train a certificate's experiment again here, and sign the outcome; or compare the user's own with it.

    ./samebits replay PATH [epochs=K]
    ./samebits certificate against=PATH [bits=same] [the user's own config]

INPUTS      a certificate.json or the bundle that holds it; with epochs=K its checkpoints
OUTPUTS     prepare_replay  results/{name}/replay-plan.json, with epochs=K the states in states/
            countersign     results/{name}/replay/certificate.json: one more signed statement
            against         results/{name}/against.json: what differs; nothing is signed
GUARANTEES  a certificate that does not verify is refused before anything is trained, and so is a
            replay that would write into the certificate's folder; epochs are
            drawn once, and a restart keeps the draw; REPRODUCED only with the certified digests;
            `against` takes digests and traces from the certificate, and code and config from here
"""

# Braces in a path are wildcards to Snakemake, unless they are doubled.
REPLAYED = "certificate=PATH"
if plan.replay:
    REPLAYED = os.path.abspath(plan.replay.path).replace("{", "{{").replace("}", "}}")


rule prepare_replay:
    input:
        **stage("prepare_replay", "certify"),
        certificate=REPLAYED,
    output:
        plan=f"{RESULTS}/replay-plan.json",
        states=[directory(f"{RESULTS}/states")] if plan.is_sampled else [],
    log:
        f"{LOGS}/prepare_replay.log",
    localrule: True
    conda:
        "../envs/certify.yaml"
    params:
        python=python,
        digest=plan.replay.digest if plan.replay else "",
        # Not inputs: that a folder was touched is no reason to draw again.
        sampled=lambda wildcards, output: " ".join(
            [
                flags("--epochs", [plan.replay.epochs] * plan.is_sampled),
                flags("--checkpoints", filter(None, [plan.replay.states])),
                flags("--states", output.states),
            ]
        ),
    message:
        "check the certificate, and whether this machine is inside of its scope"
    shell:
        command(
            "--certificate {input.certificate:q} --digest {params.digest:q}"
            " {params.sampled} --output {output.plan:q}",
        )


rule countersign:
    input:
        **stage("replay", "certify"),
        certificate=REPLAYED,
        plan=f"{RESULTS}/replay-plan.json",
        run=f"{RESULTS}/train/{plan.repeated}",
    output:
        f"{RESULTS}/replay/certificate.json",
    log:
        f"{LOGS}/replay.log",
    localrule: True
    conda:
        "../envs/certify.yaml"
    params:
        python=python,
        signing=plan.signing,
    message:
        "compare the run with the certificate, and sign the outcome"
    shell:
        command(
            "--certificate {input.certificate:q} --run {input.run:q} --plan {input.plan:q}"
            " --output {output:q}",
            launcher="--signing",
        )


rule against:
    input:
        **stage("diff", "certify"),
        certificate=REPLAYED,
        plan=f"{RESULTS}/replay-plan.json",
        run=f"{RESULTS}/train/{plan.repeated}",
    output:
        f"{RESULTS}/against.json",
    log:
        f"{LOGS}/against.log",
    localrule: True
    conda:
        "../envs/certify.yaml"
    params:
        python=python,
    message:
        "compare the run with the certificate"
    shell:
        command("{input.certificate:q} {input.run:q} --output {output:q}")


rule replay:
    input:
        f"{SWEEP}/replay/certificate.json",
        f"{SWEEP}/replay/certificate.html",
        f"{SWEEP}/replay/badge.svg",
    localrule: True
    message:
        "done"
