"""What the protocols find in the whole pipeline: survivors, culprits, other CPUs, tolerance."""

import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from pipeline import ROOT, Workspace, outcomes, skip_without
from samebits.pages import wording

SMOKE = "experiment=smoke"
ZOO = f"source_path={ROOT / 'tests' / 'zoo'}"
SMALL = "data=synthetic data.samples=160 trainer.epochs=1"


@pytest.mark.slow
def test_a_difference_is_explained_by_the_same_command(workspace: Workspace) -> None:
    """Here among three; among all variations: tests/zoo."""
    model = "model=custom model._target_=planted.time_zone"
    asked = f"overrides={SMALL} {model} protocol.explain=[umask,time_zone,home]"
    certificate = workspace.certify("zoned", ZOO, asked)
    assert certificate["verdict"] == "NOT REPRODUCIBLE"
    assert certificate["scope"]["depends_on"] == ["time zone"]
    assert certificate["scope"]["repeatable"] is True
    divergence = certificate["comparisons"][0]["runs"][0]["divergence"]
    assert (divergence["step"], divergence["tensors"]) == (0, divergence["tensors"][:1])
    said = workspace.snakemake("--config", "name=zoned", ZOO, asked)
    assert "Nothing to be done" in said


@pytest.mark.slow
def test_a_model_that_breaks_under_a_variation_depends_on_it(
    workspace: Workspace, tmp_path: Path
) -> None:
    (tmp_path / "fragile.py").write_text(
        "import os, tensorflow as tf\n"
        "def model():\n"
        "    assert 'SAMEBITS_EXTRA' not in os.environ, 'an unknown variable'\n"
        "    return tf.keras.Sequential([tf.keras.layers.Flatten(input_shape=(28, 28)),\n"
        "                                tf.keras.layers.Dense(10)])\n"
    )
    model = "model=custom model._target_=fragile.model"
    certificate = workspace.certify(
        "fragile", f"source_path={tmp_path}", f"overrides={SMALL} {model}"
    )
    assert certificate["verdict"] == "NOT REPRODUCIBLE"
    assert certificate["scope"]["depends_on"] == ["extra environment variables"]
    assert any("an unknown variable" in reason for reason in certificate["reasons"])


@pytest.mark.slow
def test_close_is_a_verdict_of_its_own_and_only_where_it_is_asked_for(workspace: Workspace) -> None:
    """Unseeded weights are some tenths apart, so a tolerance of 100 takes them all."""
    asked = "protocol.tolerance={absolute: 100, ulp: null} protocol.explain=[]"
    certificate = workspace.certify("close", "overrides=" + f"{SMALL} determinism=none {asked}")
    assert certificate["verdict"] == "EQUAL WITHIN TOLERANCE"
    assert certificate["scope"]["within"]["absolute"] > 0


def test_a_protocol_says_what_it_costs_before_it_starts(workspace: Workspace) -> None:
    said = workspace.snakemake(
        "--config", "name=costly", "overrides=protocol=exhaustive data=synthetic data.samples=161",
        "--until", "load",
    )  # fmt: skip
    assert "full trainings on 2 cores instead of 2" in said
    assert said.index("full trainings") < said.index("load the data")


def test_a_training_says_which_one_it_is_also_where_a_comparison_may_be_out_of_date(
    workspace: Workspace,
) -> None:
    (workspace.folder / "results/halfway/compare").mkdir(parents=True)
    (workspace.folder / "results/halfway/compare/replica.json").write_text("of another experiment")
    said = workspace.snakemake("--config", "name=halfway", SMOKE, "--dry-run")
    for number, run in enumerate(("control", "replica"), 1):
        assert f"train {run} (training {number} of 2)" in said


# --- other CPUs --------------------------------------------------------------------------------

_EMULATED = (
    "protocol.cpu={models: [Haswell], samples: 96, epochs: 1} "
    "data=synthetic data.samples=160 trainer.epochs=1"
)
needs_qemu = pytest.mark.skipif(
    shutil.which("qemu-x86_64") is None, reason="qemu-x86_64 (Debian: qemu-user) is not installed"
)


@pytest.mark.slow
@needs_qemu
@pytest.mark.parametrize(
    "model", ["model=cnn", "model=custom model._target_=planted.batch_normalization"]
)
def test_portable_gives_the_same_bits_on_other_cpus(workspace: Workspace, model: str) -> None:
    """More models and CPUs: tests/training/test_crossing.py."""
    asked = f"{_EMULATED} determinism=portable {model}"
    certificate: Any = workspace.certify(f"cpus-{model[-3:]}", ZOO, f"overrides={asked}")
    assert certificate["verdict"] == "REPRODUCIBLE", certificate["reasons"]
    assert outcomes(certificate, "cpu-Haswell") == {"cpu": "same bits"}
    assert any("emulator" in limit for limit in wording.limits(certificate))
    pinned = {fact["what"]: fact["value"] for fact in certificate["scope"]["pinned"]}
    assert "rsqrt" in pinned["replaced ops"]


@pytest.mark.slow
@needs_qemu
def test_where_the_bits_depend_on_the_cpu_the_atlas_tells_by_which_layer(
    workspace: Workspace,
) -> None:
    emulated = "protocol.cpu={models: [Haswell], samples: 96, epochs: 1}"
    asked = f"{SMALL} determinism.replacements=[] {emulated}"
    model = "model=custom model._target_=planted.rsqrt"
    certificate = workspace.certify("diagnosed", ZOO, f"overrides={asked} {model}")
    assert certificate["verdict"] == "NOT REPRODUCIBLE"
    assert certificate["scope"]["depends_on"] == ["CPU"]
    (reason,) = [reason for reason in certificate["reasons"] if "atlas" in reason]
    assert "divergence: by_length (" in reason
    assert "Rsqrt float32" in reason


@pytest.mark.slow
@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="there is only one CPU")
def test_where_threads_are_not_pinned_an_older_tensorflow_depends_on_the_number_of_cpus(
    workspace: Workspace,
) -> None:
    skip_without("3.7")
    older = ("framework=tf2.8", "determinism=tf21")
    certificate = workspace.certify("older", SMOKE, *older)
    assert certificate["verdict"] == "NOT REPRODUCIBLE"
    assert certificate["scope"]["depends_on"] == ["number of CPUs"]
    assert certificate["scope"]["repeatable"] is True


@pytest.mark.slow
@needs_qemu
@pytest.mark.skipif(
    "avx512f" not in Path("/proc/cpuinfo").read_text(), reason="this CPU has no AVX-512"
)
@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="there is only one CPU")
def test_without_a_pinned_isa_and_threads_the_bits_depend_on_the_machine(
    workspace: Workspace,
) -> None:
    cpu = "protocol.cpu={models: [Haswell], samples: 96, epochs: 1} protocol.alone=[cpus]"
    certificate = workspace.certify(
        "machine", f"overrides=model=cnn determinism=tf28 {SMALL} {cpu}"
    )
    assert certificate["verdict"] == "NOT REPRODUCIBLE"
    assert certificate["scope"]["repeatable"] is True
    assert set(certificate["scope"]["depends_on"]) == {"CPU", "number of CPUs"}
