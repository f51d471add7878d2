"""What a training executed, on every framework: layer by layer, and looking changes no bit."""

import json
from pathlib import Path
from typing import Any

import pytest

from pipeline import ROOT, Workspace, command, configure, skip_without
from samebits.formats import canonical

PROGRAM = ROOT / "tests/training/kernels_program.py"
GRAPHS = ("dense", "convolution", "nested", "subclassed", "lstm", "in_two_functions")
MODELS = (*GRAPHS, "eager", "compiled_by_xla")
Layers = dict[str, dict[str, Any]]


def told(workspace: Workspace, folder: Path, framework: str, profile: str, *what: object) -> Any:
    """By model: what its trainings told, without the callback and with it; graphs are rewritten."""
    skip_without("3.11" if framework == "tf2.21" else "3.7")
    pins = {"option": profile, "rewriting": None}
    experiment = configure({"framework": framework, "determinism": pins}, ROOT / "conf")
    canonical.write_json(folder / "config.json", experiment.config)
    command(
        workspace.python(f"train-{framework}"),
        PROGRAM, folder / "config.json", folder, *what,
        cwd=folder, variables=dict(v.split("=", 1) for v in experiment.variables()),
    )  # fmt: skip
    lines = (folder / "results.jsonl").read_text().splitlines()
    return {result["model"]: result for result in map(json.loads, lines)}


@pytest.mark.parametrize(
    ("framework", "models"),
    [
        pytest.param("tf2.21", MODELS, marks=pytest.mark.slow),
        pytest.param("tf2.8", (*GRAPHS, "eager"), marks=pytest.mark.slow),
    ],
)
def test_executed_kernels(
    workspace: Workspace, tmp_path: Path, framework: str, models: tuple[str, ...]
) -> None:
    """One test for all models, because a process takes its time."""
    results = told(workspace, tmp_path, framework, "portable", 1, *models)
    _is_right(results, framework)
    assert "eager" not in models or results["eager"]["watched"]["executed"] is None


def _is_right(results: Any, framework: str) -> None:
    _changes_no_bit(results)
    found = {model: _layers(results[model]) for model in GRAPHS if model in results}
    _names_layers_as_the_model_does(found)
    _tells_what_grappler_made(found, framework)
    _knows_what_is_within_a_call(found["lstm"])
    if "in_two_functions" in found:
        root = "Rsqrt float32" if framework == "tf2.21" else "Sqrt float32"
        assert root in found["in_two_functions"]["optimizer"]["kernels"]


def _changes_no_bit(results: Any) -> None:
    for model, result in results.items():
        assert result["plain"]["state"] == result["watched"]["state"], model
        assert result["plain"]["executed"] is None


def _layers(result: Any) -> Layers:
    executed = result["watched"]["executed"]
    for layer in executed:
        assert layer["kernels"] == sorted(set(layer["kernels"]))
    return {layer["layer"]: layer for layer in executed}


REST = ["optimizer", "loss, metrics, input"]


NAMES = {
    "dense": ["dense", "dense_1", "dense_2"],
    "convolution": ["conv", "norm", "act", "dense"],
    "nested": ["inner/dense", "inner/dense_1", "shared", "dense"],
    "subclassed": ["own", "first", "second"],
    "lstm": ["lstm", "both", "dense"],
    "in_two_functions": ["dense"],
}


def _names_layers_as_the_model_does(found: dict[str, Layers]) -> None:
    assert {model: [*layers] for model, layers in found.items()} == {
        model: [*NAMES[model], *REST] for model in found
    }
    with_tanh = [
        name for name, one in found["dense"].items() if "TanhGrad float32" in one["kernels"]
    ]
    assert with_tanh == ["dense_1"]
    assert found["convolution"]["norm"]["class"] == "BatchNormalization"
    assert found["dense"]["optimizer"]["class"] is None
    assert len(found["dense"]["dense_1"]["tensors"]) == 2
    assert found["convolution"]["act"]["tensors"] == []
    assert len(found["lstm"]["both"]["tensors"]) == 6
    if "nested" in found:
        assert "TanhGrad float32" in found["nested"]["inner/dense"]["kernels"]
        assert "TanhGrad float32" not in found["nested"]["dense"]["kernels"]


def _tells_what_grappler_made(found: dict[str, Layers], framework: str) -> None:
    """Keras 3 divides by a square root in RMSprop and in batch normalization."""
    here = framework == "tf2.21"
    assert ("Rsqrt float32" in found["dense"]["optimizer"]["kernels"]) == here
    assert ("Rsqrt float32" in found["convolution"]["norm"]["kernels"]) == here
    exact = "Erfc float32" if here else "Erf float32"
    assert exact in found["convolution"]["act"]["kernels"]
    if "subclassed" in found:
        assert {"Sqrt float32", "RealDiv float32"} <= set(found["subclassed"]["own"]["kernels"])
        assert "Sqrt float32" not in found["subclassed"]["second"]["kernels"]


def _knows_what_is_within_a_call(layers: Layers) -> None:
    for name in ("lstm", "both"):
        within = {"Sigmoid float32", "SigmoidGrad float32", "Tanh float32", "TanhGrad float32"}
        assert within <= set(layers[name]["kernels"])
    for name in ("dense", *REST):
        assert "SigmoidGrad float32" not in layers[name]["kernels"]


@pytest.mark.slow
@pytest.mark.parametrize("framework", ["tf2.21", "tf2.8"])
def test_many_steps_in_one_call_execute_the_same(
    workspace: Workspace, tmp_path: Path, framework: str
) -> None:
    one = told(workspace, tmp_path, framework, "portable", 1, "nested", "lstm")
    many = told(workspace, tmp_path, framework, "portable", 7, "nested", "lstm")
    _changes_no_bit(many)
    for model in ("nested", "lstm"):
        layers = [_layers(results[model]) for results in (one, many)]
        assert [*layers[0]] == [*layers[1]]
        for name in layers[0]:
            if name not in REST:
                assert layers[0][name] == layers[1][name]


@pytest.mark.slow
@pytest.mark.parametrize("framework", ["tf2.21", "tf2.8"])
def test_what_xla_compiles_is_not_known(
    workspace: Workspace, tmp_path: Path, framework: str
) -> None:
    results = told(workspace, tmp_path, framework, "seeds", 1, "compiled_by_xla")
    _changes_no_bit(results)
    assert results["compiled_by_xla"]["watched"]["executed"] is None


def test_with_tensorflow_2_1_it_is_not_known(workspace: Workspace, tmp_path: Path) -> None:
    results = told(workspace, tmp_path, "tf2.1", "tf21", 1, "dense")
    _changes_no_bit(results)
    assert results["dense"]["watched"]["executed"] is None
