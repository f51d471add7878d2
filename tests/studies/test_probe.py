"""battery.py and probe.py with TensorFlow: what is computed is what training executes.

The planted dependence is that of the CPU itself: its approximate reciprocal square root.
"""

import hashlib
import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from atlas import battery, collect
from pipeline import LAUNCH, ROOT, SCRIPTS, Workspace, command, skip_without
from samebits.formats import canonical

STUDY = ROOT / "studies" / "atlas"
PATHS = f"PYTHONPATH={SCRIPTS}:{STUDY.parent}"
PROGRAM = ROOT / "tests/studies/probe_program.py"
CONSTANT = ("sign", "lion")  # their gradients: no condition could change them
OPS = (
    *CONSTANT,
    *("one_over_x", "x_over_sqrt", "rsqrt", "gelu", "add"),
    *("matmul", "conv2d", "layer_normalization", "adam"),
)
CAP = ("ONEDNN_MAX_CPU_ISA=AVX2", "DNNL_MAX_CPU_ISA=AVX2")
ONEDNN = "TF_ENABLE_ONEDNN_OPTS=1"


@dataclass(frozen=True)
class Bench:
    """One TensorFlow, and a folder for what it computes."""

    python: Path
    framework: str
    folder: Path

    @property
    def lock(self) -> Path:
        return ROOT / "envs" / f"train-{self.framework}.lock.txt"

    def start(self, script: str, *arguments: object, check: bool = True) -> str:
        """Run a script as a rule does; ``arguments`` up to ``--`` are the launcher's."""
        split = arguments.index("--")
        launched = [*arguments[:split], "PYTHONHASHSEED=0", PATHS, "--"]
        done = command(
            *LAUNCH, self.python, "--log", self.folder / "log", *launched,
            STUDY / script, "--lock", self.lock, *arguments[split + 1 :],
            cwd=self.folder, check=check,
        )  # fmt: skip
        assert check or done.returncode == 1, done.stdout
        return done.stdout

    def battery(self, name: str, *only: str) -> Path:
        flags = [word for op in only for word in ("--only", op)]
        self.start("run_battery.py", ONEDNN, *CAP, "--", *flags, "--output", self.folder / name)
        return self.folder / name

    def probe(self, name: str, of: Path, *launched: str, threads: tuple[int, ...] = (1,)) -> Path:
        flags = [word for count in threads for word in ("--threads", count)]
        launched = launched or (ONEDNN, *CAP)
        given = ("--battery", of, *flags, "--output", self.folder / name)
        self.start("run_probe.py", *launched, "--", *given)
        return self.folder / name

    def refused(self, of: Path, *launched: str) -> str:
        given = ("--battery", of, "--threads", 1, "--output", self.folder / "refused")
        said = self.start("run_probe.py", *launched, "--", *given, check=False)
        assert not (self.folder / "refused").exists()
        return said


def bench(workspace: Workspace, folder: Path, framework: str) -> Bench:
    skip_without("3.11" if framework == "tf2.21" else "3.7")
    return Bench(workspace.python(f"train-{framework}"), framework, folder)


@pytest.fixture(scope="module")
def new(workspace: Workspace, tmp_path_factory: pytest.TempPathFactory) -> Bench:
    return bench(workspace, tmp_path_factory.mktemp("probe"), "tf2.21")


@pytest.fixture(scope="module")
def few(new: Bench) -> Path:
    """The battery of a handful of ops."""
    return new.battery("battery", *OPS)


@pytest.fixture(scope="module")
def native(new: Bench, few: Path) -> Path:
    return new.probe("native", few, threads=(1, 4))


def results(folder: Path, condition: int = 0) -> dict[str, Any]:
    """What a probe computed, and by which kernels, by result."""
    found = canonical.read_json(folder / "probe.json")["conditions"][condition]
    with np.load(folder / f"{found['threads']}.npz") as arrays:
        return {name: [digest(arrays[name]), found["kernels"][name]] for name in arrays.files}


def digest(array: Any) -> str:
    """As probe_program.py has it."""
    return hashlib.sha256(f"{array.dtype} {array.shape} ".encode() + array.tobytes()).hexdigest()


def compare_with_training(of: Bench, made: Path, probe: Path) -> None:
    done = command(
        of.python, PROGRAM, made, cwd=of.folder,
        variables=dict(v.split("=") for v in (ONEDNN, *CAP, PATHS, "TF_CPP_MIN_LOG_LEVEL=3")),
    )  # fmt: skip
    trained = json.loads(done.stdout.splitlines()[-1])
    assert len(trained) >= 50
    assert trained == results(probe)


def test_what_depends_on_no_input_is_no_result(native: Path) -> None:
    outputs = {(name.split("/")[0], name.split("/")[-1]) for name in results(native)}
    assert {output for name, output in outputs if name in CONSTANT} == {"value"}
    assert {output for name, output in outputs if name == "adam"} == {"value", "gradient"}


def test_results_and_kernels_are_those_of_a_tf_function(
    new: Bench, few: Path, native: Path
) -> None:
    compare_with_training(new, few, native)


@pytest.mark.slow
def test_results_and_kernels_are_those_of_a_tf_function_of_tensorflow_2_8(
    workspace: Workspace, tmp_path: Path
) -> None:
    old = bench(workspace, tmp_path, "tf2.8")
    made = old.battery("battery", *OPS)
    compare_with_training(old, made, old.probe("native", made))


def test_kernels_are_those_after_rewriting(native: Path) -> None:
    found = {name: kernels for name, (_, kernels) in results(native).items()}
    assert found["one_over_x/float32/1/value"] == ["Reciprocal float32"]
    assert found["x_over_sqrt/float32/1/value"] == ["Mul float32", "Rsqrt float32"]
    assert found["conv2d/float32/0/value"] == ["Conv2D float32"]
    assert found["rsqrt/bfloat16/1/value"] == ["Rsqrt bfloat16"]


def test_another_probe_gives_the_same_results(new: Bench, few: Path, native: Path) -> None:
    assert results(new.probe("again", few)) == results(native)


def test_what_was_in_force_is_recorded(native: Path) -> None:
    probe = canonical.read_json(native / "probe.json")
    assert (probe["isa"], probe["isa_in_force"], probe["onednn"]) == ("AVX2", "Intel AVX2", True)
    assert probe["cpu"] is None
    assert [condition["threads"] for condition in probe["conditions"]] == [1, 4]
    assert probe["framework"]["tensorflow"] == "2.21.0"


def test_a_battery_of_another_environment_is_refused(new: Bench, few: Path, tmp_path: Path) -> None:
    other = shutil.copytree(few, tmp_path / "battery")
    content = canonical.read_json(few / "battery.json") | {"lock": "0" * 64}
    canonical.write_json(other / "battery.json", content)
    assert "was not built with" in new.refused(other, ONEDNN, *CAP)


FAULTS = {
    "nothing said of oneDNN": (CAP, "TF_ENABLE_ONEDNN_OPTS: expected 0 or 1, got None"),
    "oneDNN neither on nor off": (
        ("TF_ENABLE_ONEDNN_OPTS=yes", *CAP),
        "TF_ENABLE_ONEDNN_OPTS: expected 0 or 1, got 'yes'",
    ),
    "half a cap": ((ONEDNN, CAP[0]), "DNNL_MAX_CPU_ISA: expected 'AVX2' as in ONEDNN_MAX_CPU_ISA"),
    "a cap by its earlier name": ((ONEDNN, CAP[1]), "expected None as in ONEDNN_MAX_CPU_ISA"),
    "a cap that does not exist": (
        (ONEDNN, "ONEDNN_MAX_CPU_ISA=AVX9", "DNNL_MAX_CPU_ISA=AVX9"),
        "oneDNN ISA: expected 'AVX9', got",
    ),
    "a CPU that does not exist": (
        ("--vary", "cpu=Z80", ONEDNN, *CAP),
        "the CPU could not be emulated: ",
    ),
    "a CPU that is only claimed": (
        ('SAMEBITS_VARIATIONS={"applied": {"cpu": "Haswell"}}', ONEDNN, *CAP),
        "expected the CPU Haswell, got",
    ),
}


@pytest.mark.parametrize(("launched", "said"), FAULTS.values(), ids=FAULTS)
def test_a_condition_that_is_not_what_it_has_to_be_is_refused(
    new: Bench, few: Path, launched: tuple[str, ...], said: str
) -> None:
    if any("SAMEBITS" in word for word in launched):
        assert said in _claimed(new, few, launched)
    else:
        assert said in new.refused(few, *launched)


def _claimed(new: Bench, few: Path, launched: tuple[str, ...]) -> str:
    """Without the launcher, which says itself what it varied."""
    done = command(
        new.python, STUDY / "run_probe.py", "--battery", few, "--lock", new.lock, "--threads", 1,
        "--output", new.folder / "refused",
        cwd=new.folder, check=False, variables=dict(v.split("=", 1) for v in (PATHS, *launched)),
    )  # fmt: skip
    assert done.returncode == 1, done.stdout
    return done.stdout


def test_an_unknown_op_is_refused(new: Bench) -> None:
    given = ("--", "--only", "rsqrt", "--only", "rsqrtt", "--output", new.folder / "unknown")
    said = new.start("run_battery.py", ONEDNN, *given, check=False)
    assert "--only: not in the battery: rsqrtt" in said


# What each session has of threads, while it fills its variables.
THREADS = """
import os, sys
from pathlib import Path
from atlas import battery, runtime
from samebits.formats import canonical
folder = Path(sys.argv[1])
loaded = runtime.load(folder, canonical.read_json(folder / "battery.json"))
runtime.pin()
fill, seen = battery.fill, []
def counted(*given):
    fill(*given)
    seen.append(len(os.listdir("/proc/self/task")))
battery.fill = counted
for threads in (1, 4, 2):
    runtime.compute(loaded, threads)
print("threads", *seen)
"""


def test_every_condition_has_the_threads_that_it_says(new: Bench, few: Path) -> None:
    done = command(
        new.python, "-c", THREADS, few, cwd=new.folder, variables=dict([PATHS.split("=")])
    )
    one, four, two = map(int, done.stdout.splitlines()[-1].split()[1:])
    assert four - two == 2, done.stdout
    assert two - one in (1, 2), done.stdout  # one thread may need no pool


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("qemu-x86_64") is None, reason="needs qemu-user")
def test_an_op_that_depends_on_the_cpu_is_found_and_one_that_does_not_is_not(new: Bench) -> None:
    made = new.battery("two", "rsqrt", "add")
    probes = [
        new.probe("two-native", made),
        new.probe("two-haswell", made, "--vary", "cpu=Haswell", ONEDNN, *CAP),
    ]
    found = {
        battery.label(dict(op, variant="")): op["different"]
        for op in collect.collect(probes, "qemu")["ops"]
    }
    (rsqrt,) = found["rsqrt/float32//value"].values()
    assert 1 <= rsqrt["ulp"] <= 4
    assert rsqrt["elements"] > 10
    assert not any(different for name, different in found.items() if name.startswith("add/"))


@pytest.fixture(scope="module")
def names(new: Bench) -> dict[str, set[str]]:
    """The whole battery's ops, with their dtypes, as this TensorFlow has them."""
    listed = (
        "import json; import tensorflow as tf; from atlas.battery import operations; "
        "print(json.dumps([(o.name, o.group, o.dtypes) for o in operations(tf)]))"
    )
    quiet = dict(v.split("=") for v in (PATHS, "TF_CPP_MIN_LOG_LEVEL=3"))
    done = command(new.python, "-c", listed, cwd=new.folder, variables=quiet)
    found: dict[str, set[str]] = {}
    groups: dict[str, str] = {}
    for name, group, dtypes in json.loads(done.stdout.splitlines()[-1]):
        found.setdefault(name, set()).update(dtypes)
        assert groups.setdefault(name, group) == group
    return found


def test_every_op_has_float32(names: dict[str, set[str]]) -> None:
    assert len(names) >= 120
    assert [name for name, dtypes in names.items() if "float32" not in dtypes] == []


LAYERS = {
    "convolution": "conv1d conv2d conv3d conv2d_transpose depthwise_conv2d separable_conv2d",
    "pooling": "max_pool2d avg_pool2d max_pool3d global_average_pooling",
    "normalization": "batch_normalization fused_batch_norm layer_normalization rms_normalization",
    "recurrent": "lstm_cell gru_cell",
    "attention": "attention einsum_attention softmax",
    "dense": "matmul bias_add dense_relu einsum_dense",
    "embedding": "embedding_lookup gather",
    "dropout": "dropout stateless_uniform stateless_normal stateless_truncated_normal",
    "activation": "relu sigmoid tanh softplus softsign elu selu gelu silu leaky_relu mish",
    "loss": "softmax_cross_entropy sparse_softmax_cross_entropy sigmoid_cross_entropy "
    "mean_squared_error huber kl_divergence cosine_similarity poisson log_cosh",
    "optimizer": "sgd_momentum adam rmsprop adagrad adadelta adamax ResourceApplyAdam "
    "ResourceApplyRMSProp ResourceApplyKerasMomentum",
}


@pytest.mark.parametrize("layer", LAYERS)
def test_what_keras_uses_is_in_the_battery(names: dict[str, set[str]], layer: str) -> None:
    assert set(LAYERS[layer].split()) - set(names) == set()
