"""One epoch of a bundle that came from elsewhere, as the README's command replays it."""

import json
import re
import shutil
from pathlib import Path

import pytest

from pipeline import SCRIPTS, Workspace, command

CHECKPOINTS = "overrides=trainer.checkpoint=epoch trainer.epochs=3"


@pytest.mark.slow
def test_one_epoch_of_a_bundle_is_replayed_signed_and_verified(
    workspace: Workspace, tmp_path: Path
) -> None:
    made = ["--config", "name=kept", "experiment=smoke", CHECKPOINTS]
    workspace.snakemake("all", "bundle", *made)
    given = tmp_path / "given.zip"
    shutil.copy(workspace.folder / "results/kept/certificate.zip", given)
    shutil.rmtree(workspace.folder / "results/kept")
    asked = ["replay", "--config", f"certificate={given}", "name=sampled"]

    said = workspace.snakemake(*asked, "epochs=3", check=False)
    assert "epochs: expected a number from 1 to less than 3" in said
    assert "Job " not in said

    said = workspace.snakemake(*asked, "epochs=1")
    assert re.search(r"^EPOCHS REPRODUCED  kept$", said, re.MULTILINE)
    assert re.search(r"checked +1 of 3 epochs: [123]$", said, re.MULTILINE)
    issued = workspace.folder / "results/sampled/replay/certificate.json"
    (replay,) = json.loads(issued.read_bytes())["replays"]
    draw = replay["report"]["draw"]
    line = workspace.python("certify"), SCRIPTS / "verify.py", issued
    assert "EPOCHS REPRODUCED (1 of 3 epochs: " in command(*line, cwd=tmp_path).stdout
    trained = workspace.folder / "results/sampled/train/sampled"
    assert {path.name for path in trained.iterdir()} <= {"record.json", ".snakemake_timestamp"}

    # What goes on after an interruption keeps its draw; what is done stays done.
    shutil.rmtree(trained)
    workspace.snakemake(*asked, "epochs=1")
    assert json.loads(issued.read_bytes())["replays"][0]["report"]["draw"] == draw
    assert "Nothing to be done" in workspace.snakemake(*asked, "epochs=1")

    # A second one of the same certificate, with the states from the bundle: a statement of its own.
    again = ["--config", f"certificate={issued}", f"checkpoints={given}", "epochs=2", "name=more"]
    workspace.snakemake("replay", *again)
    content = workspace.json("results/more/replay/certificate.json")
    first, second = (entry["report"] for entry in content["replays"])
    assert (first["draw"], len(second["epochs"])) == (draw, 2)
    assert second["outcome"] == "EPOCHS REPRODUCED"
    assert second["draw"] != draw
