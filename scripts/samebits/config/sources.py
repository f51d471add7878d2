"""Which files a script or a user's model consists of, found without running them."""

import ast
import os
import symtable
import sys
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from samebits.config.keys import nearest
from samebits.config.overrides import OPTION
from samebits.errors import SamebitsError
from samebits.formats import files

SCRIPTS = Path(__file__).resolve().parents[2]  # where samebits.models lies

OWN = "samebits"  # the one package of ours that a run can import
_TARGET = "_target_"


# --- the closure of a file under import ----------------------------------------------------------


def closure(start: Path, root: Path) -> set[Path]:
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
    return tuple(
        found
        for node in ast.walk(ast.parse(path.read_bytes(), str(path)))
        for base, name in _names(node, path, root)
        for found in module_files(base, name)
    )


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


def module_files(folder: Path, name: str) -> Iterator[Path]:
    """The file of a module by its dotted name, if there is one."""
    base = folder.joinpath(*name.split("."))
    for candidate in (base.with_name(f"{base.name}.py"), base / "__init__.py"):
        if candidate.is_file():
            yield candidate


# --- scripts of the stages -----------------------------------------------------------------------


def script_files(script: Path) -> list[str]:
    """A stage's script and every ``samebits`` module that it imports, directly or not, sorted.

    Templates and schemas that lie beside a module under the module's name count as part of it.
    """
    found = closure(script, script.parent)
    beside = {other for path in found for other in _beside(path)}
    return sorted(str(path) for path in found | {p for p in beside if p.parent != script.parent})


def _beside(path: Path) -> Iterator[Path]:
    yield from path.parent.glob(f"{path.stem}.*")
    yield from path.parent.glob("style.css")
    yield from path.parent.glob("templates/*")


def listed(scripts: Iterable[Path]) -> dict[str, str]:
    """The digest of every file that some scripts consist of, by its path in the checkout."""
    paths = {path for script in scripts for path in script_files(script)}
    return {os.path.relpath(path, SCRIPTS.parent): files.digest(Path(path)) for path in paths}


# --- a model by its _target_ ---------------------------------------------------------------------


def find_model(target: str, source_path: str) -> Path | None:
    """The file of ``package.module`` in ``package.module.function``, or None."""
    module = target.rpartition(".")[0]
    roots = [Path(source_path), *([SCRIPTS] if module.partition(".")[0] == OWN else [])]
    return next((path for root in roots for path in module_files(root, module)), None)


def model_files(target: str, source_path: str) -> tuple[str, ...]:
    """The model's module and those below ``source_path`` that it imports, sorted.

    Raises SamebitsError for one that is not Python.
    """
    found = find_model(target, source_path)
    if found is None or SCRIPTS in found.parents:
        return (str(found),) if found else ()
    try:
        return tuple(sorted(map(str, closure(found, Path(source_path)))))
    except (SyntaxError, ValueError) as error:
        raise SamebitsError(f"model.{_TARGET}: a module that it imports: {error}") from None


def model_problems(model: Mapping[str, Any], source_path: str) -> Iterator[str]:
    """Errors in a model's target or arguments that its source shows."""
    module, _, name = model[_TARGET].rpartition(".")
    path = find_model(model[_TARGET], source_path)
    if (top := module.partition(".")[0]) in (*sys.stdlib_module_names, "__main__"):
        yield f"model.{_TARGET}: {top} is a module of Python itself; rename yours"
        return
    if path is None:
        yield (
            f"model.{_TARGET}: no module {module} below {Path(source_path).resolve()}; "
            "set source_path to the folder that holds it"
        )
        return
    if top == OWN and SCRIPTS not in path.parents:
        yield f"model.{_TARGET}: {top} is the name of the package that trains; rename yours, {path}"
        return
    try:
        tree = ast.parse(path.read_bytes(), str(path))
    except (SyntaxError, ValueError) as error:
        yield f"model.{_TARGET}: {path} is not Python: {error}"
        return
    functions = {node.name: node for node in tree.body if isinstance(node, ast.FunctionDef)}
    if name in functions:
        yield from _argument_problems(functions[name], path, model)
    elif not _may_bind(path, tree, name):  # else a class or an import: Python checks its arguments
        yield f"model.{_TARGET}: {path} has no {name}; it has: {', '.join(sorted(functions))}"


def _argument_problems(
    function: ast.FunctionDef, path: Path, model: Mapping[str, Any]
) -> Iterator[str]:
    arguments, given = function.args, set(model) - {_TARGET, OPTION}
    positional = [a.arg for a in arguments.posonlyargs + arguments.args]
    names = positional + [a.arg for a in arguments.kwonlyargs]
    for key in sorted(given - set(names) if arguments.kwarg is None else ()):
        yield f"model.{key}: {function.name} takes no such argument; {nearest(key, names)}"
    required = set(positional[: len(positional) - len(arguments.defaults)])
    keywords = zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True)
    required |= {a.arg for a, default in keywords if default is None}
    for missing in sorted(required - given):
        yield f"model.{missing}: {function.name} in {path} needs it; set model.{missing}"


def _may_bind(path: Path, tree: ast.Module, name: str) -> bool:
    """Whether a module assigns or imports a name, or may, because it imports everything."""
    if any(isinstance(node, ast.ImportFrom) and node.names[0].name == "*" for node in tree.body):
        return True
    symbols = symtable.symtable(path.read_text("utf-8"), str(path), "exec").get_symbols()
    return any(s.get_name() == name and (s.is_assigned() or s.is_imported()) for s in symbols)
