"""Which files a stage's script runs, so that Snakemake makes results again when one changes."""

import ast
from collections.abc import Iterator
from pathlib import Path


def files(script: Path) -> list[str]:
    """The script and every ``samebits`` module that it imports, directly or not, sorted.

    Templates and schemas that lie beside a module under the module's name count as part of it.
    """
    found: set[Path] = set()
    waiting = [script]
    while waiting:
        path = waiting.pop()
        if path not in found:
            found.add(path)
            waiting += _imported(path, script.parent)
    beside = {other for path in found for other in path.parent.glob(f"{path.stem}.*")}
    return sorted(str(path) for path in found | {p for p in beside if p.parent != script.parent})


def _imported(path: Path, root: Path) -> Iterator[Path]:
    if path.suffix != ".py":
        return
    for node in ast.walk(ast.parse(path.read_bytes(), str(path))):
        for name in _names(node):
            candidate = root.joinpath(*name.split(".")).with_suffix(".py")
            if candidate.is_file():
                yield candidate


def _names(node: ast.AST) -> list[str]:
    """The dotted names below ``samebits`` that an import statement may mean."""
    if isinstance(node, ast.Import):
        names = [alias.name for alias in node.names]
    elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
        names = [node.module] + [f"{node.module}.{alias.name}" for alias in node.names]
    else:
        names = []
    return [name for name in names if name.startswith("samebits.")]
