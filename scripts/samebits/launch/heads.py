"""Which snakemake a job belongs to, so that what a killed one left does no harm.

A snakemake that is killed can leave three things: jobs that go on, jobs that still wait in a
cluster's queue, and Snakemake's own locks on the folder. The next one refuses to start beside the
first, the second refuse to begin, and the third are removed. Runs on Python 3.7 to 3.13.
"""

from __future__ import annotations

import atexit
import uuid
from contextlib import suppress
from pathlib import Path
from typing import Mapping, MutableMapping

from samebits.errors import SamebitsError
from samebits.launch import lease

_LOCKS = Path(".snakemake", "locks")


def clear(heads: Path, results: str) -> None:
    """Forget those that were killed while they made ``results``; none of them may live."""
    found = [lease.look(path) for path in sorted(heads.glob("*"))]
    if any(f.was_left for f in found) and all(f.holder is None for f in found):
        _unlock(results + "/")


def _unlock(results: str) -> None:
    """Remove Snakemake's locks on what lies below a folder; others may be of somebody alive."""
    for output in sorted(_LOCKS.glob("*.output.lock")):
        with suppress(FileNotFoundError):
            if any(line.startswith(results) for line in output.read_text().splitlines()):
                output.with_name(output.name.replace("output", "input")).unlink()
                output.unlink()


def begin(heads: Path, leases: Path, environ: MutableMapping[str, str]) -> None:
    """Become the snakemake to which the jobs from now on belong.

    Raises SamebitsError when one of a killed snakemake goes on: it would write what this one makes.
    """
    for path in sorted(filter(Path.is_file, leases.glob("**/*"))):
        holder = lease.look(path).holder
        if holder is not None and not _is_there(holder.get("head")):
            raise lease.refusal(path.name, holder)
    path = heads / str(uuid.uuid4())
    own = lease.take(path, environ)
    own.keep(lambda: None)
    atexit.register(own.release)
    environ[lease.HEAD] = str(path)


def refuse_orphan(environ: Mapping[str, str]) -> None:
    """Raises SamebitsError in a job of a snakemake that was found dead: another makes its output.

    Nothing is known where the scheduler does not hand on the variable.
    """
    if lease.HEAD in environ and not _is_there(environ[lease.HEAD]):
        raise SamebitsError(
            "the snakemake that submitted this job has ended, and a later one took its place; "
            "this job is not needed any more"
        )


def _is_there(head: object) -> bool:
    return bool(head) and Path(str(head)).is_file()
