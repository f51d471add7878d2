"""What goes into a program: the files, folders and addresses that the config names, by digest.

INPUTS      ``inputs`` of the config: paths below the project or absolute, and mappings of ``url``
            with ``sha256``, or with the ``path`` of a local file to be served in its place
OUTPUTS     entries of inputs.json: path, sha256, bytes, url; ``path`` is null for what is fetched
GUARANTEES  a folder is listed file by file, through links; what is missing, unreadable, no plain
            file, or not as its digest says is listed completely, with what to do
"""

import os
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from samebits.data.downloads import Store
from samebits.errors import SamebitsError, explain_os_error, require_none
from samebits.formats import files
from samebits.observation.project import spread

INDEX = "inputs.json"
Entry = dict[str, Any]


def entries(wanted: Iterable[Any], project: Path, store: Store) -> list[Entry]:
    """The entries of all inputs, sorted. Raises SamebitsError with every problem."""
    found, problems = list[Entry](), list[str]()
    for one in wanted:
        given: Mapping[str, Any] = one if isinstance(one, Mapping) else {"path": one}
        try:
            found += _local(given, project) if given.get("path") else [_fetched(given, store)]
        except SamebitsError as error:
            problems.append(f"inputs: {error}")
    require_none(problems)
    named = {(entry["path"] or "", entry["url"] or ""): entry for entry in found}
    return [named[key] for key in sorted(named)]


def _fetched(given: Mapping[str, Any], store: Store) -> Entry:
    found = store.get(given["url"], given["sha256"])
    return _entry(None, found.sha256, found.path.stat().st_size, given["url"])


def _entry(path: str | None, sha256: str, size: int, url: str | None) -> Entry:
    return {"path": path, "sha256": sha256, "bytes": size, "url": url}


def _local(given: Mapping[str, Any], project: Path) -> list[Entry]:
    """The file, or the files of the folder, that a path names."""
    where, url, pin = project / given["path"], given.get("url"), given.get("sha256")
    name = os.path.relpath(where, project)
    if name.startswith("..") and Path(given["path"]).is_absolute():
        name = os.path.normpath(where)
    if name.startswith("..") or not where.exists():
        why = "lies outside of" if where.exists() else "does not exist below"
        hint = "correct the path" if not where.exists() else "give its absolute path"
        raise SamebitsError(f"{given['path']} {why} {project}; {hint}")
    parts = [project / part for part in spread(project, name)] if not url else [where]
    paths = sorted(path for part in parts for path in _files(part))
    wrong = [_problem(path) for path in paths] if paths else [f"{where} holds no file"]
    require_none(filter(None, wrong))
    with ThreadPoolExecutor() as threads:
        digests = list(threads.map(files.digest, paths))
    if pin and digests != [pin]:
        raise SamebitsError(f"{given['path']}: expected SHA-256 {pin}, got {', '.join(digests)}")
    above = Path("/") if Path(name).is_absolute() else project
    names = [os.path.normpath(Path(name).root + os.path.relpath(path, above)) for path in paths]
    sizes = [path.stat().st_size for path in paths]
    return [_entry(*each, url) for each in zip(names, digests, sizes, strict=True)]


def _files(where: Path) -> Iterable[Path]:
    return _walk(where) if where.is_dir() else [where]


def _walk(folder: Path, above: tuple[Path, ...] = ()) -> Iterator[Path]:
    """Everything below a folder but folders, through links to folders, none of them twice."""
    real = folder.resolve()
    if real in above:
        raise SamebitsError(f"{folder} is a link to a folder that it lies in; remove the link")
    try:
        below = list(folder.iterdir())
    except OSError as error:
        raise SamebitsError(explain_os_error(error)) from None
    for path in below:
        if path.is_dir():
            yield from _walk(path, (*above, real))
        else:
            yield path


def _problem(path: Path) -> str:
    """Why a file cannot be an input; empty: it can."""
    if not path.is_file():
        return f"{path} is {'a broken link' if path.is_symlink() else 'no plain file'}; remove it"
    if not os.access(path, os.R_OK):
        return f"{path} cannot be read; check who may read it"
    readable = os.fsencode(path).decode("utf-8", "replace") == str(path)
    return "" if readable else f"{path!r}: the name is no UTF-8; rename it"
