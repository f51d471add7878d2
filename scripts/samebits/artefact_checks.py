"""Whether the files that a certificate names are there, and what it says they are.

Documents are digested as files, arrays over their elements. A document that is not there is not
missed, since the certificate carries it; the arrays of the control run have to be there, and in a
bundle those of all runs.
"""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from samebits import arrays
from samebits.artefacts import Artefacts
from samebits.protocol import CONTROL

_INDEX = "/index.json"
_BLOCK = 1 << 20


@dataclass(frozen=True)
class Found:
    """What was looked at, in words, and everything that is wrong with it."""

    said: str
    problems: tuple[str, ...]


def look(report: Mapping[str, Any], files: Artefacts, whole: bool) -> Found:
    """Check all files that the report names. ``whole``: all runs have to be there."""
    problems: list[str] = []
    documents = [d for d in report["evidence"] if d["sha256"] is not None and d["name"] in files]
    for document in documents:
        problems += _document(document, files)
    sets, absent = 0, set[str]()
    for name, index in report["indices"].items():
        folder = name.removesuffix(_INDEX)
        run = folder.split("/")[1]
        wanted = whole or run == CONTROL
        if not wanted and not any(n.startswith(f"train/{run}/") for n in files.names()):
            absent.add(run)
            continue
        sets += 1
        problems += _arrays(folder, index, files)
    if not sets:
        problems.append("there are no arrays to check: the certificate names none")
    said = f"{len(documents)} documents and {sets} sets of arrays are as their digests say"
    if absent:
        said += f"; not here: {', '.join(sorted(absent))}"
    return Found(said, tuple(sorted(problems)))


def data(report: Mapping[str, Any], files: Artefacts) -> Found:
    """Check the arrays of the data set, which no bundle holds."""
    load = report["records"]["load"]
    if load is None:
        return Found("", ("the certificate names no data",))
    problems = tuple(sorted(_arrays("", {"arrays": load["arrays"]}, files)))
    return Found(f"{len(load['arrays'])} arrays of the data set are as their digests say", problems)


def _document(document: Mapping[str, Any], files: Artefacts) -> Iterator[str]:
    sha = hashlib.sha256()
    with files.open(document["name"]) as file:
        for block in iter(lambda: file.read(_BLOCK), b""):
            sha.update(block)
    if sha.hexdigest() != document["sha256"]:
        yield f"{document['name']}: expected {document['sha256']}, got {sha.hexdigest()}"


def _arrays(folder: str, index: Mapping[str, Any], files: Artefacts) -> list[str]:
    names = [arrays.array_path(Path(), i).name for i in range(len(index["arrays"]))]
    paths = [f"{folder}/{name}" if folder else name for name in names]
    missing = [f"{path}: not there" for path in paths if path not in files]
    if missing:
        return missing
    try:
        entries = arrays.parse_index({"format": arrays.FORMAT, "arrays": index["arrays"]})
    except ValueError as error:
        return [f"{folder or 'data'}: {error}"]
    wrong = arrays.check_set(entries, lambda position: files.open(paths[position]))
    return [f"{folder}/{problem}" if folder else problem for problem in wrong]
