"""Which files a script runs, so that Snakemake makes results again when one changes."""

import ast
import os
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

from samebits.formats import canonical
from samebits.formats.files import digest

_ROOT = Path(__file__).resolve().parents[3]


def files(script: Path) -> list[str]:
    """A stage's script and every ``samebits`` module that it imports, directly or not, sorted.

    Templates and schemas that lie beside a module under the module's name count as part of it.
    """
    found = imported(script, script.parent)
    beside = {other for path in found for other in _beside(path)}
    return sorted(str(path) for path in found | {p for p in beside if p.parent != script.parent})


def _beside(path: Path) -> Iterator[Path]:
    yield from path.parent.glob(f"{path.stem}.*")
    yield from path.parent.glob("style.css")
    yield from path.parent.glob("templates/*")


def listed(scripts: Iterable[Path]) -> tuple[str, dict[str, str]]:
    """A name for the code that scripts run, another one when any of it changes, and its files.

    One file stands for dozens: what Snakemake needs for a job grows with the number of its inputs.
    """
    paths = {path for script in scripts for path in files(script)}
    named = {os.path.relpath(path, _ROOT): digest(Path(path)) for path in paths}
    return canonical.digest(named)[:12], named


def imported(start: Path, root: Path) -> set[Path]:
    """A file and every module below ``root`` that it imports, directly or not."""
    found: set[Path] = set()
    waiting = [start]
    while waiting:
        path = waiting.pop()
        if path not in found:
            found.add(path)
            waiting += _imports(path, root, path.stat().st_mtime_ns)
    return found


@cache  # every stage asks for the same modules
def _imports(path: Path, root: Path, changed: int) -> tuple[Path, ...]:
    """The modules that a file imports. ``changed``: when it did, so that an edited one is read."""
    return tuple(_found_imports(path, root))


def _found_imports(path: Path, root: Path) -> Iterator[Path]:
    for node in ast.walk(ast.parse(path.read_bytes(), str(path))):
        for base, name in _names(node, path, root):
            module = base.joinpath(*name.split("."))
            for candidate in (module.with_name(f"{module.name}.py"), module / "__init__.py"):
                if candidate.is_file():
                    yield candidate


def _names(node: ast.AST, path: Path, root: Path) -> Iterator[tuple[Path, str]]:
    """The modules that an import statement may mean: dotted names, and the folder they are in."""
    if isinstance(node, ast.Import):
        for alias in node.names:
            yield root, alias.name
    elif isinstance(node, ast.ImportFrom):
        base = path.parents[node.level - 1] if node.level else root
        if node.module:
            yield base, node.module
        prefix = f"{node.module}." if node.module else ""
        for alias in node.names:
            if alias.name != "*":
                yield base, prefix + alias.name
