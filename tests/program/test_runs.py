"""A user's program, run by scripts/program.py: hooks change no bit, and the record is complete."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from started import RECIPE, Started, start

import killing
from pipeline import LAUNCH, ROOT, SCRIPTS, Workspace, command, configure
from samebits.formats import arrays, canonical, files, history
from samebits.training import fingerprint

HERE = Path(__file__).parent
FRAMEWORKS = ("tf2.21", "tf2.8", "tf2.1")
MNIST = "https://storage.googleapis.com/tensorflow/tf-keras-datasets/mnist.npz"


@pytest.fixture(scope="module", params=FRAMEWORKS)
def hooked(
    request: pytest.FixtureRequest, workspace: Workspace, tmp_path_factory: pytest.TempPathFactory
) -> Started:
    """Every kind of training, followed."""
    folder = tmp_path_factory.mktemp("hooked")
    (folder / "project").mkdir()
    shutil.copy(HERE / "battery.py", folder / "project")
    found = start(workspace, folder / "project", folder, "battery.py", request.param)
    assert found.done.returncode == 0, found.done.stdout + (folder / "log.txt").read_text()[-3000:]
    return found


@pytest.mark.slow
def test_hooks_change_no_bit_of_any_kind_of_training(hooked: Started, workspace: Workspace) -> None:
    config = canonical.read_json(hooked.folder / "config.json")
    profile, plain = config["determinism"], hooked.folder / "plain"
    plain.mkdir()
    shutil.copy(HERE / "battery.py", plain)
    command(
        workspace.python(config["framework"]["environment"]),
        HERE / "unhooked.py", hooked.folder / "config.json", "battery.py",
        cwd=plain, variables={**profile["environment"], "PYTHONHASHSEED": "0"},
    )  # fmt: skip
    outputs = {entry["path"]: entry["sha256"] for entry in hooked.record["program"]["outputs"]}
    assert outputs["battery.json"] == files.digest(plain / "battery.json")


@pytest.mark.slow
def test_each_step_has_a_row_and_lost_ones_are_seen_in_the_next(hooked: Started) -> None:
    record = hooked.record
    trace = arrays.open_arrays(hooked.output / "trace.safetensors")
    weights = arrays.open_arrays(hooked.output / "weights.safetensors")
    steps = trace["step"].astype(int)
    gaps = np.diff(steps)[np.diff(steps) != 1]
    program = record["program"]
    assert steps[0] == 0 and steps[-1] == record["trace"]["steps"]
    assert gaps.sum() - gaps.size == program["lost"] == 352  # of 2,400 in one call of a graph
    columns = {name[12:]: rows for name, rows in trace.items() if name.startswith("fingerprint/")}
    last = {name: int(rows[-1]) for name, rows in columns.items()}
    wrong = {name for name in last if fingerprint.of_array(weights[name]) != last[name]}
    averaged = {name for name in wrong if "sequential_13/" in name}  # at the end of its fit
    assert wrong == averaged and len(columns) > 70
    assert program["untraced"][-1] == "by_hand:0" and len(program["untraced"]) == 7


@pytest.mark.slow
def test_threads_that_a_program_starts_before_it_imports_tensorflow_are_named(
    hooked: Started,
) -> None:
    assert "__main__.in_thread" in hooked.record["threads"]


@pytest.mark.slow
@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_the_published_experiment_as_printed_has_the_history_of_experiment_article(
    framework: str, workspace: Workspace, tmp_path: Path
) -> None:
    recipe = RECIPE.get(framework, "tf28")
    npz = killing.images(tmp_path, 2000)
    with np.load(npz) as data:
        x, y = data["x"], data["y"]
    project = tmp_path / "project"
    project.mkdir()
    np.savez(project / "mnist.npz", x_train=x, y_train=y, x_test=x[:10], y_test=y[:10])
    words = f"article_{recipe}.py"
    shutil.copy(ROOT / "tests/programs/unchanged" / words, project)
    entry = {"path": "mnist.npz", "sha256": files.digest(project / "mnist.npz"), "url": MNIST}
    entry["bytes"] = str((project / "mnist.npz").stat().st_size)
    found = start(workspace, project, tmp_path, words, framework, inputs=[entry])
    assert found.done.returncode == 0, found.done.stdout
    typed = history.read(found.output / "history.json")

    source = {"option": "npz", "path": str(npz), "sha256": files.digest(npz)}
    shape: dict[str, Any] = {"shape": [28, 28], "classes": 10, "scale": 255.0}
    given = {"experiment": "article", "data": source | shape, "framework": framework}
    experiment = configure(given | {"determinism": recipe}, ROOT / "conf")
    canonical.write_json(tmp_path / "article.json", experiment.config)
    command(
        *LAUNCH, workspace.python(f"train-{framework}"), "--log", tmp_path / "article.log",
        "--isolated", *experiment.variables(), "--", SCRIPTS / "train.py",
        "--config", tmp_path / "article.json", "--data", tmp_path / "arrays",
        "--lock", ROOT / f"envs/train-{framework}.lock.txt",
        "--source-path", tmp_path, "--run", "control", "--output", tmp_path / "article",
        cwd=tmp_path,
    )  # fmt: skip
    article = history.read(tmp_path / "article" / "history.json")
    for call in (1, 2):
        assert article == {
            name: typed[f"{call} fit {_model(typed, call)}: {name}"] for name in article
        }


def _model(metrics: Any, call: int) -> str:
    """The name that Keras gave the model of a call."""
    name = next(name for name in metrics if name.startswith(f"{call} fit "))
    return str(name.split(" ")[2].rstrip(":"))


@pytest.mark.slow
def test_a_canary_differs_from_the_first_step_on(workspace: Workspace, tmp_path: Path) -> None:
    (tmp_path / "project").mkdir()
    text = (HERE / "battery.py").read_text()
    (tmp_path / "project" / "battery.py").write_text(text)
    words, flags = "battery.py gan_step", ("--canary",)
    found = start(workspace, tmp_path / "project", tmp_path, words, "tf2.1", flags)
    assert found.done.returncode == 0, found.done.stdout
    made = found.record["canary"]
    ours = arrays.open_arrays(found.output / "trace.safetensors")
    theirs = arrays.open_arrays(found.output / "canary.safetensors")
    at = {name: int(column[1]) for name, column in theirs.items() if name.startswith("finger")}
    assert made["steps"] == 2 and made["tensor"] == "0 sequential/dense/kernel:0"
    assert any(int(ours[name][1]) != value for name, value in at.items())
    assert json.loads((found.output / "record.json").read_bytes())["program"]["exit"] == 0
