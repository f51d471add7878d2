"""What goes wrong with machines and people: nothing wrong is certified, and a restart finishes.

A killed head, a kept lock and an orphaned training: test_workflow.py. Nodes and jobs of a cluster:
tests/cluster. Kills at random moments: tests/training/test_epochs.py.
"""

import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from pipeline import ROOT, Workspace, command, configure, flip, in_namespace

SMOKE = "experiment=smoke"

pytestmark = pytest.mark.slow


def digests(workspace: Workspace, name: str) -> Any:
    return [
        workspace.json(f"results/{name}/train/{run}/record.json")["digests"]
        for run in ("control", "replica")
    ]


def verdict(workspace: Workspace, name: str) -> str:
    return str(workspace.json(f"results/{name}/certificate.json")["report"]["verdict"])


@pytest.fixture(scope="module")
def undisturbed(workspace: Workspace) -> Any:
    """The digests of the smoke experiment where nothing goes wrong."""
    workspace.snakemake("--config", "name=undisturbed", SMOKE)
    return digests(workspace, "undisturbed")


# --- a disk that is full ----------------------------------------------------------------------

# In a mount namespace of its own: nothing is left mounted.
ON_A_SMALL_DISK = """
set -e
small=$1 log=$2; shift 2
if "$@" > "$log.full" 2>&1; then exit 9; fi
find "$small" > "$log.left"
mount -o remount,size=64m none "$small"
"$@" > "$log.freed" 2>&1 || { cat "$log.freed"; exit 1; }
cp -r "$small" "$log.results"
"""


def test_a_run_on_a_full_disk_is_told_so_and_ends_with_the_same_bits_once_there_is_space(
    workspace: Workspace, undisturbed: Any, tmp_path: Path
) -> None:
    small, log = workspace.folder / "results/full/train", tmp_path / "log"
    small.mkdir(parents=True)
    start = in_namespace(f"mount -t tmpfs -o size=600k none '{small}'")
    (workspace.folder / "logs/full").mkdir(parents=True)
    again = workspace.line("--config", "name=full", SMOKE)
    command(*start, "sh", "-c", ON_A_SMALL_DISK, "sh", small, log, *again, cwd=tmp_path)
    said = log.with_suffix(".full").read_text()
    assert "error: No space left on device '" in said and "results/full/train/" in said
    assert "; free some space and start the same command again" in said
    # nothing half-written, not even below another name
    left = [Path(line).relative_to(small) for line in log.with_suffix(".left").read_text().split()]
    assert {path.parts[0] for path in left if path.parts} <= {"control", "replica"}
    shutil.copytree(log.with_suffix(".results"), small, dirs_exist_ok=True)
    assert verdict(workspace, "full") == "REPRODUCIBLE"
    assert digests(workspace, "full") == undisturbed


# --- what is damaged between stages ------------------------------------------------------------


def test_what_is_damaged_between_stages_is_named_and_made_again_on_request(
    workspace: Workspace, undisturbed: Any
) -> None:
    given = ("--config", "name=damaged", SMOKE)
    results = workspace.folder / "results/damaged"
    workspace.snakemake("--until", "train", *given)
    flip(results / "train/replica/weights.safetensors")
    said = workspace.snakemake(*given, check=False)
    assert "results/damaged/train/replica/weights.safetensors" in said
    assert not (results / "certificate.json").exists()
    repaired = workspace.snakemake("repair", *given)
    assert "removed results/damaged/train/replica" in repaired
    assert (results / "train/control").is_dir()
    workspace.snakemake(*given)
    assert verdict(workspace, "damaged") == "REPRODUCIBLE"
    assert digests(workspace, "damaged") == undisturbed

    for part in ("train/control/history.json", "train/replica/optimizer.safetensors"):
        flip(results / part)
    (results / "certificate.json").unlink()  # as if it was not made yet
    workspace.snakemake(*given)
    assert verdict(workspace, "damaged") == "INCONCLUSIVE"
    flip(results / "compare/replica.json")
    repaired = workspace.snakemake("repair", *given)
    for part in ("train/control", "train/replica", "compare/replica.json"):
        assert f"removed results/damaged/{part}" in repaired
    assert "renamed results/damaged/certificate.json" in repaired
    workspace.snakemake(*given)
    assert verdict(workspace, "damaged") == "REPRODUCIBLE"
    assert digests(workspace, "damaged") == undisturbed


def test_damaged_data_is_not_trained_on_and_is_loaded_again(workspace: Workspace) -> None:
    given = ("--config", "name=data", SMOKE, "overrides=data.samples=320")
    workspace.snakemake("--until", "load", *given)
    config = {"experiment": "smoke", "overrides": "data.samples=320"}
    folder = workspace.folder / "data" / configure(config, ROOT / "conf").data_key
    flip(folder / "arrays/x_train.npy")
    said = workspace.snakemake(*given, check=False)
    assert f"{folder.relative_to(workspace.folder)}/arrays/x_train.npy" in said
    assert not list((workspace.folder / "results/data").glob("train/*/record.json"))
    assert "removed data/" in workspace.snakemake("repair", *given)
    workspace.snakemake(*given)
    assert verdict(workspace, "data") == "REPRODUCIBLE"


# --- two users ---------------------------------------------------------------------------------


def both(workspace: Workspace, first: list[str], second: list[str]) -> list[tuple[int, str]]:
    """Two starts at the same time; how each ended, and what it said."""
    started = [
        subprocess.Popen(
            workspace.line("--config", *config), stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL, text=True,
        )
        for config in (first, second)
    ]  # fmt: skip
    said = [process.communicate(timeout=600)[0] for process in started]
    return [(process.returncode, text) for process, text in zip(started, said, strict=True)]


def test_of_two_who_start_the_same_at_once_one_works_and_the_other_is_told(
    workspace: Workspace, undisturbed: Any
) -> None:
    ended = both(workspace, ["name=two", SMOKE], ["name=two", SMOKE])
    refused = [text for code, text in ended if code]
    assert len(refused) == 1, ended
    assert "is still writing" in refused[0], refused[0]
    assert verdict(workspace, "two") == "REPRODUCIBLE"
    assert digests(workspace, "two") == undisturbed


def test_of_two_configs_with_one_name_nothing_mixed_is_certified(workspace: Workspace) -> None:
    seeds = ["seed=5", "seed=6"]
    ended = both(workspace, *(["name=mixed", SMOKE, seed] for seed in seeds))
    worked = [code for code, _ in ended].count(0)
    assert worked <= 1, ended
    workspace.snakemake("--config", "name=mixed", SMOKE, "seed=5")  # by itself: no --unlock
    assert verdict(workspace, "mixed") == "REPRODUCIBLE"
    report = workspace.json("results/mixed/certificate.json")["report"]
    assert {record["config"]["seed"] for record in report["records"]["runs"].values()} == {5}


# --- a clock that is set back --------------------------------------------------------------------


def set_the_clock_back(folder: Path) -> None:
    """A clock cannot be set back in a test. That all files are from tomorrow is the same."""
    tomorrow = 24 * 3600 * 10**9
    found = [*folder.joinpath("results").rglob("*"), *folder.joinpath("data").rglob("*")]
    for path in found:
        date = path.lstat().st_mtime_ns + tomorrow
        os.utime(path, ns=(date, date), follow_symlinks=False)


def test_after_a_clock_was_set_back_snakemake_stops_and_nothing_stale_is_certified(
    workspace: Workspace,
) -> None:
    workspace.certify("clock", SMOKE)
    set_the_clock_back(workspace.folder)
    given = ("--config", "name=clock", SMOKE)
    assert "Nothing to be done" in workspace.snakemake(*given)
    said = workspace.snakemake(*given, "seed=9", check=False)
    assert "clock skew" in said
    for folder in ("data", "results"):
        for path in (workspace.folder / folder).rglob("*"):
            path.touch()  # as docs/faults.md says
    workspace.snakemake(*given, "seed=9")
    assert verdict(workspace, "clock") == "REPRODUCIBLE"
    report = workspace.json("results/clock/certificate.json")["report"]
    assert {record["config"]["seed"] for record in report["records"]["runs"].values()} == {9}


def test_an_edited_model_with_an_old_date_is_trained_again(workspace: Workspace) -> None:
    """As after `cp -p`, or an edit while the clock was behind."""
    source = workspace.folder / "old"
    source.mkdir()
    text = "from samebits.models import mlp\n\n\ndef model():\n    return mlp([28, 28], 10, 4)\n"
    (source / "dated.py").write_text(text)
    given = ("--config", "name=dated", SMOKE, "source_path=old", "model={_target_: dated.model}")
    workspace.snakemake(*given)
    assert "Nothing to be done" in workspace.snakemake("--dry-run", *given)
    (source / "dated.py").write_text(text.replace("4", "5"))
    os.utime(source / "dated.py", (1, 1))
    assert "train control" in workspace.snakemake("--dry-run", *given)
