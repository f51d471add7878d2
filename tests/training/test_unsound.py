"""Kernels of oneDNN that are wrong or missing are refused before they run, and no others."""

import json
from pathlib import Path
from typing import Any

import pytest

from pipeline import ROOT, Workspace, command, configure, skip_without
from samebits.formats import canonical

PROGRAM = ROOT / "tests/training/unsound_program.py"


def let_pass(workspace: Workspace, framework: str, profile: str, *cases: str) -> dict[str, str]:
    """By case what the guard said; a kernel that should not have run may end the process."""
    skip_without("3.11" if framework == "tf2.21" else "3.7")
    experiment = configure({"framework": framework, "determinism": profile}, ROOT / "conf")
    config = workspace.folder / "unsound.json"
    canonical.write_json(config, experiment.config)
    done = command(
        workspace.python(f"train-{framework}"), PROGRAM, config, *cases, cwd=workspace.folder,
        variables=dict(variable.split("=", 1) for variable in experiment.variables()),
    )  # fmt: skip
    said: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return said


@pytest.mark.parametrize("framework", ["tf2.21", pytest.param("tf2.8", marks=pytest.mark.slow)])
def test_a_filter_gradient_that_onednn_computes_wrongly_is_refused_with_its_layer(
    workspace: Workspace, framework: str
) -> None:
    said = let_pass(workspace, framework, "portable")
    refused = {case for case, text in said.items() if text}
    assert refused == {case for case in said if case.startswith(("wrong", "bfloat16"))}
    for case in sorted(refused):
        assert "AVX2" in said[case] and "determinism=eigen" in said[case]
        layer = "outside" if case in ("wrong by hand", "wrong raw") else "here/"
        assert case.startswith("bfloat16") or layer in said[case].split(":")[1], case


@pytest.mark.slow
@pytest.mark.parametrize(("framework", "profile"), [("tf2.21", "eigen"), ("tf2.21", "tf28")])
def test_nothing_is_refused_where_another_kernel_runs(
    workspace: Workspace, framework: str, profile: str
) -> None:
    """tf28 has no cap: only on a CPU with AVX-512."""
    if profile == "tf28" and "avx512f" not in Path("/proc/cpuinfo").read_text().split():
        pytest.skip("this CPU has no AVX-512")
    assert set(let_pass(workspace, framework, profile).values()) == {""}
