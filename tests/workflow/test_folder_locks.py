"""Snakemakes that start and end together in one folder."""

import multiprocessing
from pathlib import Path
from typing import Any

import pytest
from snakemake.exceptions import LockException
from snakemake.persistence.file import FilePersistence

from samebits.workflow import locks

TIMES = 200


def persistence(folder: Path, name: str) -> Any:
    """Snakemake's, of a workflow that makes one file."""
    made: Any = FilePersistence.__new__(FilePersistence)
    made._lockdir, made._lockfile = str(folder / "locks"), {}
    made.all_inputfiles, made.all_outputfiles = (lambda: {f"{name}.in"}), (lambda: {f"{name}.out"})
    return made


@pytest.fixture(autouse=True)
def guarded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(FilePersistence, "lock", FilePersistence.lock)
    locks.guard()


def many(folder: Path, name: str, failed: Any) -> None:
    own = persistence(folder, name)
    try:
        for _ in range(TIMES):
            with own.lock():
                pass
    except BaseException:
        failed.set()
        raise


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
        with pytest.raises(LockException), persistence(tmp_path, "a").lock():
            pass
    assert not persistence(tmp_path, "a").locked
