"""Running uv: a user's settings decide where packages come from, never which.

Hashes protect the installed files, so a mirror, a proxy or a cache may be anywhere: uv's own
configuration files and the index that pip is configured with are used. Variables that could change
the result (constraints, PYTHONPATH, targets) are kept out; a change that a
configuration file makes all the same is found when the environment is compared with its lock.
"""

import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from samebits.errors import SamebitsError
from samebits.text import duration, say

_DROPPED_PREFIXES = ("PYTHON", "PIP_", "UV_", "CONDA_", "VIRTUAL_ENV")
_KEPT = (
    # where packages and interpreters are asked for
    "UV_DEFAULT_INDEX", "UV_INDEX", "UV_INDEX_URL", "UV_EXTRA_INDEX_URL", "UV_INDEX_STRATEGY",
    "UV_FIND_LINKS", "UV_NO_INDEX", "UV_KEYRING_PROVIDER", "UV_INSECURE_HOST",
    "UV_PYTHON_DOWNLOADS", "UV_PYTHON_INSTALL_MIRROR", "UV_PYTHON_INSTALL_DIR",
    "UV_PYTHON_DOWNLOADS_JSON_URL",
    # how the network and the cache are used
    "UV_OFFLINE", "UV_SYSTEM_CERTS", "UV_NATIVE_TLS", "UV_HTTP_TIMEOUT", "UV_HTTP_RETRIES",
    "UV_REQUEST_TIMEOUT", "UV_CONCURRENT_DOWNLOADS", "UV_CONCURRENT_BUILDS",
    "UV_CONCURRENT_INSTALLS", "UV_CACHE_DIR", "UV_NO_CACHE",
)  # fmt: skip
# Where pip, and not uv, is configured with an index.
_OF_PIP = {
    "PIP_INDEX_URL": "UV_DEFAULT_INDEX",
    "PIP_EXTRA_INDEX_URL": "UV_INDEX",
    "PIP_FIND_LINKS": "UV_FIND_LINKS",
}
_INDEX_OF_UV = ("UV_DEFAULT_INDEX", "UV_INDEX_URL")
# The machine's own certificate authorities, where distributions keep them. A company's proxy is
# known only there; uv alone trusts the authorities that it was built with.
_AUTHORITIES = (
    Path("/etc/ssl/certs/ca-certificates.crt"),
    Path("/etc/pki/tls/certs/ca-bundle.crt"),
    Path("/etc/ssl/ca-bundle.pem"),
)
_TAIL = 20  # lines of uv's own message in an error


def hermetic(environ: Mapping[str, str]) -> dict[str, str]:
    """The environment for uv: without variables that could change which files are installed."""
    kept = {
        name: value
        for name, value in environ.items()
        if name in _KEPT or not name.startswith(_DROPPED_PREFIXES) or _is_credential(name)
    }
    defaults = _index_of_pip(environ)
    if any(path.is_file() for path in _AUTHORITIES):
        defaults["UV_SYSTEM_CERTS"] = "1"
    # Copies: who edits a file that is linked to the cache edits it in every environment.
    return {**defaults, **kept, "UV_LINK_MODE": "copy", "UV_NO_PROGRESS": "1", "NO_COLOR": "1"}


def _index_of_pip(environ: Mapping[str, str]) -> dict[str, str]:
    """pip's index in uv's words, unless uv is configured with one."""
    if not environ.get("PIP_INDEX_URL") or any(environ.get(name) for name in _INDEX_OF_UV):
        return {}
    return {theirs: environ[name] for name, theirs in _OF_PIP.items() if environ.get(name)}


def _is_credential(name: str) -> bool:
    """UV_INDEX_<NAME>_USERNAME and _PASSWORD: the keys to a user's own index."""
    return name.startswith("UV_INDEX_") and name.endswith(("_USERNAME", "_PASSWORD"))


def beside_python() -> Path:
    """The uv of the running interpreter's environment, whose version the driver lock fixes."""
    uv = Path(sys.prefix) / "bin" / "uv"
    if not uv.is_file():
        raise SamebitsError(
            f"{uv} does not exist; start this with the driver's Python, whose lock brings uv "
            "(./samebits builds it)"
        )
    return uv


@dataclass
class Downloads:
    """Says of what uv prints which files it downloads: size, how many of how many, the time left.

    uv names only files that are large enough to be waited for.
    """

    what: str  # they are for
    began: float = field(default_factory=time.monotonic)
    sizes: dict[str, float] = field(default_factory=dict)  # bytes
    done: list[str] = field(default_factory=list)

    def hear(self, line: str) -> None:
        """Take one line of uv's."""
        if found := _DOWNLOADING.fullmatch(line):
            self.sizes[found[1]] = float(found[2]) * _UNITS[found[3]]
            if self.sizes[found[1]] >= _LARGE:
                say(f"{self.what}: downloading {found[1]}, {_mebibytes(self.sizes[found[1]])}")
        elif (found := _DOWNLOADED.fullmatch(line)) and found[1] in self.sizes:
            self.done.append(found[1])
            so_far, whole = sum(map(self.sizes.__getitem__, self.done)), sum(self.sizes.values())
            left = (time.monotonic() - self.began) / so_far * (whole - so_far)
            say(
                f"{self.what}: downloaded {len(self.done)} of {len(self.sizes)} large files, "
                f"{so_far / 2**20:,.1f} of {_mebibytes(whole)}, {duration(left)} left"
            )


_DOWNLOADING = re.compile(r"Downloading (\S+) \(([\d.]+)([KMG]iB)\)")
_DOWNLOADED = re.compile(r"Downloaded (\S+)")
_UNITS = {"KiB": 2.0**10, "MiB": 2.0**20, "GiB": 2.0**30}
_LARGE = 64 << 20  # bytes from which on the beginning is said as well


def _mebibytes(size: float) -> str:
    return f"{size / 2**20:,.1f} MiB"


def run(
    uv: Path,
    arguments: Sequence[str],
    hint: str = "",
    keep_open: Sequence[int] = (),
    environ: Mapping[str, str] = os.environ,
    hear: Callable[[str], None] = lambda line: None,
) -> str:
    """Run uv and return what it printed.

    ``keep_open`` are file descriptors that uv inherits; ``hear`` gets each line of its messages
    when it comes. Raises SamebitsError with the end of these messages and ``hint`` as the next
    step.
    """
    messages: list[str] = []
    with tempfile.TemporaryFile("w+", errors="replace") as printed:
        with subprocess.Popen(
            [str(uv), *arguments],
            env=hermetic(environ),
            stdin=subprocess.DEVNULL,
            stdout=printed,
            stderr=subprocess.PIPE,
            errors="replace",  # and so as text
            pass_fds=tuple(keep_open),
        ) as process:
            for line in process.stderr or ():
                messages.append(line)
                hear(line.strip())
        printed.seek(0)
        output = printed.read()
    if process.returncode != 0:
        last = "".join(messages).strip().splitlines()[-_TAIL:]
        tail = "\n".join(f"  | {line}" for line in last)
        raise SamebitsError(
            f"`uv {' '.join(arguments[:2])}` failed with exit code {process.returncode}:\n"
            f"{tail}\n{hint}"
        )
    return output
