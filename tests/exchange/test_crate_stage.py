"""crate.py by its flags: SBOMs and RO-Crate, all of them or none."""

import json
import subprocess
import sys
import warnings
from pathlib import Path

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from rocrate.rocrate import ROCrate

import crates
from crates import KEYID, Results
from in_process import stage
from pipeline import SCRIPTS
from samebits.formats import files

RENDERINGS = {"ro-crate-metadata.json", "sbom", "workflow.smk"}


def flags(results: Results) -> list[object]:
    folder = results.folder
    return [
        "--certificate", results.certificate, "--page", results.page, "--folder", folder,
        *(part for lock in results.locks for part in ("--lock", lock)),
        "--badge", results.badge, "--bundle", folder / "certificate.zip",
        "--workflow", results.workflow, "--sbom", folder / "sbom",
        "--output", folder / "ro-crate-metadata.json",
    ]  # fmt: skip


def run(*arguments: object) -> "subprocess.CompletedProcess[str]":
    return stage("crate", *arguments)


def made(results: Results) -> set[str]:
    """The renderings that exist, half-written ones included."""
    before = {results.certificate, results.page, results.badge}
    others = ("config.json", "train", "compare", "certificate.zip")
    before |= {results.folder / name for name in others}
    return {path.name for path in results.folder.iterdir() if path not in before}


@pytest.mark.parametrize("keyid", [None, KEYID], ids=["unsigned", "signed"])
def test_all_renderings_are_made(tmp_path: Path, keyid: str | None) -> None:
    results = crates.make(tmp_path, keyid)
    done = run(*flags(results))
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert made(results) == RENDERINGS
    sboms = sorted((results.folder / "sbom").iterdir())
    assert [path.name for path in sboms] == ["load.cdx.json", "train-tf2.21.cdx.json"]
    for path in sboms:
        assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(path.read_text()) is None


def test_the_crate_can_be_opened_and_every_file_it_lists_is_there(tmp_path: Path) -> None:
    results = crates.make(tmp_path)
    run(*flags(results))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        opened = ROCrate(results.folder)
    local = list(opened.data_entities)
    assert {"badge.svg", "certificate.json", "certificate.html"} < {e.id for e in local}
    for entity in local:
        path = results.folder / entity.id
        assert path.is_dir() if entity.id.endswith("/") else path.is_file(), entity.id
        if "sha256" in entity:
            assert entity["sha256"] == files.digest(path), entity.id
    assert opened.mainEntity["name"] == "Snakefile"


def test_every_sbom_is_based_on_its_lock_and_the_other_renderings_on_the_certificate(
    tmp_path: Path,
) -> None:
    results = crates.make(tmp_path)
    assert run(*flags(results)).returncode == 0
    graph = json.loads((results.folder / "ro-crate-metadata.json").read_text())["@graph"]
    found = {e["@id"]: e["isBasedOn"]["@id"] for e in graph if "isBasedOn" in e}
    renderings = ("badge.svg", "certificate.html", "certificate.zip")
    assert found == dict.fromkeys(renderings, "certificate.json") | {
        "sbom/load.cdx.json": "#envs/load.lock.txt",
        "sbom/train-tf2.21.cdx.json": "#envs/train-tf2.21.lock.txt",
    }


def test_the_same_inputs_give_the_same_bytes_and_old_renderings_go(tmp_path: Path) -> None:
    results = crates.make(tmp_path)
    run(*flags(results))
    names = ("ro-crate-metadata.json", "sbom/load.cdx.json")
    first = [(results.folder / name).read_bytes() for name in names]
    (results.folder / "sbom" / "old.cdx.json").touch()
    assert run(*flags(results)).returncode == 0
    assert [(results.folder / name).read_bytes() for name in names] == first
    assert not (results.folder / "sbom" / "old.cdx.json").exists()


@pytest.mark.process
def test_paths_may_be_relative_in_a_process_of_its_own(tmp_path: Path) -> None:
    results = crates.make(tmp_path)
    relative = [
        given.relative_to(tmp_path) if isinstance(given, Path) else given
        for given in flags(results)
    ]
    command = [sys.executable, str(SCRIPTS / "crate.py"), *map(str, relative)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert made(results) == RENDERINGS


# --- none of them ----------------------------------------------------------------------------


def refused(results: Results, *arguments: object) -> str:
    """The complaint of a run that must fail and leave nothing."""
    done = run(*arguments)
    assert (done.returncode, done.stdout) == (1, "")
    assert "Traceback" not in done.stderr
    assert made(results) == set()
    return done.stderr


def test_evidence_that_changed_is_refused(tmp_path: Path) -> None:
    results = crates.make(tmp_path)
    (results.folder / "compare" / "replica.json").write_text("{}")
    message = refused(results, *flags(results))
    assert "compare/replica.json: expected sha256 " in message
    assert "certify them again" in message


def test_locks_that_changed_or_that_the_certificate_does_not_name_are_refused(
    tmp_path: Path,
) -> None:
    results = crates.make(tmp_path)
    other = results.locks[0].with_name("other.lock.txt")
    other.write_text(results.locks[0].read_text())
    results.locks[0].write_text(results.locks[1].read_text())
    message = refused(results, *flags(results), "--lock", other)
    assert "load.lock.txt: expected sha256 " in message
    assert "other.lock.txt: expected a file that the certificate names" in message


@pytest.mark.parametrize("content", ["{", "[]", "{}", '{"format":"samebits-report-1"}'])
def test_what_is_no_certificate_is_refused(tmp_path: Path, content: str) -> None:
    results = crates.make(tmp_path)
    results.certificate.write_text(content)
    assert "certificate.json: expected " in refused(results, *flags(results))


def test_a_page_that_is_not_there_leaves_no_crate(tmp_path: Path) -> None:
    results = crates.make(tmp_path)
    assert run(*flags(results)).returncode == 0
    results.page.unlink()
    done = run(*flags(results))
    assert done.returncode == 1
    assert "certificate.html" in done.stderr
    assert "ro-crate-metadata.json" not in made(results)


def test_missing_flags_are_wrong_usage() -> None:
    done = run()
    assert done.returncode == 2
    names = "certificate page folder badge workflow sbom output lock bundle"
    for flag in names.split():
        assert f"--{flag}" in done.stderr.splitlines()[-1]
