"""bundle.py by its flags: what the certificate lists, and nothing else."""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import factories
from factories import Workspace
from in_process import stage
from samebits.formats import canonical, files
from samebits.verification import artifacts

SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"


def evidence(space: Workspace) -> dict[str, Path]:
    """The files of a workspace under the names that a certificate has for them."""
    return {name: path for name, path in space.named().items() if "certificate" not in name}


def certificate(space: Workspace) -> dict[str, Any]:
    """As much of a certificate as names its evidence."""
    listed = [
        {"name": name, "sha256": files.digest(path), "problem": None}
        for name, path in evidence(space).items()
    ]
    report = {"evidence": listed, "records": {"runs": {}}}
    return {"format": "samebits-certificate-1", "report": report}


def bundle(
    space: Workspace, issued: Any = None, **others: Path
) -> subprocess.CompletedProcess[str]:
    path = space.folder / "certificate.json"
    canonical.write_json(path, certificate(space) if issued is None else issued)
    given = {"config": space.config, "lock": space.lock, "load-record": space.load_record}
    given |= {"output": space.folder / "certificate.zip", "certificate": path} | others
    flags = [word for name, file in given.items() for word in (f"--{name}", str(file))]
    flags += [word for run in space.runs for word in ("--run", str(run))]
    return stage("bundle", *flags, "--comparison", space.comparison)


def content(space: Workspace) -> dict[str, bytes]:
    with artifacts.opened(space.folder / "certificate.zip") as found:
        return {name: found.open(name).read() for name in found.names()}


def test_the_bundle_has_the_certificate_and_all_files_that_it_lists(tmp_path: Path) -> None:
    space = factories.workspace(tmp_path)
    done = bundle(space)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    expected = evidence(space)
    assert sum(name.endswith(".safetensors") for name in expected) == 11
    expected["certificate.json"] = tmp_path / "certificate.json"
    assert content(space) == {name: path.read_bytes() for name, path in expected.items()}


def test_what_the_certificate_does_not_list_is_not_in_it(tmp_path: Path) -> None:
    space = factories.workspace(tmp_path)
    issued = certificate(space)
    (space.runs[0] / "notes.txt").write_text("private")
    assert bundle(space, issued).returncode == 0
    assert "train/control/notes.txt" not in content(space)


def test_a_file_that_was_not_there_is_left_out(tmp_path: Path) -> None:
    space = factories.workspace(tmp_path)
    issued = certificate(space)
    name = "train/control/weights.safetensors"
    listed = next(d for d in issued["report"]["evidence"] if d["name"] == name)
    listed |= {"sha256": None, "problem": f"{name}: No such file or directory; check the path"}
    (space.runs[0] / "weights.safetensors").unlink()
    assert bundle(space, issued).returncode == 0
    assert name not in content(space)


def test_the_same_evidence_elsewhere_gives_the_same_bytes(tmp_path: Path) -> None:
    made = []
    for folder in ("first", "another folder"):
        space = factories.workspace(tmp_path / folder)
        assert bundle(space).returncode == 0
        made.append((space.folder / "certificate.zip").read_bytes())
    assert made[0] == made[1]


def test_everything_that_is_not_as_the_certificate_says_is_listed(tmp_path: Path) -> None:
    space = factories.workspace(tmp_path)
    issued = certificate(space)
    issued["report"]["evidence"].append({"name": "notes.txt", "sha256": "0" * 64, "problem": None})
    space.load_record.write_text("{}")
    (space.runs[1] / "history.json").unlink()
    (space.runs[1] / "trace.safetensors").unlink()
    done = bundle(space, issued)
    assert done.returncode == 1
    replica = re.escape(str(space.runs[1]))
    got = files.digest(space.load_record)
    for line, expected in zip(
        done.stderr.splitlines()[1:],
        [
            rf"load/record.json: \S+ has SHA-256 {got}, not .+",
            r"notes.txt: in no file or folder that was given",
            rf"train/replica/history.json: there is no file {replica}/history.json",
            rf"train/replica/trace.safetensors: there is no file {replica}/trace.safetensors",
        ],
        strict=True,
    ):
        assert re.fullmatch(expected, line), line
    assert not (tmp_path / "certificate.zip").exists()


@pytest.mark.parametrize("name", ["../secret", "/etc/passwd", "train/control/../../secret"])
def test_a_name_that_leads_elsewhere_is_refused(tmp_path: Path, name: str) -> None:
    space = factories.workspace(tmp_path)
    issued = certificate(space)
    issued["report"]["evidence"].append({"name": name, "sha256": "0" * 64, "problem": None})
    done = bundle(space, issued)
    assert done.returncode == 1
    assert f"'{name}': " in done.stderr
    assert "SHA-256" not in done.stderr


@pytest.mark.parametrize("issued", [[], {}, {"format": "samebits-report-1"}], ids=json.dumps)
def test_what_is_no_certificate_is_refused(tmp_path: Path, issued: Any) -> None:
    done = bundle(factories.workspace(tmp_path), issued)
    assert done.returncode == 1
    assert "expected format samebits-certificate-1" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_missing_certificate_is_explained(tmp_path: Path) -> None:
    done = bundle(factories.workspace(tmp_path), certificate=tmp_path / "absent.json")
    assert done.returncode == 1
    assert done.stderr.startswith("error: No such file or directory")


def test_an_output_that_cannot_be_written_is_explained(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    done = bundle(factories.workspace(tmp_path), output=tmp_path / "file" / "certificate.zip")
    assert done.returncode == 1
    assert "Traceback" not in done.stderr


@pytest.mark.process
def test_missing_flags_are_wrong_usage() -> None:
    command = [sys.executable, str(SCRIPTS / "bundle.py")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    for flag in ("certificate", "config", "lock", "load-record", "run", "comparison", "output"):
        assert f"--{flag}" in done.stderr
