"""The evidence of a certificate: read from files, carried in the report, graded from there.

INPUTS      ``read``: the files that the stages wrote; ``from_report``: a report that carries them
OUTPUTS     ``Carried``, what a report carries; ``Evidence``, what is graded
GUARANTEES  there is one way from files to a verdict: certify reads files into the carried form and
            grades that form, verify takes the carried form out of a report and grades it again;
            digests of what is carried are always taken again from what is carried

A file that is missing, is not JSON or breaks its format does not stop the reading: it becomes a
document with a problem, and the certificate says so.
"""

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from itertools import islice
from pathlib import Path
from typing import Any, TypedDict

from jsonschema import Draft202012Validator, FormatChecker

from samebits.certificate.types import (
    Comparison,
    Config,
    FileEntry,
    History,
    LockText,
    Records,
    Report,
    RunRecord,
)
from samebits.errors import SamebitsError, all_problems, explain_os_error
from samebits.formats import canonical, files, lockfile
from samebits.formats.arrays import SUFFIX
from samebits.formats.names import COMPLETED

SCHEMA = Path(__file__).with_name("report.schema.json")
HISTORY = "history.json"
_CONFIG, _LOAD = "config.json", "load/record.json"
_TRAIN, _RECORD, _COMPARE = "train/", "/record.json", "compare/"
_DEFINITIONS = {  # of the schema, by file
    _CONFIG: "config",
    _LOAD: "loadRecord",
    "record.json": "trainRecord",
    HISTORY: "history",
}
_RESULTS = {  # of a completed run, in the order in which a certificate lists them
    "history": HISTORY,
    **{name: f"{name}{SUFFIX}" for name in ("weights", "optimizer", "trace", "canary")},
}
MOST_ERRORS = 100
_LONGEST = 300  # characters of what is quoted
MOMENT = "%Y-%m-%dT%H:%M:%SZ"  # how a certificate writes a moment: UTC, to the second


@dataclass(frozen=True)
class Document:
    """One file: ``content`` is None exactly when ``problem`` says why.

    Of a lock it is the text; of a file of arrays it is the SHA-256: no certificate carries more.
    """

    name: str
    sha256: str | None = None
    content: Any = None
    problem: str | None = None


@dataclass(frozen=True)
class RunEvidence:
    """What one training run left. Results are None where the run has none."""

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

    def comparison(self, name: str) -> Comparison | None:
        """The content of the comparison with this name; None when it is not there."""
        wanted = comparison_name(name)
        return next((c.content for c in self.comparisons if c.name == wanted), None)

    def record(self, run: str) -> RunRecord | None:
        """The record of a run; None when it is not there."""
        return next((r.record.content for r in self.runs if r.name == run), None)

    def require_record(self, run: str) -> RunRecord:
        """The record of a run; raises LookupError when it is not there."""
        record = self.record(run)
        if record is None:
            raise LookupError(run)
        return record


def comparison_name(name: str) -> str:
    """What a certificate calls the file of a comparison."""
    return f"{_COMPARE}{name}.json"


# --- the carried form ------------------------------------------------------------------------


class Carried(TypedDict):
    """The contents of all readable documents, as a report carries them; the list of all files."""

    evidence: list[FileEntry]
    config: Config | None  # None: not readable; so are the records
    comparisons: list[Comparison]
    records: Records
    histories: dict[str, History]  # by run
    lock: LockText


def from_report(report: Report) -> Carried:
    """What a report carries. The report must be valid by the schema."""
    return {
        "evidence": report["evidence"],
        "config": report["experiment"]["config"],
        "comparisons": report["comparisons"],
        "records": report["records"],
        "histories": report["histories"],
        "lock": report["lock"],
    }


def carry(evidence: Evidence) -> Carried:
    """The carried form of evidence: no more than what is graded."""
    histories = {run.name: run.history for run in evidence.runs}
    lock = evidence.lock.document
    return {
        "evidence": [
            {"name": d.name, "sha256": d.sha256, "problem": d.problem} for d in evidence.documents
        ],
        "config": evidence.config.content,
        "comparisons": [c.content for c in evidence.comparisons if c.content is not None],
        "records": {
            "load": evidence.load.content,
            "runs": {run.name: run.record.content for run in evidence.runs},
        },
        "histories": {
            name: history.content
            for name, history in histories.items()
            if history is not None and history.content is not None
        },
        "lock": {"name": lock.name, "text": lock.content},
    }


def from_carried(carried: Carried) -> Evidence:
    """The evidence to grade. A file that is listed and not carried is a problem like any other."""
    problems = {d["name"]: d for d in carried["evidence"] if d["problem"] is not None}
    contents = _contents(carried)

    def document(name: str) -> Document:
        if name in problems:
            return Document(name, problems[name]["sha256"], problem=problems[name]["problem"])
        if contents.get(name) is None:
            return Document(name, problem=f"{name} is not carried")
        if name.endswith(SUFFIX):
            return Document(name, contents[name], contents[name])
        return Document(name, _digest(contents[name]), contents[name])

    names = [d["name"] for d in carried["evidence"]]
    runs = [n.split("/")[1] for n in names if n.startswith(_TRAIN) and n.endswith(_RECORD)]
    compared = [name for name in names if name.startswith(_COMPARE)]
    return _assembled(carried["lock"]["name"], runs, compared, document)


def _assembled(
    lock: str, runs: Sequence[str], comparisons: Sequence[str], document: Callable[[str], Document]
) -> Evidence:
    """All evidence of these runs and comparisons. ``document``: a file by its name."""
    made = tuple(_run(name, document) for name in runs)
    return Evidence(
        config=document(_CONFIG),
        load=document(_LOAD),
        comparisons=tuple(map(document, comparisons)),
        runs=made,
        lock=_lock(document(lock), made),
    )


def _contents(carried: Carried) -> dict[str, Any]:
    """What is carried, by the names of the files."""
    readable = [d["name"] for d in carried["evidence"] if d["problem"] is None]
    compared = [name for name in readable if name.startswith(_COMPARE)]
    runs = carried["records"]["runs"]
    return {
        _CONFIG: carried["config"],
        _LOAD: carried["records"]["load"],
        carried["lock"]["name"]: carried["lock"]["text"],
        **{f"{_TRAIN}{name}{_RECORD}": record for name, record in runs.items()},
        **{f"{_TRAIN}{name}/{HISTORY}": h for name, h in carried["histories"].items()},
        **{d["name"]: d["sha256"] for d in carried["evidence"] if d["name"].endswith(SUFFIX)},
        **dict(zip(compared, carried["comparisons"], strict=False)),  # too few: not carried
    }


def _digest(content: Any) -> str:
    if isinstance(content, str):  # a lock
        return hashlib.sha256(content.encode("utf-8")).hexdigest()
    return canonical.digest(content)


def _run(name: str, document: Callable[[str], Document]) -> RunEvidence:
    """A run by its record, which says what else there is."""
    record = document(f"{_TRAIN}{name}{_RECORD}")
    files = _results(record.content)
    made = {part: document(f"{_TRAIN}{name}/{file}") for part, file in files.items()}
    return RunEvidence(name, record, **(dict.fromkeys(_RESULTS) | made))


def _results(record: Any) -> dict[str, str]:
    """The files that a run with this record left beside it, by what they are."""
    if record is None or record["status"] != COMPLETED:
        return {}
    canary = (record["canary"] or {}).get("digest") is not None
    return {part: file for part, file in _RESULTS.items() if part != "canary" or canary}


# --- reading files ---------------------------------------------------------------------------


@dataclass(frozen=True)
class Paths:
    """Where the evidence lies."""

    config: Path
    lock: Path
    load_record: Path
    runs: Sequence[Path]
    comparisons: Sequence[Path]


def read(paths: Paths) -> Carried:
    """Read all evidence. Raises SamebitsError only when two runs have folders of one name."""
    folders = {folder.name: folder for folder in paths.runs}
    if len(folders) != len(paths.runs):
        names = ", ".join(sorted(folder.name for folder in paths.runs))
        raise SamebitsError(
            f"expected runs in folders of different names, got {names}; give each run once"
        )
    lock = f"envs/{paths.lock.name}"
    comparisons = {comparison_name(path.stem): path for path in paths.comparisons}
    compared = [comparison_name(path.stem) for path in paths.comparisons]
    given = {_CONFIG: paths.config, _LOAD: paths.load_record, **comparisons}

    def document(name: str) -> Document:
        if name == lock:
            return _read_text(paths.lock, name)
        if name in given:
            return read_json(given[name], name, _DEFINITIONS.get(name, "comparison"))
        _, run, file = name.split("/", 2)
        path = folders[run] / file
        return (
            _read_digest(path, name)
            if name.endswith(SUFFIX)
            else read_json(path, name, _DEFINITIONS[file])
        )

    return carry(_assembled(lock, list(folders), compared, document))


def _read_digest(path: Path, name: str) -> Document:
    """A file of arrays, which its digest stands for."""
    try:
        sha256 = files.digest(path)
    except OSError as error:
        return Document(name, problem=f"{name}: {explain_os_error(_without_path(error))}")
    return Document(name, sha256, sha256)


def read_json(path: Path, name: str, definition: str) -> Document:
    """One JSON file, checked with a definition of the schema."""
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
        return Document(name, sha256, problem=f"{name} does not match its format: {wrong[0]}")
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


def _lock(document: Document, runs: Sequence[RunEvidence]) -> Lock:
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
    """The validator of the schema of reports, or of one of its definitions."""
    schema: dict[str, Any] = json.loads(SCHEMA.read_text(encoding="utf-8"))
    if definition:
        schema = {"$defs": schema["$defs"], "$ref": f"#/$defs/{definition}"}
    return Draft202012Validator(schema, format_checker=_FORMATS)


def violations(content: Any, definition: str | None = None) -> Iterator[str]:
    """How a value breaks the schema, or one of its definitions; nothing when it does not."""
    yield from described(validator(definition), content)


def described(validator: Draft202012Validator, content: Any) -> Iterator[str]:
    """The first hundred errors: of a hostile file all would take a thousand times its memory."""
    for error in sorted(islice(validator.iter_errors(content), MOST_ERRORS), key=_where):
        yield f"at {_where(error)[:_LONGEST]}: {error.message[:_LONGEST]}"


def _where(error: Any) -> str:
    return str(error.json_path)


def require_valid(report: Any) -> None:
    """Raise SamebitsError with everything in which a report breaks the schema."""
    wrong = list(violations(report))
    if wrong:
        raise SamebitsError(
            f"the report does not match {SCHEMA.name}, so nothing was written; please "
            f"report this\n{all_problems(wrong)}"
        )
