"""How a program may end, and what a run makes of it."""

from pathlib import Path
from typing import Any

import pytest
from started import Started, start

from pipeline import Workspace

FIT = """
import os, sys, atexit, threading, time
import numpy as np, tensorflow as tf
x, y = np.ones((64, 4), "float32"), np.ones(64)
model = tf.keras.Sequential([tf.keras.layers.Dense(1, input_shape=(4,))])
model.compile("sgd", "mse")
def fit():
    model.fit(x, y, verbose=0)
"""
LATE = """
def late(name):
    time.sleep(0.3)
    open(name, "w").write(name)
fit()
atexit.register(late, "exit.csv")
threading.Thread(target=late, args=("thread.csv",)).start()
"""
FORK = """
import multiprocessing
def square(n):
    fit()
    return n * n
fit()
child = os.fork()
if child == 0:
    open("child.csv", "w").write("1")
    sys.exit(5)
os.waitpid(child, 0)
"""
SIGNALS = "import signal; signal.signal(signal.SIGTERM, lambda *_: None)\nfit()\nsys.exit()"


@pytest.fixture
def program(workspace: Workspace, tmp_path: Path) -> Any:
    (tmp_path / "project").mkdir()

    def run(text: str, *flags: str, run: str = "control", framework: str = "tf2.1") -> Started:
        (tmp_path / "project" / "p.py").write_text(text)
        return start(workspace, tmp_path / "project", tmp_path, "p.py", framework, flags, run=run)

    return run


@pytest.mark.slow
@pytest.mark.parametrize(
    ("end", "written"),
    [
        (SIGNALS, []),
        ("fit()\nos._exit(0)", []),
        (LATE, ["exit.csv", "thread.csv"]),
        (FORK, ["child.csv"]),
    ],
    ids=["exit", "_exit", "late", "fork"],
)
def test_what_was_trained_is_recorded_however_it_ends(
    program: Any, end: str, written: list[str]
) -> None:
    found = program(FIT + end)
    assert found.done.returncode == 0, found.done.stdout
    record = found.record
    assert record["status"] == "completed" and record["trace"]["steps"] == 2
    assert [entry["path"] for entry in record["program"]["outputs"]] == written


@pytest.mark.slow
@pytest.mark.parametrize(
    ("text", "said"),
    [
        (FIT + "sys.exit(3)", "p.py: ended with exit code 3"),
        (FIT + "raise ValueError('own fault')", "p.py: failed with ValueError: own fault"),
        ("import os\nos._exit(2)", "p.py: ended with exit code 2"),
    ],
    ids=["exit", "raise", "_exit"],
)
def test_a_failure_is_an_error_in_the_control_and_a_result_in_a_replica(
    program: Any, text: str, said: str
) -> None:
    found = program(text)
    assert found.done.returncode == 1 and said in found.done.stdout
    assert "samebits/program/run.py" not in (found.folder / "log.txt").read_text()
    failed = program(text, run="replica")
    assert failed.done.returncode == 0, failed.done.stdout
    assert failed.record["status"] == "failed" and failed.record["failure"]["message"] in said


@pytest.mark.slow
def test_an_early_failure_is_told_also_where_keras_imports_what_no_ended_process_can(
    workspace: Workspace, tmp_path: Path
) -> None:
    """As scikit-learn does, which Keras imports where it is installed."""
    project = tmp_path / "project"
    project.mkdir()
    (project / "sklearn.py").write_text("import concurrent.futures.process\n")
    (project / "p.py").write_text("import pandas_is_not_here")
    found = start(workspace, project, tmp_path, "p.py", "tf2.21")
    assert found.done.returncode == 1
    assert "No module named 'pandas_is_not_here'" in found.done.stdout
    assert "register atexit" not in found.done.stdout


@pytest.mark.slow
def test_a_program_that_trains_nothing_has_a_record_without_a_step(program: Any) -> None:
    found = program("print('no TensorFlow here')")
    assert found.done.returncode == 0, found.done.stdout
    assert found.record["trace"]["steps"] == 0 and found.record["program"]["models"] == []


@pytest.mark.slow
def test_settings_that_a_program_changes_are_named(program: Any) -> None:
    lift = "import tensorflow as tf\ntf.config.threading.set_intra_op_parallelism_threads(3)\n"
    found = program(lift + FIT + "tf.keras.backend.set_epsilon(1e-5)\nfit()")
    changed = {pin["name"]: pin["effective"] for pin in found.record["program"]["pins"]}
    assert changed == {"intra-op threads": 3, "Keras epsilon": 1e-05}


@pytest.mark.slow
def test_a_program_may_have_xla_for_all_ops_as_its_own_setting(
    workspace: Workspace, tmp_path: Path
) -> None:
    (tmp_path / "project").mkdir()
    text = FIT + "import tensorflow as tf\ntf.config.optimizer.set_jit(True)\nfit()"
    (tmp_path / "project" / "p.py").write_text(text)
    project = tmp_path / "project"
    found = start(workspace, project, tmp_path, "p.py", "tf2.21", (), determinism="portable")
    assert [pin["name"] for pin in found.record["program"]["pins"]] == ["graph rewriting"]


@pytest.mark.slow
def test_a_program_is_cut_short_after_its_steps(program: Any) -> None:
    found = program(FIT + "while True:\n    fit()", "--samples", "96", "--epochs", "2")
    assert found.done.returncode == 0, found.done.stdout
    assert found.record["trace"]["steps"] == 6
    assert found.record["subset"] == {"samples": 96, "epochs": 2}


@pytest.mark.slow
def test_another_backend_of_keras_is_refused_by_name(program: Any) -> None:
    found = program(
        "import os\nos.environ['KERAS_BACKEND'] = 'jax'\nimport keras", framework="tf2.21"
    )
    assert (
        found.done.returncode == 1 and "KERAS_BACKEND=jax: expected tensorflow" in found.done.stdout
    )
