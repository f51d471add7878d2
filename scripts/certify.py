#!/usr/bin/env python3
"""Grade the evidence and issue the certificate.

INPUTS      --config       the resolved config; its digest names the experiment
            --name         the experiment's name, as a person calls it
            --lock         the lock of the environment that the runs trained in
            --load-record  what load.py recorded
            --run          a folder that train.py wrote; once per run
            --comparison   what compare.py measured; once per comparison
            --checkout     the source tree that ran, asked for its commit (optional)
            --repeat       a command that makes this certificate again; once per line (optional)
OUTPUTS     --output       certificate.json, as scripts/samebits/certificate.schema.json says
            --page         the same as one HTML page, rendered from the certificate alone
GUARANTEES  REPRODUCIBLE only when nothing is missing or inconsistent: evidence that is absent,
            damaged, or of another experiment, data set or process makes the verdict INCONCLUSIVE,
            with every reason; evidence is named by digest; nothing half-written
"""

import argparse
from datetime import UTC, datetime
from pathlib import Path

from samebits import canonical, certificate, checkout, errors, evidence, page


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Grade the evidence and issue the certificate.")
    for name in ("config", "lock", "load-record", "output", "page"):
        parser.add_argument(f"--{name}", required=True, type=Path)
    for name in ("run", "comparison"):
        parser.add_argument(f"--{name}", required=True, type=Path, action="append")
    parser.add_argument("--name", required=True)
    parser.add_argument("--checkout", type=Path)
    parser.add_argument("--repeat", action="append", default=[])
    return parser.parse_args()


def _issue(options: argparse.Namespace) -> certificate.Issue:
    return certificate.Issue(
        name=options.name,
        issued=datetime.now(UTC).strftime(evidence.MOMENT),
        source=checkout.source(options.checkout),
        how_to_repeat=tuple(options.repeat),
    )


def main() -> int:
    """Read, grade, validate, write certificate and page."""
    options = _arguments()
    paths = evidence.Paths(
        options.config, options.lock, options.load_record, options.run, options.comparison
    )
    issued = certificate.build(evidence.read(paths), _issue(options))
    evidence.refuse_invalid(issued)
    html = page.render(issued)
    canonical.write_bytes(options.page, html.encode("utf-8"))
    canonical.write_json(options.output, issued)  # last: where it is, the page is too
    print(issued["verdict"])
    return 0


if __name__ == "__main__":
    errors.run(main)
