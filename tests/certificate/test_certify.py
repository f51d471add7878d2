"""certify.py by its flags."""

import base64
import functools
import hashlib
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import factories
from factories import Workspace
from in_process import stage
from pipeline import SCRIPTS
from samebits.certificate import schema


def flags(space: Workspace) -> list[object]:
    runs = [part for run in space.runs for part in ("--run", run)]
    load = space.folder.with_suffix(".load.lock.txt")
    load.write_text(factories.LOAD_LOCK)
    locks = (f"envs/{space.lock.name}={space.lock}", f"envs/load.lock.txt={load}")
    return [
        "--config", space.config, "--name", "default", "--lock", space.lock,
        "--load-record", space.load_record, *runs, "--comparison", space.comparison,
        "--output", space.folder / "certificate.json",
        *(part for lock in locks for part in ("--dependency", lock)),
    ]  # fmt: skip


certify = functools.partial(stage, "certify")


def certificate(space: Workspace) -> dict[str, Any]:
    return dict(json.loads((space.folder / "certificate.json").read_text()))


def issued(space: Workspace) -> dict[str, Any]:
    """The report in the certificate."""
    return dict(certificate(space)["report"])


def require_valid(space: Workspace) -> None:
    assert list(schema.violations(certificate(space), schema.CERTIFICATE)) == []


def test_the_certificate_is_what_the_schema_says(tmp_path: Path) -> None:
    space = factories.workspace(tmp_path)
    done = certify(*flags(space))
    assert (done.returncode, done.stdout) == (0, "REPRODUCIBLE\n")
    require_valid(space)


def test_an_inconclusive_certificate_is_a_result_and_what_the_schema_says(tmp_path: Path) -> None:
    space = factories.workspace(tmp_path)
    for path in (space.config, space.load_record, space.comparison, space.runs[0] / "record.json"):
        path.unlink()
    assert certify(*flags(space)).returncode == 0
    assert issued(space)["verdict"] == "INCONCLUSIVE"
    require_valid(space)


def test_source_and_commands_are_recorded(tmp_path: Path) -> None:
    space = factories.workspace(tmp_path)
    certify(*flags(space), "--repeat", "make certificate")
    assert issued(space)["source"] == factories.REPOSITORY | {"model": None}
    assert issued(space)["how_to_repeat"] == ["make certificate"]


def test_the_same_run_twice_is_refused(tmp_path: Path) -> None:
    space = factories.workspace(tmp_path)
    done = certify(*flags(space), "--run", space.runs[0])
    assert done.returncode == 1
    assert "give each run once" in done.stderr
    assert not (tmp_path / "certificate.json").exists()


@pytest.mark.parametrize(
    "flag", ["--config", "--name", "--lock", "--load-record", "--comparison", "--output"]
)
def test_a_missing_flag_is_wrong_usage(tmp_path: Path, flag: str) -> None:
    given = flags(factories.workspace(tmp_path))
    position = given.index(flag)
    done = certify(*given[:position], *given[position + 2 :])
    assert done.returncode == 2
    assert flag in done.stderr


@pytest.mark.process
def test_a_copy_of_the_scripts_runs_from_any_folder_and_imports_nothing_that_trains_or_renders(
    tmp_path: Path,
) -> None:
    """Schema and template are found beside the code."""
    copy = tmp_path / "elsewhere"
    shutil.copytree(SCRIPTS, copy, ignore=shutil.ignore_patterns("__pycache__"))
    given = map(str, flags(factories.workspace(tmp_path)))
    command = [sys.executable, "-X", "importtime", str(copy / "certify.py"), *given]
    done = subprocess.run(command, cwd="/", capture_output=True, text=True, check=True)
    assert done.stdout == "REPRODUCIBLE\n"
    imported = {line.split("|")[-1].strip().split(".")[0] for line in done.stderr.splitlines()}
    assert {"samebits", "in_toto_attestation"} <= imported
    unwanted = {"snakemake", "tensorflow", "hydra", "jinja2", "matplotlib", "psutil"}
    assert not imported & unwanted


def test_the_dependencies_are_named_by_digest_and_the_users_keys_of_the_config(
    tmp_path: Path,
) -> None:
    space = factories.workspace(tmp_path)
    pins = tmp_path / "load.linux-64.pin.txt"
    pins.write_text("@EXPLICIT\n")
    certify(*flags(space), "--dependency", f"envs/{pins.name}={pins}", "--overridden", "seed")
    sha256 = hashlib.sha256(b"@EXPLICIT\n").hexdigest()
    assert {"name": f"envs/{pins.name}", "sha256": sha256} in issued(space)["dependencies"]
    assert [d["name"] for d in issued(space)["dependencies"]] == [
        "envs/load.linux-64.pin.txt", "envs/load.lock.txt", "envs/train-tf2.21.lock.txt",
    ]  # fmt: skip
    assert issued(space)["experiment"]["overridden"] == ["seed"]


# --- signing ---------------------------------------------------------------------------------


def test_without_a_key_every_output_says_unsigned(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SAMEBITS_SIGNING_KEY", "none")
    space = factories.workspace(tmp_path)
    assert certify(*flags(space)).returncode == 0
    assert certificate(space)["signature"] == "UNSIGNED"
    claim, provenance = certificate(space)["statements"]
    assert claim["signatures"] == provenance["signatures"] == []
    assert b'"signature":"UNSIGNED"' in base64.b64decode(claim["payload"])


def test_the_keys_location_is_in_no_output(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = tmp_path / "a-secret-place"
    monkeypatch.setenv("XDG_CONFIG_HOME", str(place))
    space = factories.workspace(tmp_path / "space")
    done = certify(*flags(space))
    assert list(place.rglob("key.pem"))
    written = [path.read_text() for path in space.folder.glob("*.*")]
    assert len(written) >= 3
    assert not any("a-secret-place" in text for text in (*written, done.stdout, done.stderr))


def test_a_key_that_is_none_is_refused_and_nothing_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "text").write_text("not a key")
    monkeypatch.setenv("SAMEBITS_SIGNING_KEY", str(tmp_path / "text"))
    space = factories.workspace(tmp_path / "space")
    done = certify(*flags(space))
    assert done.returncode == 1
    assert "signing key:1: expected -----BEGIN" in done.stderr
    assert str(tmp_path / "text") not in done.stderr
    assert not (space.folder / "certificate.json").exists()
