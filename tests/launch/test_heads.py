"""What a killed snakemake left: running jobs, queued ones, locks."""

import atexit
import json
from pathlib import Path

import pytest

from samebits.errors import SamebitsError
from samebits.launch import heads, lease

HEADS, LEASES = Path("heads"), Path("leases")


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(atexit, "register", lambda _: None)
    return tmp_path


def lock(number: int, *outputs: str) -> Path:
    """Snakemake's locks of one snakemake."""
    locks = Path(".snakemake", "locks")
    locks.mkdir(parents=True, exist_ok=True)
    (locks / f"{number}.input.lock").write_text("Snakefile\n")
    path = locks / f"{number}.output.lock"
    path.write_text("".join(f"{output}\n" for output in outputs))
    return path


def killed() -> Path:
    """The lease of a snakemake that was killed on this machine."""
    HEADS.mkdir(exist_ok=True)
    path = HEADS / "killed"
    path.write_text(json.dumps({"kernel": lease._kernel(), "host": "here", "pid": 1, "job": None}))
    return path


def test_the_locks_of_a_killed_snakemake_are_removed_and_no_others() -> None:
    killed()
    ours, others = lock(0, "results/mine/train/control"), lock(1, "results/mine-too/x", "results/m")
    heads.clear(HEADS, "results/mine")
    assert not ours.exists() and not ours.with_name("0.input.lock").exists()
    assert others.exists() and others.with_name("1.input.lock").exists()
    assert list(HEADS.iterdir()) == []


def test_locks_stay_where_no_snakemake_was_killed() -> None:
    ours = lock(0, "results/mine/train/control")
    heads.clear(HEADS, "results/mine")
    assert ours.exists()


def test_locks_stay_while_another_snakemake_of_the_experiment_lives() -> None:
    killed()
    ours, environ = lock(0, "results/mine/train/control"), dict[str, str]()
    heads.begin(HEADS, LEASES, environ)
    heads.clear(HEADS, "results/mine")
    assert ours.exists()


def test_a_job_of_a_living_snakemake_begins_and_one_of_a_dead_one_does_not() -> None:
    environ = dict[str, str]()
    heads.refuse_orphan(environ)
    heads.begin(HEADS, LEASES, environ)
    heads.refuse_orphan(environ)
    orphan = {lease.HEAD: str(killed())}
    heads.refuse_orphan(orphan)  # nobody took its place
    heads.clear(HEADS, "results/mine")
    with pytest.raises(SamebitsError, match="not needed any more"):
        heads.refuse_orphan(orphan)


def test_a_snakemake_does_not_begin_beside_a_running_job_of_a_killed_one() -> None:
    orphan = {lease.HEAD: str(killed()), "SLURM_JOB_ID": "12"}
    with lease.take(LEASES / "control", orphan):
        heads.clear(HEADS, "results/mine")
        with pytest.raises(SamebitsError, match=r"control: job 12 .* scancel 12, or wait"):
            heads.begin(HEADS, LEASES, {})
    heads.begin(HEADS, LEASES, {})


def test_a_snakemake_begins_beside_the_jobs_of_another_living_one() -> None:
    environ = dict[str, str]()
    heads.begin(HEADS, LEASES, environ)
    with lease.take(LEASES / "control", environ):
        heads.begin(HEADS, LEASES, {})
