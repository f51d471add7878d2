"""The evidence of a certificate: read from files or from a report, and graded in one form.

INPUTS      ``read``: the files that the stages wrote; ``from_report``: a report that carries them
OUTPUTS     ``Evidence``: the content of every file, as a report carries it and as it is graded
GUARANTEES  certify grades the files and verify grades the report, by the same functions; certify
            verifies the certificate before it writes it, so both agree; from_report computes every
            digest again from the carried content

A file that is missing, is not JSON or breaks its format does not stop the reading: it becomes a
document with a problem, and the certificate says so.
"""

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from samebits.certificate import schema
from samebits.certificate.types import Comparison, Report, RunRecord
from samebits.errors import SamebitsError, explain_os_error
from samebits.formats import canonical, files
from samebits.formats.arrays import SUFFIX
from samebits.formats.names import ARTIFACTS, COMPLETED

HISTORY = "history.json"
_CONFIG, _LOAD = "config.json", "load/record.json"
_TRAIN, _RECORD, _COMPARE = "train/", "/record.json", "compare/"
_RUN_DEFINITIONS = {"record.json": "trainRecord", HISTORY: "history"}
_RESULTS = {  # of a completed run, in the order in which a certificate lists them
    "history": HISTORY,
    **{name: f"{name}{SUFFIX}" for name in (*ARTIFACTS[1:], "canary")},
}


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
    """What one training run left. ``results``: by what they are; empty if it did not complete."""

    name: str
    record: Document
    results: Mapping[str, Document]


@dataclass(frozen=True)
class Evidence:
    """Everything that is graded."""

    config: Document
    lock: Document
    load: Document
    runs: tuple[RunEvidence, ...]
    comparisons: tuple[Document, ...]
    dependencies: Mapping[str, str]  # locks and pin files of all stages: SHA-256

    @property
    def documents(self) -> Iterator[Document]:
        """All files that should be there, in the order in which the certificate lists them."""
        yield from (self.config, self.lock, self.load)
        for run in self.runs:
            yield from (run.record, *run.results.values())
        yield from self.comparisons

    @property
    def records(self) -> dict[str, RunRecord]:
        """The readable records of runs, by run."""
        return {r.name: r.record.content for r in self.runs if r.record.content is not None}

    def comparison(self, name: str) -> Comparison | None:
        """The content of the comparison with this name; None when it is not there."""
        wanted = comparison_name(name)
        return next((c.content for c in self.comparisons if c.name == wanted), None)


def comparison_name(name: str) -> str:
    """What a certificate calls the file of a comparison."""
    return f"{_COMPARE}{name}.json"


def _assembled(
    lock: str,
    runs: Sequence[str],
    comparisons: Sequence[str],
    dependencies: Mapping[str, str],
    document: Callable[[str], Document],
) -> Evidence:
    """All evidence of these runs and comparisons. ``document``: a file by its name."""
    return Evidence(
        config=document(_CONFIG),
        lock=document(lock),
        load=document(_LOAD),
        runs=tuple(_run(name, document) for name in runs),
        comparisons=tuple(map(document, comparisons)),
        dependencies=dependencies,
    )


def _run(name: str, document: Callable[[str], Document]) -> RunEvidence:
    """A run by its record, which says what else there is."""
    record = document(f"{_TRAIN}{name}{_RECORD}")
    content, results = record.content, dict[str, Document]()
    if content is not None and content["status"] == COMPLETED:
        canary = (content["canary"] or {}).get("digest") is not None
        for part, file in _RESULTS.items():
            if part != "canary" or canary:
                results[part] = document(f"{_TRAIN}{name}/{file}")
    return RunEvidence(name, record, results)


# --- from a report ---------------------------------------------------------------------------


def from_report(report: Report) -> Evidence:
    """The evidence that a report carries, which must be valid by the schema.

    A file that it lists and does not carry is a problem like any other.
    """
    listed = {entry["name"]: entry for entry in report["evidence"]}
    contents = _contents(report)

    def document(name: str) -> Document:
        entry, content = listed.get(name), contents.get(name)
        if entry is not None and entry["problem"] is not None:
            return Document(name, entry["sha256"], problem=entry["problem"])
        if content is None:
            return Document(name, problem=f"{name} is not carried")
        return Document(name, _digest(name, content), content)

    names = [entry["name"] for entry in report["evidence"]]
    runs = [n.split("/")[1] for n in names if n.startswith(_TRAIN) and n.endswith(_RECORD)]
    compared = [name for name in names if name.startswith(_COMPARE)]
    dependencies = {d["name"]: d["sha256"] for d in report["dependencies"]}
    return _assembled(report["lock"]["name"], runs, compared, dependencies, document)


def _contents(report: Report) -> dict[str, Any]:
    """What a report carries, by the names of the files."""
    readable = [d["name"] for d in report["evidence"] if d["problem"] is None]
    compared = [name for name in readable if name.startswith(_COMPARE)]
    runs = report["records"]["runs"]
    return {
        _CONFIG: report["experiment"]["config"],
        _LOAD: report["records"]["load"],
        report["lock"]["name"]: report["lock"]["text"],
        **{f"{_TRAIN}{name}{_RECORD}": record for name, record in runs.items()},
        **{f"{_TRAIN}{name}/{HISTORY}": h for name, h in report["histories"].items()},
        **{d["name"]: d["sha256"] for d in report["evidence"] if d["name"].endswith(SUFFIX)},
        **dict(zip(compared, report["comparisons"], strict=False)),  # too few: not carried
    }


def _digest(name: str, content: Any) -> str:
    if name.endswith(SUFFIX):
        return str(content)
    if isinstance(content, str):  # a lock
        return hashlib.sha256(content.encode("utf-8")).hexdigest()
    return canonical.digest(content)


# --- from files ------------------------------------------------------------------------------


def read(
    config: Path,
    lock: Path,
    load_record: Path,
    runs: Sequence[Path],
    comparisons: Sequence[Path],
    dependencies: Mapping[str, str],
) -> Evidence:
    """Read all evidence. Raises SamebitsError only when two runs have folders of one name."""
    folders = {folder.name: folder for folder in runs}
    if len(folders) != len(runs):
        names = ", ".join(sorted(folder.name for folder in runs))
        raise SamebitsError(
            f"expected runs in folders of different names, got {names}; give each run once"
        )
    of_lock, compared = f"envs/{lock.name}", [comparison_name(path.stem) for path in comparisons]
    given: dict[str, tuple[Path, str | None]] = {
        _CONFIG: (config, "config"),
        of_lock: (lock, None),
        _LOAD: (load_record, "loadRecord"),
        **{n: (path, "comparison") for n, path in zip(compared, comparisons, strict=True)},
    }

    def document(name: str) -> Document:
        if name in given:
            return read_document(name, *given[name])
        _, run, file = name.split("/", 2)
        return read_document(name, folders[run] / file, _RUN_DEFINITIONS.get(file))

    return _assembled(of_lock, list(folders), compared, dependencies, document)


def read_document(name: str, path: Path, definition: str | None) -> Document:
    """One file. ``definition``: of JSON, in the schema; None: a lock, or a file of arrays."""
    try:
        if name.endswith(SUFFIX):
            sha256 = files.digest(path)
            return Document(name, sha256, sha256)
        data = path.read_bytes()
    except OSError as error:  # without the path: a certificate names no folder of its machine
        why = explain_os_error(OSError(error.errno, error.strerror))
        return Document(name, problem=f"{name}: {why}")
    sha256 = hashlib.sha256(data).hexdigest()
    try:
        content = data.decode("utf-8") if definition is None else _parsed(data, definition)
    except UnicodeDecodeError:
        return Document(name, sha256, problem=f"{name} is not UTF-8")
    except SamebitsError as error:
        return Document(name, sha256, problem=f"{name} {error}")
    return Document(name, sha256, content)


def _parsed(data: bytes, definition: str) -> Any:
    """JSON that is canonical and as a definition says. Raises SamebitsError for anything else."""
    try:
        content = canonical.loads(data)
    except (ValueError, RecursionError):
        raise SamebitsError("is not valid JSON") from None
    if canonical.dumps(content) != data:
        raise SamebitsError("is not in canonical form")
    wrong = next(schema.violations(content, schema.definition(definition)), None)
    if wrong is not None:
        raise SamebitsError(f"does not match its format: {wrong}")
    return content
