"""Which files a script runs, so that Snakemake makes results again when one changes."""

import ast
from collections.abc import Iterator
from pathlib import Path


def files(script: Path) -> list[str]:
    """A stage's script and every ``samebits`` module that it imports, directly or not, sorted.

    Templates and schemas that lie beside a module under the module's name count as part of it.
    """
    found = imported(script, script.parent)
    beside = {other for path in found for other in path.parent.glob(f"{path.stem}.*")}
    return sorted(str(path) for path in found | {p for p in beside if p.parent != script.parent})


def imported(start: Path, root: Path) -> set[Path]:
    """A file and every module below ``root`` that it imports, directly or not."""
    found: set[Path] = set()
    waiting = [start]
    while waiting:
        path = waiting.pop()
        if path not in found:
            found.add(path)
            waiting += _imports(path, root)
    return found


def _imports(path: Path, root: Path) -> Iterator[Path]:
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
