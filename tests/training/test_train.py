"""scripts/train.py by its flags, on every framework: the published bits, and what it refuses."""

import functools
import json
import shutil
import subprocess
from argparse import Namespace
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import pytest

import killing
import train
from pipeline import LAUNCH, ROOT, SCRIPTS, Workspace, command, configure, flip, skip_without
from samebits.certificate import cautions, schema
from samebits.errors import SamebitsError
from samebits.experiment import pins
from samebits.formats import arrays, canonical, dataset, files, history
from samebits.training import fingerprint

RECIPES = [("tf2.21", "tf28"), ("tf2.8", "tf28"), ("tf2.1", "tf21")]
MORE_RECIPES = [("tf2.21", "tf21"), ("tf2.8", "tf21")]
LAYERS = ["dense", "dense_1", "softmax", "optimizer", "loss, metrics, input"]
_SAMPLES = 2000
FEW = ("--samples", "64", "--epochs", "1")


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
        path, output = self.folder / f"{run}.json", self.folder / "train" / run
        canonical.write_json(path, config)
        profile = pins.unpin(config["determinism"], unpinned(flags))
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


def unpinned(flags: Sequence[object]) -> list[str]:
    """The pins that these flags unpin."""
    return [str(flags[i + 1]) for i, flag in enumerate(flags) if flag == "--unpin"]


def record_of(output: Path) -> Any:
    return json.loads((output / "record.json").read_bytes())


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory, workspace: Workspace) -> Stage:
    """The data, made once, and where trainings lie that several tests look at."""
    folder = tmp_path_factory.mktemp("train")
    npz = killing.images(folder, _SAMPLES)
    return Stage(folder, folder / "arrays", npz, workspace.python)


@pytest.fixture
def stage(shared: Stage, tmp_path: Path) -> Stage:
    """A folder of the test's own."""
    return replace(shared, folder=tmp_path)


@pytest.fixture(scope="module")
def article(shared: Stage) -> Callable[[str, str], Path]:
    """What the article's experiment leaves behind, made once for each framework and recipe."""

    @functools.cache
    def trained(framework: str, recipe: str) -> Path:
        skip_without("3.11" if framework == "tf2.21" else "3.7")
        config = shared.config(framework=framework, determinism=recipe)
        done, output = shared.train(config, f"{framework}-{recipe}")
        assert done.returncode == 0, done.stdout
        return output

    return trained


VARY = ("time_zone", "umask", "directory_order")


@pytest.fixture(scope="module")
def pair(shared: Stage) -> list[Path]:
    """A control, and a replica with a canary that could be varied in two of three things."""
    trainer = {"epochs": 1, "steps_per_execution": 100}
    config = shared.config(determinism="portable", trainer=trainer)
    made = [
        shared.train(config),
        shared.train(config, "replica", "", ["--canary"], VARY, tools={"PATH": "/nowhere"}),
    ]
    assert [done.returncode for done, _ in made] == [0, 0], made[0][0].stdout + made[1][0].stdout
    return [output for _, output in made]


def published(stage: Stage, python: Path, recipe: str) -> Any:
    """History and weights of the published steps, typed into a file and run."""
    variables = {"PYTHONHASHSEED": "0", "TF_DETERMINISTIC_OPS": "1" if recipe == "tf21" else "0"}
    output = stage.folder / "plain.npz"
    script = [ROOT / "bench/article.py", "--data", stage.npz, "--recipe", recipe]
    said = command(python, *script, "--output", output, cwd=stage.folder, variables=variables)
    assert "True" in said.stdout.splitlines()
    return np.load(output)


@pytest.mark.parametrize(("framework", "recipe"), RECIPES)
def test_the_record_has_the_executed_kernels_by_layer(
    article: Callable[[str, str], Path], framework: str, recipe: str
) -> None:
    _has_executed_kernels(record_of(article(framework, recipe)), framework)


def _has_executed_kernels(record: Any, framework: str) -> None:
    assert list(schema.violations(record, schema.definition("trainRecord"))) == []
    executed = record["model"]["executed"]
    assert (executed and [layer["layer"] for layer in executed]) == (
        None if framework == "tf2.1" else LAYERS
    )


@pytest.mark.slow
@pytest.mark.parametrize(("framework", "recipe"), RECIPES)
def test_with_checkpoints_the_record_has_them_too(
    stage: Stage, framework: str, recipe: str
) -> None:
    """Under the portable profile, at every commit: test_epochs.py."""
    skip_without("3.11" if framework == "tf2.21" else "3.7")
    trainer = {"epochs": 1, "checkpoint": "epoch"}
    config = stage.config(framework=framework, determinism=recipe, trainer=trainer)
    done, output = stage.train(config, flags=["--checkpoints", stage.folder / "checkpoints"])
    assert done.returncode == 0, done.stdout
    _has_executed_kernels(record_of(output), framework)


@pytest.mark.parametrize(
    ("framework", "recipe"),
    [*RECIPES, *(pytest.param(*case, marks=pytest.mark.slow) for case in MORE_RECIPES)],
)
def test_the_article_gives_the_published_bits(
    stage: Stage, article: Callable[[str, str], Path], framework: str, recipe: str
) -> None:
    output = article(framework, recipe)
    plain = published(stage, stage.python(f"train-{framework}"), recipe)
    assert history.read(output / "history.json") == json.loads(str(plain["history"]))
    names = sorted(name for name in plain.files if name.startswith("weight_"))
    stored = arrays.open_arrays(output / "weights.safetensors")
    weights = [stored[tensor["name"]] for tensor in record_of(output)["tensors"]["weights"]]
    assert [w.tobytes() for w in weights] == [plain[name].tobytes() for name in names]


@pytest.mark.slow
def test_many_steps_per_execution_give_the_same_bits(
    stage: Stage, article: Callable[[str, str], Path]
) -> None:
    """At every commit, of another model: test_trace.py."""
    one = article(*RECIPES[0])
    assert record_of(one)["config"]["trainer"]["steps_per_execution"] == 1
    trainer = {"steps_per_execution": 100}
    done, many = stage.train(stage.config(determinism=RECIPES[0][1], trainer=trainer), "many")
    assert done.returncode == 0, done.stdout
    folders = [one, many]
    digests = [dict(record_of(folder)["digests"], trace=None) for folder in folders]
    assert digests[0] == digests[1]
    # Snapshots are taken between executions, so they are not of the same steps.
    traces = [arrays.open_arrays(folder / "trace.safetensors") for folder in folders]
    rows = [
        {name: rows.tobytes() for name, rows in trace.items() if "sample" not in name}
        for trace in traces
    ]
    assert rows[0] == rows[1]


def test_the_record_has_what_onednn_made_and_the_pins_by_its_own_word(pair: list[Path]) -> None:
    control, replica = map(record_of, pair)
    assert control["primitives"] == replica["primitives"]
    assert (control["primitives"]["isa"], control["primitives"]["threads"]) == ("Intel AVX2", 1)
    dense = [m for m in control["primitives"]["made"] if m["kind"] == "inner_product"]
    assert "mb32ic784oc128" in {made["shape"] for made in dense}
    held = {s["name"]: (s["expected"], s["effective"]) for s in control["settings"]}
    assert held["oneDNN ISA, in the training"] == ("AVX2", "AVX2")
    assert held["oneDNN threads, in the training"] == (1, 1)


def test_the_record_has_settings_build_machine_and_packages(
    shared: Stage, pair: list[Path]
) -> None:
    output, _ = pair
    record = record_of(output)
    effective = {s["name"]: s["effective"] for s in record["settings"]}
    pinned = record["config"]["determinism"]
    assert effective["oneDNN ISA"] == "AVX2"
    assert effective["intra-op threads"] == 1
    assert effective["op determinism"] is True
    assert effective["hash seed"] == 0
    assert effective["replaced ops"] == pinned["replacements"]
    assert record["framework"]["wheel"]["sha256"]
    assert {"name": "numpy", "version": np.__version__} in record["packages"]
    assert record["experiment"] == files.digest(shared.folder / "control.json")
    assert record["digests"]["weights"] == files.digest(output / "weights.safetensors")


def test_a_run_that_is_not_pinned_as_the_config_says_is_refused(stage: Stage) -> None:
    shell = {"PYTHONHASHSEED": "5", "TF_ENABLE_ONEDNN_OPTS": "0", "OMP_NUM_THREADS": "2"}
    done, output = stage.train(stage.config(determinism="portable"), shell=shell)
    assert done.returncode == 1
    for said in (
        "hash seed: expected 0, got 'another'",
        "TF_ENABLE_ONEDNN_OPTS: expected '1', got '0'",
        "other variables: expected {}, got {'OMP_NUM_THREADS': '2'}",
    ):
        assert said in done.stdout
    assert not output.exists()


def test_all_settings_that_tensorflow_itself_reports_are_compared_with_the_config(
    stage: Stage,
) -> None:
    """Another instruction set, oneDNN and op determinism than the environment asks for."""
    config = stage.config(determinism="portable")
    environment = config["determinism"]["environment"] | {"TF_DETERMINISTIC_OPS": "1"}
    wrong = {"isa": "SSE41", "onednn": False, "op_determinism": False, "environment": environment}
    config["determinism"] |= wrong
    done, output = stage.train(config)
    assert done.returncode == 1
    for said in (
        "oneDNN ISA: expected 'SSE41', got 'AVX2'",
        "oneDNN: expected False, got True",
        "op determinism: expected False, got True",
    ):
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


@pytest.mark.slow
def test_under_portable_no_kernel_is_executed_whose_low_bits_the_cpus_vendor_chooses(
    stage: Stage,
) -> None:
    """With an optimizer that divides by a square root, which TensorFlow would make a Rsqrt.

    Under another profile it executes them: test_kernels.py.
    """
    (stage.folder / "mine.py").write_text(NORMALIZED)
    changes = {
        "model": {"_target_": "mine.normalized"},
        "source_path": str(stage.folder),
        "trainer": {"optimizer": "rmsprop"},
    }
    done, output = stage.train(stage.config(determinism="portable", **changes), flags=FEW)
    assert done.returncode == 0, done.stdout
    record = record_of(output)
    kernels = {kernel for layer in record["model"]["executed"] for kernel in layer["kernels"]}
    chosen = {kernel for kernel in kernels if kernel.startswith(CHOSEN_BY_VENDORS)}
    assert {kernel.split()[1] for kernel in chosen} == {"float64"}
    assert "replaced ops" in {setting["name"] for setting in record["settings"]}


MEDDLING = {
    "tf.config.optimizer.set_jit(True)": "graph rewriting: expected False, got True",
    "tf.math.rsqrt = tf.math.rsqrt.samebits_original": "replaced ops: expected ['rsqrt', ",
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
    done, output = stage.train(stage.config(determinism="portable", **changes), flags=FEW)
    assert done.returncode == 1, done.stdout
    assert "after training the run is no longer pinned" in done.stdout
    assert [said for said in MEDDLING.values() if said not in done.stdout] == []
    assert not output.exists()


def test_damaged_data_is_refused_by_digest(stage: Stage) -> None:
    stage = replace(stage, data=Path(shutil.copytree(stage.data, stage.folder / "damaged")))
    flip(stage.data / "x_train.npy")
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
    assert "expected whole numbers 0 to 2, got 0 to 9" in done.stdout
    assert not output.exists()


@pytest.mark.slow
def test_a_trace_longer_than_the_table_in_the_graph_is_whole(stage: Stage) -> None:
    trainer = {"epochs": 2, "batch_size": 1, "steps_per_execution": 100}
    done, output = stage.train(stage.config(trainer=trainer))
    assert done.returncode == 0, done.stdout
    trace = arrays.open_arrays(output / "trace.safetensors")
    weights = arrays.open_arrays(output / "weights.safetensors")
    assert record_of(output)["trace"]["steps"] == 3200
    assert trace["step"].tolist() == list(range(3201))
    assert len(trace["sample step"]) <= 64
    for name in weights:
        prints = trace[f"fingerprint/{name}"]
        assert prints[-1] == fingerprint.of_array(np.array(weights[name]))
        assert len(set(prints.tolist())) > 3000  # no row of the table is written twice
        assert trace[f"sample/{name}"].shape[1] <= 256


def test_a_canary_differs_and_changes_nothing_of_its_run(pair: list[Path]) -> None:
    control, replica = pair
    record = record_of(replica)
    assert record["digests"] == record_of(control)["digests"]
    assert record_of(control)["canary"] is None
    names = [tensor["name"] for tensor in record["canary"].pop("tensors")]
    assert record["canary"] == {
        "tensor": names[1][len("fingerprint/") :],
        "elements": 784 * 128,
        "change": "lowest bit flipped",
        "steps": 50,  # one execution: the epoch has fewer steps than one execution may
        "digest": files.digest(replica / "canary.safetensors"),
    }
    traced = arrays.open_arrays(control / "trace.safetensors")
    canary = arrays.open_arrays(replica / "canary.safetensors")
    prints = [name for name in names if name.startswith("fingerprint/")]
    assert names == ["step", *prints, "batch step", "batch"] and sorted(names) == sorted(canary)
    assert canary["step"].tolist() == list(range(51))
    ours = [t["name"] for t in record_of(control)["tensors"]["trace"]]
    pairs = list(
        zip([name for name in ours if name.startswith("fingerprint/")], prints, strict=True)
    )
    differ = [[n for n, m in pairs if traced[n][step] != canary[m][step]] for step in (0, 1, 50)]
    assert len(differ[0]) == 1 and all(differ)


# A user's modules named like scripts of ours, which a process of multiprocessing's imports, too; a
# TensorFlow that cannot tell what it executes; and a model that can be made once.
ODD = """
import multiprocessing

import tensorflow as tf
from tensorflow.python.eager import context

import compare
from load import UNITS

del context.Context.export_run_metadata
made = []


def once():
    if made:
        raise KeyError("used up")
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        made.extend(pool.map(compare.double, [2]))
    assert made == [4]
    layers = tf.keras.layers
    return tf.keras.Sequential([layers.Flatten(input_shape=(28, 28)), layers.Dense(UNITS)])
"""


@pytest.fixture(scope="module")
def odd(shared: Stage, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Any]:
    """What a run of such a model said, and its record."""
    stage = replace(shared, folder=tmp_path_factory.mktemp("odd"))
    (stage.folder / "train.py").write_text(ODD)
    (stage.folder / "compare.py").write_text("def double(x):\n    return 2 * x\n")
    (stage.folder / "load.py").write_text("UNITS = 10\n")
    changes = {"model": {"_target_": "train.once"}, "source_path": str(stage.folder)}
    config = stage.config(determinism="portable", **changes)
    done, output = stage.train(config, "replica", flags=["--canary", *FEW])
    assert done.returncode == 0, done.stdout
    return done.stdout, record_of(output)


def test_a_canary_that_fails_and_kernels_that_cannot_be_told_fail_no_run(
    odd: tuple[str, Any],
) -> None:
    said, record = odd
    assert "the executed kernels are unknown: AttributeError" in said
    assert (record["status"], record["model"]["executed"]) == ("completed", None)
    assert record["canary"] == {
        "tensor": None, "elements": 0, "change": "lowest bit flipped",
        "steps": 0, "digest": None, "tensors": [],
        "failure": "NotBuiltError: model._target_=train.once: could not be built: "
        "KeyError('used up')",
    }  # fmt: skip


def test_a_users_modules_may_be_named_like_our_scripts(odd: tuple[str, Any]) -> None:
    source = {entry["module"]: entry["path"] for entry in odd[1]["source"]}
    assert source["__main__"] == "scripts/train.py"
    users = {name: path for name, path in source.items() if not path.startswith("scripts/")}
    assert users == {name: f"{name}.py" for name in ("train", "compare", "load")}


def test_a_model_that_fails_is_a_result_except_in_the_control(stage: Stage) -> None:
    """In the control: tests/pipeline/test_workflow.py."""
    (stage.folder / "mine.py").write_text("def network():\n    raise KeyError('used up')\n")
    config = stage.config(model={"_target_": "mine.network"}, source_path=str(stage.folder))
    done, output = stage.train(config, "replica", flags=["--canary"])
    assert done.returncode == 0, done.stdout
    record = record_of(output)
    assert (record["status"], record["digests"], record["canary"]) == ("failed", {}, None)
    assert record["failure"] == {"error": "KeyError", "message": "'used up'"}
    assert [path.name for path in output.iterdir()] == ["record.json"]


def test_files_that_are_edited_while_it_trains_fail_the_run(stage: Stage) -> None:
    names = ("mine.py", "control.json", "edited.lock.txt")  # the model, the config, the lock
    edited = [stage.folder / name for name in names]
    shutil.copy(ROOT / "envs/train-tf2.21.lock.txt", edited[2])
    edit = f"for file in {list(map(str, edited))!r}:\n        open(file, 'a').write('#\\n')"
    edited[0].write_text(MODEL.format(edit))
    config = stage.config(model={"_target_": "mine.mine"}, source_path=str(stage.folder))
    done, output = stage.train(config, flags=["--lock", edited[2], *FEW])
    assert done.returncode == 1
    for file in edited:
        assert f"{file}: was changed while this run used it" in done.stdout
    assert not output.exists()


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


def test_variations_are_recorded_with_what_the_process_saw(pair: list[Path]) -> None:
    control, record = (record_of(output) for output in pair)
    assert record["status"] == "completed"
    assert record["observed"]["umask"] != control["observed"]["umask"]
    assert set(record["variations"]["applied"]) == {"time_zone", "umask"}
    assert record["observed"]["umask"] == record["variations"]["applied"]["umask"]


UNPINNED: dict[str, tuple[str, Any]] = {
    "hash_seed": ("hash seed", 1),
    "isa": ("oneDNN ISA", "SSE41"),
    "python_seed": ("Python seed", None),
    "op_determinism": ("op determinism", False),
    "intra_op_threads": ("intra-op threads", 2),
    "inter_op_threads": ("inter-op threads", 2),
    "onednn": ("oneDNN", False),
    "numpy_seed": ("NumPy seed", None),
    "replacements": ("replaced ops", []),
    "rewriting": ("graph rewriting", True),
}


@pytest.mark.parametrize(
    "names",
    [tuple(UNPINNED), *(pytest.param((name,), id=name) for name in ("isa", "onednn"))],
)
@pytest.mark.slow
def test_an_unpinned_pin_is_in_force_with_its_other_value(
    stage: Stage, names: tuple[str, ...]
) -> None:
    """Each alone is trained with by protocol=exhaustive (tests/pipeline/test_protocols.py)."""
    config = stage.config(determinism="portable")
    flags = [word for name in (*names, "tensorflow_seed") for word in ("--unpin", name)]
    done, output = stage.train(config, "unpinned", flags=[*flags, "--samples", 64, "--epochs", 1])
    assert done.returncode == 0, done.stdout
    record = record_of(output)
    found = {s["name"]: s for s in record["settings"]}
    for name in names:
        setting, value = UNPINNED[name]
        assert found[setting]["effective"] == value
        assert found[setting]["expected"] in (value, None)
    assert found["TensorFlow seed"]["expected"] is None
    assert found["TensorFlow seed"]["effective"] != 1
    assert record["unpinned"] == [*names, "tensorflow_seed"]
    assert record["subset"] == {"samples": 64, "epochs": 1}
    assert record["trace"]["steps"] == 2  # 51 samples are not for the validation


# With oneDNN, a gradient of a convolution that is wrong: oneDNN's own is so by luck alone.
WRONG = """
import os

import tensorflow as tf
from tensorflow.python.ops import gen_nn_ops

right, factor = gen_nn_ops.conv2d_backprop_filter, 1.0


def planted(*given, **named):
    return right(*given, **named) * (factor if os.environ["TF_ENABLE_ONEDNN_OPTS"] == "1" else 1.0)


def network(wrong_by):
    global factor
    factor, gen_nn_ops.conv2d_backprop_filter = wrong_by, planted
    layers = tf.keras.layers
    image = layers.Reshape((28, 28, 1), input_shape=(28, 28))
    stack = [image, layers.Conv2D(16, 3, activation="relu"), layers.GlobalAveragePooling2D()]
    return tf.keras.Sequential([*stack, layers.Dense(10)])
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("factor", "said"),
    [(1.0, ""), (1.002, "The gradient of sequential/conv2d/kernel in one step differs")],
)
def test_a_wrong_kernel_of_onednn_is_found_by_another_implementation(
    stage: Stage, factor: float, said: str
) -> None:
    (stage.folder / "wrong.py").write_text(WRONG)
    config = stage.config(
        source_path=str(stage.folder), determinism="portable",
        overrides="model=custom ++model._target_=wrong.network trainer.epochs=1 "
        f"++model.wrong_by={factor}",
    )  # fmt: skip
    done, output = stage.train(config, "without-onednn", flags=["--unpin", "onednn"])
    assert done.returncode == 0, done.stdout
    record = record_of(output)
    assert list(schema.violations(record, schema.definition("trainRecord"))) == []
    found = "".join(cautions.of_run(record, {}))
    assert found.startswith(said) and bool(found) == bool(said), (found, record["another"])


@pytest.mark.parametrize(
    ("flags", "code", "said"),
    [
        (["--unpin", "isa"], 1, "--unpin isa: not pinned by this determinism profile"),
    ],
)
def test_flags_that_do_not_fit_are_refused(
    stage: Stage, flags: list[object], code: int, said: str
) -> None:
    config = stage.config(determinism="seeds")
    done, output = stage.train(config, "refused", flags=flags)
    assert done.returncode == code
    assert said in done.stdout
    assert not output.exists()


def test_more_samples_than_there_are_are_refused(tmp_path: Path) -> None:
    dataset.write(tmp_path, {"x_train": np.zeros((4, 2)), "y_train": np.zeros(4, "u1")})
    with pytest.raises(SamebitsError, match="expected at most 4, the size of the data, got 5"):
        train._task(None, {"trainer": {}}, Namespace(data=tmp_path, samples=5, epochs=1))


@pytest.mark.slow
@pytest.mark.parametrize("model", ["mlp", "cnn"])
def test_two_runs_of_a_built_in_model_agree_on_every_framework(stage: Stage, model: str) -> None:
    """For two epochs; the article's model is trained as published above."""
    given: dict[str, Any] = {"model": model, "trainer": {"epochs": 2}}
    for framework, profile in [*RECIPES, *MORE_RECIPES]:
        skip_without("3.11" if framework == "tf2.21" else "3.7")
        config = stage.config(framework=framework, determinism=profile, **given)
        digests = []
        for run in ("control", "replica"):
            done, output = stage.train(config, f"{framework}-{profile}-{run}")
            assert done.returncode == 0, done.stdout
            digests.append(json.loads((output / "record.json").read_bytes())["digests"])
        assert digests[0] == digests[1]
