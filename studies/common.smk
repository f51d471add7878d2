"""
Shared by the studies: the product's rules, and the inputs of a study's program.

INPUTS      the product's Snakefile
OUTPUTS     .samebits/code/DIGEST.json for each program, when Snakemake reads this file
GUARANTEES  a program runs again when any file that it imports has changed
"""


include: "../Snakefile"


import os
import shlex
import sys

from samebits.config import sources
from samebits.formats import files
from samebits.workflow import start

STUDIES = CHECKOUT / "studies"
sys.path.insert(0, str(STUDIES))
PATHS = shlex.quote(f"PYTHONPATH={SCRIPTS}:{STUDIES}")


def study(program, environment_name):
    """The inputs of a study's program from the checkout, and its environment."""
    script = STUDIES / program
    own = sources.closure(script, STUDIES)
    imported = own.union(*(sources.closure(path, SCRIPTS) for path in own))
    code = {os.path.relpath(path, CHECKOUT): files.digest(path) for path in imported}
    return {
        "environment": environment(environment_name),
        "launch": LAUNCH,
        "script": script,
        "code": start.stored("code", code),
    }
