"""The files that are written when Snakemake reads the Snakefile, before it has locked anything.

Two starts with one name and different configs would overwrite each other's. So what differs is
refused while a lock of Snakemake's names the file, and written once more, where it differs, when
this start has the lock itself.
"""

import os
import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from samebits.errors import SamebitsError
from samebits.formats import canonical, files

_LOCKS = Path(".snakemake/locks")  # in the folder that Snakemake works in
_UNLOCK = "--unlock"


def write(contents: Mapping[str, Any]) -> None:
    """Write what differs. Raises SamebitsError when another start works with such a file.

    Only what differs is written: a change re-runs what depends on it and nothing else.
    """
    if _UNLOCK in sys.argv:
        return
    held = set(_held())
    for path, content in contents.items():
        data = canonical.dumps(content)
        if files.equals(Path(path), data):
            continue
        if path in held:
            raise SamebitsError(
                f"{path}: expected no other start with this name, got one that works with another "
                f"config; wait for it or give this one a name of its own (name=NAME). If none is "
                f"running: snakemake {_UNLOCK}"
            )
        files.write_bytes(Path(path), data)


def write_locked(contents: Mapping[str, Any]) -> None:
    """Write what differs, when Snakemake has the lock and nobody else may write."""
    for path, content in contents.items():
        canonical.write_json_if_changed(Path(path), content)


def date_back(folders: Iterable[Path]) -> None:
    """Give files with dates in the future, left by a clock that was set back, dates of now.

    Snakemake would call what it makes of them older than they are, and stop. Their order stays.
    """
    now, ahead = time.time_ns(), dict[int, list[Path]]()
    for path in (path for folder in folders for path in (folder, *folder.rglob("*"))):
        with suppress(FileNotFoundError):  # somebody else's, who works in the same folder
            date = path.lstat().st_mtime_ns
            if date > now:
                ahead.setdefault(date, []).append(path)
    for position, date in enumerate(sorted(ahead, reverse=True)):
        for path in ahead[date]:
            with suppress(FileNotFoundError, PermissionError):
                moment = now - position * 1000  # file systems know microseconds
                os.utime(path, ns=(moment, moment), follow_symlinks=False)


def _held() -> Iterator[str]:
    """Every file that a start which is running, or was killed, has locked."""
    for lock in _LOCKS.glob("*.lock"):
        try:
            yield from lock.read_text(encoding="utf-8").splitlines()
        except FileNotFoundError:
            continue  # that start has ended just now
