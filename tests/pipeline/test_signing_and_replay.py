"""Signing, bundles and replays in the whole pipeline, as the README's commands run them."""

import base64
import json
import os
import re
import shutil
import subprocess
import zipfile
from pathlib import Path
from typing import Any

import pytest

from pipeline import SCRIPTS, Workspace
from samebits.formats import canonical

SMOKE = "experiment=smoke"


def certificate(workspace: Workspace, name: str) -> Any:
    return workspace.json(f"results/{name}/certificate.json")


def verify(workspace: Workspace, path: str, *flags: str) -> tuple[int, str]:
    """As a stranger does: in the environment that has neither Snakemake nor TensorFlow."""
    done = subprocess.run(
        [workspace.python("certify"), SCRIPTS / "verify.py", workspace.folder / path, *flags],
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


@pytest.fixture(scope="module")
def signed(workspace: Workspace) -> str:
    """The name of an experiment that was certified and bundled."""
    workspace.snakemake("all", "bundle", "crate", "--config", "name=signed", SMOKE, "seed=3")
    return "signed"


def test_a_certificate_is_signed_and_verified_from_its_files_and_its_bundle(
    workspace: Workspace, signed: str
) -> None:
    assert certificate(workspace, signed)["signature"] == "SIGNED"
    folder = f"results/{signed}"
    where = str(workspace.folder / folder)
    assert verify(workspace, f"{folder}/certificate.json", "--artifacts", where)[0] == 0
    assert verify(workspace, f"{folder}/certificate.zip")[0] == 0


def test_what_is_handed_on_is_all_there(workspace: Workspace, signed: str) -> None:
    folder = workspace.folder / "results" / signed
    for name in ("certificate.html", "badge.svg", "ro-crate-metadata.json"):
        assert (folder / name).is_file()
    boms = {path.name: json.loads(path.read_bytes()) for path in (folder / "sbom").glob("*.json")}
    assert {"load", "compare", "certify", "train-tf2.21"} == {n.split(".cdx")[0] for n in boms}
    assert all(bom["bomFormat"] == "CycloneDX" for bom in boms.values())
    with zipfile.ZipFile(folder / "certificate.zip") as bundle:
        names = set(bundle.namelist())
    listed = {d["name"] for d in certificate(workspace, signed)["report"]["evidence"]}
    assert listed | {"certificate.json", "train/control/weights.safetensors"} <= names


def test_a_certificate_is_replayed_from_its_bundle_alone(
    workspace: Workspace, signed: str, tmp_path: Path
) -> None:
    given = tmp_path / "given.zip"
    shutil.copy(workspace.folder / "results" / signed / "certificate.zip", given)
    said = workspace.snakemake("replay", "--config", f"certificate={given}", "name=again")
    assert "REPRODUCED" in said
    assert "NOT REPRODUCED" not in said
    (replay,) = workspace.json("results/again/replay/certificate.json")["replays"]
    assert replay["report"]["outcome"] == "REPRODUCED"
    assert replay["report"]["record"]["config"]["seed"] == 3
    code, chain = verify(workspace, "results/again/replay/certificate.json")
    assert code == 0
    assert "replayed" in chain
    again = workspace.snakemake("replay", "--config", f"certificate={given}", "name=again")
    assert "Nothing to be done" in again


def test_another_config_code_or_lock_is_refused_before_any_job(
    workspace: Workspace, signed: str, tmp_path: Path
) -> None:
    """The certificate is forged so that it speaks of other code, another lock, another config."""
    content = certificate(workspace, signed)
    report = content["report"]
    report["experiment"]["config"]["trainer"]["shuffle"] = False
    report["records"]["runs"]["control"]["source"][0]["sha256"] = "0" * 64
    report["lock"]["text"] += "# another\n"
    forged = tmp_path / "forged.json"
    canonical.write_json(forged, content)
    said = workspace.snakemake("replay", "--config", f"certificate={forged}", check=False)
    for part in ("trainer.shuffle", report["lock"]["name"], "0000000000000000"):
        assert part in said
    assert "Job " not in said


def test_a_certificate_does_not_choose_what_code_runs(
    workspace: Workspace, signed: str, tmp_path: Path
) -> None:
    content = certificate(workspace, signed)
    experiment = content["report"]["experiment"]
    experiment["config"]["model"] |= {"_target_": "os.system", "option": "custom"}
    experiment["overridden"].append("model._target_")
    forged = tmp_path / "forged.json"
    canonical.write_json(forged, content)
    said = workspace.snakemake("replay", "--config", f"certificate={forged}", check=False)
    assert "model._target_" in said
    assert "Job " not in said


def test_without_a_key_the_certificate_is_unsigned_in_every_face(workspace: Workspace) -> None:
    name = "unsigned"
    said = workspace.snakemake("--config", f"name={name}", SMOKE, "signing=none")
    assert certificate(workspace, name)["signature"] == "UNSIGNED"
    folder = workspace.folder / "results" / name
    assert "UNSIGNED" in said
    for face in ("certificate.html", "badge.svg"):
        assert "UNSIGNED" in (folder / face).read_text(encoding="utf-8")
    code, shown = verify(workspace, f"results/{name}/certificate.json")
    assert code == 3
    assert "UNSIGNED" in shown
    again = workspace.snakemake("--config", f"name={name}", SMOKE)
    assert "train control" not in again  # only what signs is made again
    assert certificate(workspace, name)["signature"] == "SIGNED"


def test_the_keys_place_is_in_no_output_log_or_parameter(
    workspace: Workspace, tmp_path: Path
) -> None:
    place = tmp_path / "very-secret-place"
    place.mkdir()
    key = place / "key.pem"
    openssl = ["openssl", "genpkey", "-algorithm", "ed25519", "-out", str(key)]
    subprocess.run(openssl, check=True, capture_output=True)
    said = workspace.snakemake(
        "--printshellcmds", "--config", SMOKE, f"signing={{key: {key}}}", "seed=4"
    )
    shown = [said]
    for folder in ("results", "logs", ".snakemake"):
        for path in (workspace.folder / folder).rglob("*"):
            assert "very-secret" not in path.name
            if path.is_file() and path.stat().st_mtime >= key.stat().st_mtime:
                shown.append(path.read_bytes().decode("utf-8", "replace"))
    assert len(shown) > 10
    assert not any("very-secret-place" in text for text in shown)
    (name,) = (p for p in (workspace.folder / "results").iterdir() if "seed=4" in p.name)
    public = place / "key.pub"
    command = ["openssl", "pkey", "-in", str(key), "-pubout", "-out", str(public)]
    subprocess.run(command, check=True, capture_output=True)
    issued = os.path.relpath(name / "certificate.json", workspace.folder)
    assert verify(workspace, issued, "--key", str(public))[0] == 0
    assert verify(workspace, issued)[0] == 3


@pytest.mark.slow
def test_snakemakes_own_report_holds_the_page(
    workspace: Workspace, signed: str, tmp_path: Path
) -> None:
    report = tmp_path / "report.html"
    workspace.snakemake("--report", str(report), "--config", f"name={signed}", SMOKE, "seed=3")
    (line,) = re.findall(r"^ *var results = (\{.*\});?$", report.read_text(), re.MULTILINE)
    held = json.loads(line)[f"results/{signed}/certificate.html"]
    page = workspace.folder / "results" / signed / "certificate.html"
    assert base64.b64decode(held["data_uri"].partition("base64,")[2]) == page.read_bytes()
