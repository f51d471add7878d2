"""A training program of the user's own, in place of data, model and trainer.

INPUTS      ``script``: a program and its words as a shell has them, and the keys beside it; the
            project: the working folder, or the program's own folder where it lies elsewhere
OUTPUTS     ``Program``: its part of the experiment's config, and the files that it names
GUARANTEES  names are relative to the project, whose place is no part of an experiment; nothing is
            executed
"""

import os
import re
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from samebits.config import sources
from samebits.config.keys import nearest
from samebits.errors import SamebitsError
from samebits.observation.project import spread

SCRIPT, INPUTS, OUTPUTS, PACKAGES = KEYS = ("script", "inputs", "outputs", "packages")
REPLACED = ("data", "model", "trainer")  # groups of the config that a program takes the place of
STRICT = "strict"  # among inputs: no other file may be read
MODULE, NOTEBOOK = "-m", ".ipynb"


@dataclass(frozen=True)
class Program:
    """A program as the config names it."""

    project: str  # the folder of which each run gets a copy
    part: dict[str, Any]  # of the config; its words are relative to the project

    @property
    def local(self) -> list[str]:
        """The declared files and folders, as the config names them."""
        entries = (e if isinstance(e, str) else e.get("path") for e in self.part[INPUTS])
        return [path for path in entries if path]

    def files(self) -> tuple[str, ...]:
        """The program's own file and those of the project that it imports, sorted.

        Raises SamebitsError for one that is not Python.
        """
        found = main_file(self.part["words"], Path(self.project))
        if found is None or found.suffix == NOTEBOOK:
            return (str(found),) if found else ()
        try:
            return tuple(sorted(map(str, sources.closure(found, Path(self.project)))))
        except (SyntaxError, ValueError) as error:
            raise SamebitsError(f"{SCRIPT}: {error}") from None

    def input_files(self) -> list[str]:
        """Every file that is declared, folders file by file, sorted."""
        named = (part for name in self.local for part in spread(Path(self.project), name))
        places = [Path(self.project, name) for name in named]
        below = [sorted(place.rglob("*")) if place.is_dir() else [place] for place in places]
        return sorted({str(path) for paths in below for path in paths if path.is_file()})


def read(resolved: Mapping[str, Any]) -> Program | None:
    """The program of a composed config; None: it has a model. Raises SamebitsError with why not."""
    if resolved[SCRIPT] is None:
        return None
    try:
        words = shlex.split(resolved[SCRIPT])
    except ValueError as error:
        raise SamebitsError(f"{SCRIPT}: {error}: {resolved[SCRIPT]}") from None
    if not words or words == [MODULE]:
        raise SamebitsError(f"{SCRIPT}: expected a program such as train.py, got none")
    folder, project = Path(resolved["source_path"]), resolved["source_path"]
    if words[0] != MODULE:
        path = Path(os.path.abspath(folder / words[0]))  # noqa: PTH100 (links stay)
        root = Path(os.path.abspath(folder))  # noqa: PTH100
        if not path.is_relative_to(root):
            root, project = path.parent, str(path.parent)
        words[0] = str(path.relative_to(root))
    entries, outputs = _several(resolved[INPUTS]), resolved[OUTPUTS]
    declared = [entry for entry in entries if entry != STRICT]
    part = {
        "words": words,
        INPUTS: sorted(map(_plain, declared), key=str),
        STRICT: STRICT in entries,
        OUTPUTS: None if outputs is None else sorted(_several(outputs)),
        PACKAGES: resolved[PACKAGES],
    }
    return Program(project, part)


def title(script: str) -> str:
    """A program with its words as a part of a folder's name: ``train-epochs-3``."""
    first, *rest = script.removeprefix(f"{MODULE} ").split() or [""]
    name = first if script.startswith(f"{MODULE} ") else Path(first).stem
    return re.sub(r"[^A-Za-z0-9._=]+", "-", " ".join([name, *rest])).strip("-.")


def _several(value: Any) -> list[Any]:
    """A list; a single entry needs no brackets."""
    return list(value) if isinstance(value, list) else [value]


def _plain(entry: Any) -> Any:
    """An input with a plain path."""
    if isinstance(entry, str):
        return os.path.normpath(entry)
    return {k: os.path.normpath(v) if k == "path" else v for k, v in entry.items()}


def main_file(words: list[str], project: Path) -> Path | None:
    """The file of a program by its words, or None."""
    if words[0] != MODULE:
        path = project / words[0]
        return path if path.is_file() else None
    named = (words[1], f"{words[1]}.__main__")
    found = [path for name in named for path in sources.module_files(project, name)]
    return next((path for path in found if path.name != "__init__.py"), None)


def problems(program: Program) -> Iterator[str]:
    """What is wrong with the files that a program's config names."""
    words, project = program.part["words"], Path(program.project)
    if main_file(words, project) is None:
        name = f"module {words[1]}" if words[0] == MODULE else f"file {words[0]}"
        here = [path.name for path in project.glob("*.py")]
        hint = f"; {nearest(words[0], here)}" if here else ""
        yield f"{SCRIPT}: no {name} in {project.resolve()}{hint}"
    for name in program.local:
        if name.startswith(".."):
            yield f"{INPUTS}: {name} lies outside of the project; give its absolute path"
        elif not Path(project, name).exists():
            yield f"{INPUTS}: no file or folder {name} in {project.resolve()}"


def misplaced(resolved: Mapping[str, Any], keys: list[str]) -> Iterator[str]:
    """Keys that mean nothing beside the others. ``keys``: those that the user set."""
    if resolved[SCRIPT] is None:
        for key in (INPUTS, OUTPUTS, PACKAGES):
            if resolved[key] not in (None, []):
                yield f"{key}: is for a program; set {SCRIPT}=PROGRAM, or leave it out"
        return
    for key in keys:
        if key.partition(".")[0] in REPLACED:
            yield f"{key}: means nothing with {SCRIPT}; the program itself decides it"
    if resolved["checkpoint"] != "none":
        yield f"checkpoint: a program is trained in one piece; leave it out with {SCRIPT}"
