"""scripts/train.py by its flags, on every framework: the published bits, and what it refuses."""

import json
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import pytest

from pipeline import LAUNCH, ROOT, SCRIPTS, Workspace, command, skip_without
from samebits.certificate import evidence
from samebits.config.experiment import configure
from samebits.experiment import pins
from samebits.formats import arrays, canonical, dataset, files, history
from samebits.training import fingerprint

RECIPES = [
    ("tf2.21", "tf28", "3.11"),
    ("tf2.8", "tf28", "3.7"),
    ("tf2.1", "tf21", "3.7"),
]
MORE_RECIPES = [("tf2.21", "tf21", "3.11"), ("tf2.8", "tf21", "3.7")]
_SAMPLES = 2000


# A user's model that can be made once in a process.
ONCE = """
import tensorflow as tf

calls = 0


def once():
    global calls
    if calls:
        raise KeyError("used up")
    calls += 1
    layers = tf.keras.layers
    return tf.keras.Sequential([layers.Flatten(input_shape=(28, 28)), layers.Dense(10)])
"""


@dataclass(frozen=True)
class Stage:
    """A folder to train in, with 2 000 images as arrays and as one .npz file."""

    folder: Path
    data: Path
    npz: Path
    python: Callable[[str], Path]

    def config(self, **changes: Any) -> dict[str, Any]:
        """The article's experiment on these images."""
        data = {"option": "npz", "path": str(self.npz), "sha256": files.digest(self.npz)}
        shape = {"shape": [28, 28], "classes": 10, "scale": 255.0}
        given = {"experiment": "article", "data": data | shape} | changes
        return configure(given, ROOT / "conf").config

    def train(
        self,
        config: dict[str, Any],
        run: str = "control",
        lock: str = "",
        flags: Sequence[object] = (),
        vary: Sequence[str] = (),
        shell: Mapping[str, str] = MappingProxyType({}),
        tools: Mapping[str, str] | None = None,
    ) -> tuple[subprocess.CompletedProcess[str], Path]:
        """Run the stage as the rule does; returns the process and the output folder.

        ``shell``: variables for the script; ``tools``: for the launcher.
        """
        environment = config["framework"]["environment"]
        path, output = self.folder / "config.json", self.folder / "train" / run
        canonical.write_json(path, config)
        profile = pins.lift(config["determinism"], lifted(flags))
        pinned = {"PYTHONHASHSEED": str(profile["hash_seed"])} | profile["environment"]
        done = command(
            *LAUNCH, self.python(environment), "--log", self.folder / "log.txt",
            *[word for name in vary for word in ("--vary", name)],
            *[f"{k}={v}" for k, v in (pinned | dict(shell)).items()], "--", SCRIPTS / "train.py",
            "--config", path, "--data", self.data,
            "--lock", ROOT / f"envs/{lock or environment}.lock.txt",
            "--source-path", self.folder, "--run", run, "--output", output, *flags,
            cwd=self.folder, check=False, variables=tools,
        )  # fmt: skip
        return done, output


def lifted(flags: Sequence[object]) -> list[str]:
    """The pins that these flags lift."""
    return [str(flags[i + 1]) for i, flag in enumerate(flags) if flag == "--lift"]


def record_of(output: Path) -> Any:
    return json.loads((output / "record.json").read_bytes())


@pytest.fixture
def stage(tmp_path: Path, workspace: Workspace) -> Stage:
    random = np.random.RandomState(0)
    y = random.randint(0, 10, _SAMPLES).astype(np.uint8)
    x = (random.randint(0, 64, (_SAMPLES, 28, 28)) + y[:, None, None] * 16).astype(np.uint8)
    np.savez(tmp_path / "data.npz", x=x, y=y)
    (tmp_path / "arrays").mkdir()
    dataset.write(tmp_path / "arrays", {"x_train": x, "y_train": y})
    return Stage(tmp_path, tmp_path / "arrays", tmp_path / "data.npz", workspace.python)


def published(stage: Stage, python: Path, recipe: str) -> Any:
    """History and weights of the published steps, typed into a file and run."""
    variables = {"PYTHONHASHSEED": "0", "TF_DETERMINISTIC_OPS": "1" if recipe == "tf21" else "0"}
    output = stage.folder / "plain.npz"
    script = [ROOT / "bench/article.py", "--data", stage.npz, "--recipe", recipe]
    said = command(python, *script, "--output", output, cwd=stage.folder, variables=variables)
    assert "True" in said.stdout.splitlines()
    return np.load(output)


@pytest.mark.parametrize(("framework", "recipe", "python"), RECIPES)
@pytest.mark.parametrize("checkpoint", ["none", "epoch"])
def test_the_record_tells_what_was_executed(
    stage: Stage, framework: str, recipe: str, python: str, checkpoint: str
) -> None:
    skip_without(python)
    trainer = {"epochs": 1, "checkpoint": checkpoint}
    config = stage.config(framework=framework, determinism=recipe, trainer=trainer)
    flags = ["--checkpoints", stage.folder / "checkpoints"] if checkpoint == "epoch" else []
    done, output = stage.train(config, flags=flags)
    assert done.returncode == 0, done.stdout
    record = record_of(output)
    assert list(evidence.violations(record, "trainRecord")) == []
    executed = record["model"]["executed"]
    if framework == "tf2.1":
        assert executed is None
    else:
        layers = ["dense", "dense_1", "softmax", "optimizer", "loss, metrics, input"]
        assert [layer["layer"] for layer in executed] == layers


@pytest.mark.parametrize(
    ("framework", "recipe", "python"),
    [*RECIPES, *(pytest.param(*case, marks=pytest.mark.slow) for case in MORE_RECIPES)],
)
def test_the_article_gives_the_published_bits(
    stage: Stage, framework: str, recipe: str, python: str
) -> None:
    skip_without(python)
    config = stage.config(framework=framework, determinism=recipe)
    done, output = stage.train(config)
    assert done.returncode == 0, done.stdout
    plain = published(stage, stage.python(f"train-{framework}"), recipe)
    assert history.read(output / "history.json") == json.loads(str(plain["history"]))
    names = sorted(name for name in plain.files if name.startswith("weight_"))
    stored = arrays.open_arrays(output / "weights.safetensors")
    weights = [stored[tensor["name"]] for tensor in record_of(output)["tensors"]["weights"]]
    assert [w.tobytes() for w in weights] == [plain[name].tobytes() for name in names]


def test_many_steps_per_execution_give_the_same_bits(stage: Stage) -> None:
    one, _ = stage.train(stage.config(), "one")
    many, _ = stage.train(stage.config(trainer={"steps_per_execution": 100}), "many")
    assert (one.returncode, many.returncode) == (0, 0), one.stdout + many.stdout
    folders = [stage.folder / "train" / run for run in ("one", "many")]
    digests = [dict(record_of(folder)["digests"], trace=None) for folder in folders]
    assert digests[0] == digests[1]
    # Snapshots are taken between executions, so they are not of the same steps.
    traces = [arrays.open_arrays(folder / "trace.safetensors") for folder in folders]
    rows = [
        {name: rows.tobytes() for name, rows in trace.items() if "sample" not in name}
        for trace in traces
    ]
    assert rows[0] == rows[1]


def test_the_record_tells_settings_build_machine_and_packages(stage: Stage) -> None:
    done, output = stage.train(stage.config(determinism="portable", trainer={"epochs": 1}))
    assert done.returncode == 0, done.stdout
    record = json.loads((output / "record.json").read_bytes())
    effective = {s["name"]: s["effective"] for s in record["settings"]}
    assert effective["oneDNN ISA"] == "AVX2"
    assert effective["intra-op threads"] == 1
    assert effective["op determinism"] is True
    assert effective["hash seed"] == 0
    assert record["framework"]["wheel"]["sha256"]
    assert {"name": "numpy", "version": np.__version__} in record["packages"]
    assert record["experiment"] == files.digest(stage.folder / "config.json")
    assert record["digests"]["weights"] == files.digest(output / "weights.safetensors")


@pytest.mark.parametrize(
    ("shell", "said"),
    [
        ({"PYTHONHASHSEED": "5"}, "hash seed: expected 0, got 'another'"),
        ({"TF_ENABLE_ONEDNN_OPTS": "0"}, "TF_ENABLE_ONEDNN_OPTS: expected '1', got '0'"),
        ({"OMP_NUM_THREADS": "2"}, "other variables: expected {}, got {'OMP_NUM_THREADS': '2'}"),
    ],
)
def test_a_run_that_is_not_pinned_as_the_config_says_is_refused(
    stage: Stage, shell: dict[str, str], said: str
) -> None:
    done, output = stage.train(stage.config(determinism="portable"), shell=shell)
    assert done.returncode == 1
    assert said in done.stdout
    assert not output.exists()


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"isa": "SSE41"}, "oneDNN ISA: expected 'SSE41', got 'AVX2'"),
        ({"onednn": False}, "oneDNN: expected False, got True"),
        ({"op_determinism": False, "environment": {"TF_DETERMINISTIC_OPS": "1"}}, "op determinism"),
    ],
)
def test_what_tensorflow_itself_says_is_held_against_the_config(
    stage: Stage, wrong: dict[str, Any], said: str
) -> None:
    config = stage.config(determinism="portable")
    environment = config["determinism"]["environment"] | wrong.pop("environment", {})
    config["determinism"] |= wrong | {"environment": environment}
    done, output = stage.train(config)
    assert done.returncode == 1
    assert said in done.stdout
    assert not output.exists()


NORMALIZED = """
import tensorflow as tf


def normalized():
    layers = tf.keras.layers
    return tf.keras.Sequential([
        layers.Flatten(input_shape=(28, 28)), layers.Dense(8, activation="gelu"),
        layers.BatchNormalization(), layers.LayerNormalization(), layers.Dense(10),
    ])
"""
CHOSEN_BY_VENDORS = ("Rsqrt", "Reciprocal", "Erfc")


def test_under_exact_no_kernel_is_executed_whose_low_bits_the_cpus_vendor_chooses(
    stage: Stage,
) -> None:
    """With an optimizer that divides by a square root, which TensorFlow would make a Rsqrt."""
    (stage.folder / "mine.py").write_text(NORMALIZED)
    changes = {
        "model": {"_target_": "mine.normalized"},
        "source_path": str(stage.folder),
        "trainer": {"epochs": 1, "optimizer": "rmsprop"},
    }
    executed = {}
    for profile in ("exact", "portable"):
        done, output = stage.train(stage.config(determinism=profile, **changes), profile)
        assert done.returncode == 0, done.stdout
        record = record_of(output)
        kernels = {kernel for layer in record["model"]["executed"] for kernel in layer["kernels"]}
        executed[profile] = {k for k in kernels if k.startswith(CHOSEN_BY_VENDORS)}
        probed = {s["name"]: s["effective"] for s in record["settings"]}
        assert ("exact ops" in probed) == (profile == "exact")
    assert {kernel.split()[1] for kernel in executed["exact"]} == {"float64"}
    assert {"Rsqrt float32", "Erfc float32"} <= executed["portable"]


MEDDLING = {
    "tf.config.optimizer.set_jit(True)": "graph rewriting: expected False, got True",
    "tf.math.rsqrt = tf.math.rsqrt.samebits_original": "exact ops: expected ['rsqrt', ",
    "config.disable_op_determinism()": "op determinism: expected True, got False",
}
MODEL = """
import tensorflow as tf
from tensorflow.python.framework import config


def mine():
    layers = tf.keras.layers
    model = tf.keras.Sequential([layers.Flatten(input_shape=(28, 28)), layers.Dense(10)])
    {}
    return model
"""


def test_a_model_whose_code_changes_what_is_pinned_is_refused(stage: Stage) -> None:
    """After it was probed: TensorFlow lets a program do so at any time."""
    (stage.folder / "mine.py").write_text(MODEL.format("; ".join(MEDDLING)))
    changes = {"model": {"_target_": "mine.mine"}, "source_path": str(stage.folder)}
    done, output = stage.train(stage.config(determinism="exact", **changes))
    assert done.returncode == 1, done.stdout
    assert "after training the run is no longer pinned" in done.stdout
    assert [said for said in MEDDLING.values() if said not in done.stdout] == []
    assert not output.exists()


FAILING = "from tensorflow.python.eager import context; del context.Context.export_run_metadata"


def test_where_it_cannot_be_told_what_was_executed_the_training_goes_on(stage: Stage) -> None:
    (stage.folder / "mine.py").write_text(MODEL.format(FAILING))
    changes = {"model": {"_target_": "mine.mine"}, "source_path": str(stage.folder)}
    done, output = stage.train(stage.config(determinism="portable", **changes))
    assert done.returncode == 0, done.stdout
    assert "what was executed is not known: AttributeError" in done.stdout
    assert record_of(output)["model"]["executed"] is None


def test_damaged_data_is_refused_by_digest(stage: Stage) -> None:
    path = stage.data / "x_train.npy"
    damaged = bytearray(path.read_bytes())
    damaged[-1] ^= 1
    path.write_bytes(damaged)
    done, output = stage.train(stage.config())
    assert done.returncode == 1
    assert "x_train.npy: expected SHA-256" in done.stdout
    assert not output.exists()


def test_an_environment_that_is_not_the_locked_one_is_refused(stage: Stage) -> None:
    done, output = stage.train(stage.config(), lock="train-tf2.8")
    assert done.returncode == 1
    assert "tensorflow-cpu: expected 2.8.0, got 2.21.0" in done.stdout
    assert "delete it to have it built again" in done.stdout
    assert not output.exists()


def test_labels_beyond_the_models_outputs_are_refused(stage: Stage) -> None:
    (stage.folder / "mine.py").write_text(
        "import tensorflow as tf\n"
        "def few():\n"
        "    layers = tf.keras.layers\n"
        "    return tf.keras.Sequential([layers.Flatten(input_shape=(28, 28)), layers.Dense(3)])\n"
    )
    config = stage.config(model={"_target_": "mine.few"}, source_path=str(stage.folder))
    done, output = stage.train(config)
    assert done.returncode == 1
    assert "expected labels 0 to 2, as many as the model has outputs; got 0 to 9" in done.stdout
    assert not output.exists()


@pytest.mark.slow
def test_a_trace_longer_than_the_table_in_the_graph_is_whole(stage: Stage) -> None:
    trainer = {"epochs": 2, "batch_size": 1, "steps_per_execution": 100}
    done, output = stage.train(stage.config(trainer=trainer))
    assert done.returncode == 0, done.stdout
    trace, weights = (arrays.open_arrays(output / name) for name in ("trace", "weights"))
    assert record_of(output)["trace"]["steps"] == 3200
    assert trace["step"].tolist() == list(range(3201))
    assert len(trace["sample step"]) <= 64
    for name in weights:
        prints = trace[f"fingerprint/{name}"]
        assert prints[-1] == fingerprint.of_array(np.array(weights[name]))
        assert len(set(prints.tolist())) > 3000  # no row of the table is written twice
        assert trace[f"sample/{name}"].shape[1] <= 256


def test_a_canary_differs_and_changes_nothing_of_its_run(stage: Stage) -> None:
    trainer = {"epochs": 1, "steps_per_execution": 100}
    config = stage.config(determinism="portable", trainer=trainer)
    plain, control = stage.train(config)
    ridden, replica = stage.train(config, "replica", flags=["--canary"])
    assert (plain.returncode, ridden.returncode) == (0, 0), plain.stdout + ridden.stdout
    record = record_of(replica)
    assert record["digests"] == record_of(control)["digests"]
    assert record_of(control)["canary"] is None
    names = [tensor["name"] for tensor in record["canary"].pop("tensors")]
    assert record["canary"] == {
        "seed": config["seed"] + 1,
        "steps": 50,  # one execution: the epoch has fewer steps than one execution may
        "digest": files.digest(replica / "canary.safetensors"),
    }
    traced = arrays.open_arrays(control / "trace.safetensors")
    canary = arrays.open_arrays(replica / "canary.safetensors")
    prints = [name for name in names if name.startswith("fingerprint/")]
    assert names == ["step", "loss", *prints] and sorted(names) == sorted(canary)
    assert canary["step"].tolist() == list(range(51))
    assert any(traced[name][0] != canary[name][0] for name in prints)
    assert traced["loss"][1] != canary["loss"][1]


def test_a_canary_that_fails_is_told_and_fails_no_run(stage: Stage) -> None:
    (stage.folder / "mine.py").write_text(ONCE)
    config = stage.config(
        model={"_target_": "mine.once"}, source_path=str(stage.folder), trainer={"epochs": 1}
    )
    done, output = stage.train(config, "replica", flags=["--canary"])
    assert done.returncode == 0, done.stdout
    record = record_of(output)
    assert record["status"] == "completed"
    assert record["canary"] == {
        "seed": 2, "steps": 0, "digest": None, "tensors": [],
        "failure": "NotBuiltError: model._target_=mine.once: could not be built: "
        "KeyError('used up')",
    }  # fmt: skip


def test_a_model_that_fails_is_a_result_except_in_the_control(stage: Stage) -> None:
    (stage.folder / "mine.py").write_text(ONCE.replace("calls = 0", "calls = 1"))
    config = stage.config(model={"_target_": "mine.once"}, source_path=str(stage.folder))
    done, output = stage.train(config)
    assert done.returncode == 1
    assert "could not be built: KeyError('used up')" in done.stdout
    assert not output.exists()
    done, output = stage.train(config, "replica", flags=["--canary"])
    assert done.returncode == 0, done.stdout
    record = record_of(output)
    assert (record["status"], record["digests"], record["canary"]) == ("failed", {}, None)
    assert record["failure"] == {"error": "KeyError", "message": "'used up'"}
    assert [path.name for path in output.iterdir()] == ["record.json"]


def test_a_run_that_cannot_be_varied_as_it_was_to_is_not_tried(stage: Stage) -> None:
    done, output = stage.train(
        stage.config(), "with-clock", vary=["directory_order"], tools={"PATH": "/nowhere"}
    )
    assert done.returncode == 0, done.stdout
    record = record_of(output)
    assert record["status"] == "not tried"
    assert record["digests"] == {}
    assert list(record["variations"]["not_tried"]) == ["directory_order"]
    assert "not tried: " in done.stdout


def test_variations_are_recorded_with_what_the_process_saw(stage: Stage) -> None:
    vary = ["time_zone", "umask", "directory_order"]
    config = stage.config(trainer={"epochs": 1})
    done, output = stage.train(config, "replica", vary=vary, tools={"PATH": "/nowhere"})
    assert done.returncode == 0, done.stdout
    record = record_of(output)
    assert record["status"] == "completed"
    assert set(record["variations"]["applied"]) == {"time_zone", "umask"}
    assert record["surroundings"]["umask"] == record["variations"]["applied"]["umask"]


LIFTED = [
    ("hash_seed", "hash seed", 1),
    ("isa", "oneDNN ISA", "SSE41"),
    ("python_seed", "Python seed", None),
]
LIFTED_TOO: list[tuple[str, str, Any]] = [
    ("op_determinism", "op determinism", False),
    ("intra_op_threads", "intra-op threads", 2),
    ("inter_op_threads", "inter-op threads", 2),
    ("onednn", "oneDNN", False),
    ("numpy_seed", "NumPy seed", None),
    ("replacements", "exact ops", []),
    ("rewriting", "graph rewriting", True),
]


@pytest.mark.parametrize(
    ("pin", "setting", "value"),
    [*LIFTED, *(pytest.param(*case, marks=pytest.mark.slow) for case in LIFTED_TOO)],
)
def test_a_lifted_pin_is_in_force_with_its_other_value(
    stage: Stage, pin: str, setting: str, value: Any
) -> None:
    config = stage.config(determinism="exact")
    part = ["--samples", 64, "--epochs", 1]
    done, output = stage.train(config, f"without-{pin}", flags=["--lift", pin, *part])
    assert done.returncode == 0, done.stdout
    record = record_of(output)
    (found,) = [s for s in record["settings"] if s["name"] == setting]
    assert found["effective"] == value
    assert found["expected"] in (value, None)
    assert record["lifted"] == [pin]
    assert record["subset"] == {"samples": 64, "epochs": 1}
    assert record["trace"]["steps"] == 2  # 51 samples are not for the validation


def test_a_lifted_tensorflow_seed_is_another_one(stage: Stage) -> None:
    done, output = stage.train(
        stage.config(), "without-seed",
        flags=["--lift", "tensorflow_seed", "--samples", 64, "--epochs", 1],
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
    (seed,) = [s for s in record_of(output)["settings"] if s["name"] == "TensorFlow seed"]
    assert seed["expected"] is None
    assert seed["effective"] != 1


@pytest.mark.parametrize(
    ("flags", "code", "said"),
    [
        (["--lift", "isa"], 1, "--lift isa: not pinned by this determinism profile"),
        (["--samples", 10], 2, "expected --samples and --epochs together"),
        (["--samples", 2001, "--epochs", 1], 1, "expected at most 2000, the size of the data"),
    ],
)
def test_flags_that_do_not_fit_are_refused(
    stage: Stage, flags: list[object], code: int, said: str
) -> None:
    config = stage.config(determinism="seeds")
    path = stage.folder / "config.json"
    canonical.write_json(path, config)
    done, output = stage.train(config, "refused", flags=flags)
    assert done.returncode == code
    assert said in done.stdout
    assert not output.exists()


@pytest.mark.slow
@pytest.mark.parametrize("model", ["mlp", "cnn"])
def test_two_runs_of_a_built_in_model_agree_on_every_framework(stage: Stage, model: str) -> None:
    """For two epochs; the article's model is trained as published above."""
    given: dict[str, Any] = {"model": model, "trainer": {"epochs": 2}}
    for framework, profile, python in [*RECIPES, *MORE_RECIPES]:
        skip_without(python)
        config = stage.config(framework=framework, determinism=profile, **given)
        digests = []
        for run in ("control", "replica"):
            done, output = stage.train(config, f"{framework}-{profile}-{run}")
            assert done.returncode == 0, done.stdout
            digests.append(json.loads((output / "record.json").read_bytes())["digests"])
        assert digests[0] == digests[1]
