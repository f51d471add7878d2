"""Whether the files that a certificate names are there, and what it says they are.

Documents are digested as files, arrays over their elements. In a folder a document that is not
there is not missed, since the certificate carries it, and of the arrays those of the control run
have to be there. In a bundle all has to be there, and nothing else: what no signature covers is not
handed on with one.
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
_CERTIFICATE = "certificate.json"
_BLOCK = 1 << 20


@dataclass(frozen=True)
class Found:
    """What was looked at, in words, and everything that is wrong with it."""

    said: str
    problems: tuple[str, ...]


def look(report: Mapping[str, Any], files: Artefacts, whole: bool) -> Found:
    """Check all files that the report names. ``whole``: all have to be there, and no others."""
    problems = list(_missing_and_more(report, files)) if whole else []
    documents = [d for d in report["evidence"] if d["sha256"] is not None and d["name"] in files]
    for document in documents:
        problems += _document(document, files)
    present = {name.split("/")[1] for name in files.names() if name.startswith("train/")}
    sets, absent = 0, set[str]()
    for name, index in report["indices"].items():
        folder = name.removesuffix(_INDEX)
        run = folder.split("/")[1]
        if not whole and run != CONTROL and run not in present:
            absent.add(run)
            continue
        sets += 1
        problems += _arrays(folder, index, files)
    if not sets and (report["indices"] or not documents):
        problems.append("there is nothing to check: none of the files that the certificate names")
    said = f"{len(documents)} documents and {sets} sets of arrays are as their digests say"
    if absent:
        said += f"; not here: {', '.join(sorted(absent))}"
    return Found(said, tuple(sorted(problems)))


def _missing_and_more(report: Mapping[str, Any], files: Artefacts) -> Iterator[str]:
    documents = {d["name"] for d in report["evidence"] if d["sha256"] is not None}
    named = {_CERTIFICATE, *documents}
    for name, index in report["indices"].items():
        named |= set(_paths(name.removesuffix(_INDEX), index))
    yield from (f"{name}: not there" for name in documents if name not in files)
    yield from (f"{name}: not in the certificate" for name in files.names() if name not in named)


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
    paths = _paths(folder, index)
    missing = [f"{path}: not there" for path in paths if path not in files]
    if missing:
        return missing
    try:
        entries = arrays.parse_index({"format": arrays.FORMAT, "arrays": index["arrays"]})
    except ValueError as error:
        return [f"{folder or 'data'}: {error}"]
    wrong = arrays.check_set(entries, lambda position: files.open(paths[position]))
    return [f"{folder}/{problem}" if folder else problem for problem in wrong]


def _paths(folder: str, index: Mapping[str, Any]) -> list[str]:
    """Where the arrays of an index lie, in its order."""
    names = [arrays.array_path(Path(), i).name for i in range(len(index["arrays"]))]
    return [f"{folder}/{name}" if folder else name for name in names]
