"""The pipeline as a user runs it, in a folder of the tests' own."""

import functools
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import starts
from samebits.config import typed
from samebits.config.experiment import Experiment
from samebits.environments import build, interpreters, uv
from samebits.errors import SamebitsError
from samebits.workflow.plan import plan

ROOT = Path(__file__).resolve().parents[1]
SCRIPTS = ROOT / "scripts"
LAUNCH = (sys.executable, SCRIPTS / "launch.py", "--python")  # then an interpreter
_ENVIRONMENTS = ROOT / ".samebits" / "test" / "environments"
_ALWAYS = ("load", "train-tf2.21", "compare", "certify", "render")  # that an experiment needs
_LONGEST = 600  # seconds for one command; a hung one must fail and not hang the tests


def configure(config: Mapping[str, Any], conf: Path) -> Experiment:
    """The one experiment of Snakemake's ``config``, resolved against the Hydra tree ``conf``."""
    return plan(typed.values(config), conf).first


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


@functools.cache
def environment(name: str) -> Path:
    """An environment, built if need be, that all tests and sessions of this checkout share.

    Built here and not by Snakemake, which removes what it is about to build, also when another
    worker has just built and uses it. Snakemake builds what is older than its inputs.
    """
    folder, lock = _ENVIRONMENTS / name, ROOT / "envs" / f"{name}.lock.txt"
    build.build(folder, lock, uv.beside_python())
    record = folder / build.RECORD
    inputs = [*ROOT.glob("scripts/**/*.py"), *ROOT.glob(f"envs/{name}.*")]
    if record.stat().st_mtime < max(path.stat().st_mtime for path in inputs):
        record.touch()
    return folder


@dataclass(frozen=True)
class Workspace:
    """A working directory with the environments that all tests share."""

    folder: Path

    @classmethod
    def make(cls, folder: Path) -> "Workspace":
        """One in a folder that has none, or has one already."""
        link = folder / ".samebits" / "environments"
        for needed in (link.parent, _ENVIRONMENTS):
            needed.mkdir(parents=True, exist_ok=True)
        if not link.is_symlink():
            link.symlink_to(_ENVIRONMENTS)
        return cls(folder)

    def snakemake(
        self,
        *arguments: str,
        check: bool = True,
        variables: Mapping[str, str] | None = None,
        longest: float = _LONGEST,
    ) -> str:
        """Run Snakemake as the README says, in this folder; returns what the terminal shows."""
        older = re.findall(r"\bframework=(tf[\d.]+)\b", " ".join(arguments))
        for name in (*_ALWAYS, *(f"train-{framework}" for framework in older)):
            environment(name)
        words, environ = self.line(*arguments)[3:], os.environ | dict(variables or {})
        with tempfile.NamedTemporaryFile() as shown:
            code = starts.snakemake(ROOT, words, environ, Path(shown.name), longest)
            said = Path(shown.name).read_text()
        assert check == (code == 0), said
        return said

    def line(self, *arguments: str) -> list[str]:
        """Snakemake's command, for this folder."""
        line = [sys.executable, "-m", "snakemake", "--snakefile", ROOT / "Snakefile"]
        line += ["--workflow-profile", ROOT / "profiles" / "default"]
        line += ["--directory", self.folder, "--cores", "2", *arguments]
        return [str(word) for word in line]

    def certify(
        self, name: str, *config: str, variables: Mapping[str, str] | None = None
    ) -> dict[str, Any]:
        """The report in the certificate of the experiment with this name and config."""
        self.snakemake("--config", f"name={name}", *config, variables=variables)
        return self.report(name)

    def report(self, name: str) -> dict[str, Any]:
        """The report in the certificate of an experiment that was certified."""
        report: dict[str, Any] = self.json(f"results/{name}/certificate.json")["report"]
        return report

    def python(self, name: str) -> Path:
        """The interpreter of an environment."""
        return environment(name) / "bin" / "python"

    def json(self, path: str) -> Any:
        """A JSON file below this folder."""
        return json.loads((self.folder / path).read_bytes())


DRY = ("--dry-run", "--quiet", "rules", "reason")


def jobs(dry_run: str) -> dict[str, int]:
    """The table of jobs that a dry run prints, without its total."""
    rows = [line.split() for line in dry_run.splitlines()]
    counts = {row[0]: int(row[1]) for row in rows if len(row) == 2 and row[1].isdigit()}
    counts.pop("total", None)
    return counts


def flip(path: Path) -> None:
    """Change one bit near the end of a file; its date stays, so Snakemake cannot notice."""
    before, data = path.stat(), bytearray(path.read_bytes())
    data[-4] ^= 1
    path.write_bytes(data)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def outcomes(report: dict[str, Any], run: str) -> dict[str, str]:
    """Variation -> how it came out, in one run."""
    rows = report["scope"]["variations"]
    return {row["key"]: row["outcome"] for row in rows if row["run"] == run}


def skip_without(python: str) -> Path:
    """The Python of this minor version; where none exists, the test is skipped."""
    found = _interpreter(python)
    if isinstance(found, SamebitsError):
        pytest.skip(f"no Python {python} here: {str(found).splitlines()[0]}")
    return found


@functools.cache
def _interpreter(python: str) -> Path | SamebitsError:
    """Looked for once: several are started and asked until one is found."""
    try:
        return interpreters.find(python, os.environ, uv.beside_python()).path
    except SamebitsError as error:
        return error


def in_namespace(mounts: str) -> list[str]:
    """How a command is run behind mounts of its own; skips the test where there can be none.

    ``mounts``: shell commands; $0 is the checkout.
    """
    start = ["unshare", "--mount", *([] if os.getuid() == 0 else ["--map-root-user"]), "sh", "-ec"]
    start += [f'{mounts}; exec "$@"', str(ROOT)]
    if shutil.which("unshare") is None:
        pytest.skip("unshare (util-linux) is not installed")
    if subprocess.run([*start, "true"], capture_output=True, check=False).returncode:
        pytest.skip("neither root nor user namespaces: nothing can be mounted")
    return start
