"""The whole pipeline in the embedded deployment, as the README's commands run it."""

import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline import (
    DRY,
    LAUNCH,
    ROOT,
    SCRIPTS,
    Workspace,
    command,
    configure,
    environment,
    in_namespace,
    jobs,
    outcomes,
    skip_without,
)
from samebits.formats import canonical, files

SMOKE = "experiment=smoke"
RUNS = ("control", "replica")
FRAMEWORKS = [  # but the default one: see below
    ("tf2.8", "portable", "varied", "3.7"),
    # Threads are not pinned here: the bits depend on the number of CPUs, on 2.21 on some machines.
    ("tf2.21", "tf21", "twice", "3.11"),
    ("tf2.8", "tf21", "twice", "3.7"),
    ("tf2.1", "tf21", "twice", "3.7"),
]


@pytest.mark.slow
@pytest.mark.parametrize(("framework", "determinism", "protocol", "python"), FRAMEWORKS)
def test_the_smoke_experiment_is_certified_on_every_framework(
    workspace: Workspace, framework: str, determinism: str, protocol: str, python: str
) -> None:
    skip_without(python)
    name = f"smoke-{framework}-{determinism}"
    options = (f"framework={framework}", f"determinism={determinism}", f"protocol={protocol}")
    certificate = workspace.certify(name, SMOKE, *options)
    assert certificate["verdict"] == "REPRODUCIBLE"
    assert (workspace.folder / "results" / name / "certificate.html").is_file()
    for run in ("control", "replica"):
        record = workspace.json(f"results/{name}/train/{run}/record.json")
        assert record["framework"]["tensorflow"].startswith(framework.removeprefix("tf"))


@pytest.mark.process
def test_a_dry_run_for_a_cluster_warns_of_nothing(tmp_path: Path) -> None:
    """Snakemake asks for the size of files that are not there, where a resource has no value."""
    line = ["--profile", ROOT / "profiles/slurm", "--directory", tmp_path, "--dry-run"]
    start = [sys.executable, "-m", "snakemake", "--snakefile", ROOT / "Snakefile"]
    said = command(*start, *line, "--config", SMOKE, cwd=ROOT).stdout
    assert "train control" in said
    assert "never awaited" not in said and "Warning" not in said


@pytest.mark.slow
def test_more_threads_than_cpus_are_a_condition_that_holds_on_any_number_of_cpus(
    workspace: Workspace,
) -> None:
    """Here control and replica run side by side, the replica on one CPU."""
    report: Any = workspace.certify("threads", SMOKE, "threads=4")
    assert report["verdict"] == "REPRODUCIBLE"
    assert {"what": "intra-op threads", "value": 4} in report["scope"]["pinned"]
    assert outcomes(report, "replica")["cpus"] == "same bits"
    for run in RUNS:
        settings = {s["name"]: s for s in report["records"]["runs"][run]["settings"]}
        assert settings["intra-op threads"]["effective"] == 4


# A cluster of one partition, which takes no job.
_SLURM = """#!/bin/sh
case $0 in
*/sbatch) echo "$@" >> sbatch.said; exit 1 ;;
*/sinfo) echo 'any*' ;;
esac
"""


@pytest.mark.parametrize(("threads", "asked"), [(1, 2), (4, 4)])
def test_a_cluster_is_asked_for_as_many_cpus_as_a_training_has_threads(
    workspace: Workspace, tmp_path: Path, threads: int, asked: int
) -> None:
    """And for two at least, so that the variation of CPUs has another one. Nothing is queued."""
    for name in ("load", "train-tf2.21"):
        environment(name)
    for tool in ("sbatch", "sinfo", "sacct", "sacctmgr", "scontrol"):
        (tmp_path / tool).write_text(_SLURM)
        (tmp_path / tool).chmod(0o755)
    start = [sys.executable, "-m", "snakemake", "--snakefile", ROOT / "Snakefile"]
    line = ["--profile", ROOT / "profiles/slurm", "--directory", workspace.folder, "--jobs", "1"]
    values = [SMOKE, "name=asked", f"threads={threads}"]
    found = {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
    done = command(*start, *line, "--config", *values, cwd=ROOT, check=False, variables=found)
    said = (workspace.folder / "sbatch.said").read_text().splitlines()
    assert f"--cpus-per-task={asked}" in said[-1], done.stdout


HOSTILE = {
    "PYTHONHASHSEED": "77",
    "TF_ENABLE_ONEDNN_OPTS": "0",
    "OMP_NUM_THREADS": "3",
    "TF_DETERMINISTIC_OPS": "0",
}


@pytest.fixture(scope="module")
def smoke(workspace: Workspace) -> str:
    """The smoke experiment is made, for all tests that only look at it; what the terminal said.

    The control from one shell, everything else from another, hostile one.
    """
    given = "--config", "name=smoke", SMOKE
    said = workspace.snakemake("results/smoke/train/control", *given)
    assert "control: epoch 2/2" in said
    return workspace.snakemake(*given, variables=HOSTILE)


def test_the_terminal_ends_with_verdict_digests_and_the_place(
    workspace: Workspace, smoke: str
) -> None:
    assert "replica: epoch 2/2" in smoke and "control: epoch" not in smoke
    end = smoke[smoke.index("certif") :]
    digests = {
        run: workspace.json(f"results/smoke/train/{run}/record.json")["digests"]["history"]
        for run in RUNS
    }
    for part in ("REPRODUCIBLE", "results/smoke/certificate.html", *digests.values()):
        assert part[:16] in end


def test_by_default_the_bits_survive_every_cheap_variation(
    workspace: Workspace, smoke: str
) -> None:
    assert smoke
    certificate = workspace.report("smoke")
    assert certificate["verdict"] == "REPRODUCIBLE"
    found = outcomes(certificate, "replica")
    cheap = ("time_zone", "home", "folder", "umask", "variables")
    assert {found[key] for key in cheap} == {"same bits"}
    for row in certificate["scope"]["variations"]:
        assert (row["outcome"] == "not tried") == (row["why"] is not None)


def test_a_hostile_shell_does_not_reach_the_run(workspace: Workspace, smoke: str) -> None:
    assert smoke
    records = (workspace.json(f"results/smoke/train/{run}/record.json") for run in RUNS)
    friendly, hostile = records
    assert hostile["digests"] == friendly["digests"]
    found = {setting["name"]: setting["effective"] for setting in hostile["settings"]}
    assert (found["hash seed"], found["oneDNN"], found["other variables"]) == (0, True, {})


def test_every_certificate_shows_that_a_difference_would_have_been_seen(
    workspace: Workspace, smoke: str
) -> None:
    assert smoke
    (compared,) = workspace.report("smoke")["comparisons"]
    assert compared["canary"]["differs"]
    assert compared["canary"]["steps"][0]["step"] == 1
    assert len(compared["self_check"]) == 3
    assert all(check["found"] for check in compared["self_check"])


def test_a_second_call_has_nothing_to_do_and_a_change_runs_what_depends_on_it(
    workspace: Workspace, smoke: str
) -> None:
    first = ["--config", "name=smoke", SMOKE]
    before = made(workspace)
    assert "Nothing to be done" in workspace.snakemake(*first)
    said = workspace.snakemake(*DRY, *first, "seed=2")
    changed = jobs(said)
    assert changed == {"train": 2, "compare": 1, "certify": 1, "render": 1, "all": 1}
    assert "would train  2 runs (control and replica), 4 epochs in all\n" in said
    assert re.search(r"would take   about \d+.* for each run\n  would load   nothing\n", said)
    other_data = jobs(workspace.snakemake(*DRY, *first, "overrides=data.samples=320"))
    assert other_data == {"load": 1, **changed}
    assert made(workspace) == before
    assert "Nothing to be done" in workspace.snakemake(*first)


def made(workspace: Workspace) -> dict[str, tuple[int, bytes]]:
    """Every file that was made, with its date; below .samebits nothing depends on a dry run."""
    folders = (workspace.folder / name for name in ("results", "data", "logs"))
    found = (path for folder in folders for path in folder.rglob("*") if path.is_file())
    return {str(path): (path.stat().st_mtime_ns, path.read_bytes()) for path in found}


def test_samebits_continues_what_snakemake_made_through_a_link_and_from_any_folder(
    workspace: Workspace, smoke: str, tmp_path: Path
) -> None:
    (tmp_path / "a link").symlink_to(ROOT)
    samebits = (sys.executable, tmp_path / "a link/scripts/start.py")
    words = ("name=smoke", SMOKE, "--cores", "2")
    before = made(workspace)
    for name in ("certificate", "repair"):
        done = command(*samebits, name, *words, cwd=workspace.folder)
        assert "REPRODUCIBLE  smoke" in done.stdout
        assert "train control" not in done.stdout
    assert "look for damaged files" in done.stdout
    log = str(workspace.folder / "logs/smoke/repair.log")
    assert {path: file for path, file in made(workspace).items() if path != log} == before


def test_a_touched_result_of_another_experiment_is_refused_and_then_made_again(
    workspace: Workspace, smoke: str
) -> None:
    results = workspace.folder / "results"
    shutil.copytree(results / "smoke", results / "touched")
    first = ["--config", "name=touched", SMOKE]
    assert "Nothing to be done" in workspace.snakemake(*first)
    said = workspace.snakemake("--touch", *first, "seed=77", check=False)
    assert "touched/certificate.json: this certificate is of another experiment" in said
    assert "REPRODUCIBLE  smoke" not in said
    again = {"train": 2, "compare": 1, "certify": 1, "render": 1, "all": 1}
    for how in ((), ("--rerun-triggers", "mtime")):
        assert jobs(workspace.snakemake(*DRY, *how, *first, "seed=77")) == again


def test_another_style_renders_again_and_nothing_else(
    workspace: Workspace, smoke: str, tmp_path: Path
) -> None:
    style = SCRIPTS / "samebits/pages/style.css"
    (tmp_path / "style.css").write_bytes(style.read_bytes() + b"/* another */\n")
    before = in_namespace(f"mount --bind '{tmp_path}/style.css' '{style}'")
    line = workspace.line(*DRY, "--config", "name=smoke", SMOKE)
    said = command(*before, *line, cwd=tmp_path).stdout
    assert jobs(said) == {"render": 1, "all": 1}


@pytest.mark.environment
def test_every_way_of_overriding_reaches_the_same_experiment_and_a_dry_run_writes_no_result(
    tmp_path: Path,
) -> None:
    file, profile = tmp_path / "my.yaml", tmp_path / "profile"
    file.write_text("trainer: {epochs: 1}\nmodel: {units: 8}\nexperiment: smoke\nname: file\n")
    profile.mkdir()
    settings = "config: [experiment=smoke, name=profile, 'trainer={epochs: 1}', 'model={units: 8}']"
    (profile / "config.yaml").write_text(settings + "\n")
    workspace = Workspace(tmp_path / "fresh")
    workspace.folder.mkdir()
    smoke = ("--dry-run", "--quiet", "rules")
    workspace.snakemake(*smoke, "--configfile", str(file))
    workspace.snakemake(*smoke, "--profile", str(profile))
    workspace.snakemake(
        *smoke, "--config", "name=dotted", SMOKE, "overrides=trainer.epochs=1 model.units=8"
    )
    workspace.snakemake(
        *smoke, "--config", "name=nested", SMOKE, "trainer={epochs: 1}", "model={units: 8}"
    )
    stored = list((workspace.folder / ".samebits/configs").iterdir())
    assert {path.stem for path in stored} == {files.digest(path) for path in stored}
    (config,) = (found for found in map(canonical.read_json, stored) if "model" in found)
    assert config["model"]["units"] == 8
    assert {path.name for path in workspace.folder.iterdir()} == {".samebits", ".snakemake"}


def test_a_wrong_override_fails_before_any_job(workspace: Workspace) -> None:
    """And many more: tests/config/test_configure.py."""
    said = workspace.snakemake("--config", "model=cn", check=False)
    assert "did you mean cnn?" in said
    assert "Traceback" not in said and "Job " not in said


MODEL = """
import importlib, pathlib, sys

import tensorflow as tf

HERE = pathlib.Path(__file__).parent

def hidden(width):
    # What no reader of import statements sees: a path, a name, a file, and two that are not there.
    sys.path.insert(0, str(HERE / "lib"))
    units = importlib.import_module("pkg.inner").UNITS + __import__("far").MORE
    try:
        importlib.import_module("local_settings")
    except ImportError:
        pass
    if not (HERE / "weights.h5").exists():
        units += len(tf.io.read_file(str(HERE / "words.txt")).numpy().split())
    return tf.keras.Sequential([tf.keras.layers.Flatten(input_shape=(4,)),
                                tf.keras.layers.Dense(units), tf.keras.layers.Dense(3)])

def clock(width):
    class Clock(tf.keras.layers.Layer):
        def call(self, x):
            return x * tf.cast(tf.timestamp() > 0, tf.float32)
    return tf.keras.Sequential([tf.keras.layers.Flatten(input_shape=(4,)), Clock(),
                                tf.keras.layers.Dense(width)])

def broken(width):
    raise ValueError("the user's own mistake")

def exploding(width):
    model = tf.keras.Sequential([tf.keras.layers.Flatten(input_shape=(4,)),
                                 tf.keras.layers.Dense(width), tf.keras.layers.Dense(3)])
    model.compile(optimizer=tf.keras.optimizers.SGD(1e38),
                  loss=tf.keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    return model
"""


HIDDEN = {
    "pkg/__init__.py": "from . import inner\n",
    "pkg/inner.py": "UNITS = 4\n",
    "lib/far.py": "MORE = 4\n",
    "words.txt": "a b c\n",
}


@pytest.fixture(scope="module")
def mine(workspace: Workspace) -> list[str]:
    """A user's own model and data: the config that names them."""
    source = workspace.folder / "src"
    source.mkdir(exist_ok=True)
    (source / "mine.py").write_text(MODEL)
    for name, text in HIDDEN.items():
        (source / name).parent.mkdir(exist_ok=True)
        (source / name).write_text(text)
    x = np.arange(240, dtype=np.float32).reshape(60, 4)
    np.savez(source / "mine.npz", features=x, labels=np.arange(60) % 3)
    digest = hashlib.sha256((source / "mine.npz").read_bytes()).hexdigest()
    data = f"{{option: npz, path: src/mine.npz, sha256: {digest}, x: features, y: labels}}"
    return [f"data={data}", "source_path=src"]


def model(function: str) -> str:
    return f"model={{_target_: mine.{function}, width: 5}}"


@pytest.mark.slow
def test_a_users_model_and_data_are_certified_by_digest_and_an_edited_model_trains_again(
    workspace: Workspace, mine: list[str]
) -> None:
    """A training that ends in weights that are no numbers is stored, and shows nothing."""
    certificate = workspace.certify("mine", *mine, model("exploding"))
    assert certificate["verdict"] == "INCONCLUSIVE"
    assert "Not a number since step 2" in certificate["scope"]["cautions"][0]
    history = workspace.json("results/mine/train/control/history.json")["metrics"]["loss"]
    assert any(isinstance(value, dict) for value in history)
    record = workspace.json("results/mine/train/control/record.json")
    assert "mine" in [source["module"] for source in record["source"]]
    file = workspace.folder / "src" / "mine.py"
    date = file.stat()
    file.write_text(MODEL.replace("Dense(width)", "Dense(width + 1)"))
    os.utime(file, ns=(date.st_atime_ns, date.st_mtime_ns))  # its date is not what tells
    said = workspace.snakemake(*DRY, "--config", "name=mine", *mine, model("exploding"))
    assert jobs(said)["train"] == 2
    file.write_text(MODEL)


@pytest.mark.slow
def test_whatever_a_run_executed_opened_or_missed_makes_it_again_when_it_changes(
    workspace: Workspace, mine: list[str]
) -> None:
    given = ["--config", "name=hidden", *mine, model("hidden")]
    assert workspace.certify("hidden", *mine, model("hidden"))["verdict"] == "REPRODUCIBLE"
    assert "Nothing to be done" in workspace.snakemake(*given)
    source = workspace.folder / "src"
    missing = {"local_settings.py": None, "weights.h5": None}
    for name, text in (HIDDEN | missing).items():
        file, happened = source / name, "has changed" if text else "now exists"
        file.write_text(f"{text or ''}#\n")
        said = workspace.snakemake(*DRY, *given)
        assert jobs(said)["train"] == 2, name
        assert f"hidden: trained again: {file} {happened}" in said
        file.write_text(text) if text else file.unlink()
    assert "Nothing to be done" in workspace.snakemake(*given)
    (source / "words.txt").write_text("a b c d\n")
    report = workspace.certify("hidden", *mine, model("hidden"))
    assert report["records"]["runs"]["replica"]["files"]["read"] == [
        {"path": "words.txt", "sha256": files.digest(source / "words.txt")}
    ]
    assert "Nothing to be done" in workspace.snakemake(*given)


def test_what_tensorflow_refuses_is_a_result_with_the_op_named(
    workspace: Workspace, mine: list[str]
) -> None:
    """Its certificate: tests/certificate/test_report.py, and the zoo."""
    control = "results/clock/train/control"
    workspace.snakemake(control, "--config", "name=clock", *mine, model("clock"))
    record = workspace.json(f"{control}/record.json")
    assert record["status"] == "unsupported"
    assert record["unsupported"]["op"].endswith("/Timestamp")


def test_a_model_that_does_not_build_fails_with_the_users_traceback_and_the_log(
    workspace: Workspace, mine: list[str]
) -> None:
    given = ("--config", "name=broken", *mine, model("broken"))
    said = workspace.snakemake("results/broken/train/control", *given, check=False)
    assert "ValueError: the user's own mistake" in said
    assert "mine.broken: could not be built: ValueError" in said
    assert "logs/broken/train/control.log" in said
    assert not list((workspace.folder / "results/broken").glob("train/*/*"))


def test_a_gpu_experiment_stops_before_training_where_there_is_none(
    workspace: Workspace, smoke: str, tmp_path: Path
) -> None:
    if Path("/proc/driver/nvidia/version").exists():
        pytest.skip("this machine has an NVIDIA driver")
    assert smoke  # it loaded the data
    experiment = configure({"experiment": "smoke"}, ROOT / "conf")
    config = experiment.config
    config["framework"]["gpus"] = 1
    path = tmp_path / "gpu.json"
    path.write_text(json.dumps(config))
    data = workspace.folder / "data" / experiment.data_key / "arrays"
    pinned = [f"{k}={v}" for k, v in config["determinism"]["environment"].items()]
    done = command(
        *LAUNCH, workspace.python("train-tf2.21"), "--log", path.with_suffix(".log"),
        "PYTHONHASHSEED=0", *pinned, "--", SCRIPTS / "train.py", "--config", path, "--data", data,
        "--lock", ROOT / "envs/train-tf2.21.lock.txt", "--source-path", ".", "--run", "control",
        "--output", path.with_suffix(""), cwd=workspace.folder, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert "expected an NVIDIA GPU with its driver, got none" in done.stdout
    assert not path.with_suffix("").exists()


def _in_training(workspace: Workspace, name: str) -> "subprocess.Popen[bytes]":
    """A pipeline with long trainings, in a session of its own, whose control has begun."""
    start = workspace.line("--config", f"name={name}", SMOKE, "overrides=trainer.epochs=3000")
    log = workspace.folder / f"logs/{name}/train/control.log"
    running = subprocess.Popen(
        start, start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    _wait_for(lambda: log.is_file() and b"epoch 2/" in log.read_bytes())
    return running


@pytest.mark.slow
def test_an_interrupted_pipeline_goes_on_at_the_second_start(workspace: Workspace) -> None:
    with _in_training(workspace, "by-hand") as running:
        os.killpg(running.pid, signal.SIGINT)  # what Ctrl-C does
        assert running.wait(60) != 0
    assert not list((workspace.folder / "results/by-hand/train").glob("control/*"))
    control = "results/by-hand/train/control"
    shorter = ["name=by-hand", SMOKE, "overrides=trainer.epochs=1"]
    workspace.snakemake(control, "--config", *shorter)
    assert (workspace.folder / control / "record.json").is_file()


@pytest.mark.slow
def test_beside_the_trainings_of_a_killed_pipeline_no_other_starts_until_they_have_ended(
    workspace: Workspace,
) -> None:
    again = ("--config", "name=killed", SMOKE, "overrides=trainer.epochs=1")
    with _in_training(workspace, "killed") as running:
        running.kill()
    try:
        said = workspace.snakemake(*again, check=False)
        (writer,) = re.findall(r"control: process (\d+) on .* is still writing it", said)
        assert f"kill {writer}, or wait" in said
    finally:
        os.killpg(running.pid, signal.SIGTERM)
    leases = workspace.folder / ".samebits/leases/results/killed/train"
    _wait_for(lambda: not list(leases.iterdir()))
    workspace.snakemake(*again)  # without --unlock
    certificate = workspace.json("results/killed/certificate.json")
    assert certificate["report"]["verdict"] == "REPRODUCIBLE"


def _wait_for(condition: Callable[[], bool], seconds: float = 90) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not come to that"
        time.sleep(0.1)


def test_a_source_path_with_braces_is_no_pattern(workspace: Workspace, tmp_path: Path) -> None:
    folder = tmp_path / "a{x}"
    folder.mkdir()
    (folder / "odd.py").write_text("def build():\n    return None\n")
    model = "overrides=data=synthetic model=custom model._target_=odd.build"
    said = workspace.snakemake(*DRY, "--config", "name=odd", f"source_path={folder}", model)
    assert jobs(said)["train"] == 2
