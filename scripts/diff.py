#!/usr/bin/env python3
"""Compare two certified runs: whether their bits differ, where first, and what could be the cause.

INPUTS      A B        each a certificate.json, a bundle, a results folder such as results/default,
                       or the folder of one run, which has a record.json
            --json     print JSON
            --offline  where the environment that checks is not built, do not build it
OUTPUTS     what differs, as text or as JSON
            --output   a file for the JSON: a result, so the exit code is 0 whatever it says
GUARANTEES  a certificate is verified first, whoever signed it, and nothing in it is executed; opens
            no network connection; the bits are those of the control run, by the digests of all of
            its artifacts; the first step and tensors are named where the traces of both are here,
            in bundles or beside certificates; any Python from 3.6 on starts it, as verify.py

Exit codes: 0 same bits, 4 other bits, 1 a certificate does not hold, 2 malformed, wrong usage or no
environment to check in.
"""

if __name__ == "__main__":
    import sys

    sys.dont_write_bytecode = True
    from samebits import own_environment

    own_environment.enter(__doc__)

import json
import os
import sys
from argparse import Namespace
from contextlib import ExitStack
from pathlib import Path

from samebits import errors
from samebits.arguments import parser
from samebits.errors import OTHER, USAGE
from samebits.formats import canonical
from samebits.pages import difference as pages
from samebits.replay.difference import difference
from samebits.replay.sides import side


def _arguments() -> Namespace:
    made = parser(__doc__, optional=("output",))
    for name in ("a", "b"):
        made.add_argument(name, type=Path, metavar=name.upper())
    for flag in ("--json", "--offline"):  # the latter: see own_environment
        made.add_argument(flag, action="store_true")
    return made.parse_args()


def main() -> int:
    """Open both, compare, print."""
    options = _arguments()
    with ExitStack() as opened:
        sides = [opened.enter_context(side(path, os.environ)) for path in (options.a, options.b)]
        found = difference(*sides)
    if options.output:
        canonical.write_json(options.output, found)
    if options.json:
        print(json.dumps(found, indent=2))
    else:
        print(pages.text(found, sys.stdout.isatty()))
    return 0 if found["same"] or options.output else OTHER


if __name__ == "__main__":
    errors.run(main, USAGE)
