"""The most memory that a stage's script has, and how long it takes."""

import re
import subprocess
import sys
import time
from dataclasses import dataclass

from pipeline import SCRIPTS

# Runs a script and tells the most memory that its process had, which Linux calls VmHWM.
PROGRAM = """
import runpy, sys
sys.argv = sys.argv[1:]
sys.path.insert(0, sys.argv[0].rpartition("/")[0])
try:
    runpy.run_path(sys.argv[0], run_name="__main__")
finally:
    print(next(line for line in open("/proc/self/status") if line.startswith("VmHWM")))
"""


@dataclass(frozen=True)
class Cost:
    """One process: seconds from its start to its end, and MiB."""

    wall: float
    memory: float


def run(script: str, *arguments: object) -> Cost:
    """Run a stage's script to its end. Raises CalledProcessError with what it said."""
    command = [sys.executable, "-c", PROGRAM, SCRIPTS / f"{script}.py", *arguments]
    started = time.monotonic()
    output = subprocess.check_output(list(map(str, command)), stderr=subprocess.STDOUT)
    wall = time.monotonic() - started
    return Cost(wall, most(output) / 1024)


def most(output: bytes) -> int:
    """KiB, from the output of ``PROGRAM``: what the kernel tells a parent counts its own."""
    (found,) = re.findall(rb"VmHWM:\s+(\d+) kB", output)
    return int(found)
