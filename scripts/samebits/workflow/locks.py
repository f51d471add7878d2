"""Snakemake's locks on a folder, where several of its processes start and end there at once.

Snakemake 9.27 looks at the lock files of others while these remove them, which ends in a
FileNotFoundError, and removes the others' along with its own, which unlocks what they are making.
With ``guard`` one process at a time looks and writes, and each removes its own.
"""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from snakemake.exceptions import LockException
from snakemake.persistence.file import FilePersistence


def guard() -> None:
    """Change how Snakemake locks, in this process."""
    FilePersistence.lock = _lock


@contextmanager
def _lock(self: Any) -> Iterator[None]:
    """Instead of ``Persistence.lock``."""
    with _alone(self):
        if self.locked:
            raise LockException()
        self._write_locks("input", map(str, self.all_inputfiles()))
        self._write_locks("output", map(str, self.all_outputfiles()))
    try:
        yield
    finally:
        with _alone(self):
            for own in self._lockfile.values():
                Path(own).unlink(missing_ok=True)
            self._lockfile.clear()


@contextmanager
def _alone(self: Any) -> Iterator[None]:
    """Wait until no other process looks at the locks."""
    folder = Path(self._lockdir)
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder.with_name("locks.guard"), "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
