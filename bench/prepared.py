"""A folder in which the pipeline runs: environments are built and data is loaded beforehand."""

import shutil
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from paired import ROOT, Cost, measure

import killing
from samebits.formats import canonical
from samebits.workflow.plan import plan

_READY = "ready"


@dataclass(frozen=True)
class Fit:
    """One training: seconds of its fit, and of all its processes, starts and imports included."""

    fit: float
    whole: float


class Prepared:
    """Commands of a user in a folder with everything that they need."""

    def __init__(self, folder: Path) -> None:
        """Build environments and load MNIST, unless another measurement has."""
        self.folder = folder
        if not (folder / _READY).exists():
            self.certificate()
            (folder / _READY).touch()
        (self.arrays,) = folder.glob("data/mnist-*/arrays")

    def certificate(self, *config: str, way: tuple[str, ...] = ("--cores", "all")) -> Cost:
        """What a certificate costs, from the start of the command on and without old results."""
        shutil.rmtree(self.folder / "results", ignore_errors=True)
        return self.snakemake(*way, *(["--config", *config] if config else []))

    def snakemake(self, *arguments: str) -> Cost:
        """What a command of the README costs."""
        where = ["--snakefile", ROOT / "Snakefile", "--directory", self.folder]
        return measure([sys.executable, "-m", "snakemake", *where, *arguments], cwd=ROOT)

    def python(self, environment: str) -> Path:
        """The interpreter of an environment."""
        return self.folder / f".samebits/environments/{environment}/bin/python"

    def said(self, environment: str, program: str, *arguments: object) -> str:
        """What a small program prints in an environment."""
        command = [self.python(environment), "-c", program, *arguments]
        return subprocess.check_output(list(map(str, command)), text=True)

    def training(self, changes: Mapping[str, Any]) -> killing.Training:
        """An experiment that is the default but for some changes; nothing of it is there yet."""
        experiment = plan(changes, ROOT / "conf").first
        folder = self.folder / "trainings" / experiment.name
        shutil.rmtree(folder, ignore_errors=True)
        canonical.write_json(folder / "config.json", experiment.config)
        (folder / "arrays").symlink_to(self.arrays)
        return killing.Training(folder, self.python(experiment.environment), experiment)

    def fit(self, changes: Mapping[str, Any], *flags: object) -> Fit:
        """Train once."""
        made = self.training(changes)
        started = time.monotonic()
        made.run("control", *flags)
        whole = time.monotonic() - started
        return Fit(made.record()["timing"]["fit_seconds"], whole)
