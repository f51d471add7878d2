"""Snakemake's conda deployment on a machine that reaches no conda channel.

Snakemake's own code, its hashing, the pins' digests, activation and the unchanged post-deploy
scripts are really exercised; conda itself and conda-forge's archives are not. `conda.py` stands
for the conda calls that Snakemake makes; `channel.py` makes a channel on disk out of the Python
that runs the tests and the wheels of what the pins have beside it; a workflow's copy is told of
that channel by rewriting its pin files.
"""

import json
import os
import platform
import re
import sys
from dataclasses import dataclass
from pathlib import Path

from conda_standin import channel

_HERE = Path(__file__).resolve().parent
_PIN = re.compile(r"\S+/(?:linux-64|noarch)/([a-z0-9_.-]+)-([^-]+)-[^-]+\.(?:conda|tar\.bz2)#\S+$")
_WHEELS = ("packaging", "pip", "setuptools", "wheel")  # the pinned packages that are pure Python


def pinned(pins: Path) -> dict[str, str]:
    """Name and version of each package in a pin file."""
    found = [match for match in map(_PIN.match, pins.read_text().splitlines()) if match]
    return {match.group(1): match.group(2) for match in found}


@dataclass(frozen=True)
class CondaStandin:
    """A stand-in and its channel, below one folder."""

    folder: Path

    def environ(self) -> dict[str, str]:
        """The variables under which Snakemake finds the stand-in."""
        return {
            "PATH": f"{self.folder / 'bin'}{os.pathsep}{os.environ['PATH']}",
            "CONDA_STANDIN_CHANNEL": str(self.folder / "channel"),
        }

    def localize(self, envs: Path) -> None:
        """Point the pin files and definitions of a workflow's copy to the channel on disk.

        Packages that the channel lacks are dropped: they are inside the repackaged Python.
        """
        here = self._packages()
        for pins in envs.glob("*.linux-64.pin.txt"):
            kept = [here[name] for name in pinned(pins) if name in here]
            pins.write_text("# platform: linux-64\n@EXPLICIT\n" + "".join(f"{u}\n" for u in kept))
        for definition in envs.glob("*.yaml"):
            text = definition.read_text()
            running = f"python={platform.python_version()}"
            definition.write_text(re.sub(r"python=3\.11\.\d+", running, text))

    def _packages(self) -> dict[str, str]:
        """Name and explicit line, URL#sha256, of each package in the channel."""
        lines = {}
        for subdir in ("linux-64", "noarch"):
            place = self.folder / "channel" / subdir
            index = json.loads((place / "repodata.json").read_text())
            for file, record in index["packages.conda"].items():
                lines[record["name"]] = f"{(place / file).as_uri()}#{record['sha256']}"
        return lines


def make(folder: Path, pins: Path) -> CondaStandin:
    """Make a stand-in below a folder, with a channel for what a pin file of Python 3.11 names."""
    versions = {name: version for name, version in pinned(pins).items() if name in _WHEELS}
    channel.make(folder / "channel", versions)
    binaries = folder / "bin"
    binaries.mkdir()
    conda = binaries / "conda"
    conda.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{_HERE / "conda.py"}" "$@"\n')
    conda.chmod(0o755)
    (binaries / "activate").symlink_to(_HERE / "activate")
    return CondaStandin(folder)
