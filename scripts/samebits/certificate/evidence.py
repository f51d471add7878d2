"""The files that a certificate rests on: read once, with their digest and what is wrong with them.

A file that is missing, is not JSON or is not what its format says does not stop the reading: it
becomes a document with a problem, and the certificate says so. Of arrays an index is read, and the
elements are digested again.
"""

import hashlib
import json
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from itertools import islice
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator, FormatChecker

from samebits.errors import SamebitsError, all_problems, explain_os_error
from samebits.formats import arrays, canonical, files, lockfile

SCHEMA = Path(__file__).with_name("report.schema.json")
HISTORY = "history.json"
MOST_ERRORS = 100
_LONGEST = 300  # characters of what is quoted
MOMENT = "%Y-%m-%dT%H:%M:%SZ"  # how a certificate writes a moment: UTC, to the second


@dataclass(frozen=True)
class Document:
    """One file: ``content`` is None exactly when ``problem`` says why. Of a lock it is the text."""

    name: str
    sha256: str | None = None
    content: Any = None
    problem: str | None = None


@dataclass(frozen=True)
class RunEvidence:
    """What one training run left. History and indices are None where the run has none."""

    name: str
    record: Document
    history: Document | None
    weights: Document | None
    optimizer: Document | None
    trace: Document | None
    canary: Document | None

    @property
    def documents(self) -> Iterator[Document]:
        """All files of the run that should be there."""
        results = self.history, self.weights, self.optimizer, self.trace, self.canary
        for document in (self.record, *results):
            if document is not None:
                yield document

    @property
    def indices(self) -> Iterator[Document]:
        """Those of them that list arrays."""
        for document in (self.weights, self.optimizer, self.trace, self.canary):
            if document is not None:
                yield document


@dataclass(frozen=True)
class Lock:
    """The lock of the training environment, and what each run's packages lack of it."""

    document: Document
    mismatches: dict[str, str]  # by run, in words; a run that is as locked is not in it


@dataclass(frozen=True)
class Evidence:
    """Everything that is graded."""

    config: Document
    load: Document
    comparisons: tuple[Document, ...]
    runs: tuple[RunEvidence, ...]
    lock: Lock

    @property
    def documents(self) -> Iterator[Document]:
        """All files, in the order in which the certificate lists them."""
        yield from (self.config, self.lock.document, self.load)
        for run in self.runs:
            yield from run.documents
        yield from self.comparisons

    def comparison(self, name: str) -> Any:
        """The content of the comparison with this name; None when it is not there."""
        wanted = comparison_name(name)
        return next((c.content for c in self.comparisons if c.name == wanted), None)

    def record(self, run: str) -> Any:
        """The record of a run; None when it is not there."""
        return next((r.record.content for r in self.runs if r.name == run), None)


def comparison_name(name: str) -> str:
    """What a certificate calls the file of a comparison."""
    return f"compare/{name}.json"


@dataclass(frozen=True)
class Paths:
    """Where the evidence lies."""

    config: Path
    lock: Path
    load_record: Path
    runs: Sequence[Path]
    comparisons: Sequence[Path]


def read(paths: Paths) -> Evidence:
    """Read all evidence. Raises SamebitsError only when two runs have folders of one name."""
    names = [folder.name for folder in paths.runs]
    if len(set(names)) != len(names):
        raise SamebitsError(
            f"expected runs in folders of different names, got {', '.join(sorted(names))}; "
            "give each run once"
        )
    runs = tuple(_read_run(folder) for folder in paths.runs)
    document = _read_text(paths.lock, f"envs/{paths.lock.name}")
    return Evidence(
        config=read_json(paths.config, "config.json", "config"),
        load=read_json(paths.load_record, "load/record.json", "loadRecord"),
        comparisons=tuple(
            read_json(path, comparison_name(path.stem), "comparison") for path in paths.comparisons
        ),
        runs=runs,
        lock=lock_of(document, runs),
    )


def _read_run(folder: Path) -> RunEvidence:
    name = f"train/{folder.name}"
    record = read_json(folder / "record.json", f"{name}/record.json", "trainRecord")

    def read(path: str, definition: str) -> Document:
        document = read_json(folder / path, f"{name}/{path}", definition)
        return _with_arrays(document, (folder / path).parent) if path != HISTORY else document

    return run_of(folder.name, record, read)


def _with_arrays(index: Document, folder: Path) -> Document:
    """An index, if all that it lists is as it says; else the same file with what is wrong."""
    if index.content is None:
        return index
    try:
        arrays.check_arrays(folder)
    except SamebitsError as error:
        where = f"{folder}{os.sep}"
        name = index.name.removesuffix(arrays.INDEX)
        first = str(error).splitlines()[0].replace(where, name).partition("; delete")[0]
        return Document(index.name, index.sha256, problem=first)
    return index


def run_of(name: str, record: Document, read: Callable[[str, str], Document]) -> RunEvidence:
    """A run by its record, which says what else there is. ``read``: a file, by its definition."""
    if record.content is None or record.content["status"] != "completed":
        return RunEvidence(name, record, None, None, None, None, None)
    canary = (record.content["canary"] or {}).get("digest") is not None
    indices = [
        read(f"{what}/index.json", "arrayIndex")
        for what in ("weights", "optimizer", "trace", *(["canary"] if canary else []))
    ]
    weights, optimizer, trace, *rest = indices
    history = read(HISTORY, "history")
    return RunEvidence(name, record, history, weights, optimizer, trace, rest[0] if rest else None)


def read_json(path: Path, name: str, definition: str) -> Document:
    """One JSON file, held against a definition of the schema."""
    try:
        sha256 = files.digest(path)
    except OSError as error:
        return Document(name, problem=f"{name}: {explain_os_error(_without_path(error))}")
    try:
        content = canonical.read_json(path)
    except SamebitsError:
        return Document(name, sha256, problem=f"{name} is not valid JSON")
    if canonical.digest(content) != sha256:
        return Document(name, sha256, problem=f"{name} is not in canonical form")
    wrong = list(violations(content, definition))
    if wrong:
        return Document(name, sha256, problem=f"{name} is not what its format says: {wrong[0]}")
    return Document(name, sha256, content)


def _without_path(error: OSError) -> OSError:
    """The same failure without the path: a certificate names no folder of its machine."""
    return OSError(error.errno, error.strerror)


def _read_text(path: Path, name: str) -> Document:
    try:
        data = path.read_bytes()
        return Document(name, hashlib.sha256(data).hexdigest(), data.decode("utf-8"))
    except OSError as error:
        return Document(name, problem=f"{name}: {explain_os_error(_without_path(error))}")
    except UnicodeDecodeError:
        sha256 = hashlib.sha256(data).hexdigest()
        return Document(name, sha256, problem=f"{name} is not UTF-8")


def lock_of(document: Document, runs: Sequence[RunEvidence]) -> Lock:
    """A lock, and what each run's packages lack of it."""
    if document.content is None:
        return Lock(document, {})
    try:
        lock = lockfile.parse(document.content, document.name)
    except SamebitsError:
        return Lock(document, {run.name: f"{document.name} is not a lock file" for run in runs})
    return Lock(document, {run.name: wrong for run in runs if (wrong := _packages(lock, run))})


def _packages(lock: lockfile.Lock, run: RunEvidence) -> str:
    """What a run's packages lack of the lock, in words; empty when they are as locked."""
    if run.record.content is None:
        return ""
    found = {
        lockfile.normal(package["name"]): package["version"]
        for package in run.record.content["packages"]
    }
    return "; ".join(lockfile.mismatches(lock, found))


_FORMATS = FormatChecker(["uuid"])


@_FORMATS.checks("date-time", raises=ValueError)
def _is_moment(value: object) -> bool:
    """A moment in UTC, to the second; jsonschema itself would need one more package for dates."""
    return not isinstance(value, str) or bool(datetime.strptime(value, MOMENT))


@cache
def validator(definition: str | None) -> Draft202012Validator:
    """What holds a value against the schema of reports, or against one of its definitions."""
    schema: dict[str, Any] = json.loads(SCHEMA.read_text(encoding="utf-8"))
    if definition:
        schema = {"$defs": schema["$defs"], "$ref": f"#/$defs/{definition}"}
    return Draft202012Validator(schema, format_checker=_FORMATS)


def violations(content: Any, definition: str | None = None) -> Iterator[str]:
    """How a value breaks the schema, or one of its definitions; nothing when it does not."""
    yield from described(validator(definition), content)


def described(held_against: Draft202012Validator, content: Any) -> Iterator[str]:
    """The first hundred errors: of a hostile file all would take a thousand times its memory."""
    for error in sorted(islice(held_against.iter_errors(content), MOST_ERRORS), key=_where):
        yield f"at {_where(error)[:_LONGEST]}: {error.message[:_LONGEST]}"


def _where(error: Any) -> str:
    return str(error.json_path)


def refuse_invalid(report: Any) -> None:
    """Raise SamebitsError with everything in which a report breaks the schema."""
    wrong = list(violations(report))
    if wrong:
        raise SamebitsError(
            f"expected a report as {SCHEMA.name} says, got one that breaks it; nothing was "
            f"written, please report this\n{all_problems(wrong)}"
        )
