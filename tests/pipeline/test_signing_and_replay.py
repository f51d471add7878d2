"""Signing, bundles and replays in the whole pipeline, as the README's commands run them."""

import base64
import json
import re
import shutil
import subprocess
import zipfile
from pathlib import Path
from typing import Any

import pytest

from pipeline import SCRIPTS, Workspace, outcomes
from samebits.experiment.variables import SIGNING_KEY
from samebits.formats import canonical

pytestmark = pytest.mark.slow

# One experiment for all tests: with checkpoints, and a run that is killed.
KILLED = "trainer.checkpoint=epoch trainer.epochs=4 protocol.alone=[interrupt]"
SIGNED = ("name=signed", "experiment=smoke", "seed=3", f"overrides={KILLED}")


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
def place(workspace: Workspace, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A secret folder with a key that signed the experiment, what was shown, and what it issued."""
    place = tmp_path_factory.mktemp("very-secret-place")
    openssl("genpkey", "-algorithm", "ed25519", "-out", place / "key.pem")
    openssl("pkey", "-in", place / "key.pem", "-pubout", "-out", place / "key.pub")
    key = {SIGNING_KEY: f"{place}/key.pem"}
    said = workspace.snakemake("--printshellcmds", "--config", *SIGNED, variables=key)
    (place / "said").write_text(said)
    shutil.copy(workspace.folder / "results/signed/certificate.json", place / "issued.json")
    return place


RENDERED = ("certificate.json", "certificate.html", "badge.svg")


@pytest.fixture(scope="module")
def unsigned(workspace: Workspace, place: Path) -> Path:
    """A folder with what nobody signed afterwards, and with what was said."""
    said = workspace.snakemake("--config", *SIGNED, "signing=none")
    assert "train control" not in said  # only what signs is made again
    (folder := place.with_name("unsigned")).mkdir()
    (folder / "said").write_text(said)
    for name in RENDERED:
        shutil.copy(workspace.folder / "results/signed" / name, folder)
    return folder


@pytest.fixture(scope="module")
def signed(workspace: Workspace, unsigned: Path) -> str:
    """The name of the experiment, then certified by the user's own key, and bundled."""
    said = workspace.snakemake("all", "bundle", "crate", "--config", *SIGNED)
    assert unsigned.is_dir() and "train control" not in said
    return "signed"


def openssl(*words: object) -> None:
    command = ["openssl", *map(str, words)]
    subprocess.run(command, check=True, capture_output=True)


def test_the_keys_place_is_in_no_output_log_or_parameter(workspace: Workspace, place: Path) -> None:
    shown = [(place / "said").read_text()]
    for folder in ("results", "logs", ".snakemake"):
        for path in (workspace.folder / folder).rglob("*"):
            assert "very-secret" not in path.name
            if path.is_file() and path.stat().st_mtime >= (place / "key.pem").stat().st_mtime:
                shown.append(path.read_bytes().decode("utf-8", "replace"))
    assert len(shown) > 10
    assert not any("very-secret-place" in text for text in shown)
    issued = str(place / "issued.json")
    assert verify(workspace, issued, "--key", str(place / "key.pub"))[0] == 0
    assert verify(workspace, issued)[0] == 3


def test_without_a_key_certificate_page_badge_and_terminal_say_unsigned(
    workspace: Workspace, unsigned: Path
) -> None:
    for name in (*RENDERED, "said"):
        assert "UNSIGNED" in (unsigned / name).read_text(encoding="utf-8")
    code, shown = verify(workspace, str(unsigned / "certificate.json"))
    assert code == 3 and "UNSIGNED" in shown


def test_a_run_that_was_killed_and_resumed_has_the_same_bits(
    workspace: Workspace, signed: str
) -> None:
    report = certificate(workspace, signed)["report"]
    assert report["verdict"] == "REPRODUCIBLE", report["reasons"]
    record = workspace.json(f"results/{signed}/train/with-interrupt/record.json")
    if record["checkpoints"]["resumed"]:  # else it was quicker than the kill
        assert outcomes(report, "with-interrupt") == {"interrupt": "same bits"}
    results = workspace.folder / "results" / signed
    assert len(list((results / "train" / "control" / "checkpoints").iterdir())) == 4
    assert list((results / "checkpoints").iterdir()) == []


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
    """The certificate is forged so that it speaks of other code, another lock, another config.

    That it chooses no function that runs: tests/replay/test_replay_plan.py.
    """
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


def test_snakemakes_own_report_opens_on_the_verdict_and_holds_the_page(
    workspace: Workspace, signed: str, tmp_path: Path
) -> None:
    report = tmp_path / "report.html"
    workspace.snakemake("--report", str(report), "--config", *SIGNED)
    (line,) = re.findall(r"^ *var results = (\{.*\});?$", report.read_text(), re.MULTILINE)
    held = json.loads(line)[f"results/{signed}/certificate.html"]
    page = workspace.folder / "results" / signed / "certificate.html"
    assert base64.b64decode(held["data_uri"].partition("base64,")[2]) == page.read_bytes()
    assert "REPRODUCIBLE</h1>" in report.read_text()
