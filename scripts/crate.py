#!/usr/bin/env python3
"""Describe the results for other programs: SBOMs and an RO-Crate.

INPUTS      --certificate  certificate.json, as certify.py wrote it
            --page         the certificate as a page
            --badge        its verdict as a picture
            --bundle       the certificate with all its evidence, as a zip
            --workflow     the Snakefile that ran
            --lock         the lock of an environment that the certificate names; once per lock
            --folder       the results' folder; all of these lie in it, except the locks
OUTPUTS     --sbom         a folder: one CycloneDX file per lock
            --output       ro-crate-metadata.json, which describes the folder; a copy of the
                           Snakefile, workflow.smk, lies beside it
GUARANTEES  nothing is said that is not in the certificate; evidence and locks that differ from
            it are refused; the same inputs give the same bytes; the RO-Crate is written last, so
            if it exists, so do the SBOMs; files are written atomically
"""

import argparse
from collections.abc import Iterator

from samebits import errors
from samebits.arguments import parser
from samebits.certificate import signatories
from samebits.exchange import crate, sbom
from samebits.formats import files, lockfile


def _write_sboms(options: argparse.Namespace, issued: str) -> None:
    with files.atomic_folder(options.sbom) as beside:
        for path in options.lock:
            name = path.name.removesuffix(lockfile.SUFFIX)
            text = sbom.of_lock(lockfile.read(path), name, issued)
            files.write_bytes(beside / f"{name}{sbom.SUFFIX}", text.encode())


def _renderings(options: argparse.Namespace) -> Iterator[crate.Rendering]:
    words = {
        "page": "The certificate as a page.",
        "bundle": "The certificate with all the evidence that it names.",
        "badge": "The verdict as a picture. It proves nothing.",
    }
    for name, description in words.items():
        yield crate.Rendering(getattr(options, name), description)
    for path in options.lock:
        name = path.name.removesuffix(lockfile.SUFFIX)
        made = options.sbom / f"{name}{sbom.SUFFIX}"
        description = f"The packages of the environment {name}, in CycloneDX 1.6."
        yield crate.Rendering(made, description, lock=f"envs/{path.name}")


def main() -> int:
    """Read, check that all files belong together, write."""
    required = ("certificate", "page", "badge", "bundle", "folder", "workflow", "sbom", "output")
    options = parser(__doc__, *required, several=["lock"]).parse_args()
    certificate = signatories.read(options.certificate)
    named = (*options.lock, options.workflow)
    crate.require_unchanged(certificate["report"], options.folder, *named)
    options.output.unlink(missing_ok=True)
    _write_sboms(options, certificate["report"]["issued"])
    files.write_bytes(options.folder / crate.WORKFLOW, options.workflow.read_bytes())
    text = crate.describe(options.certificate, options.folder, list(_renderings(options)))
    files.write_bytes(options.output, text.encode())
    return 0


if __name__ == "__main__":
    errors.run(main)
