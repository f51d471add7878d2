"""The packages of an environment as CycloneDX 1.6 (ECMA-424), from its lock alone.

The same lock and moment give the same bytes: the serial number is derived from the lock's digest.
"""

import hashlib
import json
import uuid
from datetime import datetime
from typing import Any

from cyclonedx.model import HashAlgorithm, HashType, Property
from cyclonedx.model.bom import Bom, BomMetaData
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.model.lifecycle import LifecyclePhase, PredefinedLifecycle
from cyclonedx.output.json import JsonV1Dot6
from packageurl import PackageURL

from samebits.formats.lockfile import Lock, LockedPackage

SUFFIX = ".cdx.json"  # by which programs know the format


def of_lock(lock: Lock, name: str, issued: str) -> str:
    """The SBOM of the environment ``name`` as JSON text, issued at a moment (RFC 3339)."""
    digest = hashlib.sha256(lock.text().encode()).hexdigest()
    environment = Component(
        name=f"samebits environment {name}",
        version=digest,
        type=ComponentType.APPLICATION,
        bom_ref=f"environment/{name}",
        description="The packages of a lock file, nothing below Python. Version: its SHA-256.",
    )
    python = Component(
        name="CPython",
        version=lock.python,
        type=ComponentType.PLATFORM,
        bom_ref="python",
        description="The minor version that the packages were locked for.",
    )
    bom = Bom(
        components=[python, *(_package(package, lock) for package in lock.packages)],
        serial_number=uuid.uuid5(uuid.NAMESPACE_OID, digest),
        metadata=BomMetaData(
            component=environment,
            timestamp=datetime.fromisoformat(issued),
            lifecycles=[PredefinedLifecycle(LifecyclePhase.PRE_BUILD)],  # not from an installation
        ),
    )
    bom.register_dependency(environment, bom.components)
    document: dict[str, Any] = json.loads(JsonV1Dot6(bom).output_as_string())
    # The library writes an empty entry for every component, which would claim that it depends on
    # nothing. A lock does not know that; without an entry, dependencies are unknown.
    known = [entry for entry in document["dependencies"] if "dependsOn" in entry]
    return json.dumps(document | {"dependencies": known}, indent=2, sort_keys=True) + "\n"


def _package(package: LockedPackage, lock: Lock) -> Component:
    form = "source archive" if package.name in lock.from_sdist else "wheel"
    form = "RECORD" if lock.as_installed else form
    return Component(
        name=package.name,
        version=package.version,
        type=ComponentType.LIBRARY,
        bom_ref=f"package/{package.name}",
        purl=PackageURL("pypi", name=package.name, version=package.version),
        hashes=[HashType(alg=HashAlgorithm.SHA_256, content=package.sha256)],
        properties=[Property(name="samebits:distribution", value=form)],  # of which the hash is
    )
