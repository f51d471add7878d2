"""One holder at a time, known to live by a lock or by its heartbeat; and the owners of jobs."""

import atexit
import errno
import fcntl
import json
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from samebits.errors import SamebitsError
from samebits.launch import lease

OWNERS, LEASES = Path("owners"), Path("leases")


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(lease, "BEAT", 0.05)
    monkeypatch.setattr(lease, "PATIENCE", 0.5)
    return tmp_path / "leases" / "control"


@pytest.fixture
def no_locks(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A file system without locks, as some shared ones are."""

    def refuse(*_: Any) -> None:
        raise OSError(errno.ENOSYS, "not here")

    monkeypatch.setattr(fcntl, "flock", refuse)
    yield


def left_by(path: Path, **changes: Any) -> None:
    """What a dead holder on this machine left, or one on another."""
    path.parent.mkdir(exist_ok=True)
    holder = {"id": "x", "kernel": lease._kernel(), "host": "node7", "pid": 1, "owner": None}
    path.write_text(json.dumps(holder | {"job": "12", "cancel": "scancel"} | changes))


def test_a_lease_exists_as_long_as_it_is_held(path: Path) -> None:
    with lease.take(path, {}):
        assert path.is_file()
    assert not path.exists()
    lease.take(path, {}).release()


def test_a_second_holder_is_refused_with_the_job_and_how_to_end_it(path: Path) -> None:
    job = {"SLURM_JOB_ID": "12", "SLURMD_NODENAME": "node7"}
    expected = "control: job 12 on node7 is still writing it; scancel 12, or wait"
    with lease.take(path, job), pytest.raises(SamebitsError, match=expected):
        lease.take(path, {})


def test_what_a_dead_one_on_this_machine_left_is_taken_over_at_once(path: Path) -> None:
    left_by(path)
    assert lease.look(path) is None and not path.exists()
    left_by(path)
    lease.take(path, {}).release()


def test_one_on_another_machine_that_beats_is_alive(path: Path) -> None:
    left_by(path, kernel="another")
    beating = lease.Lease(path, path.open("rb"), path.read_bytes())
    beating.keep(lambda: None)
    with pytest.raises(SamebitsError, match="scancel 12"):
        lease.take(path, {})
    beating.release()


def test_one_on_another_machine_that_does_not_beat_is_gone(path: Path) -> None:
    left_by(path, kernel="another")
    lease.take(path, {}).release()


@pytest.mark.usefixtures("no_locks")
def test_without_locks_beats_tell(path: Path) -> None:
    with lease.take(path, {}) as held:
        held.keep(lambda: None)
        with pytest.raises(SamebitsError, match="is still writing it"):
            lease.take(path, {})
    left_by(path)
    lease.take(path, {}).release()


def test_a_holder_that_was_killed_before_it_wrote_its_name_is_gone(path: Path) -> None:
    path.parent.mkdir()
    path.touch()
    lease.take(path, {}).release()


def test_a_holder_that_was_taken_for_gone_finds_out_and_leaves_the_new_one_alone(
    path: Path,
) -> None:
    lost = threading.Event()
    with lease.take(path, {}) as held:
        held.keep(lost.set)
        path.unlink()
        left_by(path)
        assert lost.wait(10)
    assert path.is_file()


@pytest.mark.parametrize("removes", [False, True], ids=["says-it-lives", "takes-it-for-left"])
def test_one_that_looks_before_the_holder_locked_it_leaves_it_one_holder_that_is_seen(
    path: Path, monkeypatch: pytest.MonkeyPatch, removes: bool
) -> None:
    create, looking = os.open, list[threading.Timer]()

    def create_and_be_looked_at(name: Any, *flags: Any) -> int:
        descriptor = create(name, *flags)
        if not looking:
            looking.append(one_that_looks(path, removes))
        return descriptor

    monkeypatch.setattr(os, "open", create_and_be_looked_at)
    with lease.take(path, {}):
        looking[0].join()
        with pytest.raises(SamebitsError, match="is still writing it"):
            lease.take(path, {})


def one_that_looks(path: Path, removes: bool) -> threading.Timer:
    """It has the lock for a moment from now on, as in ``lease.look``."""
    file = path.open("rb")
    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def end() -> None:
        if removes:
            path.unlink()
        file.close()

    timer = threading.Timer(0.2, end)
    timer.start()
    return timer


def test_of_many_that_want_it_at_once_one_gets_it(path: Path) -> None:
    left_by(path)
    got: list[lease.Lease] = []
    begin = threading.Barrier(8)

    def want() -> None:
        begin.wait()
        try:
            got.append(lease.take(path, {}))
        except SamebitsError:
            return

    threads = [threading.Thread(target=want) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(got) <= 1  # none where each met another that was just looking
    for held in got:
        held.release()


# --- owners: what a killed snakemake left: running jobs, queued ones


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(atexit, "register", lambda _: None)
    return tmp_path


def killed() -> Path:
    """The lease of a snakemake that was killed on this machine."""
    OWNERS.mkdir(exist_ok=True)
    path = OWNERS / "killed"
    path.write_text(json.dumps({"kernel": lease._kernel(), "host": "here", "pid": 1, "job": None}))
    return path


@pytest.mark.usefixtures("folder")
def test_a_job_of_a_living_snakemake_begins_and_one_of_a_dead_one_does_not() -> None:
    environ = dict[str, str]()
    lease.require_living_owner(environ)
    lease.become_owner(OWNERS, LEASES, environ)
    lease.require_living_owner(environ)
    orphan = {lease.OWNER: str(killed())}
    lease.require_living_owner(orphan)  # nobody took its place
    lease.become_owner(OWNERS, LEASES, {})
    with pytest.raises(SamebitsError, match="not needed any more"):
        lease.require_living_owner(orphan)


@pytest.mark.usefixtures("folder")
def test_a_snakemake_does_not_begin_beside_a_running_job_of_a_killed_one() -> None:
    orphan = {lease.OWNER: str(killed()), "SLURM_JOB_ID": "12"}
    refused = pytest.raises(SamebitsError, match=r"control: job 12 .* scancel 12, or wait")
    with lease.take(LEASES / "control", orphan), refused:
        lease.become_owner(OWNERS, LEASES, {})
    lease.become_owner(OWNERS, LEASES, {})


@pytest.mark.usefixtures("folder")
def test_a_snakemake_begins_beside_the_jobs_of_another_living_one() -> None:
    environ = dict[str, str]()
    lease.become_owner(OWNERS, LEASES, environ)
    with lease.take(LEASES / "control", environ):
        lease.become_owner(OWNERS, LEASES, {})
