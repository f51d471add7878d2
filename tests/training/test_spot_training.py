"""Epochs that were drawn, trained again by train.py as its rule starts it."""

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import killing
from killing import Training
from pipeline import Workspace
from samebits.certificate import evidence, replays
from samebits.certificate.report import Source
from samebits.formats import arrays, canonical, states

ISSUE = replays.Issue("2026-11-24T09:30:00Z", Source(None, None), None)
MODELS: dict[str, Any] = {
    "mlp": "mlp",
    "cnn": {"option": "cnn", "filters": 4},  # with dropout
    "augmented": {"_target_": "clean.augmented"},
}


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, workspace: Workspace) -> Any:
    """The control run of a model, made once."""
    made: dict[str, Training] = {}

    def control(model: str) -> Training:
        if model not in made:
            folder = tmp_path_factory.mktemp(model)
            made[model] = killing.training(folder, workspace, model=MODELS[model])
            assert made[model].run() == 0, made[model].log()
        return made[model]

    return control


def certified(made: Training) -> Any:
    """As much of a certificate's report as a spot replay is held against."""
    return {
        "records": {"runs": {"control": made.record()}},
        "histories": {"control": canonical.read_json(made.output() / "history.json")},
        "experiment": {"config": canonical.read_json(made.folder / "config.json")},
    }


def admitted(made: Training, report: Any, drawn: Sequence[int]) -> Path:
    """What prepare_replay.py writes of a draw."""
    epochs = [{"epoch": epoch, "from": replays.before(report, epoch)} for epoch in drawn]
    path = made.folder / "admitted.json"
    said = {"certificate": "0" * 64, "draw": "1" * 64, "epochs": epochs}
    canonical.write_json(path, {"spot": said})
    return path


def again(made: Training, report: Any, drawn: Sequence[int], kept: Path | None = None) -> Any:
    """The spot replay of these epochs."""
    run = made.output("spot")
    shutil.rmtree(run, ignore_errors=True)
    flags = "--sampled-epochs", admitted(made, report, drawn), "--states", kept or _kept(made)
    assert made.run("spot", *flags) == 0, made.log("spot")
    assert [path.name for path in run.iterdir()] == ["record.json"]
    record = canonical.read_json(run / "record.json")
    assert list(evidence.violations(record, "spotRecord")) == []
    assert record["source"] == made.record()["source"]
    assert "executed" not in record["model"]
    return replays.build(report, "0" * 64, record, None, ISSUE)


def _kept(made: Training) -> Path:
    return made.output() / "checkpoints"


def outcomes(made: Any) -> dict[int, bool]:
    return {epoch["epoch"]: epoch["identical"] for epoch in made["epochs"]}


@pytest.mark.parametrize(
    ("model", "drawn"),
    [
        ("mlp", (1, 3)),
        ("mlp", (2, 4)),
        pytest.param("cnn", (1, 3), marks=pytest.mark.slow),
        pytest.param("augmented", (2, 4), marks=pytest.mark.slow),
    ],
)
def test_an_epoch_by_itself_has_the_bits_that_it_has_in_the_whole(
    trained: Any, model: str, drawn: tuple[int, ...]
) -> None:
    made = trained(model)
    found = again(made, certified(made), drawn)
    assert (found["outcome"], outcomes(found)) == (
        "EPOCHS REPRODUCED",
        dict.fromkeys(drawn, True),
    )


def test_a_changed_weight_whose_digests_were_made_again_is_found_and_the_epochs_named(
    trained: Any, tmp_path: Path
) -> None:
    made = trained("mlp")
    shutil.copytree(_kept(made), tmp_path / "kept")
    report, folder = certified(made), tmp_path / "kept" / states.name(2)
    path = folder / "weights.safetensors"
    weights = {name: np.array(values) for name, values in arrays.open_arrays(path).items()}
    next(iter(weights.values())).view("<u4").flat[5] ^= 1  # the lowest bit of one weight
    path.unlink()  # it may be a link to the results'
    found = report["records"]["runs"]["control"]["checkpoints"]
    found["digests"][1]["weights"] = arrays.write(path, weights.items()).sha256
    found["root"] = states.root(found["digests"])
    said = again(made, report, (1, 2, 3), tmp_path / "kept")
    assert (said["outcome"], outcomes(said)) == ("NOT REPRODUCED", {1: True, 2: False, 3: False})


def test_a_state_that_is_not_the_certified_one_is_not_used(trained: Any, tmp_path: Path) -> None:
    made, kept = trained("mlp"), tmp_path / "kept"
    shutil.copytree(_kept(made), kept)
    shutil.rmtree(kept / states.name(2))
    shutil.copytree(kept / states.name(1), kept / states.name(2))
    flags = "--sampled-epochs", admitted(made, certified(made), (3,)), "--states", kept
    assert made.run("refused", *flags) == 1
    assert "0002: expected the certified state" in made.log("refused")
    assert not made.output("refused").exists()
