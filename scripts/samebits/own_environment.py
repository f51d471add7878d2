"""Start a program in the environment that it needs, whatever Python was asked to run it.

verify.py, diff.py and trust.py call ``enter`` before they import anything else. Any Python from 3.6
on can read this module and those programs: all of their syntax is that old, and this module imports
nothing of samebits.

INPUTS      envs/certify.lock.txt, and the environment that was built from it before
OUTPUTS     that environment, where there is none: see bootstrap.sh
GUARANTEES  a program goes on with exactly the locked packages, or ends with exit code 2 and says
            what to do; nothing is built with --offline; an environment in the working folder is
            not used, since that folder may have come with the certificate that is to be checked
"""

import os
import re
import subprocess
import sys
from pathlib import Path

OFFLINE = "--offline"
_UNUSABLE, _INTERRUPTED = 2, 130
_CHECKOUT = Path(__file__).resolve().parents[2]


def enter(contract: str) -> None:
    """Go on in this process if it is in the environment; else start the program again in there.

    ``contract``: the program's docstring, which is its help, too. Ends the process with 0 after
    help, with 2 where there is no environment, and with 130 when its build was interrupted.
    """
    if {"-h", "--help"}.intersection(sys.argv[1:]):
        print(contract.strip())
        sys.exit(0)
    if _has_locked_packages():
        return
    folder = _built()
    if folder.resolve() == Path(sys.prefix).resolve():
        _stop(f"{folder} does not hold what it was built from; remove it and start again")
    python = str(folder / "bin" / "python")
    # -E -s: neither PYTHONPATH nor the user's own packages may stand before the locked ones.
    os.execv(python, [python, "-E", "-s", *sys.argv])  # noqa: S606


def _has_locked_packages() -> bool:
    if sys.version_info < (3, 11):
        return False
    from importlib import metadata

    lock = (_CHECKOUT / "envs" / "certify.lock.txt").read_text(encoding="utf-8")
    locked = re.findall(r"^([a-z0-9-]+)==(\S+)", lock, re.MULTILINE)
    try:
        return all(metadata.version(name) == version for name, version in locked)
    except metadata.PackageNotFoundError:
        return False


def _built() -> Path:
    """The folder of the environment, which is built if need be."""
    command = ["bash", str(_CHECKOUT / "scripts" / "bootstrap.sh"), "certify"]
    command += [OFFLINE] if OFFLINE in sys.argv else []
    # The Python that runs this may be none of those that are found on PATH.
    places = [os.environ.get("PATH", os.defpath)]
    places += [str(Path(sys.executable).parent)] if sys.executable else []
    try:
        environ = dict(os.environ, PATH=os.pathsep.join(places))
        done = subprocess.run(command, env=environ, stdout=subprocess.PIPE)
    except KeyboardInterrupt:
        print("interrupted; start the same command again to go on", file=sys.stderr)
        sys.exit(_INTERRUPTED)
    if done.returncode:
        _stop("it has no environment to run in, see above")
    return Path(os.fsdecode(done.stdout).rstrip("\n"))


def _stop(why: str) -> None:
    print(f"error: {Path(sys.argv[0]).name}: {why}", file=sys.stderr)
    sys.exit(_UNUSABLE)
