"""Kernels of oneDNN that are wrong or missing: replaced, told or refused; nothing else is."""

import json
from pathlib import Path
from typing import Any

import pytest

from pipeline import ROOT, Workspace, command, configure, skip_without
from samebits.formats import canonical

PROGRAM = ROOT / "tests/training/unsound_program.py"
# On some CPUs TensorFlow leaves oneDNN off unless told otherwise.
AVX2 = (
    "+determinism.environment.ONEDNN_MAX_CPU_ISA=AVX2 "
    "+determinism.environment.TF_ENABLE_ONEDNN_OPTS='1'"
)
_NAMELESS = (
    *("by hand", "unequal", "dilated", "explicitly", "unknown", "nothing known"),
    *("tape", "twice", "raw", "old", "compiled"),
)


def tried(workspace: Workspace, framework: str, profile: str, *words: str) -> Any:
    """By case what the guard did; a kernel that should not have run may end the process."""
    skip_without("3.11" if framework == "tf2.21" else "3.7")
    options, *overrides = profile.split()
    asked = {"framework": framework, "determinism": options, "overrides": " ".join(overrides)}
    experiment = configure(asked, ROOT / "conf")
    config = workspace.folder / "unsound.json"
    canonical.write_json(config, experiment.config)
    done = command(
        workspace.python(f"train-{framework}"), PROGRAM, config, *words, cwd=workspace.folder,
        variables=dict(variable.split("=", 1) for variable in experiment.variables()),
    )  # fmt: skip
    return json.loads(done.stdout.splitlines()[-1]), done


@pytest.mark.parametrize(
    ("framework", "threads"),
    [
        ("tf2.21", 1),
        pytest.param("tf2.21", 4, marks=pytest.mark.slow),
        pytest.param("tf2.8", 1, marks=pytest.mark.slow),
        pytest.param("tf2.8", 4, marks=pytest.mark.slow),
    ],
)
def test_a_filter_gradient_that_onednn_computes_wrongly_is_replaced_by_a_right_one(
    workspace: Workspace, framework: str, threads: int
) -> None:
    profile = f"portable determinism.intra_op_threads={threads}"
    said, _ = tried(workspace, framework, profile, "wrong", "right")
    assert {case: made["refused"] for case, made in said.items() if made["refused"]} == {}
    replaced = {case for case, made in said.items() if made["wrong"]}
    assert replaced == {case for case in said if case.startswith("wrong")}
    unchecked = {case for case, made in said.items() if made["off"] is None}
    assert unchecked == {"right groups", "right predicted", "right 3-D"}
    for case, made in said.items():
        assert case in unchecked or made["off"] < 1e-5, case
        for kernel in made["wrong"]:
            nameless = any(word in case for word in _NAMELESS)
            assert ("a filter of" if nameless else "here/") in kernel["where"], case
            assert kernel["replaced"] and "issues/6035" in kernel["why"]


def test_under_a_profile_that_pins_no_instruction_set_it_is_told_before_it_runs(
    workspace: Workspace,
) -> None:
    said, done = tried(workspace, "tf2.21", f"tf28 {AVX2}", "--told", "wrong by hand", "wrong 1 c")
    assert [case for case, made in said.items() if made["wrong"]] == [*said]
    lines = [line for line in done.stdout.splitlines() if "caution" in line]
    assert [line.split(": caution: ")[0] for line in lines] == [*said]
    for line in lines:
        assert "issues/6035" in line and "determinism=portable replaces it" in line
    assert "here/" in lines[0]


@pytest.mark.slow
def test_half_precision_that_onednn_lacks_is_refused(workspace: Workspace) -> None:
    """TensorFlow asks the CPU and not the cap: without AVX-512 it leaves oneDNN alone."""
    said, _ = tried(workspace, "tf2.21", "portable", "bfloat16")
    refused = "avx512f" in Path("/proc/cpuinfo").read_text().split()
    for made in said.values():
        assert ("AVX2" in made["refused"] and "determinism=eigen" in made["refused"]) is refused
        assert refused or made["refused"] == ""


@pytest.mark.slow
@pytest.mark.parametrize(("framework", "profile"), [("tf2.21", "eigen"), ("tf2.21", "tf28")])
def test_nothing_is_done_where_another_kernel_runs(
    workspace: Workspace, framework: str, profile: str
) -> None:
    """tf28 has no cap: only on a CPU with AVX-512."""
    if profile == "tf28" and "avx512f" not in Path("/proc/cpuinfo").read_text().split():
        pytest.skip("this CPU has no AVX-512")
    for case, made in tried(workspace, framework, profile, "wrong", "right")[0].items():
        assert (made["refused"], made["wrong"]) == ("", []), case
        assert (made["off"] or 0) < 1e-5, case


@pytest.mark.parametrize(
    ("profile", "wrong"),
    [
        ("eigen", ["solid wrong", "solid wrong 2", "solid wrong of unknown size"]),
        ("portable", []),
    ],
)
def test_a_solid_convolution_that_leaves_numbers_out_is_right_without_onednn_too(
    workspace: Workspace, profile: str, wrong: list[str]
) -> None:
    said, _ = tried(workspace, "tf2.21", profile, "solid")
    assert {case: made["refused"] for case, made in said.items() if made["refused"]} == {}
    found = {case for case, made in said.items() if made["wrong"]}
    assert found == {*wrong, "solid wrong float64"}
    for case, made in said.items():
        assert made["off"] < 1e-6, case
        assert all(one["op"] == "Conv3D" and one["replaced"] for one in made["wrong"])


def test_under_a_profile_that_pins_no_instruction_set_a_wrong_solid_convolution_is_told(
    workspace: Workspace,
) -> None:
    said, done = tried(workspace, "tf2.21", "tf28", "--told", "solid wrong float64")
    assert said["solid wrong float64"]["off"] > 0.1
    assert "caution: a filter of 1 x 1 x 1 x 3 x 4" in done.stdout
