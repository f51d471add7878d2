"""scripts/repair.py: what is damaged is removed and named, what is sound stays."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import attacks
import factories
from pipeline import SCRIPTS
from samebits.formats import arrays, canonical, seal


def seal_all(space: factories.Workspace) -> None:
    records = [run / "record.json" for run in space.runs]
    for path in (*records, space.comparison):
        canonical.write_json(path, seal.sealed(canonical.read_json(path)))


@pytest.fixture
def space(tmp_path: Path) -> factories.Workspace:
    made = factories.workspace(tmp_path)
    seal_all(made)
    digest = arrays.save_arrays(tmp_path / "data/arrays", factories.weights())
    canonical.write_json(tmp_path / "data/record.json", seal.sealed({"digest": digest}))
    return made


def repair(space: factories.Workspace) -> "subprocess.CompletedProcess[str]":
    runs = [part for run in space.runs for part in ("--run", run)]
    command = [
        sys.executable, SCRIPTS / "repair.py", "--data", space.folder / "data/arrays", *runs,
        "--comparison", space.comparison,
    ]  # fmt: skip
    return subprocess.run([str(w) for w in command], capture_output=True, text=True, check=False)


def everything(space: factories.Workspace) -> set[str]:
    found = [*space.folder.joinpath("data").rglob("*"), space.comparison]
    for run in space.runs:
        found += run.rglob("*")
    return {str(path.relative_to(space.folder)) for path in found if path.is_file()}


def flip(path: Path) -> None:
    """One bit near the end; the file's date stays."""
    before, data = path.stat(), bytearray(path.read_bytes())
    data[-4] ^= 1
    path.write_bytes(data)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def test_what_is_sound_stays(space: factories.Workspace) -> None:
    before = everything(space)
    done = repair(space)
    assert (done.returncode, done.stderr) == (0, "4 of 4 match their digests\n")
    assert everything(space) == before


@pytest.mark.parametrize(
    ("part", "gone"),
    [
        ("weights/00000.npy", "run"),
        ("optimizer/00001.npy", "run"),
        ("trace/00000.npy", "run"),
        ("weights/index.json", "run"),
        ("history.json", "run"),
        ("record.json", "run"),
        ("data/arrays/00001.npy", "data"),
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
    assert "3 of 4 match their digests; run the same command" in done.stderr
    assert everything(space) == {name for name in before if not name.startswith(prefix)}


def test_a_file_that_is_missing_is_damage(space: factories.Workspace) -> None:
    (space.runs[0] / "weights/00000.npy").unlink()
    assert "weights/00000.npy" in repair(space).stderr
    assert not space.runs[0].exists()


def test_a_certificate_that_does_not_hold_is_removed_with_its_faces(
    space: factories.Workspace,
) -> None:
    faces = [space.folder / name for name in ("certificate.json", "certificate.html", "badge.svg")]
    for face in faces:
        face.write_text("{}\n")
    command = [sys.executable, str(SCRIPTS / "repair.py"), "--certificate", str(faces[0])]
    subprocess.run(command, check=True)
    assert not any(face.exists() for face in faces)


def test_a_certificate_that_rests_on_what_is_gone_is_put_aside(space: factories.Workspace) -> None:
    """Else Snakemake would find it there, and make nothing again."""
    certificate = space.folder / "certificate.json"
    issued = canonical.dumps(attacks.certify(factories.workspace(space.folder / "issued"), None))
    certificate.write_bytes(issued)
    (space.folder / "badge.svg").touch()
    shutil.copytree(space.folder / "data/arrays", space.folder / "other/arrays")
    digest = arrays.check_arrays(space.folder / "data/arrays")
    canonical.write_json(space.folder / "other/record.json", seal.sealed({"digest": digest}))
    flags = ["--data", str(space.folder / "other/arrays"), "--certificate", str(certificate)]
    command = [sys.executable, str(SCRIPTS / "repair.py"), *flags]
    subprocess.run(command, check=True)
    assert certificate.is_file()
    flip(space.folder / "other/arrays/00000.npy")
    subprocess.run(command, check=True)
    assert not certificate.exists() and not (space.folder / "badge.svg").exists()
    assert (space.folder / "certificate.old.json").read_bytes() == issued
