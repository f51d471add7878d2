"""Snakemake's locks on files, where several of its processes start and end there at once.

Snakemake 9.27 looks at the lock files of others while these remove them, which ends in a
FileNotFoundError, removes the others' along with its own, which unlocks what they are making, and
leaves it to the user to find out whether who holds a lock still lives. With ``guard`` one process
at a time looks and writes, each removes its own, and each lock names its owner: those of the dead
are removed, and an error names the living one.
"""

import fcntl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from snakemake.persistence.file import FilePersistence

from samebits.errors import SamebitsError
from samebits.launch import lease
from samebits.workflow.plan import as_workflow_errors

_OWNER = "owner: "  # begins a line that is the name of no file


def guard(become_owner: Callable[[], Path]) -> None:
    """Change how Snakemake locks, in this process.

    ``become_owner``: makes the lease of this process, by which others know that it lives.
    """

    @contextmanager
    def lock(self: Any) -> Iterator[None]:
        with as_workflow_errors(), _alone(self):
            owner = become_owner()
            if self.locked:  # only then: to see whether an owner elsewhere lives takes a while
                _remove_stale(self)
                if self.locked:
                    raise _held(self)
            self._write_locks("input", [f"{_OWNER}{owner}", *map(str, self.all_inputfiles())])
            self._write_locks("output", [f"{_OWNER}{owner}", *map(str, self.all_outputfiles())])
        try:
            yield
        finally:
            with _alone(self):
                for own in self._lockfile.values():
                    Path(own).unlink(missing_ok=True)
                self._lockfile.clear()

    FilePersistence.lock = lock


def _remove_stale(self: Any) -> None:
    """Remove the locks of owners that have ended without doing so."""
    for path, owner, _ in _locks(self):
        if owner and lease.look(owner) is None:
            path.unlink()


def _held(self: Any) -> SamebitsError:
    """The error that names the owner of the first lock that is in the way, if it is known."""
    wanted = {*map(str, self.all_inputfiles()), *map(str, self.all_outputfiles())}
    for _, owner, names in _locks(self):
        holder = lease.look(owner) if owner else None
        if holder is not None and owner and wanted.intersection(names):
            return lease.still_writing(f"results/{owner.parent.name}", holder)
    return SamebitsError(
        f"{self._lockdir}: a Snakemake of another workflow holds locks on the same files; "
        "wait until it has ended"
    )


def _locks(self: Any) -> Iterator[tuple[Path, Path | None, list[str]]]:
    """Each lock, its owner's lease, which other workflows' locks do not name, and the files."""
    for path in sorted(Path(self._lockdir).glob("*.lock")):
        lines = path.read_text().splitlines()
        owners = [Path(line.removeprefix(_OWNER)) for line in lines if line.startswith(_OWNER)]
        yield path, owners[0] if owners else None, lines


@contextmanager
def _alone(self: Any) -> Iterator[None]:
    """Wait until no other process looks at the locks."""
    folder = Path(self._lockdir)
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder.with_name("locks.guard"), "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
