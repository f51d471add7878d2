"""The pipeline as a user runs it, in a folder of the tests' own."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from samebits.environments import interpreters, uv
from samebits.errors import SamebitsError

ROOT = Path(__file__).resolve().parents[1]
SCRIPTS = ROOT / "scripts"
LAUNCH = (sys.executable, SCRIPTS / "launch.py", "--python")  # then an interpreter
_LONGEST = 600  # seconds for one command; a hung one must fail and not hang the tests


def command(
    *arguments: object,
    cwd: Path,
    check: bool = True,
    variables: Mapping[str, str] | None = None,
    longest: float = _LONGEST,
) -> subprocess.CompletedProcess[str]:
    """Run a command; its output, both streams joined, is shown when it fails unexpectedly."""
    done = subprocess.run(
        [str(a) for a in arguments],
        cwd=cwd,
        env=os.environ | dict(variables or {}),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=longest,
        check=False,  # asserted below, with the output
    )
    assert not check or done.returncode == 0, done.stdout
    return done


@dataclass(frozen=True)
class Workspace:
    """A working directory that shares its environments between tests."""

    folder: Path

    def snakemake(
        self, *arguments: str, check: bool = True, variables: Mapping[str, str] | None = None
    ) -> str:
        """Run Snakemake as the README says, in this folder; returns what the terminal shows."""
        where = ["--snakefile", ROOT / "Snakefile", "--directory", self.folder, "--cores", "2"]
        profile = ["--workflow-profile", ROOT / "profiles" / "default"]
        done = command(
            sys.executable, "-m", "snakemake", *where, *profile, *arguments,
            cwd=ROOT, check=check, variables=variables,
        )  # fmt: skip
        assert check or done.returncode != 0, f"expected a failure:\n{done.stdout}"
        return done.stdout

    def certify(
        self, name: str, *config: str, variables: Mapping[str, str] | None = None
    ) -> dict[str, Any]:
        """The report in the certificate of the experiment with this name and config."""
        self.snakemake("--config", f"name={name}", *config, variables=variables)
        content = (self.folder / "results" / name / "certificate.json").read_bytes()
        report: dict[str, Any] = json.loads(content)["report"]
        return report

    def python(self, environment: str) -> Path:
        """The interpreter of an environment, built when it is not there yet."""
        record = f".samebits/environments/{environment}/environment.json"
        if not (self.folder / record).is_file():
            self.snakemake(record)
        return self.folder / Path(record).parent / "bin" / "python"

    def json(self, path: str) -> Any:
        """A JSON file below this folder."""
        return json.loads((self.folder / path).read_bytes())


def skip_without(python: str) -> None:
    """Skip the test where no Python of this minor version exists."""
    try:
        interpreters.find(python, os.environ, uv.beside_python())
    except SamebitsError as error:
        pytest.skip(f"no Python {python} here: {str(error).splitlines()[0]}")
