"""Models of which Keras cannot say much: described, or refused before they are trained."""

import json
from pathlib import Path
from typing import Any

import pytest

from pipeline import ROOT, Workspace, command, configure, skip_without
from samebits.formats import canonical

PROGRAM = ROOT / "tests/training/unusual_program.py"
PARAMETERS = {
    "subclassed": 45, "sequential_without_a_shape": 45, "built_empty": 45, "built_by_half": 45,
    "no_call": 10, "array_metric": 10, "same_names": 16, "slashes": 47,
}  # fmt: skip
REFUSED = {
    "text_weight": (0, "cannot store dtype"),
    "text_metric": (4, "metric note: expected a number or an array of numbers"),
}


@pytest.mark.slow
@pytest.mark.parametrize("framework", ["tf2.21", "tf2.8", "tf2.1"])
def test_a_model_is_described_whatever_keras_can_say_of_it_and_judged_by_its_own_loss(
    workspace: Workspace, tmp_path: Path, framework: str
) -> None:
    """One test for all models, because a process takes its time."""
    skip_without("3.11" if framework == "tf2.21" else "3.7")
    recipe = "tf21" if framework == "tf2.1" else "tf28"
    experiment = configure({"framework": framework, "determinism": recipe}, ROOT / "conf")
    canonical.write_json(tmp_path / "config.json", experiment.config)
    command(
        workspace.python(f"train-{framework}"), PROGRAM, tmp_path / "config.json", tmp_path,
        cwd=tmp_path, variables=dict(v.split("=", 1) for v in experiment.variables()),
    )  # fmt: skip
    told = json.loads((tmp_path / "told.json").read_bytes())
    _are_judged_by_their_own_loss(told["labels"])
    if framework != "tf2.1":  # whose models have no step of their own
        _are_described(told["trained"])
        _are_refused_before_they_are_trained(told["trained"])


def _are_described(trained: Any) -> None:
    for model, parameters in PARAMETERS.items():
        assert trained[model]["model"]["parameters"] == parameters, model
        prints = [t for t in trained[model]["tensors"]["trace"] if "fingerprint/" in t["name"]]
        assert prints and all(tensor["shape"][0] in (8, 9) for tensor in prints), model
        assert trained[model]["canary"]["elements"] > 0, trained[model]["canary"]
    assert trained["array_metric"]["history"]["each[0, 1]"] == [2.5, 2.5]


def _are_refused_before_they_are_trained(trained: Any) -> None:
    for model, (steps, said) in REFUSED.items():
        assert said in trained[model]["error"]
        assert trained[model]["steps"] == steps


def _are_judged_by_their_own_loss(said: Any) -> None:
    """Those with too few outputs for their labels are refused, and no others."""
    judged = {case: text for case, text in said.items() if " " in case and " 51 " not in case}
    assert {case for case, text in said.items() if text} == set(judged)
    for case, text in judged.items():
        assert f"expected whole numbers 0 to {int(case.split()[1]) - 1}, got " in text
        assert "trainer.loss=mse" in text
