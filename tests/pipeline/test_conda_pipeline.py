"""The real Snakefile under `--sdm conda`: every rule in the prefix that Snakemake made for it."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from conda_standin import CondaStandin
from pipeline import ROOT, command

pytestmark = pytest.mark.slow


def files_of_the_repository() -> list[str]:
    """What a clone of the working tree as it is would have."""
    listing = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.check_output(listing, cwd=ROOT, text=True).split("\0")
    return [name for name in names if name and (ROOT / name).is_file()]


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory, conda: CondaStandin) -> Path:
    """A copy of the repository whose pins name the archives of the channel on disk."""
    folder = tmp_path_factory.mktemp("conda-clone")
    for name in files_of_the_repository():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, folder / name)
    conda.localize(folder / "envs")
    return folder


def snakemake(clone: Path, conda: CondaStandin, *arguments: str) -> str:
    """Run the copy's workflow as the README says; returns what the terminal shows."""
    before = [sys.executable, "-m", "snakemake", "--sdm", "conda", "--cores", "2"]
    return command(*before, *arguments, cwd=clone, variables=conda.environ()).stdout


def test_the_smoke_experiment_is_certified_and_a_second_call_does_nothing(
    clone: Path, conda: CondaStandin
) -> None:
    smoke = ["--config", "experiment=smoke", "name=smoke"]
    snakemake(clone, conda, *smoke)
    certificate = json.loads((clone / "results/smoke/certificate.json").read_bytes())["report"]
    assert certificate["verdict"] == "REPRODUCIBLE"
    assert "Nothing to be done" in snakemake(clone, conda, *smoke)


def test_each_stage_ran_in_a_prefix_with_its_lock_and_uv_built_none(clone: Path) -> None:
    prefixes = [path for path in (clone / ".snakemake" / "conda").iterdir() if path.is_dir()]
    built = {file.name: file.read_bytes() for p in prefixes for file in p.glob("*.lock.txt")}
    stages = [
        f"{stage}.lock.txt" for stage in ("load", "train-tf2.21", "compare", "certify", "render")
    ]
    assert built == {name: (clone / "envs" / name).read_bytes() for name in stages}
    assert not (clone / ".samebits/environments").exists()


def test_the_post_deploy_scripts_leave_nothing_in_the_working_directory(clone: Path) -> None:
    made = {path.name for path in clone.iterdir()}
    expected = {Path(name).parts[0] for name in files_of_the_repository()}
    assert made - expected <= {".samebits", ".snakemake", "data", "logs", "results"}


def test_another_deployment_of_the_same_lock_gives_the_same_bits(
    clone: Path, conda: CondaStandin
) -> None:
    """Last in this file: it is the one that has uv build an environment beside conda's."""
    alone = "overrides=protocol.alone=[deployment] protocol.explain=[]"
    snakemake(clone, conda, "--config", "experiment=smoke", "name=deployed", alone)
    certificate = json.loads((clone / "results/deployed/certificate.json").read_bytes())["report"]
    assert certificate["verdict"] == "REPRODUCIBLE"
    rows = {row["run"]: row for row in certificate["scope"]["variations"]}
    seen = rows["with-deployment"]
    assert (seen["outcome"], seen["control"], seen["value"]) == ("same bits", "conda", "uv")
