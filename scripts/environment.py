#!/usr/bin/env python3
"""Build an environment from its lock, with uv, where there is no conda.

INPUTS      --lock envs/X.lock.txt (which files), --definition envs/X.yaml (which Python; without
            one, as for the driver, the lock's)
OUTPUTS     --output DIR: a virtual environment; DIR/environment.json lists its packages,
            DIR/installed.json its importable files
GUARANTEES  exactly the locked files are installed, as their wheels' RECORD says; DIR is complete
            or absent, however many processes build it and wherever one is killed; a complete one
            is left as it is
"""

import platform
import sys
from pathlib import Path

from samebits.arguments import parser
from samebits.environments import build, uv
from samebits.errors import SamebitsError, run
from samebits.formats import lockfile


def _check_machine() -> None:
    if (sys.platform, platform.machine()) != ("linux", "x86_64"):
        raise SamebitsError(
            "expected Linux on x86_64, for which envs/*.lock.txt name the files; got "
            f"{sys.platform} on {platform.machine()}"
        )


def _check_python(definition: Path, lock: Path) -> None:
    """Raise SamebitsError unless the definition asks for the Python of the lock."""
    wanted, locked = build.python_minor(definition), lockfile.read(lock).python
    if wanted != locked:
        raise SamebitsError(
            f"{lock}: expected a lock for Python {wanted}, as in {definition}, got {locked}; "
            "run: make locks"
        )


def main() -> int:
    """Build the environment unless it is complete."""
    options = parser(__doc__, "lock", "output", optional=["definition"]).parse_args()
    _check_machine()
    if options.definition:
        _check_python(options.definition, options.lock)
    built = build.build(options.output.absolute(), options.lock, uv.beside_python())
    print(f"{options.output}: {'built' if built else 'up to date'}")
    return 0


if __name__ == "__main__":
    run(main)
