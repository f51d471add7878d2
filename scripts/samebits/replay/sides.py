"""One side of a diff: a certificate, a bundle, the results of an experiment, or one run.

INPUTS      a path, from anybody
OUTPUTS     ``Side``: the record and history of the run that it stands for, and the run's files
GUARANTEES  nothing is executed; a certificate that does not hold is refused, and so is a bundle
            whose files are not the certified ones; a run's files are used only if its record is the
            certified one
"""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from samebits.certificate import evidence
from samebits.certificate.types import RunRecord
from samebits.errors import SamebitsError
from samebits.experiment.protocol import CONTROL
from samebits.formats import canonical
from samebits.formats.names import CERTIFICATE_FILE
from samebits.verification import artifacts, opened

_RECORD = "record.json"


@dataclass(frozen=True)
class Side:
    """One run, and what is known of it."""

    path: Path
    what: str  # the certificate's verdict, or that there is none
    signed: str  # by whom
    record: RunRecord
    history: Any  # the JSON of history.json; None where the run did not complete
    run: Path | None  # the folder of the run's files; None: not here


@contextmanager
def side(path: Path, environ: Mapping[str, str]) -> Iterator[Side]:
    """Open one side. Raises SamebitsError that says what the path is not."""
    if (path / _RECORD).is_file():
        yield _of_run(path)
        return
    if path.is_dir():
        path /= CERTIFICATE_FILE
        if not path.is_file():
            raise SamebitsError(
                f"{path.parent}: expected results, with {CERTIFICATE_FILE}, or a run, with "
                f"{_RECORD}; got a folder without either"
            )
    with ExitStack() as stack:
        try:
            found = _of_certificate(path, environ, stack)
        except SamebitsError as error:
            where = f"{path}: "
            raise type(error)(where + str(error).removeprefix(where)) from None
        yield found


def _of_certificate(path: Path, environ: Mapping[str, str], stack: ExitStack) -> Side:
    """``stack``: closes the certificate's files."""
    given = stack.enter_context(opened.opened(path))
    bundled, report = given.bundled, given.content["report"]
    checked = [artifacts.check(report, bundled, whole=True)] if bundled is not None else []
    found = opened.require_sound(given.content, environ, checked)
    record = report["records"]["runs"].get(CONTROL)
    if record is None:
        raise SamebitsError("its control run left no record, so no bits are known")
    run = stack.enter_context(opened.control_run(given, path))
    history = report["histories"].get(CONTROL)
    return Side(path, found.verdict, found.checks[0].summary, record, history, run)


def _of_run(path: Path) -> Side:
    document = evidence.read_document(_RECORD, path / _RECORD, "trainRecord")
    if document.problem is not None:
        raise SamebitsError(f"{path}: {document.problem}; delete it to have it made again")
    record: RunRecord = document.content
    history = path / evidence.HISTORY
    content = canonical.read_json(history) if record["digests"] else None
    return Side(path, f"run {record['run']}", "not certified", record, content, path)
