#!/usr/bin/env python3
"""A Slurm cluster of two nodes on this machine, from Debian's packages, for the tests alone.

    loopback.py PROGRAM [ARGUMENT …]     runs a Python program with such a cluster around it

munged, slurmctld and two slurmd listen on 127.0.0.1. All that they write is in one folder, but for
/etc/slurm/slurm.conf, a link to the configuration there: Snakemake's jobs forget SLURM_CONF. Only
what was started here is stopped.
"""

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import psutil

TOOLS = ("munged", "slurmctld", "slurmd", "sbatch")
PACKAGES = ("munge", "slurmctld", "slurmd", "slurm-client")
NODES = ("node1", "node2")
MARK = "SAMEBITS_TEST_NODE"  # in the environment of a node's daemons, and of nothing else
SYSTEM = Path("/etc/slurm/slurm.conf")
_LONGEST = 300  # seconds for an installation
_SHORT = 60  # seconds for one of Slurm's own commands

_CONFIGURATION = """
ClusterName=samebits
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ports[0]}
CommunicationParameters=NoInAddrAny,NoCtldInAddrAny
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
# a requeued job waits for a second more than this
AuthInfo=socket={folder}/munge/socket,cred_expire=10
CredType=cred/munge
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
MpiDefault=none
SwitchType=switch/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
SchedulerType=sched/backfill
SchedulerParameters=batch_sched_delay=0,sched_interval=5,sched_min_interval=0,bf_interval=5
ReturnToService=2
AccountingStorageType=accounting_storage/none
JobCompType=jobcomp/filetxt
JobCompLoc={folder}/ended
MinJobAge=3600
# a lost node is noticed after that many seconds
SlurmdTimeout=15
SlurmctldTimeout=10
MessageTimeout=10
InactiveLimit=0
KillWait=5
JobRequeue=1
StateSaveLocation={folder}/state
SlurmctldPidFile={folder}/slurmctld.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdPidFile={folder}/slurmd-%n.pid
SlurmdLogFile={folder}/slurmd-%n.log
SlurmdSpoolDir={folder}/spool-%n
# nodes may claim more than this machine has
SlurmdParameters=config_overrides
NodeName=node1 NodeHostname={host} NodeAddr=127.0.0.1 Port={ports[1]} CPUs=2 RealMemory=8000
NodeName=node2 NodeHostname={host} NodeAddr=127.0.0.1 Port={ports[2]} CPUs=2 RealMemory=8000
PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE State=UP
"""


class NoClusterError(Exception):
    """There can be no cluster here; the message says why."""


def install() -> None:
    """Install what is missing. Raises NoClusterError."""
    if os.geteuid() != 0:
        raise NoClusterError("Slurm's daemons need root")
    if SYSTEM.exists() and not _was_left():
        raise NoClusterError(f"{SYSTEM} is there: this machine has a cluster of its own")
    if all(map(shutil.which, TOOLS)):
        return
    if shutil.which("apt-get") is None:
        raise NoClusterError("Slurm is not installed, and there is no apt-get")
    environ = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    wanted = ["apt-get", "install", "-qy", "--no-install-recommends", *PACKAGES]
    for command in (["apt-get", "update", "-q"], wanted):
        try:
            subprocess.run(command, env=environ, capture_output=True, timeout=_LONGEST, check=False)
        except subprocess.TimeoutExpired:
            raise NoClusterError(f"{' '.join(command[:2])} took too long") from None
    if not all(map(shutil.which, TOOLS)):
        raise NoClusterError(f"apt-get could not install {' '.join(PACKAGES)}")


def _was_left() -> bool:
    """Whether the system's configuration is a link to that of tests which were killed."""
    pid = SYSTEM.resolve().parent / "slurmctld.pid"
    known = SYSTEM.is_symlink() and pid.is_file()
    return known and not psutil.pid_exists(int(pid.read_text()))


def until(condition: Callable[[], object], what: str, seconds: float = 90) -> None:
    """Wait; an AssertionError says what did not come."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"waited {seconds:.0f} s for {what}"
        time.sleep(0.2)


@dataclass
class Cluster:
    """The daemons and what they are asked."""

    folder: Path
    mark: str = field(default_factory=lambda: uuid.uuid4().hex)

    @property
    def configuration(self) -> Path:
        """The value of SLURM_CONF."""
        return self.folder / "slurm.conf"

    def start(self) -> None:
        """Start all daemons and wait until both nodes answer."""
        for name in ("state", "munge", *(f"spool-{node}" for node in NODES)):
            (self.folder / name).mkdir()
        for folder in (self.folder, self.folder / "munge"):
            folder.chmod(0o755)
        (self.folder / "munge/key").write_bytes(os.urandom(128))
        (self.folder / "munge/key").chmod(0o600)
        self.configuration.write_text(
            _CONFIGURATION.format(
                folder=self.folder, host=socket.gethostname().partition(".")[0], ports=_ports(3)
            )
        )
        SYSTEM.parent.mkdir(exist_ok=True)
        SYSTEM.unlink(missing_ok=True)  # a link that was left: install() has looked
        SYSTEM.symlink_to(self.configuration)
        paths = {n: f"--{n}={self.folder}/munge/{n.partition('-')[0]}" for n in _MUNGE}
        # --force: it refuses a socket in a folder that others may write above
        self._daemon("munged", "--force", "--num-threads=2", *paths.values())
        self._daemon("slurmctld")
        for node in NODES:
            self.start_node(node)
        until(lambda: self._states() == ["idle", "idle"], "two idle nodes", 60)

    def _daemon(self, *command: str, **environ: str) -> None:
        with (self.folder / f"{command[0]}.out").open("ab") as out:
            subprocess.run(
                command, env=os.environ | environ | {"SLURM_CONF": str(self.configuration)},
                stdin=subprocess.DEVNULL, stdout=out, stderr=out, timeout=_SHORT, check=True,
            )  # fmt: skip

    def start_node(self, node: str) -> None:
        """Start a node's daemon."""
        self._daemon("slurmd", "-N", node, **{MARK: f"{node}-{self.mark}"})

    def lose_node(self, node: str) -> None:
        """End a node with all that runs on it, at once and without a word, as a power cut does."""
        jobs = self.slurm("squeue", "-h", "-w", node, "-o", "%i").split()
        found = [*self._daemons(node), *_jobs(jobs)]
        all_of_them = [each for one in found for each in (one, *one.children(recursive=True))]
        for process in all_of_them:
            _signal(process.pid, signal.SIGKILL)

    def _daemons(self, node: str) -> Iterator[psutil.Process]:
        for process in psutil.process_iter():
            try:
                if process.environ().get(MARK) == f"{node}-{self.mark}":
                    yield process
            except psutil.Error:
                continue

    def slurm(self, *command: str) -> str:
        """What one of Slurm's commands prints."""
        return subprocess.run(
            command, env=os.environ | {"SLURM_CONF": str(self.configuration)},
            capture_output=True, text=True, timeout=_SHORT, check=True,
        ).stdout  # fmt: skip

    def _states(self) -> list[str]:
        try:
            return self.slurm("sinfo", "-h", "-N", "-o", "%t").split()
        except subprocess.CalledProcessError:
            return []

    def jobs(self, state: str = "running,pending") -> dict[str, str]:
        """Job number -> the run that it trains, of the jobs in a state, the first one first."""
        listed = self.slurm("squeue", "-h", "-t", state, "-S", "i", "-o", "%i %k").splitlines()
        pairs = [line.split() for line in listed]
        return {number: comment.rpartition("_")[2] for number, comment in pairs}

    def node_of(self, run: str) -> str:
        """Where a run is trained."""
        number = next(n for n, name in self.jobs("running").items() if name == run)
        return self.slurm("squeue", "-h", "-j", number, "-o", "%N").strip()

    def ended(self) -> list[str]:
        """How each job ended, the first to end first."""
        path = self.folder / "ended"
        lines = path.read_text().splitlines() if path.is_file() else []
        return [f.partition("=")[2] for line in lines for f in line.split() if "JobState=" in f]

    def cancel_all(self) -> None:
        """End every job, and wait for it."""
        numbers = self.slurm("squeue", "-h", "-o", "%i").split()
        if numbers:
            self.slurm("scancel", *numbers)
        until(lambda: not self.jobs("running,pending,completing"), "no jobs", 60)

    def stop(self) -> None:
        """End the jobs and then the daemons that were started here."""
        try:
            self.cancel_all()
        finally:
            if SYSTEM.is_symlink() and SYSTEM.readlink() == self.configuration:
                SYSTEM.unlink()
            for path in (*self.folder.glob("slurm*.pid"), self.folder / "munge/pid"):
                if path.is_file():
                    _signal(int(path.read_text()), signal.SIGTERM)
            until(lambda: not list(self.folder.glob("slurm*.pid")), "the daemons' end", 30)


_MUNGE = ("key-file", "socket", "pid-file", "log-file", "seed-file")


def _ports(count: int) -> list[int]:
    """Ports that nobody listens on now."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    try:
        return [s.getsockname()[1] for s in sockets]
    finally:
        for each in sockets:
            each.close()


def _jobs(numbers: list[str]) -> Iterator[psutil.Process]:
    """What Slurm runs for jobs: one process for each step, which outlives the node's daemon."""
    steps = tuple(f"slurmstepd: [{number}." for number in numbers)
    for process in psutil.process_iter():
        try:
            if " ".join(process.cmdline()).startswith(steps):
                yield process
        except psutil.Error:
            continue


def _signal(process: int, number: int) -> None:
    try:
        os.kill(process, number)
    except ProcessLookupError:
        return


def main() -> int:
    """Start a cluster, run a program, stop the cluster."""
    try:
        install()
    except NoClusterError as error:
        sys.exit(f"no Slurm: {error}")
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))  # and stop the cluster
    with tempfile.TemporaryDirectory() as name:
        cluster = Cluster(Path(name))
        try:
            cluster.start()
            environ = os.environ | {"SLURM_CONF": str(cluster.configuration)}
            return subprocess.run(
                [sys.executable, *sys.argv[1:]], env=environ, check=False
            ).returncode
        finally:
            cluster.stop()


if __name__ == "__main__":
    sys.exit(main())
