#!/usr/bin/env python3
"""Put all certificates of a sweep side by side.

INPUTS      --sweep  the file that lists the combinations: the digest of each experiment, and the
                     folder beside this file that has its certificate and its page
            the certificates that it lists
OUTPUTS     --page   the index as one HTML page with links to the certificates' pages
            --table  the same as CSV (RFC 4180)
GUARANTEES  nothing that is not in the certificates; a certificate that is missing, damaged or of
            another experiment is an error and leaves no output; one that nobody signed is marked;
            equal certificates give equal bytes
"""

from samebits import errors
from samebits.arguments import parser
from samebits.pages import index


def main() -> int:
    """Read the certificates, write page and table."""
    options = parser(__doc__, "sweep", "page", "table").parse_args()
    index.write(options.sweep, options.page, options.table)
    return 0


if __name__ == "__main__":
    errors.run(main)
