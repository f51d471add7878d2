"""Killed runs, and sampled epochs, end with the bits of the whole run. See tests/killing.py."""

import json
import os
import random
import re
import shutil
import signal
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import killing
from killing import Training
from pipeline import ROOT, Workspace, command, flip, skip_without
from samebits.certificate import interruptions, replays, schema
from samebits.formats import arrays, canonical, states

AUGMENTED = {"_target_": "clean.augmented"}
MODELS = [  # and how often each is killed
    ("mlp", "mlp", 4),
    ("augmented", AUGMENTED, 4),
]
# Each recipe with another model: all nine pairs would train for minutes.
OLDER = [
    ("tf2.8", "tf28", "clean.augmented"),
    ("tf2.8", "tf21", "resumed.scheduled"),
    ("tf2.1", "tf21", "cnn"),
    ("tf2.1", "tf21", "resumed.two_optimizers"),
]
_RANDOM = random.SystemRandom()


@pytest.fixture(scope="module")
def mlp(tmp_path_factory: pytest.TempPathFactory, workspace: Workspace) -> Training:
    """The mlp and its control run, which nobody killed."""
    made = killing.training(tmp_path_factory.mktemp("mlp"), workspace)
    assert made.run() == 0, made.log()
    return made


def kill_and_resume(made: Training, run: str, seconds: float) -> None:
    """Start a run and kill it this long after the import; then let it end."""
    before = made.log(run).count(" imported in ")
    with made.started(run) as process:
        made.wait_for_import(run, before + 1)
        time.sleep(seconds)
        killing.kill(process)
    if not made.output(run).is_dir():
        assert made.run(run) == 0, made.log(run)


def test_a_run_that_nobody_killed_has_a_digest_per_epoch(mlp: Training) -> None:
    record = mlp.record()
    assert list(schema.violations(record, schema.definition("trainRecord"))) == []
    layers = [layer["layer"] for layer in record["model"]["executed"]]
    assert layers == ["dense", "dense_1", "softmax", "optimizer", "loss, metrics, input"]
    found = record["checkpoints"]
    assert (
        found["every"],
        found["resumed"],
        len({state["weights"] for state in found["digests"]}),
    ) == ("epoch", [], 4)
    assert found["digests"][-1] == killing.last_state(mlp.output())
    assert record["observed"]["interrupt"] == "nothing resumed"
    mlp.refuse_remains()


def test_the_control_keeps_the_state_after_each_epoch(mlp: Training) -> None:
    kept = mlp.output() / "checkpoints"
    names = sorted(path.name for path in kept.iterdir())
    assert names == ["0001", "0002", "0003", "0004"]
    digests = mlp.record()["checkpoints"]["digests"]
    assert [killing.last_state(kept / name) for name in names] == digests


@pytest.mark.slow
@pytest.mark.parametrize("kills", [(2,), (1, 3)])
def test_a_run_that_is_killed_with_a_flipped_bit_ends_as_one_that_was_not(
    mlp: Training, kills: tuple[int, ...]
) -> None:
    """The bit is one of a state; of all other files: test_checkpoints.py."""
    run = f"killed-{len(kills)}"
    for number in kills:
        with mlp.started(run) as process:
            mlp.wait_for_checkpoint(number, run)
            killing.kill(process)
    newest = max(path for path in mlp.checkpoints(run).iterdir() if path.name.isdigit())
    flip(newest / "weights.safetensors")
    assert mlp.run(run) == 0, mlp.log(run)
    assert f"checkpoint {newest.name} is not used: " in mlp.log(run)
    assert mlp.result(run) == mlp.result()
    record = mlp.record(run)
    assert record["model"]["executed"]
    assert record["model"] == mlp.record()["model"]
    resumed = record["checkpoints"]["resumed"]
    assert len(resumed) == len(kills)
    assert resumed[0] in (1, 2, 3) and resumed[-1] == int(newest.name) - 1
    said = ", ".join(map(str, resumed))
    assert record["observed"]["interrupt"] == f"resumed after epoch {said}"
    mlp.refuse_remains(run)
    assert not (mlp.output(run) / "checkpoints").exists()  # only the control keeps them


@pytest.mark.slow
def test_a_checkpoint_of_another_experiment_is_told_and_not_used(mlp: Training) -> None:
    with mlp.started("foreign") as process:
        mlp.wait_for_checkpoint(1, "foreign")
        killing.kill(process)
    path = mlp.folder / "config.json"
    config = canonical.read_json(path)
    try:
        canonical.write_json(path, config | {"seed": 2})
        assert mlp.run("foreign") == 0, mlp.log("foreign")
    finally:
        canonical.write_json(path, config)
    assert "checkpoint 0001 is not used: expected experiment " in mlp.log("foreign")
    assert mlp.record("foreign")["checkpoints"]["resumed"] == []
    assert mlp.result("foreign") != mlp.result()


@pytest.mark.slow
def test_a_signal_to_end_is_heeded_and_the_same_command_goes_on(mlp: Training) -> None:
    with mlp.started("preempted") as process:
        mlp.wait_for_checkpoint(1, "preempted")
        os.kill(process.pid, signal.SIGTERM)
        assert process.wait(60) == 143
    (epoch,) = re.findall(
        r"^preempted: preempted after epoch (\d); the same command resumes there$",
        mlp.log("preempted"), re.MULTILINE,
    )  # fmt: skip
    assert not mlp.output("preempted").exists()
    assert mlp.run("preempted") == 0, mlp.log("preempted")
    assert mlp.record("preempted")["checkpoints"]["resumed"] == [int(epoch)]
    assert mlp.result("preempted") == mlp.result()


@pytest.mark.slow
def test_an_interruption_by_the_launcher_is_seen_and_changes_no_bit(mlp: Training) -> None:
    assert mlp.run("varied", launch=("--vary", "interrupt")) == 0, mlp.log("varied")
    record = mlp.record("varied")
    assert mlp.result("varied") == mlp.result()
    (epoch,) = record["checkpoints"]["resumed"]
    said = f"after epoch {epoch}"
    assert record["variations"] == {
        "applied": {"interrupt": f"killed once, {said}"},
        "not_tried": {},
    }
    assert record["observed"]["interrupt"] == f"resumed {said}"


@pytest.mark.slow
def test_a_resumed_run_ends_where_open_files_cannot_be_removed(mlp: Training) -> None:
    """As on FUSE, by which directory entries are shuffled, and on NFS."""
    shuffled = ("--vary", "directory_order")
    with mlp.started("shuffled", launch=shuffled) as process:
        mlp.wait_for_checkpoint(1, "shuffled")
        killing.kill(process)
    assert mlp.run("shuffled", launch=shuffled) == 0, mlp.log("shuffled")
    record = mlp.record("shuffled")
    if record["variations"]["not_tried"]:
        pytest.skip(record["variations"]["not_tried"]["directory_order"])
    assert record["checkpoints"]["resumed"]
    assert mlp.result("shuffled") == mlp.result()
    mlp.refuse_remains("shuffled")


OWN_FIT = {"_target_": "resumed.stopping"}


def test_a_fit_of_the_models_own_is_refused_where_it_would_begin_anew_each_epoch(
    tmp_path: Path, workspace: Workspace
) -> None:
    made = killing.training(tmp_path, workspace, model=OWN_FIT)
    assert made.run() == 1
    assert "and Stopping has a fit() of its own: its callbacks, and whatever" in made.log()
    assert "epoch 1/4" not in made.log()


@pytest.mark.slow
def test_a_fit_of_the_models_own_ends_early(tmp_path: Path, workspace: Workspace) -> None:
    made = killing.training(tmp_path, workspace, model=OWN_FIT, trainer={"checkpoint": "none"})
    assert made.run() == 0, made.log()
    assert len(made.record()["trace"]["epoch_ends"]) == 2
    assert {len(values) for values in made.history().values()} == {2}


@pytest.mark.slow
def test_a_training_that_its_model_ended_has_ended_for_whoever_resumes_it(
    tmp_path: Path, workspace: Workspace
) -> None:
    made = killing.training(tmp_path, workspace, model={"_target_": "resumed.content"})
    assert made.run() == 0, made.log()
    record = made.record()
    assert (len(record["trace"]["epoch_ends"]), len(record["checkpoints"]["digests"])) == (2, 2)
    with made.started("killed") as process:
        made.wait_for_checkpoint(2, "killed")
        killing.kill(process)
    if not made.output("killed").is_dir():
        assert made.run("killed") == 0, made.log("killed")
    assert made.result("killed") == made.result()


def test_without_checkpoints_there_is_nothing_to_interrupt(
    tmp_path: Path, workspace: Workspace
) -> None:
    made = killing.training(tmp_path, workspace, trainer={"checkpoint": "none"})
    assert made.run("varied", launch=("--vary", "interrupt")) == 0, made.log("varied")
    record = made.record("varied")
    assert record["status"] == "not tried"
    assert record["checkpoints"] is None
    assert "trainer.checkpoint=epoch" in record["variations"]["not_tried"]["interrupt"]
    assert not made.checkpoints("varied").exists()


@pytest.mark.slow
def test_a_learning_rate_schedule_goes_on_where_it_was(
    tmp_path: Path, workspace: Workspace
) -> None:
    """The model comes compiled, is built by its first step, and draws within TensorFlow's graph."""
    made = killing.training(tmp_path, workspace, model={"_target_": "resumed.scheduled"})
    _same_when_killed(made)


@pytest.mark.slow
def test_a_second_optimizer_and_a_variable_in_a_list_go_on_where_they_were(
    tmp_path: Path, workspace: Workspace
) -> None:
    made = killing.training(tmp_path, workspace, model={"_target_": "resumed.two_optimizers"})
    _same_when_killed(made)


@pytest.mark.parametrize(
    ("model", "holds", "attributes"),
    [
        ("resumed.two_optimizers", True, []),
        pytest.param("resumed.counting", False, ["Counting.steps"], marks=pytest.mark.slow),
        pytest.param("resumed.warming", False, ["resumed.WARM"], marks=pytest.mark.slow),
        pytest.param("resumed.falling", None, ["Falling.steps"], marks=pytest.mark.slow),
    ],
)
def test_the_last_epoch_is_trained_again_to_see_whether_checkpoints_hold_all_state(
    tmp_path: Path, workspace: Workspace, model: str, holds: bool | None, attributes: list[str]
) -> None:
    """None: it has the same bits, and yet a number that Python counts is another one."""
    made = killing.training(tmp_path, workspace, model={"_target_": model}, trainer={"epochs": 2})
    assert made.run("replica", "--canary") == 0, made.log("replica")
    record = made.record("replica")
    assert list(schema.violations(record, schema.definition("trainRecord"))) == []
    again = record["checkpoints"]["again"]
    assert (again["epoch"], again["failure"]) == (2, None)
    assert (again["digests"] == record["checkpoints"]["digests"][-1]) == (holds is not False)
    assert again["attributes"] == attributes
    assert (interruptions.lacking(record, record) is None) == (holds is True)
    assert record["predictions"] == {"predict": None, "evaluate": None}


_STATE = {  # by framework: parts of names, each of another kind of state
    "tf2.21": ("helper].threshold", "rnn_state#2", "seed_generator_state", "vocabulary"),
    "tf2.8": ("helper].threshold", "lstm/Variable:0#2", "vocabulary", "learning_rate:0#2"),
    "tf2.1": ("helper].threshold", "lstm/Variable:0#2", "vocabulary", "learning_rate:0#2"),
}


_HELD = [
    *("in_slot", "in_class", "in_deque[0]", "in_space.v", "in_partial.args[0]", "by_object[0]"),
    *("in_function.closed", "in_function.EVERYWHERE", "seen"),
]


@pytest.mark.parametrize(
    "framework", ["tf2.21", *(pytest.param(f, marks=pytest.mark.slow) for f in ("tf2.8", "tf2.1"))]
)
def test_all_state_of_a_model_is_found_and_comes_back(workspace: Workspace, framework: str) -> None:
    skip_without("3.11" if framework == "tf2.21" else "3.7")
    program = ROOT / "tests/training/state_program.py"
    done = command(workspace.python(f"train-{framework}"), program, cwd=ROOT)
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["after"] == found["before"]
    assert found["fits"][0] == "" and "has a fit() of its own" in found["fits"][1]
    assert all(found["disturbed"][part] != found["before"][part] for part in states.PARTS)
    names = [name for part in ("optimizer", "state") for name in found["names"][part]]
    assert sum("lstm" in name and "momentum" in name for name in names) >= 3
    assert not any(" at 0x" in name for name in names)
    for wanted in (*_STATE[framework], *_HELD, "helper].words", "Adam.amsgrad"):
        assert any(wanted in name for name in names), wanted


@pytest.mark.slow
@pytest.mark.parametrize(("framework", "profile", "model"), OLDER)
def test_older_frameworks_resume_as_well(
    tmp_path: Path, workspace: Workspace, framework: str, profile: str, model: str
) -> None:
    skip_without("3.7")
    given: Any = {"_target_": model} if "." in model else model
    changes = {"framework": framework, "determinism": profile, "model": given}
    _same_when_killed(killing.training(tmp_path, workspace, **changes))


def _same_when_killed(made: Training) -> None:
    assert made.run() == 0, made.log()
    with made.started("killed") as process:
        made.wait_for_checkpoint(2, "killed")
        killing.kill(process)
    assert made.run("killed") == 0, made.log("killed")
    assert made.record("killed")["checkpoints"]["resumed"]
    assert made.result("killed") == made.result()


@pytest.mark.slow
@pytest.mark.parametrize(("name", "model", "kills"), MODELS)
def test_kills_at_random_moments_give_equal_results(
    tmp_path: Path, workspace: Workspace, name: str, model: Any, kills: int
) -> None:
    steps = {"steps_per_execution": _RANDOM.choice([1, 3, 100])}
    made = killing.training(tmp_path / name, workspace, model=model, trainer=steps)
    with ThreadPoolExecutor(2) as pool:  # each run keeps one CPU busy
        both = ("control", "beside")  # timed as the others run, two at once
        assert list(pool.map(made.run, both)) == [0, 0], made.log()
        seconds = max(made.record(run)["timing"]["fit_seconds"] for run in both) + 0.5
        # One in each part of the training: some come after the first checkpoint.
        moments = {f"run-{n}": (n + _RANDOM.random()) / kills * seconds for n in range(kills)}
        list(pool.map(lambda run: kill_and_resume(made, run, moments[run]), moments))
    for run in moments:
        assert made.result(run) == made.result(), made.log(run)
        made.refuse_remains(run)
    # Else every kill came before the first checkpoint.
    assert any(made.record(run)["checkpoints"]["resumed"] for run in moments)


# ---- sampled epochs --------------------------------------------------------------------------


ISSUE = replays.Issue(issued="2026-11-24T09:30:00Z", issuer={"keyid": None})


def certified(made: Training) -> Any:
    """As much of a certificate's report as a sampled replay is compared with."""
    return {
        "records": {"runs": {"control": made.record()}},
        "histories": {"control": canonical.read_json(made.output() / "history.json")},
        "experiment": {"config": canonical.read_json(made.folder / "config.json")},
    }


def replay_plan(made: Training, report: Any, drawn: Sequence[int]) -> Path:
    """What prepare_replay.py writes of a draw."""
    epochs = [{"epoch": epoch, "from": replays.before(report, epoch)} for epoch in drawn]
    path = made.folder / "replay-plan.json"
    said = {"certificate": "0" * 64, "draw": "1" * 64, "epochs": epochs}
    canonical.write_json(path, {"sampled": said})
    return path


def again(made: Training, report: Any, drawn: Sequence[int], kept: Path | None = None) -> Any:
    """The sampled replay of these epochs."""
    run = made.output("sampled")
    shutil.rmtree(run, ignore_errors=True)
    flags = "--sampled-epochs", replay_plan(made, report, drawn), "--states", kept or _kept(made)
    assert made.run("sampled", *flags) == 0, made.log("sampled")
    assert [path.name for path in run.iterdir()] == ["record.json"]
    record = canonical.read_json(run / "record.json")
    assert list(schema.violations(record, schema.definition("sampledRecord"))) == []
    assert record["source"] == made.record()["source"]
    assert "executed" not in record["model"]
    return replays.build(report, "0" * 64, record, None, ISSUE)


def _kept(made: Training) -> Path:
    return made.output() / "checkpoints"


def outcomes(made: Any) -> dict[int, bool]:
    return {epoch["epoch"]: epoch["identical"] for epoch in made["epochs"]}


@pytest.mark.slow
def test_a_sampled_epoch_draws_the_random_numbers_that_it_draws_in_the_whole_run(
    tmp_path: Path, workspace: Workspace
) -> None:
    made = killing.training(tmp_path, workspace, model=AUGMENTED)  # with dropout
    assert made.run() == 0, made.log()
    found = again(made, certified(made), (2, 4))
    assert (found["outcome"], outcomes(found)) == ("EPOCHS REPRODUCED", {2: True, 4: True})


@pytest.mark.slow
def test_a_sampled_epoch_has_its_bits_and_a_changed_weight_with_a_new_digest_is_found(
    mlp: Training, tmp_path: Path
) -> None:
    made = mlp
    shutil.copytree(_kept(made), tmp_path / "kept")
    report, folder = certified(made), tmp_path / "kept" / states.name(2)
    path = folder / "weights.safetensors"
    weights = {name: np.array(values) for name, values in arrays.open_arrays(path).items()}
    kernel = max(weights.values(), key=np.size)  # a bit that training does not round away
    kernel.view("<u4").flat[5] ^= 1 << 12
    path.unlink()  # it may be a link to the results'
    found = report["records"]["runs"]["control"]["checkpoints"]
    found["digests"][1]["weights"] = arrays.write(path, weights.items()).sha256
    found["root"] = states.root(found["digests"])
    said = again(made, report, (1, 2, 3, 4), tmp_path / "kept")
    assert said["outcome"] == "NOT REPRODUCED"
    assert outcomes(said) == {1: True, 2: False, 3: False, 4: True}


def test_a_state_that_is_not_the_certified_one_is_not_used(mlp: Training, tmp_path: Path) -> None:
    made, kept = mlp, tmp_path / "kept"
    shutil.copytree(_kept(made), kept)
    shutil.rmtree(kept / states.name(2))
    shutil.copytree(kept / states.name(1), kept / states.name(2))
    flags = "--sampled-epochs", replay_plan(made, certified(made), (3,)), "--states", kept
    assert made.run("refused", *flags) == 1
    assert "0002: expected the certified state" in made.log("refused")
    assert not made.output("refused").exists()
