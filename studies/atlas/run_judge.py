#!/usr/bin/env python3
"""Judge the cases of drawn shapes that run_drawn.py computed.

INPUTS      --cases    what it wrote, once per process
OUTPUTS     --output   drawn.json: how many cases were computed where, every kernel that ran in
                       them, every result that is wrong, and every one that depends on the CPU
            --readers  the same in Markdown
GUARANTEES  a process that did not compute all of its cases is an error, and nothing is written
"""

from atlas import drawn, shapes
from samebits import errors
from samebits.arguments import parser
from samebits.formats import canonical, files


def main() -> int:
    """Judge, write."""
    options = parser(__doc__, "output", "readers", several=["cases"]).parse_args()
    made = drawn.judge([drawn.read(path) for path in options.cases])
    files.write_bytes(options.readers, shapes.page(made).encode("utf-8"))
    canonical.write_json(options.output, made)
    return 0


if __name__ == "__main__":
    errors.run(main)
