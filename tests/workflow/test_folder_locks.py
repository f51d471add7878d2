"""Snakemakes that start and end together in one folder."""

import multiprocessing
import os
import signal
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from snakemake.exceptions import WorkflowError
from snakemake.persistence.file import FilePersistence

from samebits.launch import lease
from samebits.workflow import locks

TIMES = 200


def persistence(folder: Path, name: str) -> Any:
    """Snakemake's, of a workflow that makes one file."""
    made: Any = FilePersistence.__new__(FilePersistence)
    made._lockdir, made._lockfile = str(folder / "locks"), {}
    made.all_inputfiles, made.all_outputfiles = (lambda: {f"{name}.in"}), (lambda: {f"{name}.out"})
    return made


@pytest.fixture(autouse=True)
def guarded(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(FilePersistence, "lock", FilePersistence.lock)
    monkeypatch.chdir(tmp_path)

    @cache
    def owner(process: int) -> Path:
        environ = dict[str, str]()
        lease.become_owner(Path("owners/mine"), Path("leases"), environ)
        return Path(environ[lease.OWNER]).absolute()

    locks.guard(lambda: owner(os.getpid()))


def many(folder: Path, name: str, failed: Any) -> None:
    own = persistence(folder, name)
    try:
        for _ in range(TIMES):
            with own.lock():
                pass
    except BaseException:
        failed.set()
        raise


@pytest.mark.process
def test_two_that_start_and_end_together_do_not_meet_each_others_locks(tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    failed = context.Event()
    both = [context.Process(target=many, args=(tmp_path, name, failed)) for name in "ab"]
    for one in both:
        one.start()
    for one in both:
        one.join()
    assert not failed.is_set()


def test_the_end_of_one_leaves_the_locks_of_another(tmp_path: Path) -> None:
    first, second = persistence(tmp_path, "a"), persistence(tmp_path, "b")
    with first.lock():
        with second.lock():
            pass
        assert persistence(tmp_path, "a").locked
        refusal = rf"results/mine: process {os.getpid()} on .* is still writing it; kill"
        with pytest.raises(WorkflowError, match=refusal), persistence(tmp_path, "a").lock():
            pass
    assert not persistence(tmp_path, "a").locked


def killed(folder: Path) -> None:
    with persistence(folder, "a").lock():
        os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.process
def test_locks_of_a_killed_one_are_removed_whatever_it_made(tmp_path: Path) -> None:
    process = multiprocessing.get_context("fork").Process(target=killed, args=(tmp_path,))
    process.start()
    process.join()
    assert persistence(tmp_path, "a").locked
    with persistence(tmp_path, "a").lock():
        assert len(list((tmp_path / "locks").iterdir())) == 2
    assert not list((tmp_path / "locks").iterdir())


def test_locks_of_a_workflow_that_names_no_owner_stay(tmp_path: Path) -> None:
    (tmp_path / "locks").mkdir()
    theirs = tmp_path / "locks" / "0.output.lock"
    theirs.write_text("a.out\n")
    with (
        pytest.raises(WorkflowError, match="another workflow holds locks"),
        persistence(tmp_path, "a").lock(),
    ):
        pass
    assert theirs.exists()
