"""From requirements to the one file of each package that an installer takes on Linux x86_64."""

import re
import tempfile
from collections.abc import Sequence, Set
from pathlib import Path
from typing import Any

import tomllib
from packaging.tags import Tag, compatible_tags, cpython_tags
from packaging.utils import parse_wheel_filename

from samebits.environments import uv as uv_tool
from samebits.errors import SamebitsError
from samebits.formats.lockfile import Lock, LockedPackage

_PLATFORM = "x86_64-manylinux_2_28"  # glibc 2.28: Debian 10, RHEL 8 and later
_GLIBC_MINORS = range(28, 4, -1)
_LEGACY = {17: "manylinux2014", 12: "manylinux2010", 5: "manylinux1"}
_FLAGS = ("--quiet", "--no-header", "--no-annotate", "--emit-build-options")
_NO_BINARY = re.compile(r"^--no-binary (\S+)$", re.MULTILINE)
_HINT = "check the requirements and the network"


def resolve(
    uv: Path, requirements: Path, python: str, preferred: Lock | None, flags: Sequence[str] = ()
) -> tuple[list[LockedPackage], list[str]]:
    """The packages for a requirements file, and which of them are built from a source archive.

    ``preferred``: versions to keep where they still fit. ``flags``: further ones of uv.
    Raises SamebitsError with uv's message when there is no solution.
    """
    with tempfile.TemporaryDirectory() as folder:
        pins, files = Path(folder, "pins.txt"), Path(folder, "pylock.toml")
        if preferred:  # uv prefers the versions that its output file names
            pins.write_text("".join(f"{p.name}=={p.version}\n" for p in preferred.packages))
        only = [f"--python-version={python}", f"--python-platform={_PLATFORM}"]
        compile_ = ["pip", "compile", *_FLAGS, *flags, *only]
        form = ["--only-binary", ":all:", "-o", str(pins)]
        uv_tool.run(uv, [*compile_, str(requirements), *form], _HINT)
        alone = ["--no-deps"] * ("--no-deps" not in flags)
        form = [*alone, "--format", "pylock.toml", "-o", str(files)]
        uv_tool.run(uv, [*compile_, str(pins), *form], _HINT)
        found = tomllib.loads(files.read_text())["packages"]
        from_sdist = _NO_BINARY.findall(pins.read_text())
    known = {package.sha256 for package in preferred.packages} if preferred else set()
    names = {package["name"] for package in found}
    packages = [_locked(package, python, package["name"] in from_sdist, known) for package in found]
    return packages, [name for name in from_sdist if name in names]


def _locked(package: dict[str, Any], python: str, sdist: bool, known: Set[str]) -> LockedPackage:
    if not {"wheels", "sdist"} & set(package):
        raise SamebitsError(
            f"{package['name']}: no release of a package index; it cannot be locked"
        )
    file = package["sdist"] if sdist else _best(package.get("wheels", ()), _tags(python), known)
    if file is None:
        raise SamebitsError(
            f"{package['name']}=={package['version']}: expected a wheel for CPython {python} on "
            "Linux x86_64, got none; choose another version, or add --no-binary with the reason"
        )
    return LockedPackage(package["name"], package["version"], file["hashes"]["sha256"])


def _best(
    wheels: Sequence[dict[str, Any]], tags: list[Tag], known: Set[str] = frozenset()
) -> dict[str, Any] | None:
    """The wheel that an installer prefers: the most specific of its tags comes first.

    One that is ``known`` stays, even when a release got a better wheel afterwards.
    """
    rank = {tag: position for position, tag in enumerate(tags)}

    def position(wheel: dict[str, Any]) -> int:
        name = wheel.get("name") or (wheel.get("url") or wheel["path"]).rpartition("/")[2]
        return min(rank.get(tag, len(rank)) for tag in parse_wheel_filename(name)[3])

    fitting = [wheel for wheel in wheels if position(wheel) < len(rank)]
    locked = [wheel for wheel in fitting if wheel["hashes"]["sha256"] in known]
    return min(locked or fitting, key=position, default=None)


def _tags(python: str) -> list[Tag]:
    """The tags that CPython of a minor version accepts on Linux x86_64, the most specific first."""
    version = tuple(map(int, python.split(".")))
    name = f"cp{version[0]}{version[1]}"
    abi = name + ("m" if version < (3, 8) else "")  # the suffix ended with Python 3.8
    platforms = []
    for minor in _GLIBC_MINORS:
        platforms.append(f"manylinux_2_{minor}_x86_64")
        platforms += [f"{_LEGACY[minor]}_x86_64"] if minor in _LEGACY else []
    platforms.append("linux_x86_64")
    specific = list(cpython_tags(version, [abi], platforms))
    return specific + list(compatible_tags(version, name, platforms))
