"""Whether the files that a certificate names are there, and what it says they are.

Documents are digested as files, arrays over their elements. In a folder a document that is not
there is not missed, since the certificate carries it, and of the arrays those of the control run
have to be there, its checkpoints too. In a bundle all has to be there, and nothing else: what no
signature covers is not handed on with one.
"""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from samebits.errors import SamebitsError
from samebits.experiment.protocol import CONTROL
from samebits.formats import arrays, canonical, states
from samebits.verification.artifacts import Artefacts

_INDEX = "/index.json"
_CERTIFICATE = "certificate.json"
_BLOCK = 1 << 20
_LARGEST_INDEX = 1 << 25  # bytes; as much as a certificate may have


@dataclass(frozen=True)
class Found:
    """What was looked at, in words, and everything that is wrong with it."""

    said: str
    problems: tuple[str, ...]


def look(report: Mapping[str, Any], files: Artefacts, whole: bool) -> Found:
    """Check all files that the report names. ``whole``: all have to be there, and no others."""
    kept, damaged = _kept(report, files)
    problems = [*_missing_and_more(report, files, kept, damaged, whole), *damaged.values()]
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
        problems += arrays_of(folder, index, files)
    if not sets and (report["indices"] or not documents):
        problems.append("there is nothing to check: none of the files that the certificate names")
    for folder, index in kept.items():
        problems += arrays_of(folder, index, files)
    said = f"{len(documents)} documents and {sets} sets of arrays are as their digests say"
    if kept:
        said += f", and so are the states after {len(kept)} epochs"
    if absent:
        said += f"; not here: {', '.join(sorted(absent))}"
    return Found(said, tuple(sorted(problems)))


def _missing_and_more(
    report: Mapping[str, Any],
    files: Artefacts,
    kept: Mapping[str, Any],
    damaged: Mapping[str, str],
    whole: bool,
) -> Iterator[str]:
    """Of a bundle; in a folder only among the checkpoints is one too many looked for."""
    documents = {d["name"] for d in report["evidence"] if d["sha256"] is not None}
    named = {_CERTIFICATE, *documents, *(folder + _INDEX for folder in kept)}
    for name, index in report["indices"].items():
        named |= set(paths(name.removesuffix(_INDEX), index))
    for folder, index in kept.items():
        named |= set(paths(folder, index))
    if whole:
        yield from (f"{name}: not there" for name in documents if name not in files)
    unknown = tuple(f"{folder}/" for folder in damaged)  # what they should hold, nobody knows
    for name in files.names():
        looked_for = whole or name.startswith(states.KEPT)
        if looked_for and name not in named and not name.startswith(unknown):
            yield f"{name}: not in the certificate"


def _kept(report: Mapping[str, Any], files: Artefacts) -> tuple[dict[str, Any], dict[str, str]]:
    """The indices of the control's checkpoints by folder; and why others cannot be believed."""
    found, damaged = dict[str, Any](), dict[str, str]()
    for folder, sha256 in states.kept(report).items():
        try:
            found[folder] = index_of(folder + _INDEX, sha256, files)
        except SamebitsError as error:
            damaged[folder] = str(error)
    return found, damaged


def index_of(name: str, sha256: str, files: Artefacts) -> Any:
    """The content of an index that has to have a digest. Raises SamebitsError for any other."""
    if name not in files:
        raise SamebitsError(f"{name}: not there")
    if files.size(name) > _LARGEST_INDEX:
        raise SamebitsError(f"{name}: expected {_LARGEST_INDEX >> 20} MiB at most, got more")
    with files.open(name) as file:
        data = file.read()
    got = hashlib.sha256(data).hexdigest()
    if got != sha256:
        raise SamebitsError(f"{name}: expected {sha256}, got {got}")
    try:
        content = canonical.loads(data)
        arrays.parse_index(content)
    except (ValueError, RecursionError) as error:
        raise SamebitsError(f"{name}: expected an index of arrays, got: {error}") from error
    return content


def data(report: Mapping[str, Any], files: Artefacts) -> Found:
    """Check the arrays of the data set, which no bundle holds."""
    load = report["records"]["load"]
    if load is None:
        return Found("", ("the certificate names no data",))
    problems = tuple(sorted(arrays_of("", {"arrays": load["arrays"]}, files)))
    return Found(f"{len(load['arrays'])} arrays of the data set are as their digests say", problems)


def _document(document: Mapping[str, Any], files: Artefacts) -> Iterator[str]:
    sha = hashlib.sha256()
    with files.open(document["name"]) as file:
        for block in iter(lambda: file.read(_BLOCK), b""):
            sha.update(block)
    if sha.hexdigest() != document["sha256"]:
        yield f"{document['name']}: expected {document['sha256']}, got {sha.hexdigest()}"


def arrays_of(folder: str, index: Mapping[str, Any], files: Artefacts) -> list[str]:
    """What is wrong with the arrays of an index; ``folder``: where they lie among the files."""
    names = paths(folder, index)
    missing = [f"{name}: not there" for name in names if name not in files]
    if missing:
        return missing
    try:
        entries = arrays.parse_index({"format": arrays.FORMAT, "arrays": index["arrays"]})
    except ValueError as error:
        return [f"{folder or 'data'}: {error}"]
    wrong = arrays.check_set(entries, lambda position: files.open(names[position]))
    return [f"{folder}/{problem}" if folder else problem for problem in wrong]


def paths(folder: str, index: Mapping[str, Any]) -> list[str]:
    """Where the arrays of an index lie, in its order."""
    names = [arrays.array_path(Path(), i).name for i in range(len(index["arrays"]))]
    return [f"{folder}/{name}" if folder else name for name in names]
