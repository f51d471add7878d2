"""An environment's SBOM names what its lock names, is valid CycloneDX, and the same every time."""

import hashlib
import json
import uuid
from pathlib import Path
from typing import Any

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from samebits.exchange import sbom
from samebits.formats import lockfile
from samebits.formats.lockfile import Lock, LockedPackage

ENVS = Path(__file__).resolve().parents[2] / "envs"
LOCKS = sorted(ENVS.glob(f"*{lockfile.SUFFIX}"))
ISSUED = "2026-11-23T12:00:00Z"


def small() -> Lock:
    packages = LockedPackage("numpy", "2.4.6", "a" * 64), LockedPackage("gast", "0.2.2", "b" * 64)
    return Lock("3.11", {"x.in": "c" * 64}, packages, from_sdist=("gast",))


def document(lock: Lock, name: str = "x", issued: str = ISSUED) -> dict[str, Any]:
    return dict(json.loads(sbom.of_lock(lock, name, issued)))


@pytest.mark.parametrize("path", LOCKS, ids=lambda path: path.name)
def test_the_sbom_of_every_lock_is_valid_and_complete(path: Path) -> None:
    lock = lockfile.read(path)
    text = sbom.of_lock(lock, path.name.removesuffix(lockfile.SUFFIX), ISSUED)
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None
    found = {
        (c["name"], c["version"], c["hashes"][0]["content"], c["purl"])
        for c in json.loads(text)["components"]
        if c["type"] == "library"
    }
    assert found == {
        (p.name, p.version, p.sha256, f"pkg:pypi/{p.name}@{p.version.replace('+', '%2B')}")
        for p in lock.packages
    }


def test_it_names_the_environment_the_moment_and_python() -> None:
    made = document(small(), "train-tf2.21")
    digest = hashlib.sha256(small().text().encode()).hexdigest()
    assert made["specVersion"] == "1.6"
    assert made["metadata"]["timestamp"] == "2026-11-23T12:00:00+00:00"
    assert made["metadata"]["component"]["name"] == "samebits environment train-tf2.21"
    assert made["metadata"]["component"]["version"] == digest
    assert [(c["name"], c["version"]) for c in made["components"] if c["type"] == "platform"] == [
        ("CPython", "3.11")
    ]
    assert made["serialNumber"] == uuid.uuid5(uuid.NAMESPACE_OID, digest).urn


def test_it_says_of_which_file_a_hash_is() -> None:
    forms = {
        c["name"]: c["properties"][0]["value"]
        for c in document(small())["components"]
        if "properties" in c
    }
    assert forms == {"gast": "source archive", "numpy": "wheel"}


def test_it_says_nothing_of_what_packages_depend_on() -> None:
    """An entry without dependencies would say that there are none; a lock does not know."""
    (entry,) = document(small())["dependencies"]
    assert entry["ref"] == document(small())["metadata"]["component"]["bom-ref"]
    assert sorted(entry["dependsOn"]) == ["package/gast", "package/numpy", "python"]


def test_the_same_lock_and_moment_give_the_same_bytes() -> None:
    assert sbom.of_lock(small(), "x", ISSUED) == sbom.of_lock(small(), "x", ISSUED)


def test_another_lock_has_another_serial_number_and_another_moment_the_same() -> None:
    numbers = [
        document(small())["serialNumber"],
        document(small().keep("numpy".__eq__))["serialNumber"],
        document(small(), issued="2027-01-01T00:00:00Z")["serialNumber"],
    ]
    assert numbers[0] == numbers[2] != numbers[1]
