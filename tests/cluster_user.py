"""A user of a cluster: starts Snakemake there as the README says."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from loopback import Cluster, until
from pipeline import ROOT, Workspace, command


@dataclass(frozen=True)
class Head:
    """Snakemake as a cluster's user starts it: ``snakemake --profile profiles/slurm``."""

    workspace: Workspace
    cluster: Cluster

    def command(self, name: str, *config: str, flags: tuple[str, ...] = ()) -> list[str]:
        return [
            sys.executable, "-m", "snakemake", "--snakefile", str(ROOT / "Snakefile"),
            "--profile", str(ROOT / "profiles/slurm"), "--directory", str(self.workspace.folder),
            *flags, "--config", f"name={name}", "experiment=smoke", *config,
        ]  # fmt: skip

    def run(
        self, name: str, *config: str, flags: tuple[str, ...] = (), check: bool = True,
        variables: dict[str, str] | None = None,
    ) -> str:  # fmt: skip
        """To the end; what the terminal shows."""
        wanted = self.command(name, *config, flags=flags)
        done = command(*wanted, cwd=ROOT, check=check, variables=variables)
        assert check or done.returncode, f"expected a failure:\n{done.stdout}"
        return done.stdout

    @contextmanager
    def started(self, name: str, *config: str) -> Iterator["subprocess.Popen[bytes]"]:
        """In the background; what it says is in NAME.out. Killed at the end if it still runs."""
        wanted = self.command(name, *config)
        with (self.workspace.folder / f"{name}.out").open("wb") as out:
            head = subprocess.Popen(wanted, cwd=ROOT, stdout=out, stderr=subprocess.STDOUT)
        try:
            yield head
        finally:
            head.kill()
            head.wait()

    def wait_for_training(self, name: str, run: str = "control") -> None:
        """Until a run is in its second epoch."""
        log = self.workspace.folder / f"logs/{name}/train/{run}.log"
        until(lambda: log.is_file() and b"epoch 2/" in log.read_bytes(), f"epoch 2 of {run}", 180)

    def verdict(self, name: str) -> str:
        """What the certificate says."""
        return str(self.workspace.json(f"results/{name}/certificate.json")["report"]["verdict"])

    def certified(self, name: str) -> bool:
        return (self.workspace.folder / f"results/{name}/certificate.json").exists()
