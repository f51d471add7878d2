#!/usr/bin/env python3
"""Put the tested claims of the article on one page.

INPUTS      --claim   JSON that claim.py wrote; once per claim and framework
OUTPUTS     --output  claims.json: all of them, by claim and TensorFlow version
            --page    the same as one HTML page
GUARANTEES  every cell of the page is a measured outcome of one experiment on one machine: a
            claim that is missing on a framework, or there twice, and results of different data or
            machines are errors and leave no output
"""

import argparse
from pathlib import Path

from samebits import claims_page, errors
from samebits.formats import canonical, files


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Put the tested claims on one page.")
    parser.add_argument("--claim", required=True, type=Path, nargs="+", metavar="FILE")
    for name in ("output", "page"):
        parser.add_argument(f"--{name}", required=True, type=Path)
    return parser.parse_args()


def main() -> int:
    """Collect, write the JSON and the page."""
    options = _arguments()
    collected = claims_page.collect([canonical.read_json(path) for path in options.claim])
    files.write_bytes(options.page, claims_page.render(collected).encode("utf-8"))
    canonical.write_json(options.output, collected)  # last: where it is, the page is too
    return 0


if __name__ == "__main__":
    errors.run(main)
