#!/usr/bin/env python3
"""Decide whether a certificate can be replayed here, before anything is trained.

INPUTS      --certificate  certificate.json, or the bundle that holds it
            --digest       the SHA-256 of the certificate.json that the experiment was composed from
OUTPUTS     --output       admitted.json: which certificate it is, and in what this machine is
                           outside of its scope
GUARANTEES  a certificate that does not hold, or has nothing to compare with, is an error with every
            reason; nothing in it is executed; a machine outside of its scope is told, not refused
"""

import argparse
import os
from pathlib import Path

from samebits import canonical, certified, errors, machine, replay, statements
from samebits.progress import say

FORMAT = "samebits-admitted-1"


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Decide whether a certificate can be replayed.")
    for name in ("certificate", "output"):
        parser.add_argument(f"--{name}", required=True, type=Path)
    parser.add_argument("--digest", required=True)
    return parser.parse_args()


def main() -> int:
    """Verify, look at the machine, tell."""
    options = _arguments()
    with certified.opened(options.certificate) as found:
        certified.refuse_other(found, options.digest)
        content = certified.verified(found.content, os.environ)
        outside = sorted(replay.outside(content["report"], machine.record()))
    for reason in outside:
        say(f"outside of the certificate's scope: {reason}")
    admitted = {
        "format": FORMAT,
        "certificate": options.digest,
        "statement": statements.of(content),
        "outside_scope": outside,
    }
    canonical.write_json(options.output, admitted)
    return 0


if __name__ == "__main__":
    errors.run(main)
