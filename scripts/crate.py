#!/usr/bin/env python3
"""Make the certificate's faces for other programs: SBOMs and RO-Crate.

INPUTS      --certificate  certificate.json, as certify.py wrote it
            --page         the same as a page
            --badge        its verdict as a picture
            --bundle       the same with all its evidence, as a zip (optional)
            --workflow     the Snakefile that ran
            --lock         the lock of an environment that the certificate names; once per lock
            --folder       the results' folder, in which all of these lie but for the locks
OUTPUTS     --sbom         a folder: one CycloneDX file per lock
            --output       ro-crate-metadata.json, which describes the folder; a copy of the
                           Snakefile, workflow.smk, lies beside it
GUARANTEES  no face says more than the certificate; evidence and locks that are not what it
            names are refused; the same inputs give the same bytes; the RO-Crate comes last, so
            where it is, the SBOMs are; nothing half-written
"""

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from samebits import errors
from samebits.errors import SamebitsError, all_problems
from samebits.exchange import crate, sbom
from samebits.formats import canonical, files, lockfile

FORMAT = "samebits-certificate-1"


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Make the certificate's other faces.")
    for name in ("certificate", "page", "folder", "badge", "workflow", "sbom", "output"):
        parser.add_argument(f"--{name}", required=True, type=Path)
    parser.add_argument("--bundle", type=Path)
    parser.add_argument("--lock", required=True, type=Path, action="append")
    return parser.parse_args()


def _read(path: Path) -> dict[str, Any]:
    content = canonical.read_json(path)
    got = content.get("format") if isinstance(content, dict) else None
    if got != FORMAT:
        raise SamebitsError(f"{path}: expected the format {FORMAT!r}, got {got!r}; certify again")
    return dict(content)


def _refuse_outside(options: argparse.Namespace) -> None:
    """A crate describes its own folder."""
    names = ("certificate", "page", "bundle", "badge", "sbom", "output")
    given = {name: getattr(options, name) for name in names}
    problems = [
        f"--{name}: expected a path in {options.folder}, got {path}"
        for name, path in given.items()
        if path and not path.resolve().is_relative_to(options.folder.resolve())
    ]
    if problems:
        raise SamebitsError(all_problems(problems))


def _refuse_unknown(paths: Sequence[Path], report: dict[str, Any]) -> None:
    """What an environment held, and what ran, is said only of what the certificate names."""
    known, problems = crate.known_digests(report), []
    for path in paths:
        name = path.name if path.name == crate.SNAKEFILE else f"envs/{path.name}"
        expected, got = known.get(name), files.digest(path)
        if expected is None:
            problems.append(f"{path}: expected a file that the certificate names, got another")
        elif got != expected:
            problems.append(f"{path}: expected sha256 {expected}, got {got}")
    if problems:
        raise SamebitsError(all_problems(problems) + "\ncertify again, or give its own files")


def _write_sboms(options: argparse.Namespace, issued: str) -> None:
    with files.atomic_folder(options.sbom) as beside:
        for path in options.lock:
            name = path.name.removesuffix(lockfile.SUFFIX)
            text = sbom.of_lock(lockfile.read(path), name, issued)
            files.write_bytes(beside / f"{name}{sbom.SUFFIX}", text.encode())


def _faces(options: argparse.Namespace) -> Iterator[crate.Face]:
    words = {
        "page": "The certificate as a page.",
        "bundle": "The certificate with all the evidence that it names.",
        "badge": "The verdict as a picture. It proves nothing.",
    }
    for name, description in words.items():
        path = getattr(options, name)
        if path:
            yield crate.Face(path, description)
    for path in options.lock:
        name = path.name.removesuffix(lockfile.SUFFIX)
        yield crate.Face(
            options.sbom / f"{name}{sbom.SUFFIX}",
            f"The packages of the environment {name}, in CycloneDX 1.6.",
            lock=f"envs/{path.name}",
        )


def main() -> int:
    """Read, refuse what does not belong together, write."""
    options = _arguments()
    certificate = _read(options.certificate)
    _refuse_outside(options)
    _refuse_unknown([*options.lock, options.workflow], certificate["report"])
    crate.refuse_changed(certificate["report"], options.folder)
    options.output.unlink(missing_ok=True)
    _write_sboms(options, certificate["report"]["issued"])
    files.write_bytes(options.folder / crate.WORKFLOW, options.workflow.read_bytes())
    text = crate.describe(options.certificate, options.folder, list(_faces(options)))
    files.write_bytes(options.output, text.encode())
    return 0


if __name__ == "__main__":
    errors.run(main)
