"""A training process without TensorFlow: its settings, Ctrl-C, its data in memory, refusals."""

import errno
import json
import os
import runpy
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from pipeline import SCRIPTS
from refusals import refused
from samebits import errors
from samebits.training import another, memory, record, refusals, settings
from samebits.training.settings import Setting

# ---- settings --------------------------------------------------------------------------------


def probed(
    profile: dict[str, Any],
    inside: str = "",
    declared: dict[str, str] | None = None,
    **environment: str,
) -> dict[str, Any]:
    """Setting name -> (holds, effective) as a new interpreter started so finds it."""
    program = (
        f"import sys, os, json; sys.path.insert(0, {str(SCRIPTS)!r}); {inside}\n"
        "from samebits.training import settings\n"
        f"found = settings.of_process({profile!r}, {declared or {}!r})\n"
        "print(json.dumps({s.name: [s.holds(), s.effective] for s in found}))"
    )
    command = [sys.executable, "-c", program]
    answer = subprocess.run(command, env=environment, capture_output=True, check=True)
    return dict(json.loads(answer.stdout))


STOPPED = {"arithmetic_optimization": False, "constant_folding": False}


@pytest.mark.process
@pytest.mark.parametrize(
    ("seed", "environment", "inside", "found"),
    [
        (0, {"PYTHONHASHSEED": "0"}, "", [True, 0]),
        (7, {"PYTHONHASHSEED": "7"}, "", [True, 7]),
        (7, {"PYTHONHASHSEED": "8"}, "", [False, "another"]),
        (7, {"PYTHONHASHSEED": "random"}, "", [False, "another"]),
        (7, {}, "", [False, "another"]),
        (7, {}, "os.environ['PYTHONHASHSEED'] = '7'", [False, "another"]),  # too late
    ],
)
def test_a_hash_seed_holds_that_was_set_before_the_interpreter_started(
    seed: int, environment: dict[str, str], inside: str, found: list[Any]
) -> None:
    profile = {"hash_seed": seed, "environment": {}}
    assert probed(profile, inside, None, **environment)["hash seed"] == found


@pytest.mark.process
def test_a_variable_set_inside_the_program_is_found() -> None:
    profile = {"hash_seed": None, "environment": {"TF_DETERMINISTIC_OPS": "1"}}
    inside = "os.environ['TF_DETERMINISTIC_OPS'] = '1'"
    assert probed(profile, inside)["TF_DETERMINISTIC_OPS"] == [False, None]
    assert probed(profile, TF_DETERMINISTIC_OPS="1")["TF_DETERMINISTIC_OPS"] == [True, "1"]


@pytest.mark.process
def test_a_variable_that_the_experiment_does_not_name_is_found() -> None:
    profile: dict[str, Any] = {"hash_seed": None, "environment": {}}
    found = probed(profile, OMP_NUM_THREADS="1", LANG="C", PYTHONHASHSEED="3")
    assert found["other variables"] == [False, {"OMP_NUM_THREADS": "1"}]


def test_every_wrong_setting_is_reported() -> None:
    wrong = [Setting("b", 1, 2, "probe"), Setting("a", "x", None, "probe")]
    wrong.append(Setting("c", None, 3, "not pinned"))
    said = "a: expected 'x', got None (probe)\nb: expected 1, got 2 (probe)"
    with refused(said, without="c:"):
        settings.require_pinned(wrong)


@pytest.mark.parametrize(
    ("passes", "xla", "effective"),
    [({}, False, True), (STOPPED, False, False), (STOPPED, True, True)],
)
def test_rewriting_is_probed_where_it_alone_is_pinned(
    passes: dict[str, bool], xla: bool, effective: bool
) -> None:
    optimizer = SimpleNamespace(
        get_experimental_options=lambda: passes, get_jit=lambda: "autoclustering" if xla else ""
    )
    tensorflow = SimpleNamespace(config=SimpleNamespace(optimizer=optimizer))
    (found,) = settings.of_exact(tensorflow, {"rewriting": False})
    assert (found.name, found.expected, found.effective) == ("graph rewriting", False, effective)
    assert settings.of_exact(tensorflow, {}) == []


# ---- Ctrl-C ----------------------------------------------------------------------------------


INTERRUPTED = """
import os, signal, sys
sys.path.insert(0, sys.argv[1])
from samebits.training import task

class Finalized:
    def __del__(self):
        os.kill(os.getpid(), signal.SIGINT)
        for _ in range(1000):
            pass

{before}
task.raise_if_interrupted()
Finalized()  # what is raised in there goes no further
print("went on")
task.raise_if_interrupted()
print("was not interrupted")
"""


def interrupted(before: str) -> "subprocess.CompletedProcess[str]":
    program = INTERRUPTED.format(before=before)
    command = [sys.executable, "-c", program, str(SCRIPTS)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.process
def test_an_interrupt_in_a_finalizer_is_raised_at_the_next_look() -> None:
    done = interrupted("task.install_handler()")
    assert done.stdout == "went on\n"
    assert done.stderr.endswith("KeyboardInterrupt\n")
    assert done.returncode == -signal.SIGINT


@pytest.mark.process
@pytest.mark.parametrize(
    "before", ["", "signal.signal(signal.SIGINT, signal.SIG_IGN); task.install_handler()"]
)
def test_where_nobody_listens_or_interrupts_are_ignored_it_goes_on(before: str) -> None:
    assert interrupted(before).stdout == "went on\nwas not interrupted\n"


# ---- memory-mapped arrays --------------------------------------------------------------------


def stored(folder: Path, array: np.ndarray) -> np.ndarray:
    np.save(folder / "x.npy", array)
    found: np.ndarray = np.load(folder / "x.npy", mmap_mode="r")
    return found


def test_a_mapped_array_is_its_own_copy_and_so_is_every_part_of_it(tmp_path: Path) -> None:
    values = np.arange(64, dtype=np.float32).reshape(8, 8)
    shared = memory.shared(stored(tmp_path, values))
    for part in (shared, shared[:3], shared[5:]):
        assert np.shares_memory(part.copy(), part)
        assert not part.flags.writeable
    assert np.array_equal(shared, values) and shared.dtype == values.dtype


def test_what_is_computed_from_it_is_copied_as_always(tmp_path: Path) -> None:
    computed = memory.shared(stored(tmp_path, np.ones(4))) + 1
    assert not np.shares_memory(computed.copy(), computed)


def test_it_begins_where_tensorflow_can_share_it(tmp_path: Path) -> None:
    shared = memory.shared(stored(tmp_path, np.ones((3, 5))))
    assert shared.ctypes.data % 64 == 0


def test_arrays_in_memory_stay_as_they_are() -> None:
    array = np.ones(3)
    assert memory.shared(array) is array


@pytest.mark.parametrize("dtype", ["<u1", "<f4", "<f8"])
@pytest.mark.parametrize("limit", [0, 1 << 20])
def test_scaled_values_are_those_of_numpy_wherever_they_lie(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, dtype: str, limit: int
) -> None:
    monkeypatch.setattr(memory, "IN_MEMORY", limit)
    monkeypatch.setattr(memory, "_BLOCK", 1000)  # some rows at a time
    x = np.random.RandomState(0).randint(0, 255, (100, 7)).astype(dtype)
    scaled = memory.scaled(x, 255.0, tmp_path)
    assert scaled.tobytes() == (x / 255.0).astype(np.float32).tobytes()
    assert (scaled.copy() is scaled) == (limit == 0)
    assert list(tmp_path.iterdir()) == []


def test_a_scale_of_one_changes_nothing(tmp_path: Path) -> None:
    x = np.arange(3, dtype=np.uint8)
    assert memory.scaled(x, 1.0, tmp_path) is x


def test_a_disk_without_room_is_an_error_that_names_the_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Unreserved, a full disk would end the process with SIGBUS at the first write."""

    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(memory, "IN_MEMORY", 0)
    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(OSError, match="No space left") as caught:
        memory.scaled(np.ones(9), 2.0, tmp_path)
    assert caught.value.filename == str(tmp_path)


# ---- refusals of TensorFlow ------------------------------------------------------------------


class UnimplementedError(Exception):
    """Stands for TensorFlow's exception of that name."""

    def __init__(self, message: str, op: Any = None) -> None:
        super().__init__(message)
        self.op = op


class FailedPreconditionError(UnimplementedError):
    """Likewise."""


TF = SimpleNamespace(
    errors=SimpleNamespace(
        UnimplementedError=UnimplementedError, FailedPreconditionError=FailedPreconditionError
    )
)
GRAPH = """Graph execution error:

Detected at node sequential/lambda/Timestamp defined at (most recent call last):
  File "model.py", line 3, in call
Timestamp cannot be called when determinism is enabled
  [[{{node sequential/lambda/Timestamp}}]] [Op:__inference_function_11]"""


@pytest.mark.parametrize(
    ("error", "op"),
    [
        (UnimplementedError("Determinism is not supported [Op:CropAndResize]"), "CropAndResize"),
        (UnimplementedError("not deterministic", SimpleNamespace(type="MaxPool")), "MaxPool"),
        (FailedPreconditionError(GRAPH), "sequential/lambda/Timestamp"),
    ],
)
def test_an_op_without_a_deterministic_version_is_named(error: Exception, op: str) -> None:
    found = refusals.of_exception(TF, error)
    assert found is not None
    assert (found.op, found.reason) == (
        op,
        "TensorFlow refused an op without a deterministic version",
    )


def test_of_a_graphs_long_message_the_refusal_itself_is_kept() -> None:
    found = refusals.of_exception(TF, FailedPreconditionError(GRAPH))
    assert found is not None
    assert found.message == "Timestamp cannot be called when determinism is enabled"


def test_a_random_op_without_a_seed_is_a_refusal() -> None:
    text = "Random ops require a seed to be set when determinism is enabled. Please set a seed."
    found = refusals.of_exception(TF, RuntimeError(text))
    assert found is not None
    assert (found.op, found.reason) == (None, "TensorFlow refused a random op without a seed")


def test_a_random_op_without_a_seed_is_named_by_the_function_of_tensorflow(tmp_path: Path) -> None:
    text = 'def random_normal(): raise RuntimeError("a seed, when determinism is enabled")'
    ops = tmp_path / "tensorflow/python/ops/random_ops.py"
    ops.parent.mkdir(parents=True)
    ops.write_text(text)
    with pytest.raises(RuntimeError) as error:
        runpy.run_path(str(ops))["random_normal"]()
    found = refusals.of_exception(TF, error.value)
    assert found is not None
    assert found.op == "random_normal"


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("out of memory"),
        ValueError("the seed must be positive"),
        UnimplementedError("Cast string to float is not supported"),
        FailedPreconditionError("variable is not initialized"),
        KeyError("determinism"),
    ],
)
def test_any_other_failure_is_none(error: Exception) -> None:
    assert refusals.of_exception(TF, error) is None


# ---- what is watched, and another implementation -----------------------------------------------


def test_files_beside_the_lock_are_watched_and_the_lock_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("samebits.observation.opened.Watch", set)
    given = {name: tmp_path / name / "file" for name in ("config", "data", "lock", "output")}
    excluded: Any = record.watch(SimpleNamespace(**given))  # type: ignore[arg-type]
    assert given["lock"] in excluded and given["lock"].parent not in excluded


OTHERS = """
import sys; sys.path.insert(0, {scripts!r})
from pathlib import Path
import numpy as np
from samebits.formats import arrays
path = next(flag for flag in sys.argv if flag.startswith("--gradients=")).partition("=")[2]
arrays.write(Path(path), [("kernel", np.array({values}, np.float32))])
"""


@pytest.mark.process
@pytest.mark.parametrize(
    ("name", "theirs", "apart", "failure"),
    [
        ("kernel", "[1, 2.5]", 0.5, None),
        ("kernel", "[1, float('nan')]", None, None),
        ("other", "[1, 2]", None, "other names or shapes"),
        ("kernel", "[1, 2, 3]", None, "other names or shapes"),
    ],
)
def test_gradients_of_two_implementations_are_compared_by_name(
    tmp_path: Path, name: str, theirs: str, apart: float | None, failure: str | None
) -> None:
    (tmp_path / "others.py").write_text(OTHERS.format(scripts=str(SCRIPTS), values=theirs))
    ours = [(name, np.array([1, 2], np.float32))]
    config: dict[str, Any] = {"determinism": {"environment": {}}}
    found = another.compare(ours, config, [str(tmp_path / "others.py")], tmp_path)
    assert [one["apart"] for one in found["tensors"]] == ([] if failure else [apart])
    assert failure is None if found["failure"] is None else str(failure) in found["failure"]


def test_what_is_no_number_in_both_implementations_is_not_apart() -> None:
    ours = np.array([np.nan, np.inf, 1], np.float32)
    assert another._apart(ours, ours) == 0
    assert another._apart(ours, np.array([np.nan, -np.inf, 1], np.float32)) is None


@pytest.mark.parametrize(("number", "code"), [(errno.ENOSPC, errors.FAILED), (errno.ENOENT, 2)])
def test_a_full_disk_is_a_failure_and_never_wrong_usage(number: int, code: int) -> None:
    def main() -> int:
        raise OSError(number, "no", "file")

    with pytest.raises(SystemExit) as ended:
        errors.run(main, errors.USAGE)
    assert ended.value.code == code
