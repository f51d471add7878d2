#!/usr/bin/env python3
"""Put a certificate and the evidence that it lists into one file that can be handed on.

INPUTS      --certificate  certificate.json, as certify.py wrote it
            --config       the resolved config
            --lock         the lock of the environment that the runs trained in
            --load-record  record.json, as load.py wrote it
            --run          a folder that train.py wrote; once per run
            --comparison   a file that compare.py wrote; once per comparison
            --source-path  the project of a program, whose own files come with it (optional)
OUTPUTS     --output       certificate.zip: certificate.json, every file that its report lists, by
                           the name that it has there, and the control's state after each epoch
                           where it has checkpoints; with --source-path below source/ the files
                           of the program that the control executed
GUARANTEES  the same files give the same bytes, everywhere; every file has the digest that the
            certificate names; it holds nothing else, not even the data set; written
            atomically
"""

import argparse
from collections.abc import Iterator, Mapping
from pathlib import Path

from samebits import errors
from samebits.arguments import parser
from samebits.certificate import signatories
from samebits.certificate.types import Report
from samebits.formats import bundle, files, states
from samebits.formats.names import CERTIFICATE_FILE


def _given(options: argparse.Namespace) -> dict[str, Path]:
    """The files and folders that the flags name, under the names that a certificate has."""
    found = {"config.json": options.config, "load/record.json": options.load_record}
    found |= {f"envs/{options.lock.name}": options.lock}
    found |= {f"compare/{path.name}": path for path in options.comparison}
    found |= {bundle.SOURCE: options.source_path} if options.source_path else {}
    return found | {f"train/{path.name}": path for path in options.run}


def _path(given: Mapping[str, Path], name: str) -> Path | None:
    """Where a file lies; None when no flag names it or its run."""
    if name.startswith(f"{bundle.SOURCE}/"):
        return given[bundle.SOURCE] / name[len(bundle.SOURCE) + 1 :]
    run = "/".join(name.split("/")[:2])
    return given[run] / name[len(run) + 1 :] if run in given else None


def _problems(given: Mapping[str, Path], named: Mapping[str, str]) -> Iterator[str]:
    """The files that are missing, or have another digest than in the certificate."""
    for name, sha256 in named.items():
        path = _path(given, name)
        if path is None:
            yield f"{name}: in no file or folder that was given"
        elif not path.is_file():
            yield f"{name}: there is no file {path}"
        elif (got := files.digest(path)) != sha256:
            yield f"{name}: {path} has SHA-256 {got}, not {sha256}"


def _named(report: Report) -> dict[str, str]:
    """The SHA-256 of every file that a certificate names, by name."""
    found = {d["name"]: d["sha256"] for d in report["evidence"] if d["sha256"] is not None}
    found |= states.kept(report)
    bundle.refuse("expected names of files in the certificate, got", bundle.name_problems(found))
    return found


def _files(issued: Path, given: Mapping[str, Path]) -> dict[str, Path]:
    """All files of the bundle by name."""
    report = signatories.read(issued)["report"]
    named = _named(report)
    if bundle.SOURCE in given:
        named |= bundle.sources(report)
    bundle.refuse(f"these files do not match {issued}; certify again:", _problems(given, named))
    found = {name: _path(given, name) for name in named}
    return {name: path for name, path in found.items() if path} | {CERTIFICATE_FILE: issued}


def main() -> int:
    """Find the listed files, check them and write the bundle."""
    required = ("certificate", "config", "lock", "load-record", "output")
    several = ("run", "comparison")
    options = parser(__doc__, *required, several=several, optional=("source-path",)).parse_args()
    bundle.write(options.output, _files(options.certificate, _given(options)))
    return 0


if __name__ == "__main__":
    errors.run(main)
