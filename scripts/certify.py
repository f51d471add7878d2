#!/usr/bin/env python3
"""Grade the evidence, then sign and issue the certificate.

INPUTS      --config       the resolved config; its digest names the experiment
            --name         the experiment's name, as a person calls it
            --lock         the lock of the environment that the runs trained in
            --load-record  what load.py recorded
            --run          a folder that train.py wrote; once per run
            --comparison   what compare.py measured; once per comparison
            --dependency   NAME=FILE: what the stages were installed from and ran; repeatable
            --overridden   a config key that the user set; repeatable
            --repeat       a command that makes this certificate again; once per line (optional)
            the variables SAMEBITS_SIGNING_KEY and SAMEBITS_SIGNING_PASSPHRASE, see keys.py
OUTPUTS     --output       certificate.json (certificate/certificate.schema.json)
GUARANTEES  REPRODUCIBLE only when nothing is missing or inconsistent: evidence that is absent,
            damaged, or of another experiment, data set or process makes the verdict INCONCLUSIVE,
            with every reason; evidence is named by digest; nothing is issued that a third party
            could not verify; without a key the certificate is marked UNSIGNED; written atomically
"""

import argparse
import os
from datetime import UTC, datetime
from pathlib import Path

from samebits import errors
from samebits.arguments import parser
from samebits.certificate import certificate, evidence, report, schema
from samebits.formats import canonical, files
from samebits.signing import trusted
from samebits.verification import levels


def _named(text: str) -> tuple[str, Path]:
    """NAME=FILE."""
    name, _, path = text.partition("=")
    if not name or not path:
        raise argparse.ArgumentTypeError(f"expected NAME=FILE, got {text}")
    return name, Path(path)


def _arguments() -> argparse.Namespace:
    files = ("config", "lock", "load-record", "output")
    made = parser(__doc__, *files, several=("run", "comparison"))
    made.add_argument("--name", required=True)
    made.add_argument("--dependency", type=_named, action="append", default=[])
    for name in ("overridden", "repeat"):
        made.add_argument(f"--{name}", action="append", default=[])
    return made.parse_args()


def _issue(options: argparse.Namespace, keyid: str | None) -> report.Issue:
    return report.Issue(
        name=options.name,
        issued=datetime.now(UTC).strftime(schema.MOMENT),
        how_to_repeat=tuple(options.repeat),
        overridden=tuple(options.overridden),
        keyid=keyid,
    )


def main() -> int:
    """Read, grade, sign, verify, write."""
    options = _arguments()
    given = options.config, options.lock, options.load_record, options.run, options.comparison
    dependencies = {name: files.digest(path) for name, path in options.dependency}
    read = evidence.read(*given, dependencies)
    signer = trusted.load_signer(os.environ)
    found = report.build(read, _issue(options, signer.keyid if signer else None))
    issued = certificate.issue(found, signer)
    levels.require_verifiable(issued)
    canonical.write_json(options.output, issued)
    print(found["verdict"])
    return 0


if __name__ == "__main__":
    errors.run(main)
