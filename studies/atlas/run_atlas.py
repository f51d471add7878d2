#!/usr/bin/env python3
"""Collect the probes of the battery in the atlas of ops whose bits depend on the CPU.

INPUTS      --probe     a folder that probe.py wrote; once per TensorFlow, CPU and oneDNN setting
OUTPUTS     --output    atlas.json: every op under every condition, what differs and by how much
            --drawn     drawn.json: what drawn shapes showed of oneDNN's primitives
            --page      the same as one HTML page
            --readers   a guide to it in Markdown
GUARANTEES  equal means equal in every bit of every element; a difference comes with the number of
            elements and the largest distance in ULP; a condition that is missing or was not
            what its probe says is an error, and nothing is written
"""

import shutil
import subprocess

from atlas import collect, drawn, page
from samebits import errors
from samebits.arguments import parser
from samebits.formats import canonical, files


def _emulator() -> str:
    """What emulated: its name and version."""
    tool = shutil.which("qemu-x86_64")
    if tool is None:
        return "none"
    said = subprocess.run([tool, "--version"], capture_output=True, text=True, check=True)
    return said.stdout.splitlines()[0].strip()


def main() -> int:
    """Collect, write the JSON and both documents."""
    flags = parser(__doc__, "output", "drawn", "page", "readers", several=["probe"])
    options = flags.parse_args()
    made = collect.collect(options.probe, _emulator())
    made["primitives"] = drawn.primitives(canonical.read_json(options.drawn))
    files.write_bytes(options.page, page.render(made).encode("utf-8"))
    files.write_bytes(options.readers, page.readers_page(made).encode("utf-8"))
    canonical.write_json(options.output, made)  # last: where it is, the documents are too
    return 0


if __name__ == "__main__":
    errors.run(main)
