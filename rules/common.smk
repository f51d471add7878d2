"""
Shared by all rules: paths, and the inputs of each stage from the checkout.

INPUTS      plan, CHECKOUT and workflow, as the Snakefile has them
OUTPUTS     .samebits/code/DIGEST.json for each stage, when Snakemake reads this file;
            .samebits/outdated/RESULT, when it asks which jobs to run
GUARANTEES  a path below results/, data/ or logs/ is an input, an output or a log, which the prefix
            of an importing workflow changes, and never a parameter, which it does not
"""

import glob
import os
import shlex
from pathlib import Path

from snakemake.exceptions import IncompleteCheckpointException
from snakemake.settings.types import DeploymentMethod

from samebits.experiment import protocol
from samebits.workflow import nodes, packages, start

SCRIPTS, ENVS = CHECKOUT / "scripts", CHECKOUT / "envs"
LAUNCH = SCRIPTS / "launch.py"
CONDA = DeploymentMethod.CONDA in workflow.deployment_settings.deployment_method

# A single experiment has its paths as they are; the experiments of a sweep share a wildcard.
NAME = "{experiment}" if plan.sweep else plan.name
RESULTS, LOGS = f"results/{NAME}", f"logs/{NAME}"
SWEEP, SWEEP_LOGS = f"results/{plan.name}", f"logs/{plan.name}"
DATA = "data/{data}"
OF = ": {wildcards.experiment}" if plan.sweep else ""  # at the end of a message
LABEL = (
    "--label {wildcards.experiment:q}" if plan.sweep else ""
)  # before a run's own lines

# Resolved configs as inputs: a file with other content has another path.
CONFIGS = {
    name: start.stored("configs", made.config)
    for name, made in plan.experiments.items()
}
LOADED = {made.data_key: made for made in plan.experiments.values()}
DATA_CONFIGS = {
    key: start.stored("configs", made.data_config) for key, made in LOADED.items()
}
SWEEP_CONFIG = start.stored("configs", plan.listed) if plan.sweep else []


wildcard_constraints:
    environment=r"[a-z][a-z0-9.+-]*",
    experiment=plan.pattern,
    place=rf"({plan.pattern})(/replay)?",
    data="|".join(DATA_CONFIGS),
    run="|".join(sorted({run for runs in plan.runs.values() for run in runs})),
    comparison="replica|repeat|(each|cpu)(-2)?",


# The driver's Python is looked up when a job starts: in the text of a command or in a parameter,
# another driver would make everything again.
START = '"$SAMEBITS_DRIVER" {input.launch:q} --python {params.python:q} --log {log:q}'


def command(flags, launcher="", before="", installed="--installed"):
    """How a job runs its script: ``launcher`` are flags of launch.py, ``before`` a first command.

    ``installed``: empty where the script itself compares the files of its environment.
    """
    return f"{before}{START} {installed} {launcher} -- {{input.script:q}} {flags}"


def environment(name, own=not CONDA):
    """Our own environment as an input; nothing where Snakemake deploys with conda."""
    return f".samebits/environments/{name}/environment.json" if own else []


def python(wildcards, input):
    """The interpreter of a job's environment: our own, else the active one."""
    return (
        str(Path(input.environment).with_name("bin") / "python")
        if input.environment
        else "python"
    )


def train_python(wildcards, input):
    """The interpreter of a training."""
    found = plan.of(wildcards).installed
    return found.python if found else python(wildcards, input)


def code_of(*scripts):
    """The code that a stage runs, as one file whose name says which code it is."""
    return start.code(SCRIPTS / f"{script}.py" for script in scripts)


def stage(name, environment_name=None):
    """The inputs of every job of a stage from the checkout, and its environment."""
    return {
        "environment": environment(environment_name or name),
        "launch": LAUNCH,
        "script": SCRIPTS / f"{name}.py",
        "code": code_of(name),
    }


def flags(name, values):
    """A flag for each value, quoted for the shell: as text, which costs Snakemake least."""
    return shlex.join(word for value in values for word in (name, str(value)))


def lock_of(made):
    """The lock of the environment that an experiment is trained in."""
    return packages.lock_of(made, ENVS)


def locks(made):
    """The locks of all environments on which a certificate depends."""
    stages = ("load", "compare", "certify")
    return [*(str(ENVS / f"{stage}.lock.txt") for stage in stages), str(lock_of(made))]


def dependencies(made):
    """The files besides the code on which a certificate depends, by the names that it has for them."""
    names = [Path(path).name.partition(".lock.")[0] for path in locks(made)]
    pins = [f"{ENVS / framework(name)}.linux-64.pin.txt" for name in names]
    pins = pins[:-1] if made.installed else pins  # the last is that of the training
    named = {f"envs/{Path(path).name}": path for path in (*locks(made), *pins)}
    return {"Snakefile": str(CHECKOUT / "Snakefile")} | named


def definition(made):
    """What conda makes the environment of a training from; one that is there needs none."""
    return "compare" if made.installed else framework(made.environment)


def framework(environment):
    """The environment below envs/ upon which one with a program's packages is made; else itself."""
    return environment.partition("+")[0]


def train_environment(wildcards):
    """Nothing where it is there already.

    The variation `deployment` uses our own environment where Snakemake deploys with conda.
    """
    made = plan.of(wildcards)
    if made.installed:
        return []
    own = "deployment" in plan.run(wildcards).variations or made.locked
    return environment(made.environment, not CONDA or own)


def without_braces(paths):
    """The files that can be inputs: Snakemake takes braces for wildcards. params has all by digest."""
    return [path for path in map(os.path.abspath, paths) if not set("{}") & set(path)]


def workspace(made, load):
    """Flags for launch.py of a program's own folder. ``load``: the environment of that stage."""
    if made.program is None:
        return []
    python = Path(load).with_name("bin") / "python"
    place = ["--workspace", made.source_path, "--load-python", str(python)]
    return place + [word for name in made.program.local for word in ("--input", name)]


def inputs_of(data):
    """The files that a program declares, of which data/{data}/ tells the digests."""
    program = LOADED[data].program
    return program.input_files() if program else []


def project_of(data):
    """Flags for load.py of a program's inputs."""
    made = LOADED[data]
    return flags("--source-path", [made.source_path]) if made.program else ""


def time_limit(wildcards, resources):
    """A scheduler's limit on a job's time (--set-resources runtime) holds everywhere."""
    minutes = resources.get("runtime")
    return f"--limit-minutes {minutes}" if isinstance(minutes, int) else ""


def run_folders(wildcards):
    """The runs of one comparison, its control first."""
    found = plan.compared(wildcards, checkpoints.compare)
    return [f"results/{plan.of(wildcards).name}/train/{run.name}" for run in found]


def known(wildcards):
    """The comparisons that are known by now; says once why there are more than the first."""
    found = plan.known(wildcards, checkpoints.compare)
    if workflow.is_main_process:
        made = plan.of(wildcards)
        results = Path(place_of(f"results/{made.name}"))
        start.explain(made, found, results, workflow.resource_settings)
    return found


def all_run_folders(wildcards):
    """All runs of an experiment."""
    runs = protocol.runs(known(wildcards))
    return [f"results/{plan.of(wildcards).name}/train/{run.name}" for run in runs]


def all_comparisons(wildcards):
    """All comparisons of an experiment, as files."""
    name = plan.of(wildcards).name
    return [f"results/{name}/compare/{one.name}.json" for one in known(wildcards)]


def position(wildcards):
    """Which training of its experiment a run is, of those that are known when it starts."""
    if not workflow.is_main_process:
        return ""
    try:
        known = plan.known(wildcards, checkpoints.compare)
    except (
        IncompleteCheckpointException
    ):  # it may be out of date: the first two are certain
        known = [protocol.first(plan.of(wildcards).config)]
    return start.position(wildcards.run, known)


def outdated(path, control=None):
    """An input that makes a result of another experiment, code or files again, whatever its date."""

    def mark(wildcards):
        made = plan.of(wildcards)
        paths = [
            Path(place_of(f"results/{made.name}/{name.format(**wildcards)}"))
            for name in (path, control)
            if name
        ]
        return start.outdated(paths[0], made, workflow.is_main_process, *paths[1:])

    return mark


place_of = (
    workflow.modifier.path_modifier.replace_prefix
)  # where an importer's prefix puts a path


def existing(pattern, names):
    """The existing files among all of these."""
    found = (glob.glob(place_of(pattern.format(glob.escape(name)))) for name in names)
    return sorted(path for paths in found for path in paths)
