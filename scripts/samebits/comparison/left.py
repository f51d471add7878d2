"""Files that one run leaves for another: written outside of its output, and read."""

from collections.abc import Iterable, Mapping
from pathlib import PurePath
from typing import Any


def left(records: Iterable[Mapping[str, Any]]) -> list[str]:
    """Paths that a run wrote, and that it or another run read, looked for or listed; sorted.

    ``records``: of runs of one experiment. Two runs that start together may miss each other's
    files; a run that starts later does not. Where not all calls were seen, a file that was written
    may have been sought as well.
    """
    found = [_lasting(record) for record in records if record.get("files")]  # not tried: none
    sought = {entry["path"] for files in found for entry in files["read"]}
    sought |= {path for files in found for path in files["absent"]}
    listed = {entry["path"] for files in found for entry in files["names"]}
    for files in found:
        unseen = files["problem"] is not None
        sought |= {entry["path"] for entry in files["written"] if entry["sought"] or unseen}
    written = {entry["path"] for files in found for entry in files["written"]}
    return sorted(p for p in written if p in sought or str(PurePath(p).parent) in listed)


def _lasting(record: Mapping[str, Any]) -> Mapping[str, Any]:
    """What a run did with files that outlive it: a program's own folder ends with it."""
    files: Mapping[str, Any] = record["files"]
    if record["program"] is None:
        return files
    written = [entry for entry in files["written"] if entry["path"].startswith(("/", "~"))]
    return {**files, "written": written}
