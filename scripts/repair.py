#!/usr/bin/env python3
"""Remove damaged data and results, so that the same command makes them again.

INPUTS      --data         a folder of arrays, as load.py wrote it; each flag may be repeated
            --run          a folder, as train.py wrote it
            --comparison   a file, as compare.py wrote it
            --certificate  a certificate.json, as certify.py wrote it
OUTPUTS     removed when damaged: a data set with its record, a whole run, a comparison, a
            certificate with page and badge; a sound certificate that rests on a removed file is
            renamed to certificate.old.json, because Snakemake makes nothing again while it exists
GUARANTEES  a file is removed only when it differs from its own digests, and each is named with the
            reason; a file that cannot be read for another reason is an error and stays; results
            that are older, or of another config, stay
"""

import shutil
from collections.abc import Callable, Iterable
from pathlib import Path

from samebits.arguments import parser
from samebits.certificate import certificate as certificates
from samebits.comparison import runs
from samebits.errors import SamebitsError, all_problems, run
from samebits.experiment.protocol import CONTROL
from samebits.formats import canonical, dataset, files, states
from samebits.text import say
from samebits.verification import levels

Check = Callable[[Path], None]


def _document(path: Path) -> None:
    """Raises SamebitsError for a document that changed since it was written."""
    content = canonical.read_json(path)
    if canonical.digest(content) != files.digest(path):
        raise SamebitsError(f"{path}: expected canonical JSON, got another form")
    if broken := canonical.digest_problem(content):
        raise SamebitsError(f"{path}: {broken}")


def _data(folder: Path) -> None:
    record = folder.with_name("record.json")
    _document(record)
    content = canonical.read_json(record)
    of_program = "inputs" in content
    got = files.digest(folder / "inputs.json") if of_program else dataset.check(folder)
    expected = content["digest"]
    if got != expected:
        raise SamebitsError(f"{folder}: expected {expected} as {record.name} says, got {got}")


def _run(folder: Path) -> None:
    _document(folder / runs.RECORD)
    found = runs.read_run(folder)
    runs.open_all([found])
    kept = states.from_record(found.record) or () if folder.name == CONTROL else ()
    for name, expected in states.paths(kept).items():
        path = folder / "checkpoints" / name
        if (got := files.digest(path)) != expected:
            raise SamebitsError(f"{path}: expected SHA-256 {expected}, got {got}")


def _certificate(path: Path) -> None:
    found = levels.verify(certificates.parse(path.read_bytes()), [])
    problems = [f"{path}: {said}" for check in found.checks for said in check.problems]
    if problems:
        raise SamebitsError(all_problems(problems))


CHECKS: dict[str, Check] = {"data": _data, "run": _run, "comparison": _document}
CHECKS["certificate"] = _certificate


def _problem(check: Check, path: Path) -> str:
    """The damage; empty when there is none. A missing part is damage too."""
    try:
        check(path)
    except SamebitsError as error:
        return str(error)
    except FileNotFoundError as error:
        return f"{error.filename}: missing"
    return ""


_BESIDE = {"data": ["record.json"], "certificate": ["certificate.html", "badge.svg"]}


def _belonging(kind: str, path: Path) -> list[Path]:
    """The files made together with it: if one is missing, all have to be made again."""
    return [path, *map(path.with_name, _BESIDE.get(kind, ()))]


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _is_affected(certificate: Path, damaged: Iterable[tuple[str, Path]]) -> bool:
    """Whether evidence of it was removed; several certificates may share data."""
    return any(kind == "data" or certificate.parent in path.parents for kind, path in damaged)


def main() -> int:
    """Check everything, then remove damaged files."""
    flags = parser(__doc__)
    for kind in CHECKS:
        flags.add_argument(f"--{kind}", type=Path, action="append", default=[])
    options = flags.parse_args()
    given = [(kind, path) for kind in CHECKS for path in getattr(options, kind)]
    damaged = {(k, path): said for k, path in given if (said := _problem(CHECKS[k], path))}
    for (kind, path), problem in damaged.items():
        say(problem)
        for belonging in _belonging(kind, path):
            _remove(belonging)
        say(f"removed {path}")
    for path in options.certificate:
        if ("certificate", path) not in damaged and _is_affected(path, damaged):
            path.replace(path.with_name("certificate.old.json"))
            for belonging in _belonging("certificate", path):
                _remove(belonging)
            say(f"renamed {path} to certificate.old.json")
    sound = len(given) - len(damaged)
    say(f"{sound} of {len(given)} match their digests" + (_AGAIN if damaged else ""))
    return 0


_AGAIN = "; the next start makes the rest again, and ./samebits repair goes on with it at once"

if __name__ == "__main__":
    run(main)
