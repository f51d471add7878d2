"""The RO-Crate of the results: its profiles' requirements, and nothing that is not certified."""

import json
from pathlib import Path
from typing import Any

import pytest

import crates
import factories
from crates import KEYID, Results
from samebits.errors import SamebitsError
from samebits.exchange import crate
from samebits.formats import files

PROFILES = {
    "https://w3id.org/ro/wfrun/process/0.5",
    "https://w3id.org/ro/wfrun/workflow/0.5",
    "https://w3id.org/workflowhub/workflow-ro-crate/1.0",
}
WORKFLOW = {"File", "SoftwareSourceCode", "ComputationalWorkflow"}


def text(results: Results) -> str:
    renderings = [crate.Rendering(results.page, "The certificate as a page.")]
    (results.folder / crate.WORKFLOW).write_bytes(results.workflow.read_bytes())
    return crate.describe(results.certificate, results.folder, renderings)


def entities(results: Results) -> dict[str, Any]:
    """The crate's entities by their identifier."""
    return {entity["@id"]: entity for entity in json.loads(text(results))["@graph"]}


def action(results: Results) -> Any:
    """The one execution that is described."""
    (found,) = (e for e in entities(results).values() if e["@type"] == "CreateAction")
    return found


def ids(value: Any) -> set[str]:
    return {item["@id"] for item in (value if isinstance(value, list) else [value])}


# --- what the profiles require ---------------------------------------------------------------


def test_it_claims_the_profiles_that_it_meets(tmp_path: Path) -> None:
    found = entities(crates.make(tmp_path))
    assert ids(found["ro-crate-metadata.json"]["conformsTo"]) >= {"https://w3id.org/ro/crate/1.1"}
    assert ids(found["./"]["conformsTo"]) == PROFILES
    assert all(found[profile]["@type"] == "CreativeWork" for profile in PROFILES)


def test_the_root_has_what_ro_crate_asks_for(tmp_path: Path) -> None:
    found = entities(crates.make(tmp_path))
    root = found["./"]
    assert root["datePublished"] == "2026-11-23T12:00:00Z"
    assert root["name"]
    assert root["description"]
    assert found[root["license"]["@id"]]["name"] == "No license stated"  # nobody gave one


def test_the_main_workflow_is_the_snakefile_of_the_commit(tmp_path: Path) -> None:
    found = entities(crates.make(tmp_path))
    workflow = found[found["./"]["mainEntity"]["@id"]]
    assert set(workflow["@type"]) == WORKFLOW
    assert found[workflow["programmingLanguage"]["@id"]]["name"] == "Snakemake"
    assert (workflow["name"], workflow["version"]) == ("Snakefile", factories.COMMIT)


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ({"commit": "c" * 40, "changed": ["x"]}, "with uncommitted changes"),
        ({"commit": None, "changed": None}, "at an unknown commit"),
    ],
)
def test_a_workflow_that_no_commit_has_is_not_called_by_one(
    tmp_path: Path, source: Any, said: str
) -> None:
    results = crates.make(tmp_path)
    results.edit(source=factories.REPOSITORY | {"model": None} | source)
    found = entities(results)
    workflow = found[found["./"]["mainEntity"]["@id"]]
    assert said in workflow["description"]
    assert "version" not in workflow


def test_the_action_links_what_went_in_and_what_came_out(tmp_path: Path) -> None:
    results = crates.make(tmp_path)
    found, done = entities(results), action(results)
    assert ids(found["./"]["mentions"]) == {done["@id"]}
    assert ids(done["instrument"]) == ids(found["./"]["mainEntity"])
    assert done["actionStatus"] == "http://schema.org/CompletedActionStatus"
    assert ids(done["object"]) == {
        *("#dataset", "#envs/load.lock.txt", "#envs/train-tf2.21.lock.txt"),
        "#envs/load.linux-64.pin.txt",
        *("#load/record.json", "config.json"),
    }
    produced = {"train/control/", "train/replica/", "compare/replica.json", "certificate.json"}
    assert ids(done["result"]) == produced


def test_every_entity_that_is_referred_to_is_described_or_elsewhere(tmp_path: Path) -> None:
    found = entities(crates.make(tmp_path))
    referred = {
        identifier
        for entity in found.values()
        for value in entity.values()
        for item in (value if isinstance(value, list) else [value])
        if isinstance(item, dict)
        for identifier in [item["@id"]]
    }
    elsewhere = {i for i in referred - set(found) if i.startswith("https://")}
    assert referred - set(found) == elsewhere


# --- nothing that is not certified -------------------------------------------------------------


def test_digests_are_those_that_the_certificate_names(tmp_path: Path) -> None:
    results = crates.make(tmp_path)
    report = results.content()["report"]
    found = {i.lstrip("#"): e["sha256"] for i, e in entities(results).items() if "sha256" in e}
    for name, digest in crate.known_digests(report).items():
        assert found.pop(crate.WORKFLOW if name == "Snakefile" else name) == digest
    assert found == {path.name: files.digest(path) for path in (results.certificate, results.page)}
    assert entities(results)["#dataset"]["identifier"] == report["records"]["load"]["digest"]


@pytest.mark.parametrize(
    ("keyid", "name"), [(None, "UNSIGNED"), (KEYID, f"key {KEYID}")], ids=["unsigned", "signed"]
)
def test_who_vouches_is_a_key_or_nobody(tmp_path: Path, keyid: str | None, name: str) -> None:
    results = crates.make(tmp_path, keyid)
    found = entities(results)
    assert found[action(results)["agent"]["@id"]]["name"] == name
    for words in (found["./"]["name"], found["./"]["description"]):
        assert ("UNSIGNED" in words) == (keyid is None)


def test_it_ends_when_the_certificate_was_issued_and_starts_with_the_first_training(
    tmp_path: Path,
) -> None:
    """A run whose clock was shifted does not tell when it started."""
    results = crates.make(tmp_path)
    records = results.content()["report"]["records"]
    assert "clock" in records["runs"]["replica"]["variations"]["applied"]
    records["runs"]["replica"]["timing"]["started"] = "2019-01-01T00:00:00Z"
    results.edit(records=records)
    done = action(results)
    assert (done["startTime"], done["endTime"]) == ("2026-11-23T11:00:00Z", "2026-11-23T12:00:00Z")


def test_runs_that_did_not_end_well_are_called_what_they_are(tmp_path: Path) -> None:
    results = crates.make(tmp_path)
    records = results.content()["report"]["records"]
    records["runs"]["control"]["status"], records["runs"]["replica"] = "failed", None
    results.edit(records=records)
    found = entities(results)
    assert "The training run control: failed." in found["train/control/"]["description"]
    assert "without a valid record" in found["train/replica/"]["description"]


def test_evidence_that_nobody_could_read_is_not_described(tmp_path: Path) -> None:
    results = crates.make(tmp_path)
    report = results.content()["report"]
    lost = {"compare/replica.json", "load/record.json"}
    for item in report["evidence"]:
        if item["name"] in lost:
            item |= {"sha256": None, "problem": "no such file"}
    (results.folder / "compare" / "replica.json").unlink()
    report["records"]["load"] = None
    results.edit(**report)
    crate.require_unchanged(report, results.folder)
    assert not {*lost, "#load/record.json", "#dataset"} & set(entities(results))


def test_evidence_that_changed_or_went_is_refused_by_name(tmp_path: Path) -> None:
    results = crates.make(tmp_path)
    report = results.content()["report"]
    crate.require_unchanged(report, results.folder)
    (results.folder / "config.json").write_text("{}")
    (results.folder / "train" / "control" / "record.json").unlink()
    with pytest.raises(SamebitsError) as refused:
        crate.require_unchanged(report, results.folder)
    lines = str(refused.value).splitlines()
    assert "config.json: expected sha256 " in lines[0]
    assert lines[1].endswith("got no such file")
    assert len(lines) == 3


def test_the_same_results_give_the_same_bytes_in_any_folder(tmp_path: Path) -> None:
    one, other = crates.make(tmp_path / "one"), crates.make(tmp_path / "other" / "folder")
    assert text(one) == text(one) == text(other)
