"""An environment that is there already: what its packages say of their files, and what is so.

INPUTS      the folders of packages on the import path of the running interpreter, and conda-meta
OUTPUTS     ``look``: a lock (lockfile.py) whose digests are those of RECORDs, with a line for
            Python, each package that conda installed or that is editable, and each file that is
            not as its RECORD or conda says, is missing, or could be imported and is in no RECORD
GUARANTEES  every file that a RECORD gives a digest of was read, now or since it last changed;
            nothing is written into the environment; the same wheels give the same lines wherever
            they are installed: what an installer adds (scripts, bytecode, notes of its own) and pip
            itself are left out

Runs on Python 3.7 to 3.13.
"""

from __future__ import annotations

import base64
import csv
import hashlib
import json
import os
import platform
import re
import sys
import sysconfig
from pathlib import Path
from typing import Any, Iterable, Iterator, Mapping

from samebits.errors import SamebitsError, all_problems
from samebits.formats import files, lockfile
from samebits.formats.lockfile import metadata

PYTHON, UNLIKE, EDITABLE, UNLISTED = "Python", "not as installed", "editable", "in no RECORD"
_NO_RECORD, _MISSING, _CONDA, _FILES = "without a RECORD", "missing", "conda", "files"
_KNOWN = "known-files.json"  # beside a lock: digests of files, and their state when they were read
_IMPORTABLE = re.compile(r"\.(py|pth|so(\.\d+)*)$")
_LIBRARIES = r"/(libtensorflow|_pywrap_tensorflow|libcu|libnv|libnccl)[^/]*$"
# Of installers: how, from where and for whom something was installed; pip; uv's patch of distutils.
_OF_INSTALLERS = re.compile(
    r"^(\.\.|pip|pip-[^/]*|_virtualenv\.\w+)(/|$)|\.pyc$"
    r"|\.dist-info/(RECORD|INSTALLER|REQUESTED|direct_url\.json|uv_\w+\.json)$"
)
# Left out of Python's own files; the last names the folder that Python was installed in.
_NO_MODULES = ("__pycache__", "test", *lockfile.SITES)
_OF_PLACE = "_sysconfigdata"
_NOTE = re.compile(r"^# ([A-Za-z][A-Za-z ]*): (\S.*?)(?: sha256:([0-9a-f]{64}))?$", re.M)


class _Digests:
    """SHA-256 of files; one is read again where its state is not that of the last time."""

    def __init__(self, place: Path) -> None:
        self._place = place
        self._known: dict[str, Any] = json.loads(place.read_text()) if place.is_file() else {}

    def of(self, paths: Iterable[str]) -> dict[str, str]:
        """By path; empty where there is no file."""
        states, known = {path: _state(path) for path in sorted(paths)}, self._known
        for path, state in states.items():  # no threads: a run counts them
            if state and known.get(path, [])[1:] != state:
                known[path] = [files.digest(Path(path)), *state]
        return {path: str(known[path][0]) if state else "" for path, state in states.items()}

    def keep(self) -> None:
        files.write_bytes(self._place, json.dumps(self._known).encode())


def _state(path: str) -> list[int]:
    """What a file has another of after each change; empty where there is none."""
    if not os.path.isfile(path):  # noqa: PTH113 (of thousands)
        return []
    found = os.stat(path)  # noqa: PTH116
    return [found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino]


def kept(lock: Path) -> Path:
    """The file beside a lock with the digests of the environment's files."""
    return lock.parent / _KNOWN


def look(folder: Path, keep: bool = False) -> str:
    """The lock of the running interpreter's environment.

    ``folder``: of the lock, where digests of files are kept; with ``keep`` those of now are.
    """
    digests, notes, packages = _Digests(folder / _KNOWN), [], {}
    expected: dict[str, set[str]] = {}
    for found in metadata.distributions():
        name = lockfile.normal(found.metadata["Name"] or "")
        if name in ("", "pip"):
            continue
        rows = dict(_rows(found.read_text("RECORD") or ""))
        for below, digest in rows.items():
            expected.setdefault(str(found.locate_file(below)), set()).add(digest)
        if name in packages:  # the first of a name counts
            continue
        told = _lines(rows) or found.read_text("METADATA") or found.read_text("PKG-INFO") or ""
        packages[name] = f"{name}=={found.version} --hash=sha256:{_sha256(told)}"
        is_editable = '"editable": true' in (found.read_text("direct_url.json") or "")
        notes += [(_NO_RECORD, name, "")] * (not rows) + [(EDITABLE, name, "")] * is_editable
    for name, digest, rows in _of_conda():
        notes.append((_CONDA, name, digest))
        for below, digest in rows.items():
            expected.setdefault(str(Path(sys.prefix, below)), set()).add(digest)
    known = digests.of({*expected, *_importable()})
    notes += _of_files(known, expected)
    notes += [(PYTHON, platform.python_version(), _sha256(_lines(digests.of(_of_python()))))]
    if keep:
        digests.keep()
    begins = "{}.{} on Linux x86_64 {}".format(*sys.version_info[:2], lockfile.AS_INSTALLED)
    lines = [f"# Locked for CPython {begins}", f"# {_FILES}: {len(known)}"]
    lines += sorted(f"# {k}: {name}{d and f' sha256:{d}'}" for k, name, d in notes)
    return "\n".join([*lines, lockfile.WHEELS_ONLY, *sorted(packages.values())]) + "\n"


def _rows(record: str) -> Iterator[tuple[str, str]]:
    """The files of a RECORD and their digests, without what an installer wrote."""
    for name, digest, *_ in csv.reader(record.splitlines()):
        if digest.startswith("sha256=") and not _OF_INSTALLERS.search(name):
            yield name, base64.urlsafe_b64decode(digest[7:] + "=").hex()


def _of_conda() -> Iterator[tuple[str, str, dict[str, str]]]:
    """Conda's packages: name, digest of the archive, and the files that could be imported."""
    for path in sorted(Path(sys.prefix, "conda-meta").glob("*.json")):
        meta = json.loads(path.read_text(encoding="utf-8"))
        rows = {
            entry["_path"]: entry.get("sha256_in_prefix") or entry["sha256"]
            for entry in meta.get("paths_data", {}).get("paths", ())
            if entry.get("sha256") and entry.get("path_type") == "hardlink"
            if _IMPORTABLE.search(entry["_path"])
        }
        name = "{name}-{version}-{build}".format(**meta)
        yield name, meta.get("sha256") or _sha256(_lines(rows)), rows


def _importable() -> Iterator[str]:
    """Every file in the folders of packages that Python could import, but for caches."""
    for site in sites():
        for folder, folders, names in os.walk(str(site), followlinks=True):
            folders[:] = [name for name in folders if name != "__pycache__"]
            for path in (f"{folder}/{name}" for name in names):
                is_module = _IMPORTABLE.search(path) or path.endswith(".pyc")
                if is_module and not _OF_INSTALLERS.search(_name(path)):
                    yield path


def _of_python() -> Iterator[str]:
    """Python's program and library, and the modules that come with it."""
    yield os.path.realpath(sys.executable)
    yield from loaded(r"/libpython[^/]*$")
    for folder, folders, names in os.walk(sysconfig.get_paths()["stdlib"]):
        folders[:] = [name for name in folders if name not in _NO_MODULES]
        yield from (
            f"{folder}/{name}"
            for name in names
            if _IMPORTABLE.search(name) and not name.startswith(_OF_PLACE)
        )


def loaded(pattern: str) -> set[str]:
    """The shared libraries that this process has loaded, of those that match."""
    mapped = (line.split(maxsplit=5) for line in Path("/proc/self/maps").read_text().splitlines())
    return {fields[5] for fields in mapped if len(fields) == 6 and re.search(pattern, fields[5])}


def libraries(lock: Path) -> dict[str, str]:
    """The digests of the libraries of TensorFlow, CUDA and cuDNN that this process has loaded."""
    found = _Digests(kept(lock)).of(loaded(_LIBRARIES))
    return {Path(path).name: digest for path, digest in found.items()}


def _of_files(
    known: Mapping[str, str], expected: Mapping[str, Any]
) -> Iterator[tuple[str, str, str]]:
    """The files that are not as they should be; those that are missing or in no RECORD together."""
    groups: dict[tuple[str, str], dict[str, str]] = {}
    for path, digest in known.items():
        name = _name(path)
        if digest and path in expected and digest not in expected[path]:
            yield UNLIKE, _shown(name), digest
        elif not digest or path not in expected:
            first, below, _ = name.partition("/")
            kind = UNLISTED if digest else _MISSING
            groups.setdefault((kind, first + below), {})[name] = digest
    for (kind, first), found in groups.items():
        count = f" ({len(found)} files)" * first.endswith("/")
        yield kind, f"{_shown(first)}{count}", _sha256(_lines(found))


def sites() -> list[Path]:
    """The folders of packages from which the running interpreter imports."""
    return [Path(entry) for entry in sys.path if entry.endswith(lockfile.SITES)]


def _name(path: str) -> str:
    """A file's name below the folder of packages or the prefix that it lies in."""
    roots = (f"{root}/" for root in (*sites(), sys.prefix, sys.base_prefix))
    return next((path[len(root) :] for root in roots if path.startswith(root)), path)


def _shown(name: str) -> str:
    """A name in one line of ASCII."""
    return json.dumps(name)[1:-1]


def _lines(rows: Mapping[str, str]) -> str:
    return "".join(sorted(f"{_name(name)} {digest}\n" for name, digest in rows.items()))


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()


# --- of such a lock ------------------------------------------------------------------------------


def notes(text: str) -> dict[str, list[str]]:
    """The names in its lines by what they say; of Python its version."""
    found: dict[str, list[str]] = {PYTHON: []}
    for kind, name, _ in _NOTE.findall(text):
        found.setdefault(kind, []).append(name)
    return found


def described(text: str) -> str:
    """The environment in a few words."""
    found = notes(text)
    said = [f"distributions: {text.count('--hash=sha256:')}"]
    said += [f"Python {version}" for version in found[PYTHON]]
    said += [f"files that are not as their RECORD says: {len(found.get(UNLIKE, ()))}"]
    return "as installed: " + ", ".join(said)


def differences(expected: str, got: str) -> list[str]:
    """What is not the same in two of them, in words, sorted."""
    a, b = _facts(expected), _facts(got)
    return [
        f"{what}: expected {a.get(what, 'none')}, got {b.get(what, 'none')}"
        for what in sorted({*a, *b})
        if a.get(what) != b.get(what)
    ]


def _facts(text: str) -> dict[str, str]:
    packages = lockfile.parse(text, lockfile.AS_INSTALLED).packages
    found = {p.name: f"{p.version}, RECORD {p.sha256[:12]}" for p in packages}
    for kind, name, digest in _NOTE.findall(text):
        if kind == PYTHON:
            found[kind] = f"{name}, SHA-256 {digest[:12]}"
        elif kind != _FILES:
            found[f"{name} ({kind})"] = f"SHA-256 {digest[:12]}" if digest else "yes"
    return found


def environment(lock: Path) -> dict[str, Any]:
    """As ``lockfile.environment``. Raises SamebitsError if it is not what it was."""
    check(lock)
    (count,) = notes(lock.read_text(encoding="utf-8"))[_FILES]
    summary = {"files": int(count), "sha256": files.digest(lock)}
    return lockfile.described(lock, lockfile.packages(), summary)


def check(lock: Path) -> None:
    """Raise SamebitsError that lists what was changed since the environment was looked at."""
    changed = differences(lock.read_text(encoding="utf-8"), look(lock.parent))
    if changed:
        raise SamebitsError(
            f"{sys.prefix}: this environment was changed after it was looked at\n"
            f"{all_problems(changed)}\nstart the same command again: all runs begin anew with it"
        )
