"""scripts/repair.py: what is damaged is removed and named, what is sound stays."""

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

import factories
import in_process
from pipeline import flip
from samebits.formats import canonical, dataset


@pytest.fixture
def space(tmp_path: Path) -> factories.Workspace:
    made = factories.workspace(tmp_path)
    (tmp_path / "data/arrays").mkdir(parents=True)
    x, y = np.arange(9, dtype="<f4"), np.arange(3, dtype="u1")
    dataset.write(tmp_path / "data/arrays", {"x_train": x, "y_train": y})
    digest = dataset.check(tmp_path / "data/arrays")
    factories.write_document(tmp_path / "data/record.json", {"digest": digest})
    return made


def repair(space: factories.Workspace) -> "subprocess.CompletedProcess[str]":
    runs = [part for run in space.runs for part in ("--run", run)]
    data = "--data", space.folder / "data/arrays"
    return in_process.stage("repair", *data, *runs, "--comparison", space.comparison)


def everything(space: factories.Workspace) -> set[str]:
    found = [*space.folder.joinpath("data").rglob("*"), space.comparison]
    for run in space.runs:
        found += run.rglob("*")
    return {str(path.relative_to(space.folder)) for path in found if path.is_file()}


def test_what_is_sound_stays(space: factories.Workspace) -> None:
    before = everything(space)
    done = repair(space)
    assert (done.returncode, done.stderr) == (0, "4 of 4 match their digests\n")
    assert everything(space) == before


@pytest.mark.parametrize(
    ("part", "gone"),
    [
        ("weights.safetensors", "run"),
        ("optimizer.safetensors", "run"),
        ("trace.safetensors", "run"),
        ("history.json", "run"),
        ("record.json", "run"),
        ("data/arrays/x_train.npy", "data"),
        ("data/arrays/index.json", "data"),
        ("data/record.json", "data"),
        ("compare", "compare"),
    ],
)
def test_one_flipped_bit_removes_what_it_is_in_and_nothing_else(
    space: factories.Workspace, part: str, gone: str
) -> None:
    run = str(space.runs[1].relative_to(space.folder))
    comparison = str(space.comparison.relative_to(space.folder))
    path = {"run": f"{run}/{part}", "data": part, "compare": comparison}[gone]
    prefix = {"run": run, "data": "data/", "compare": comparison}[gone]
    before = everything(space)
    flip(space.folder / path)
    done = repair(space)
    assert done.returncode == 0
    assert str(space.folder / path) in done.stderr
    assert "3 of 4 match their digests; the next start makes the rest again" in done.stderr
    assert everything(space) == {name for name in before if not name.startswith(prefix)}


def test_a_file_that_is_missing_is_damage(space: factories.Workspace) -> None:
    (space.runs[0] / "weights.safetensors").unlink()
    assert "weights.safetensors" in repair(space).stderr
    assert not space.runs[0].exists()


def test_a_certificate_that_does_not_hold_is_removed_with_page_and_badge(
    space: factories.Workspace,
) -> None:
    files = [space.folder / name for name in ("certificate.json", "certificate.html", "badge.svg")]
    for file in files:
        file.write_text("{}\n")
    assert in_process.stage("repair", "--certificate", files[0]).returncode == 0
    assert not any(file.exists() for file in files)


def test_a_certificate_that_rests_on_what_is_gone_is_put_aside(space: factories.Workspace) -> None:
    """Else Snakemake would find it there, and make nothing again."""
    certificate = space.folder / "certificate.json"
    issued = canonical.dumps(factories.certify(factories.workspace(space.folder / "issued"), None))
    certificate.write_bytes(issued)
    (space.folder / "badge.svg").touch()
    shutil.copytree(space.folder / "data/arrays", space.folder / "other/arrays")
    digest = dataset.check(space.folder / "data/arrays")
    factories.write_document(space.folder / "other/record.json", {"digest": digest})
    flags = ["--data", space.folder / "other/arrays", "--certificate", certificate]
    assert in_process.stage("repair", *flags).returncode == 0
    assert certificate.is_file()
    flip(space.folder / "other/arrays/x_train.npy")
    assert in_process.stage("repair", *flags).returncode == 0
    assert not certificate.exists() and not (space.folder / "badge.svg").exists()
    assert (space.folder / "certificate.old.json").read_bytes() == issued
