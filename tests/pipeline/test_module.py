"""The pipeline in somebody else's workflow, and from checkouts that lie elsewhere."""

import json
import re
import sys
from pathlib import Path
from typing import Any

import pytest

from pipeline import ROOT, Workspace, command, environment, in_namespace

SUBMIT = """#!/bin/sh
echo "$1" >> submitted
sh "$1" > "$1.out" 2>&1 &
echo $!
"""

pytestmark = pytest.mark.environment

IMPORTER = """
rule all:
    input:
        "thesis.txt",


rule compare:
    input:
        "repro/results/mine/certificate.json",
        "repro/results/mine/certificate.html",
    output:
        "thesis.txt",
    shell:
        "cp {{input[0]}} {{output}}"


module samebits:
    snakefile:
        "{snakefile}"
    config:
        config["samebits"]
    prefix:
        "repro"


use rule * from samebits as samebits_*
"""
CONFIG = {"samebits": {"experiment": "smoke", "name": "mine"}}


@pytest.fixture
def importer(tmp_path: Path) -> Path:
    """A workflow with rules `all` and `compare` of its own, and a stand-in for a cluster."""
    (tmp_path / "Snakefile").write_text(IMPORTER.format(snakefile=ROOT / "Snakefile"))
    (tmp_path / "config.json").write_text(json.dumps(CONFIG))
    (tmp_path / "submit.sh").write_text(SUBMIT)
    (tmp_path / "submit.sh").chmod(0o755)
    share_environments(tmp_path / "repro")
    return tmp_path


def share_environments(folder: Path) -> None:
    """The environments of the tests, built once."""
    for name in ("load", "train-tf2.21", "compare", "certify", "render"):
        environment(name)
    Workspace.make(folder)


def snakemake(folder: Path, *flags: str) -> str:
    start = [sys.executable, "-m", "snakemake", "--configfile", "config.json", "--cores", "2"]
    return command(*start, *flags, cwd=folder).stdout


@pytest.mark.slow
def test_another_workflow_makes_a_certificate_and_keeps_its_own_rules(importer: Path) -> None:
    cluster = ["--executor", "cluster-generic", "--cluster-generic-submit-cmd", "./submit.sh"]
    cluster += ["--seconds-between-status-checks", "1", "--jobs", "2", "--local-cores", "2"]
    plan = snakemake(importer, *cluster)
    for rule in ("all", "compare", "samebits_compare", "samebits_train", "samebits_render"):
        assert f"\n{rule} " in plan
    assert "samebits_all" not in plan  # the default target is the importer's
    report = json.loads((importer / "thesis.txt").read_bytes())["report"]
    assert (report["verdict"], report["experiment"]["name"]) == ("REPRODUCIBLE", "mine")
    assert (importer / "repro/results/mine/badge.svg").is_file()
    assert {path.name for path in importer.iterdir()} <= {
        *("Snakefile", "config.json", "submit.sh", "submitted", "thesis.txt", "repro"),
        *(".samebits", ".snakemake"),
    }
    submitted = [Path(line).name for line in (importer / "submitted").read_text().splitlines()]
    rules = sorted(name.split(".")[1] for name in submitted)
    assert rules == ["compare", "samebits_train", "samebits_train"]
    assert "Nothing to be done" in snakemake(importer)
    changed = dict(CONFIG["samebits"], seed=2)
    (importer / "config.json").write_text(json.dumps({"samebits": changed}))
    planned = snakemake(importer, "-n", "--quiet", "rules", "reason")
    assert re.search(r"^samebits_train +2$", planned, re.MULTILINE)


def certify(snakefile: Path, folder: Path, *before: str) -> Any:
    """The report that a checkout makes in a folder."""
    start = [*before, sys.executable, "-m", "snakemake", "-s", snakefile, "-d", folder]
    smoke = ["--cores", "2", "--config", "experiment=smoke", "name=mine"]
    command(*start, *smoke, cwd=folder)
    again = command(*start, *smoke, cwd=folder).stdout
    assert "Nothing to be done" in again
    return json.loads((folder / "results/mine/certificate.json").read_bytes())["report"]


@pytest.mark.slow
def test_a_checkout_behind_a_link_makes_a_certificate_elsewhere(tmp_path: Path) -> None:
    folder, link = tmp_path / "work", tmp_path / "link"
    link.symlink_to(ROOT)
    share_environments(folder)
    report = certify(link / "Snakefile", folder)
    assert report["verdict"] == "REPRODUCIBLE"
    assert {d["name"] for d in report["dependencies"]} >= {"Snakefile", "envs/load.lock.txt"}
    straight = [sys.executable, "-m", "snakemake", "-s", ROOT / "Snakefile", "-d", folder]
    smoke = ["--cores", "2", "--config", "experiment=smoke", "name=mine"]
    assert "Nothing to be done" in command(*straight, *smoke, cwd=folder).stdout


@pytest.mark.slow
def test_a_read_only_checkout_makes_a_certificate_elsewhere(tmp_path: Path) -> None:
    before = in_namespace('mount --bind "$0" "$0"; mount -o remount,bind,ro "$0"')
    assert command(*before, "touch", ROOT / "written", cwd=tmp_path, check=False).returncode
    folder = tmp_path / "work"
    share_environments(folder)
    assert certify(ROOT / "Snakefile", folder, *before)["verdict"] == "REPRODUCIBLE"
