#!/usr/bin/env python3
"""What ./samebits runs: a command and its words.

INPUTS      COMMAND WORD…, see samebits/workflow/commands.py
OUTPUTS     those of the Snakefile, in the working folder
GUARANTEES  a wrong word ends with exit code 2 and the nearest right one, before anything is made
"""

import sys

from samebits import errors
from samebits.workflow import commands

if __name__ == "__main__":
    errors.run(lambda: commands.run(sys.argv[1:]), errors.USAGE)
