"""An environment that is there already: what its distributions say of their files, and what is so.

INPUTS      all distributions that the running interpreter can import, and their RECORDs
OUTPUTS     ``look``: a digest of each RECORD, the files that are not as it says, one digest of all
GUARANTEES  every file that a RECORD gives a digest of was read; nothing is written

Runs on Python 3.7 to 3.13.
"""

from __future__ import annotations

import base64
import csv
import hashlib
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Iterator

from samebits.formats import files

if sys.version_info >= (3, 8):
    from importlib import metadata as metadata
else:
    import importlib_metadata as metadata  # in the locks of the Python 3.7 environments


@dataclass(frozen=True)
class Look:
    """What was found."""

    records: dict[str, tuple[str, str]]  # version, and digest of RECORD, by distribution
    unlike: dict[str, str]  # digests of files that are missing or not as their RECORD says
    summary: dict[str, Any]  # how many files, and one digest of all


def look() -> Look:
    """Read every file of every distribution."""
    found = {each.metadata["Name"]: each for each in reversed([*metadata.distributions()])}
    listed = sorted({entry for each in found.values() for entry in _listed(each)})
    with ThreadPoolExecutor() as threads:
        digests = dict(zip(listed, threads.map(_digest, (place for _, place, _ in listed))))
    lines = "".join(f"{digest}  {name}\n" for (name, _, _), digest in digests.items())
    return Look(
        {name: (each.version, _record(each)) for name, each in found.items()},
        {name: digest for (name, _, expected), digest in digests.items() if digest != expected},
        {"files": len(listed), "sha256": hashlib.sha256(lines.encode()).hexdigest()},
    )


def _record(distribution: Any) -> str:
    """SHA-256 of RECORD; of the metadata, where an installer wrote none."""
    texts = filter(None, map(distribution.read_text, ("RECORD", "METADATA", "PKG-INFO")))
    return hashlib.sha256(next(texts, "").encode("utf-8", "surrogateescape")).hexdigest()


def _listed(distribution: Any) -> Iterator[tuple[str, Path, str]]:
    """Name, place and digest of each file in a RECORD."""
    lines = (distribution.read_text("RECORD") or "").splitlines()
    for name, digest, _ in csv.reader(lines):
        if digest.startswith("sha256="):
            padded = digest[7:] + "=" * (-len(digest[7:]) % 4)
            sha256 = base64.urlsafe_b64decode(padded).hex()
            yield name, Path(str(distribution.locate_file(name))), sha256


def _digest(path: Path) -> str:
    return files.digest(path) if path.is_file() else "none"
