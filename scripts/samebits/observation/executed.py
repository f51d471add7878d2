"""The modules that this process executed, each with the SHA-256 of the bytes that it executed.

Python's loader may take a module's code from a cache and never read the source. From ``install`` on
the source of each module outside of the environment and the standard library is read once, digested
and compiled, whatever finder or function loads it. The few modules that were loaded before must
have the code that their source has.

Runs on Python 3.7 to 3.13.
"""

from __future__ import annotations

import hashlib
import os
import sys
import sysconfig
from importlib.machinery import FileFinder, SourceFileLoader
from pathlib import Path
from types import CodeType
from typing import Any, Iterator, Set

OWN = "samebits"
_MAIN = "__main__"
# The operating system's own files, whose effect is that of another machine.
_SYSTEM = (
    *("/proc", "/sys", "/dev", "/run", "/etc", "/bin", "/sbin", "/lib", "/lib32", "/lib64"),
    *("/usr/bin", "/usr/sbin", "/usr/lib", "/usr/lib32", "/usr/lib64", "/usr/libexec"),
    *("/usr/share/locale", "/usr/share/zoneinfo", "/usr/share/i18n"),
)
_SHARED_MEMORY = "/dev/shm/"  # noqa: S108 (where a program keeps files of its own)
CHECKOUT = Path(__file__).resolve().parents[3]
_HOME = os.path.expanduser("~/")  # noqa: PTH111 (Path raises where there is none)
_GENERATED = "__autograph_generated_file"  # TensorFlow's, in the folder for temporary files
_TEMPORARY = os.environ.get("TMPDIR", "")  # the launcher's own; TensorFlow 2.1 has other names
_ROOT_VARIABLE = "SAMEBITS_ROOT"  # experiment.variations.ROOT: no other module of ours comes first
_ROOT = os.environ.get(_ROOT_VARIABLE, "")
_executed: dict[tuple[str, str], str] = {}  # SHA-256 by (module, file); the first one counts
_changed: set[str] = set()  # files of which two contents were executed


def as_named(path: Any) -> Path:
    """Absolute, links kept: modules are found below a folder by the name it was given."""
    return Path(os.path.abspath(str(path)))  # noqa: PTH100 (resolve() follows links)


def _environment() -> Iterator[str]:
    """Folders of the interpreter and its packages, as they are named and without links."""
    shared = ("/", "/usr", "/usr/local")  # their Python is the system's
    prefixes = {sys.prefix, sys.base_prefix}.difference(shared)
    sites = (entry for entry in sys.path if entry.endswith(("site-packages", "dist-packages")))
    for folder in (*prefixes, *sysconfig.get_paths().values(), *sites):
        if folder not in shared:
            yield from (str(as_named(folder)), str(Path(folder).resolve()))


_EXCLUDED = tuple(f"{folder}/" for folder in sorted({*_SYSTEM, *_environment()}))


def is_input(path: str) -> bool:
    """Whether a file, by its absolute path, is neither the system's nor the environment's."""
    first = f"{_first(path)}/"  # such a folder itself is no input either
    return first.startswith(_SHARED_MEMORY) or not first.startswith(_EXCLUDED)


def _first(path: str) -> str:
    """A path without the place at which a variation shows all folders a second time."""
    return path[len(_ROOT) :] if _ROOT and path.startswith(f"{_ROOT}/") else path


def install(main: CodeType) -> None:
    """Digest every module that is loaded from now on. ``main``: the code of the script that runs.

    Raises ImportError where a module's cached code is not that of its source.
    """
    before = [name for name in sys.modules if name.partition(".")[0] == OWN]
    for name in before:
        _verify(name, _loader(name).path, _original(_loader(name), name))
    _verify(_MAIN, main.co_filename, main)
    setattr(SourceFileLoader, "get_code", _get_code)  # noqa: B010 (mypy knows no other name)
    setattr(FileFinder, "_fill_cache", _fill_cache)  # noqa: B010


def hide(folder: Path) -> None:
    """Leave ``samebits`` importable, and nothing else that lies beside it in a folder."""
    sys.path[:] = [entry for entry in sys.path if Path(entry).resolve() != folder]


def _loader(name: str) -> Any:
    return getattr(sys.modules[name], "__loader__")  # noqa: B009 (no stub has it)


def _verify(name: str, path: str, code: CodeType) -> None:
    data = Path(path).read_bytes()
    if compile(data, path, "exec", dont_inherit=True) != code:
        raise ImportError(f"{path}: was changed while it was loaded; start the same command again")
    note(name, path, data)


_original: Any = SourceFileLoader.get_code


def _get_code(loader: SourceFileLoader, name: str) -> Any:
    """As SourceFileLoader.get_code, without a cache for files that may be edited."""
    path = loader.get_filename(name)
    generated = "/samebits-" in _TEMPORARY and path.startswith(f"{_TEMPORARY}/")
    if not is_input(str(as_named(path))) or _GENERATED in name or generated:
        return _original(loader, name)
    data = loader.get_data(path)
    note(name, path, data)
    return loader.source_to_code(data, path)


class _Everything(Set[str]):
    """A folder's names, as if all were there: each candidate is then looked for by itself."""

    def __contains__(self, name: object) -> bool:
        """Whether to look."""
        return True


_original_fill: Any = getattr(FileFinder, "_fill_cache")  # noqa: B009


def _fill_cache(finder: Any) -> None:
    """A listing of a folder would hide which modules were looked for in it in vain."""
    if is_input(str(as_named(finder.path))):
        finder._path_cache = finder._relaxed_path_cache = _Everything()
    else:
        _original_fill(finder)


def note(name: str, path: str, data: bytes) -> None:
    """Note that the bytes of a file are executed under a name."""
    path = str(as_named(path))
    sha256 = hashlib.sha256(data).hexdigest()
    if _executed.setdefault((name, path), sha256) != sha256:
        _changed.add(path)


def is_own(module: str) -> bool:
    """Whether a module is ours."""
    return module == _MAIN or module.partition(".")[0] == OWN


def files() -> set[str]:
    """The absolute paths of all modules."""
    return {path for _, path in _executed}


def modules(source_path: Path) -> list[dict[str, str]]:
    """Every module that was executed: its name, the name of its file, the SHA-256 of the bytes."""
    return [
        {"module": name, "path": named(path, source_path, name), "sha256": sha256}
        for (name, path), sha256 in sorted(_executed.items())
    ]


def named(path: str, source_path: Path, module: str = "") -> str:
    """A file's name in a record, by its absolute path.

    Relative to the checkout if it is one of ours, to ``source_path`` if it lies below that or the
    working folder, which a replica has elsewhere; to the home folder, as ~, also where that lies
    in one of them; else absolute.
    """
    if is_own(module):
        return os.path.relpath(str(Path(path).resolve()), str(CHECKOUT))
    path = os.fsencode(path).decode("utf-8", "replace")  # JSON has no place for other bytes
    root, parents = as_named(source_path), {Path(path), *Path(path).parents}
    inside = [len(str(parent)) for parent in parents & {root, Path.cwd()}]
    below_home = f"{path}/".startswith(_HOME)
    if inside and not (below_home and len(_HOME.rstrip("/")) > max(inside)):
        return os.path.relpath(path, str(root))
    return f"{path}/".replace(_HOME, "~/", 1).rstrip("/") if below_home else _first(path)


def changes() -> Iterator[str]:
    """The modules whose file no longer holds the bytes that were executed, in words."""
    for path in sorted(files()):
        expected = {sha256 for (_, file), sha256 in _executed.items() if file == path}
        try:
            got = hashlib.sha256(Path(path).read_bytes()).hexdigest()
        except OSError as error:
            got = str(error.strerror)
        if path in _changed or expected != {got}:
            yield (
                f"{path}: was changed while this run used it: it executed SHA-256 "
                f"{', '.join(sorted(expected))}, and now it is {got}"
            )
