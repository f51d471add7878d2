#!/usr/bin/env python3
"""Show a certificate to people.

INPUTS      --certificate  certificate.json, with or without replays
OUTPUTS     --page         the same as one HTML page
            --badge        verdict, runs and date as one SVG
GUARANTEES  made from the certificate alone, which is not changed; equal certificates give equal
            bytes; a certificate without a signature is marked UNSIGNED on both
"""

from samebits import errors
from samebits.arguments import parser
from samebits.certificate import signatories
from samebits.formats import files
from samebits.pages import certificate as page
from samebits.pages import charts


def main() -> int:
    """Read the certificate, write page and badge."""
    options = parser(__doc__, "certificate", "page", "badge").parse_args()
    certificate = signatories.read(options.certificate)
    files.write_bytes(options.badge, charts.badge(certificate).encode("utf-8"))
    files.write_bytes(options.page, page.render(certificate).encode("utf-8"))
    return 0


if __name__ == "__main__":
    errors.run(main)
