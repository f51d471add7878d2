"""Find a model's source and hold its arguments against it, without running it."""

import ast
import difflib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

BUILT_IN = Path(__file__).resolve().parents[2]  # scripts/: where samebits.models lies
_NOT_ARGUMENTS = ("_target_", "option")


def find(target: str, source_path: str) -> Path | None:
    """The file of ``package.module`` in ``package.module.function``, or None."""
    parts = target.split(".")[:-1]
    for root in (Path(source_path), BUILT_IN):
        base = root.joinpath(*parts)
        for candidate in (base.with_name(base.name + ".py"), base / "__init__.py"):
            if candidate.is_file():
                return candidate
    return None


def problems(model: Mapping[str, Any], source_path: str) -> Iterable[str]:
    """What is wrong with a model's target or arguments, as far as the source tells."""
    target = model["_target_"]
    path = find(target, source_path)
    if path is None:
        module = target.rpartition(".")[0]
        yield (
            f"model._target_: no module {module} below {Path(source_path).resolve()}; "
            "set source_path to the folder that holds it"
        )
        return
    try:
        tree = ast.parse(path.read_bytes(), str(path))
    except (SyntaxError, ValueError) as error:
        yield f"model._target_: {path} is not Python: {error}"
        return
    yield from _signature_problems(target, path, tree, model)


def _signature_problems(
    target: str, path: Path, tree: ast.Module, model: Mapping[str, Any]
) -> Iterable[str]:
    name = target.rpartition(".")[2]
    functions = {n.name: n for n in tree.body if isinstance(n, ast.FunctionDef)}
    if name not in functions:
        if not _defines(tree, name):
            yield f"model._target_: {path} has no {name}; it has: {', '.join(sorted(functions))}"
        return  # a class or an import: Python itself will say what it takes
    arguments = functions[name].args
    names = [a.arg for a in arguments.posonlyargs + arguments.args + arguments.kwonlyargs]
    given = [key for key in model if key not in _NOT_ARGUMENTS]
    for key in given:
        if key not in names and arguments.kwarg is None:
            near = difflib.get_close_matches(key, names, n=1)
            hint = f"did you mean {near[0]}? " if near else ""
            yield f"model.{key}: {name} takes no such argument; {hint}it takes: {', '.join(names)}"
    defaults = dict(zip(reversed(arguments.args), reversed(arguments.defaults), strict=False))
    required = [a.arg for a in arguments.args if a not in defaults]
    required += [
        a.arg for a, d in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True) if d is None
    ]
    for missing in sorted(set(required) - set(given)):
        yield f"model.{missing}: {name} in {path} needs it; set model.{missing}"


def _defines(tree: ast.Module, name: str) -> bool:
    """Whether a module binds a name at its top level other than by ``def``."""
    for node in tree.body:
        if isinstance(node, ast.ClassDef) and node.name == name:
            return True
        if isinstance(node, ast.Import | ast.ImportFrom) and any(
            (alias.asname or alias.name) in (name, "*") for alias in node.names
        ):
            return True
        if isinstance(node, ast.Assign) and any(
            isinstance(target, ast.Name) and target.id == name for target in node.targets
        ):
            return True
    return False
