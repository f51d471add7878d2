"""Start a program in the environment that it needs, whatever Python was asked to run it.

verify.py, diff.py and trust.py call ``enter`` before they import anything else. Any Python from 3.6
on can read this module and those programs: all of their syntax is that old, and this module imports
nothing of samebits.

INPUTS      envs/certify.lock.txt, and the environments that were built from it before
OUTPUTS     nothing where there is one; else .venv-verify in the checkout or, where nobody may write
            there, an environment in the user's cache folder
GUARANTEES  a program goes on with exactly the locked packages, or ends with exit code 2 and says
            what to do; nothing is built with --offline; an environment in the working folder is
            not used, since that folder may have come with the certificate that is to be checked
"""

import hashlib
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Iterator

OFFLINE = "--offline"
_UNUSABLE, _INTERRUPTED = 2, 130
_OLDEST = (3, 9)  # Python that starts bootstrap.sh
_CHECKOUT = Path(__file__).resolve().parents[2]
_LOCK = _CHECKOUT / "envs" / "certify.lock.txt"


def enter(contract: str) -> None:
    """Go on in this process if it is in the environment; else start the program again in there.

    ``contract``: the program's docstring, which is its help, too. Ends the process with 0 after
    help, with 2 where there is no environment, and with 130 when its build was interrupted.
    """
    if {"-h", "--help"}.intersection(sys.argv[1:]):
        print(contract.strip())
        sys.exit(0)
    lock = _LOCK.read_bytes()
    if _has(lock.decode()):
        return
    digest = hashlib.sha256(lock).hexdigest()
    folder = next((place for place in _places() if _is_built(place, digest)), None) or _build()
    if folder.resolve() == Path(sys.prefix).resolve():
        _stop(f"{folder} does not hold what it was built from; remove it and start again")
    python = str(folder / "bin" / "python")
    # -E -s: neither PYTHONPATH nor the user's own packages may stand before the locked ones.
    os.execv(python, [python, "-E", "-s", *sys.argv])  # noqa: S606


def _has(lock: str) -> bool:
    """Whether this Python has the locked packages, in their versions."""
    if sys.version_info < (3, 11):
        return False
    from importlib import metadata

    locked = re.findall(r"^([a-z0-9-]+)==(\S+)", lock, re.MULTILINE)
    try:
        return all(metadata.version(name) == version for name, version in locked)
    except metadata.PackageNotFoundError:
        return False


def _places() -> Iterator[Path]:
    """Where an environment may be, the first choice first."""
    yield _CHECKOUT / ".venv-verify"
    yield _CHECKOUT / ".samebits" / "environments" / "certify"
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path(os.environ.get("HOME", ""), ".cache"))
    if cache.is_absolute():
        yield cache / "samebits" / "venv-verify"


def _is_built(folder: Path, digest: str) -> bool:
    """Whether a folder holds an environment of the lock with this digest, whose Python is there."""
    record = folder / "environment.json"
    try:
        found = f'"lock":"{digest}"' in record.read_text(encoding="utf-8")
    except OSError:
        return False
    return found and os.access(str(folder / "bin" / "python"), os.X_OK)


def _build() -> Path:
    """Build an environment."""
    command = ["bash", str(_CHECKOUT / "scripts" / "bootstrap.sh"), "certify"]
    if sys.version_info < _OLDEST:
        found, wanted = ("{}.{}".format(*version) for version in (sys.version_info, _OLDEST))
        _stop(
            f"its environment is not built, and Python {found} cannot build it; with Python "
            f"{wanted} or newer, run: python{wanted} {_line(sys.argv)}"
        )
    if OFFLINE in sys.argv:
        _stop(
            f"its environment is not built; where packages can be downloaded, run: {_line(command)}"
        )
    print("building the environment of this program, once", file=sys.stderr, flush=True)
    try:
        done = subprocess.run(command, stdout=subprocess.PIPE, check=False)
    except KeyboardInterrupt:
        print("interrupted; start the same command again to go on", file=sys.stderr)
        sys.exit(_INTERRUPTED)
    if done.returncode:
        _stop("its environment could not be built, see above")
    return Path(os.fsdecode(done.stdout).rstrip("\n"))


def _line(command: "list[str]") -> str:
    return " ".join(map(shlex.quote, command))


def _stop(why: str) -> None:
    print(f"error: {Path(sys.argv[0]).name}: {why}", file=sys.stderr)
    sys.exit(_UNUSABLE)
