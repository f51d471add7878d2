"""Trainings that are killed, and go on: train.py as its rule starts it, on a few images."""

import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from pipeline import LAUNCH, ROOT, SCRIPTS, Workspace, configure
from samebits.config.experiment import Experiment
from samebits.formats import canonical, dataset, files, history, states

_LONGEST = 300  # seconds to wait for anything
_SAMPLES = 400


@dataclass(frozen=True)
class Training:
    """One experiment's runs in a folder of their own."""

    folder: Path
    python: Path
    experiment: Experiment = field(repr=False)

    def output(self, run: str = "control") -> Path:
        """The folder of a run's results."""
        return self.folder / "train" / run

    def checkpoints(self, run: str = "control") -> Path:
        """The folder of a run's checkpoints."""
        return self.folder / "checkpoints" / run

    def log(self, run: str = "control") -> str:
        """What all its processes said."""
        return self._log(run).read_text(errors="replace") if self._log(run).is_file() else ""

    def _log(self, run: str) -> Path:
        return self.folder / f"{run}.log"

    @contextmanager
    def started(
        self, run: str = "control", *flags: object, launch: tuple[str, ...] = ()
    ) -> Iterator["subprocess.Popen[bytes]"]:
        """A process in a session of its own, with its launcher; killed at the end."""
        environment = self.experiment.config["framework"]["environment"]
        line = [
            *LAUNCH, self.python, "--log", self.folder / f"{run}.launched", *launch,
            *self.experiment.variables(), "--", SCRIPTS / "train.py",
            "--config", self.folder / "config.json", "--data", self.folder / "arrays",
            "--lock", ROOT / f"envs/{environment}.lock.txt",
            "--source-path", ROOT / "tests" / "zoo", "--run", run,
            "--checkpoints", self.checkpoints(run), "--output", self.output(run), *flags,
        ]  # fmt: skip
        with open(self._log(run), "ab") as log:
            process = subprocess.Popen(
                [str(word) for word in line], cwd=self.folder, stdin=subprocess.DEVNULL,
                stdout=log, stderr=subprocess.STDOUT, start_new_session=True,
            )  # fmt: skip
        try:
            yield process
        finally:
            kill(process)

    def run(self, run: str = "control", *flags: object, launch: tuple[str, ...] = ()) -> int:
        """From start to end; the exit code."""
        with self.started(run, *flags, launch=launch) as process:
            return process.wait(_LONGEST)

    def record(self, run: str = "control") -> Any:
        """The record of a run that ended well."""
        assert (self.output(run) / "record.json").is_file(), self.log(run)
        return json.loads((self.output(run) / "record.json").read_bytes())

    def result(self, run: str = "control") -> Any:
        """Everything that must be equal, its digests taken again from what is stored."""
        record, output = self.record(run), self.output(run)
        for name in ("weights", "optimizer", "trace"):
            assert files.digest(output / f"{name}.safetensors") == record["digests"][name]
        return record["digests"], record["checkpoints"]["digests"], record["checkpoints"]["root"]

    def history(self, run: str = "control") -> history.History:
        """Each metric's values, in epochs."""
        return history.read(self.output(run) / "history.json")

    def refuse_remains(self, run: str = "control") -> None:
        """Nothing is left of a completed run but its results."""
        assert not self.checkpoints(run).exists()
        assert list(self.output(run).parent.glob(f".{run}.*")) == []

    def wait_for_checkpoint(self, number: int, run: str = "control") -> None:
        """Until a checkpoint is there, whole."""
        self._wait(lambda: (self.checkpoints(run) / f"{number:04d}").is_dir(), run)

    def wait_for_import(self, run: str, times: int) -> None:
        """Until the process that was started as this one of its run is about to train."""
        self._wait(lambda: self.log(run).count(" imported in ") == times, run)

    def _wait(self, there: Any, run: str) -> None:
        end = time.monotonic() + _LONGEST
        while not there():
            assert time.monotonic() < end, self.log(run)
            time.sleep(0.005)


def kill(process: "subprocess.Popen[bytes]") -> None:
    """The process and all that it started, at once."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def images(folder: Path, samples: int) -> Path:
    """Images that a model can tell apart, as arrays and as one .npz file; returns the latter."""
    random = np.random.RandomState(0)
    y = random.randint(0, 10, samples).astype(np.uint8)
    x = (random.randint(0, 64, (samples, 28, 28)) + y[:, None, None] * 16).astype(np.uint8)
    np.savez(folder / "data.npz", x=x, y=y)
    (folder / "arrays").mkdir()
    dataset.write(folder / "arrays", {"x_train": x, "y_train": y})
    return folder / "data.npz"


def training(folder: Path, workspace: Workspace, **changes: Any) -> Training:
    """An experiment with checkpoints on a few images."""
    folder.mkdir(parents=True, exist_ok=True)
    path = images(folder, _SAMPLES)
    data = {"option": "npz", "path": str(path), "sha256": files.digest(path)}
    shape = {"shape": [28, 28], "classes": 10, "scale": 255.0}
    zoo = str(ROOT / "tests" / "zoo")
    given = {"data": data | shape, "source_path": zoo} | changes
    given["trainer"] = {"checkpoint": "epoch", "epochs": 4} | given.get("trainer", {})
    experiment = configure(given, ROOT / "conf")
    canonical.write_json(folder / "config.json", experiment.config)
    python = workspace.python(experiment.config["framework"]["environment"])
    return Training(folder, python, experiment)


def last_state(output: Path) -> states.State:
    """The digests of a run's last state, from its results."""
    return {part: files.digest(output / f"{part}.safetensors") for part in states.PARTS}
