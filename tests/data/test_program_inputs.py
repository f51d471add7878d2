"""The inputs of a program: file by file, by digest, and every problem at once."""

import os
from pathlib import Path
from typing import Any

import pytest

from pipeline import ROOT, SCRIPTS, Workspace, command
from samebits.data import inputs
from samebits.data.downloads import Store
from samebits.errors import SamebitsError
from samebits.formats import canonical, files
from sites import CONTENT, SHA256, Site


@pytest.fixture
def project(tmp_path: Path) -> Path:
    made = tmp_path / "project"
    (made / "data/b").mkdir(parents=True)
    for name in ("a.csv", "b/c.csv"):
        (made / "data" / name).write_text(name)
    (made / "weights.h5").write_text("weights")
    return made


def entries(project: Path, *wanted: Any) -> list[dict[str, Any]]:
    return inputs.entries(wanted, project, Store(project / "data/downloads"))


def paths(project: Path, *wanted: Any) -> list[str]:
    return [entry["path"] for entry in entries(project, *wanted)]


def test_files_and_folders_are_listed_file_by_file(project: Path) -> None:
    found = entries(project, "weights.h5", "data/", "data/a.csv")
    assert [(entry["path"], entry["bytes"]) for entry in found] == [
        ("data/a.csv", 5), ("data/b/c.csv", 7), ("weights.h5", 7),
    ]  # fmt: skip
    assert found[0]["sha256"] == files.digest(project / "data/a.csv")
    assert found[0]["url"] is None


def test_paths_are_below_the_project_or_absolute(project: Path, tmp_path: Path) -> None:
    (tmp_path / "big.bin").write_text("big")
    assert paths(project, str(project / "weights.h5"), "./data/../weights.h5") == ["weights.h5"]
    assert paths(project, str(tmp_path / "big.bin")) == [str(tmp_path / "big.bin")]


def test_links_are_followed_and_a_circle_is_named(project: Path, tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "disk/d.csv").write_text("d")
    (project / "linked").symlink_to(tmp_path / "disk")
    (project / "data/b/linked").symlink_to(tmp_path / "disk")
    (project / "data/b/file").symlink_to(tmp_path / "disk/d.csv")
    assert paths(project, "linked", "data/b") == [
        "data/b/c.csv", "data/b/file", "data/b/linked/d.csv", "linked/d.csv",
    ]  # fmt: skip
    (project / "data/b/up").symlink_to(project / "data")
    with pytest.raises(SamebitsError, match="data/b/up is a link to a folder that it lies in"):
        entries(project, "data")


def test_an_address_is_fetched_or_served_from_a_local_file(project: Path, site: Site) -> None:
    url = f"{site.url}/a.bin"
    (fetched,) = entries(project, {"url": url, "sha256": SHA256})
    assert fetched == {"path": None, "sha256": SHA256, "bytes": len(CONTENT), "url": url}
    (served,) = entries(project, {"url": "https://x.invalid/y", "path": "weights.h5"})
    assert (served["path"], served["url"]) == ("weights.h5", "https://x.invalid/y")


@pytest.mark.process
def test_every_problem_is_listed_with_what_to_do(project: Path, tmp_path: Path) -> None:
    (project / "odd").mkdir()
    (project / "empty").mkdir()
    os.mkfifo(project / "odd/pipe")
    (project / "odd/broken").symlink_to("nowhere")
    Path(os.fsdecode(bytes(project / "odd") + b"/\xff")).touch()
    (tmp_path / "outside").touch()
    with pytest.raises(SamebitsError) as error:
        entries(
            project, "absent.csv", "../outside", "odd", "empty",
            {"path": "data/a.csv", "sha256": "0"},
            {"url": "http://127.0.0.1:1/x", "sha256": SHA256},
        )  # fmt: skip
    said = str(error.value)
    for part in (
        f"inputs: absent.csv does not exist below {project}; correct the path",
        f"inputs: ../outside lies outside of {project}; give its absolute path",
        "odd/pipe is no plain file; remove it",
        "odd/broken is a broken link; remove it",
        "the name is no UTF-8; rename it",
        "empty holds no file",
        "inputs: data/a.csv: expected SHA-256 0, got ",
        "inputs: http://127.0.0.1:1/x cannot be fetched: ",
    ):
        assert part in said


def test_the_load_stage_lists_the_inputs_of_a_program(
    project: Path, tmp_path: Path, workspace: Workspace
) -> None:
    canonical.write_json(tmp_path / "config.json", {"inputs": ["data/b"]})
    arrays = tmp_path / "data/inputs-0/arrays"

    def load() -> Any:
        return command(
            workspace.python("load"), SCRIPTS / "load.py", "--config", tmp_path / "config.json",
            "--lock", ROOT / "envs/load.lock.txt", "--arrays", arrays,
            "--record", tmp_path / "record.json", "--source-path", project,
            cwd=tmp_path, check=False,
        )  # fmt: skip

    assert load().returncode == 0
    record = canonical.read_json(tmp_path / "record.json")
    assert record["inputs"] == canonical.read_json(arrays / "inputs.json")
    assert [entry["path"] for entry in record["inputs"]] == ["data/b/c.csv"]
    assert record["digest"] == files.digest(arrays / "inputs.json")
    (project / "data/b/c.csv").unlink()
    done = load()
    assert done.returncode == 1
    assert "error: inputs: " in done.stdout
    assert "data/b holds no file" in done.stdout
