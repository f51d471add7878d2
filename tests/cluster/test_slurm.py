"""The pipeline on a Slurm cluster of two nodes, and what can go wrong there.

One cluster for all of these tests; without one they are skipped, and say why.
"""

import signal
from collections.abc import Iterator
from typing import Any

import pytest

from cluster_user import Head
from loopback import Cluster, NoClusterError, install, until
from pipeline import Workspace

pytestmark = pytest.mark.slow

LONG, SHORT = "overrides=trainer.epochs=3000", "overrides=trainer.epochs=1"
LONGEST = 600  # seconds; Snakemake's plugin looks seldom
HOSTILE = {
    "PYTHONHASHSEED": "77",
    "PYTHONPATH": "/nowhere",
    "TF_ENABLE_ONEDNN_OPTS": "0",
    "TF_DETERMINISTIC_OPS": "0",
    "TF_NUM_INTRAOP_THREADS": "7",
    "OMP_NUM_THREADS": "3",
    "ONEDNN_MAX_CPU_ISA": "SSE41",
}


@pytest.fixture(scope="session")
def loopback(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    try:
        install()
    except NoClusterError as error:
        pytest.skip(f"no Slurm: {error}")
    cluster = Cluster(tmp_path_factory.mktemp("slurm"))
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.stop()


@pytest.fixture
def cluster(loopback: Cluster, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cluster]:
    """The cluster, without jobs before and after."""
    monkeypatch.setenv("SLURM_CONF", str(loopback.configuration))
    yield loopback
    loopback.cancel_all()


@pytest.fixture
def head(workspace: Workspace, cluster: Cluster) -> Head:
    return Head(workspace, cluster)


def digests(head: Head, name: str) -> Any:
    return head.workspace.json(f"results/{name}/train/control/record.json")["digests"]


def test_a_hostile_shell_and_a_cluster_give_the_bits_of_a_local_run(head: Head) -> None:
    before = len(head.cluster.ended())
    said = head.run("cluster", variables=HOSTILE)
    assert "REPRODUCIBLE" in said and head.verdict("cluster") == "REPRODUCIBLE"
    head.workspace.certify("local", "experiment=smoke", "checkpoint=epoch")
    assert digests(head, "cluster") == digests(head, "local")
    for warning in ("SLURM account", "never awaited", "Warning"):
        assert warning not in said
    log = head.workspace.folder / "logs/cluster/train/control.log"
    assert f"tail -F {log}" in said and log.is_file()
    assert len(list((head.workspace.folder / "logs/slurm").rglob("*.log"))) == 2
    # trainings alone were jobs
    assert head.cluster.ended()[before:] == ["COMPLETED", "COMPLETED"]


def test_runs_on_different_nodes_are_a_variation_that_counts(head: Head) -> None:
    head.run("nodes", "protocol=nodes")
    scope = head.workspace.json("results/nodes/certificate.json")["report"]["scope"]
    (node,) = [v for v in scope["variations"] if v["key"] == "node"]
    assert node["outcome"] == "same bits"
    assert node["control"] != node["value"]


def test_a_failure_is_told_by_the_trainings_log_alone(head: Head) -> None:
    (head.workspace.folder / "broken.py").write_text(
        "def net():\n    raise ValueError('planted in the model')\n"
    )
    own = f"overrides=model._target_=broken.net source_path={head.workspace.folder}"
    said = head.run("broken", "model=custom", own, check=False)
    assert "FAILED  broken" in said
    assert "planted in the model" in said
    assert "Error in rule" not in said
    assert "logs/broken/train/" in said
    assert said.count("launch.py") == 0  # nor the log of the job's own Snakemake


def test_a_cancelled_job_is_a_failure_and_a_restart_finishes(head: Head) -> None:
    with head.started("cancelled", LONG) as running:
        head.wait_for_training("cancelled")
        head.cluster.slurm("scancel", *head.cluster.jobs("running"))
        assert running.wait(LONGEST) != 0
    assert "CANCELLED" in (head.workspace.folder / "cancelled.out").read_text()
    assert not head.certified("cancelled")
    head.run("cancelled", SHORT)
    assert head.verdict("cancelled") == "REPRODUCIBLE"


def test_a_job_whose_node_is_lost_goes_on_from_its_last_epoch_on_another(head: Head) -> None:
    with head.started("lost", "overrides=trainer.epochs=60") as running:
        head.wait_for_training("lost")
        node = head.cluster.node_of("control")
        head.cluster.lose_node(node)
        try:
            assert running.wait(LONGEST) == 0, (head.workspace.folder / "lost.out").read_text()
        finally:
            head.cluster.start_node(node)
    assert head.verdict("lost") == "REPRODUCIBLE"
    record = head.workspace.json("results/lost/train/control/record.json")
    assert record["checkpoints"]["resumed"], "began anew"


def test_a_job_over_its_time_limit_is_a_clear_failure(head: Head) -> None:
    limit = ("--set-resources", "train:runtime=1")
    said = head.run("late", "overrides=trainer.epochs=100000", flags=limit, check=False)
    assert "TIMEOUT" in said
    assert not head.certified("late")


def test_beside_the_jobs_of_a_killed_head_no_other_starts_until_they_are_cancelled(
    head: Head,
) -> None:
    with head.started("killed", LONG) as running:
        head.wait_for_training("killed")
        running.send_signal(signal.SIGKILL)
        running.wait()
        (number,) = [n for n, run in head.cluster.jobs("running").items() if run == "control"]
        said = head.run("killed", SHORT, check=False)
    assert f"control: job {number} on node" in said
    assert f"scancel {number}, or wait until it has ended" in said
    assert len(head.cluster.jobs("running")) == 2
    head.cluster.cancel_all()
    head.run("killed", SHORT)
    assert head.verdict("killed") == "REPRODUCIBLE"


@pytest.fixture
def closed(cluster: Cluster) -> Iterator[Cluster]:
    """A cluster on which jobs wait."""
    cluster.slurm("scontrol", "update", "partitionname=main", "state=down")
    yield cluster
    cluster.slurm("scontrol", "update", "partitionname=main", "state=up")


def test_waiting_jobs_of_a_killed_head_do_not_touch_what_the_next_one_makes(
    head: Head, closed: Cluster
) -> None:
    before = len(closed.ended())
    with head.started("waiting", SHORT) as killed:
        until(lambda: len(closed.jobs("pending")) == 2, "two waiting jobs")
        killed.send_signal(signal.SIGKILL)
        killed.wait()
    with head.started("waiting", SHORT) as running:
        until(lambda: len(closed.jobs("pending")) == 4, "four waiting jobs")
        closed.slurm("scontrol", "update", "partitionname=main", "state=up")
        assert running.wait(LONGEST) == 0, (head.workspace.folder / "waiting.out").read_text()
    assert sorted(closed.ended()[before:]) == ["COMPLETED", "COMPLETED", "FAILED", "FAILED"]
    assert head.verdict("waiting") == "REPRODUCIBLE"
    folders = {run: f"results/waiting/train/{run}" for run in ("control", "replica")}
    issued = head.workspace.json("results/waiting/certificate.json")["report"]["records"]["runs"]
    for run, folder in folders.items():
        record = head.workspace.json(f"{folder}/record.json")
        assert record["process"]["id"] == issued[run]["process"]["id"]
