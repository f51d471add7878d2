"""The environment that is there already, through the whole pipeline."""

import shutil
from pathlib import Path
from typing import Any

import pytest

from pipeline import ROOT, Workspace, command, environment
from samebits.environments.uv import beside_python

pytestmark = pytest.mark.slow

# Once in the control, whose end it must not reach: somebody installs something meanwhile.
PLANTED = """
import pathlib, sys

site = next(p for p in sys.path if p.endswith("site-packages"))
pathlib.Path(site, "zz_meanwhile.py").write_text("")
"""


@pytest.fixture
def python(tmp_path: Path) -> Path:
    """The interpreter of an environment of the user's: links to the packages of one of ours."""
    ours, theirs = environment("train-tf2.21"), tmp_path / "an environment"
    uv = [beside_python(), "--quiet", "--offline", "venv", "--no-project"]
    command(*uv, "--python", ours / "bin" / "python", theirs, cwd=tmp_path)
    (site,) = theirs.glob("lib/python*/site-packages")
    for path in (ours / site.relative_to(theirs)).iterdir():
        (site / path.name).symlink_to(path)
    return theirs / "bin" / "python"


def test_a_program_and_a_model_are_certified_in_it_and_a_change_meanwhile_is_found(
    tmp_path: Path, python: Path
) -> None:
    workspace = Workspace.make(tmp_path)
    shutil.copy(ROOT / "examples" / "train.py", tmp_path)
    given = ["framework=installed", f"python={python}", "protocol=twice", "signing=none"]

    def certified(name: str, *config: str) -> Any:
        report: Any = workspace.certify(name, *given, *config)
        assert report["verdict"] == "REPRODUCIBLE", report["reasons"]
        assert report["lock"]["name"].startswith("envs/installed+")
        return report

    mine = certified("mine", "script=train.py --epochs 1")
    model = certified("model", "experiment=smoke")
    assert model["lock"] == mine["lock"]
    control = mine["records"]["runs"]["control"]
    assert control["framework"]["libraries"], "none of TensorFlow's libraries was seen"
    assert "sitecustomize" not in mine["lock"]["text"]
    site = next(python.parents[1].glob("lib/python*/site-packages"))
    (tmp_path / "install.py").write_text(PLANTED + (tmp_path / "train.py").read_text())
    said = workspace.snakemake(
        "--config", "name=planted", *given, "script=install.py --epochs 1", check=False
    )
    assert "this environment was changed after it was looked at" in said
    assert "zz_meanwhile.py (in no RECORD): expected none, got SHA-256 " in said
    assert (site / "zz_meanwhile.py").is_file()
    # What differs from a certificate refuses its replay, by name.
    path = tmp_path / "results/mine/certificate.json"
    replayed = ["--config", f"certificate={path}", f"python={python}", "signing=none"]
    said = workspace.snakemake("replay", *replayed, check=False)
    assert "cannot be replayed with this checkout" in said
    assert "zz_meanwhile.py (in no RECORD): expected none, got SHA-256 " in said
    (site / "zz_meanwhile.py").unlink()
    workspace.snakemake("replay", *replayed)
    (replay,) = tmp_path.glob("results/replay-*/replay/certificate.json")
    assert '"REPRODUCED"' in replay.read_text()
