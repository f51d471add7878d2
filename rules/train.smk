"""
Train the model, or run a program, once, in a process of its own, pinned and varied before its
interpreter starts.

INPUTS      the resolved config, data/{data}/arrays/, the modules of model or program; for a replay
            its plan and, of sampled epochs, the states that they begin from
OUTPUTS     results/{experiment}/train/{run}/
GUARANTEES  every stored run completed, or was refused by TensorFlow with the reason; two
            processes never write one run; a killed one resumes from its last checkpoint
"""


rule train:
    input:
        environment=train_environment,
        launch=LAUNCH,
        script=plan.each(lambda made: SCRIPTS / f"{made.trainer}.py"),
        code=plan.each(lambda made: code_of(made.trainer, "launch")),
        source=plan.each(lambda made: without_braces(made.source_files)),
        # Which loads a data set that a program downloads.
        load=plan.each(lambda made: environment("load", made.program is not None)),
        config=plan.each(lambda made: CONFIGS[made.name]),
        data=plan.each(lambda made: f"data/{made.data_key}/arrays"),
        lock=plan.each(lock_of),
        outdated=outdated(
            "train/{run}/record.json",
            f"train/{plan.repeated if plan.replay else protocol.CONTROL}/record.json",
        ),
        plan=f"{RESULTS}/replay-plan.json" if plan.replay else [],
        states=f"{RESULTS}/states" if plan.is_sampled else [],
    output:
        directory(f"{RESULTS}/train/{{run}}"),
    log:
        f"{LOGS}/train/{{run}}.log",
    conda:
        plan.each(lambda made: f"../envs/{definition(made)}.yaml")
    threads:
        lambda wildcards: start.claimed(
            plan.of(wildcards),
            workflow.resource_settings.cores if workflow.local_exec else None,
        )
    resources:
        gpu=plan.each(lambda made: made.config["framework"]["gpus"]),
        slurm_extra=lambda wildcards: nodes.apart(
            plan.runs[plan.of(wildcards).name].values(), plan.run(wildcards)
        ),
        # For the message. A parameter that changes would make the run again.
        position=position,
    params:
        python=train_python,
        launched=lambda wildcards, input: shlex.join(
            plan.run(wildcards).launch_flags()
            + workspace(plan.of(wildcards), input.load)
            + plan.of(wildcards).variables(plan.run(wildcards).unpin)
        ),
        changed=lambda wildcards: shlex.join(plan.run(wildcards).train_flags()),
        sampled=lambda wildcards, input: (
            shlex.join(["--sampled-epochs", input.plan, "--states", input.states])
            if plan.is_sampled
            else ""
        ),
        source_path=lambda wildcards: plan.of(wildcards).source_path,
        lease=lambda wildcards, output: f".samebits/leases/{output[0]}",
        limit=time_limit,
        # Snakemake compares dates, and a clock can be wrong: this changes with the experiment.
        content=plan.each(lambda made: start.content(made, lock_of(made))),
        # Not an output: Snakemake removes those of a job that failed.
        checkpoints=lambda wildcards, output: (
            ""
            if plan.of(wildcards).program
            else shlex.join(
                [
                    "--checkpoints",
                    f"{Path(output[0]).parents[1]}/checkpoints/{wildcards.run}",
                ]
            )
        ),
    message:
        f"train {{wildcards.run}}{OF}{{resources.position}}"
    shell:
        command(
            "--config {input.config:q} --data {input.data:q} --lock {input.lock:q}"
            " --source-path {params.source_path:q} --run {wildcards.run:q} {params.changed}"
            " {params.sampled} {params.checkpoints} --output {output:q}",
            launcher=f"--isolated {LABEL} --lease {{params.lease:q}} {{params.limit}}"
            " {params.launched}",
            installed="",
        )
