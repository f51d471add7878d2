"""Files by which all runs may have their bits from one of them, and equal bits show nothing.

Whoever draws a number, keeps it in a file and reads one that is there has the same bits ever after.
A number can also be kept in the name of a file, or in where a link leads.
"""

from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations
from pathlib import PurePath

from samebits.certificate.types import RunRecord
from samebits.experiment import protocol

_Taken = tuple[str | None, str | None, str | None]
_AT_ONCE = {protocol.CONTROL, protocol.REPLICA}  # every other run begins when both have ended


def handed_on(runs: Sequence[RunRecord], left: Iterable[str]) -> list[str]:
    """By which files; none where two runs have their bits from no other, or from different ones.

    ``runs``: with equal bits, the control first. ``left``: paths that a run wrote and a run sought.
    """
    found = [_Found(record) for record in runs]
    writers = {path: [run for run in found if path in run.written] for path in left}
    taken = {
        run.name: {path for path in writers if _has_taken(run, path, writers[path])}
        for run in found
    }
    pairs = (
        sorted(taken[one.name] | taken[other.name] | _at_once(one, other, writers))
        for one, other in combinations(found, 2)
    )
    return min(pairs, key=len, default=[])


class _Found:
    """What one run found at each path."""

    def __init__(self, record: RunRecord) -> None:
        files = record["files"]
        entries = (*files["read"], *files["written"])
        self.name, self.contents = record["run"], {e["path"]: e["sha256"] for e in entries}
        self.names = {entry["path"]: entry["sha256"] for entry in files["names"]}
        self.written = {entry["path"] for entry in files["written"]}
        self.absent = set(files["absent"])
        self._at: dict[str, _Taken] = {}
        self.has_own_home = "home" in record["variations"]["applied"]

    def at(self, path: str) -> _Taken:
        """In the file, where the link leads, and among the names beside it."""
        if path not in self._at:  # it is asked for once for each other run
            beside = self.names.get(str(PurePath(path).parent))
            self._at[path] = self.contents.get(path), self.names.get(path), beside
        return self._at[path]

    def sees(self, path: str) -> bool:
        """Whether the path leads it to the same file as most runs."""
        return not (self.has_own_home and path.startswith("~/"))

    def touches(self, path: str) -> bool:
        """Whether it looked there, wrote there, or listed the folder."""
        return path in self.contents or path in self.absent or self.at(path)[2] is not None


def _has_taken(run: _Found, path: str, writers: Iterable[_Found]) -> bool:
    """Whether it found something there that a run which wrote there before may have made.

    What that run found as well was there before both.
    """
    here = run.at(path)
    return (
        any(here)
        and run.sees(path)
        and any(
            other.at(path) != here
            for other in writers
            if other.sees(path) and (run.name not in _AT_ONCE or other.name in _AT_ONCE)
        )
    )


def _at_once(one: _Found, other: _Found, writers: Mapping[str, Sequence[_Found]]) -> set[str]:
    """Where two runs that ran at once both found nothing, and may have read what the other made."""
    both = one, other
    if {run.name for run in both} != _AT_ONCE:
        return set()
    return {
        path
        for path, made_by in writers.items()
        if any(run in made_by for run in both)
        and all(run.sees(path) and run.touches(path) and not any(run.at(path)[:2]) for run in both)
    }


def taken(record: RunRecord, path: str) -> _Taken:
    """What a run found at a path."""
    return _Found(record).at(path)
