#!/usr/bin/env python3
"""Build an environment from its lock, with uv, where there is no conda.

INPUTS      --lock envs/X.lock.txt: which files, and for which Python
OUTPUTS     --output DIR: a virtual environment; DIR/environment.json lists its packages,
            DIR/installed.json its importable files
GUARANTEES  exactly the locked files are installed, as their wheels' RECORD says; DIR is complete
            or absent, however many processes build it and wherever one is killed; a complete one
            is left as it is
"""

import platform
import sys

from samebits.arguments import parser
from samebits.environments import build, uv
from samebits.errors import SamebitsError, run


def _check_machine() -> None:
    if (sys.platform, platform.machine()) != ("linux", "x86_64"):
        raise SamebitsError(
            "expected Linux on x86_64, for which envs/*.lock.txt name the files; got "
            f"{sys.platform} on {platform.machine()}"
        )


def main() -> int:
    """Build the environment unless it is complete."""
    options = parser(__doc__, "lock", "output").parse_args()
    _check_machine()
    built = build.build(options.output.absolute(), options.lock, uv.beside_python())
    print(f"{options.output}: {'built' if built else 'up to date'}")
    return 0


if __name__ == "__main__":
    run(main)
