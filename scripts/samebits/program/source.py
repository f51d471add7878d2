"""A user's program, run as Python would: a file, a module (``-m``), or a notebook.

Runs on Python 3.7 to 3.13.
"""

from __future__ import annotations

import importlib.util
import json
import linecache
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any, Iterator, Sequence

from samebits.errors import SamebitsError, all_problems
from samebits.observation import executed

FILE, MODULE, NOTEBOOK = "file", "module", "notebook"
_MAIN = "__main__"
# What IPython has beside Python, where a line is no Python.
_MAGIC = re.compile(r"\s*(?:[\w., ]+= *)?(%%?\w+|!+)|.*(\?)\s*$")
_HARMLESS = re.compile(r"%matplotlib\b.*")  # how figures are shown


@dataclass(frozen=True)
class Program:
    """What to run: a file's name or a module's as typed, and the arguments after it."""

    kind: str
    name: str
    arguments: Sequence[str]

    @classmethod
    def of(cls, words: Sequence[str]) -> Program:
        """The program in the words that a user types after ``python``."""
        if words[0] == "-m":
            return cls(MODULE, words[1], words[2:])
        return cls(NOTEBOOK if words[0].endswith(".ipynb") else FILE, words[0], words[1:])

    def run(self) -> None:
        """Run it as ``__main__`` from the working folder; raises what it raises."""
        main: Any = ModuleType(_MAIN)
        sys.modules[_MAIN] = main
        path = Path.cwd() / self.name
        sys.path.insert(0, str(Path.cwd() if self.kind == MODULE else path.parent))
        sys.argv[:] = [self.name, *self.arguments]
        if self.kind == MODULE:
            main.__spec__ = self._spec()
            main.__package__ = main.__spec__.parent
            path = Path(main.__spec__.origin)
            sys.argv[0] = str(path)
        if self.kind != NOTEBOOK:
            main.__file__ = str(path)
        for code in self._codes(path):
            exec(code, main.__dict__)  # noqa: S102 - that is what it is for

    def _spec(self) -> Any:
        """Of the module that ``python -m`` runs: of a package, its ``__main__``."""
        found = importlib.util.find_spec(self.name)
        if found is not None and found.submodule_search_locations is not None:
            found = importlib.util.find_spec(f"{self.name}.{_MAIN}")
        if found is None or not str(found.origin).endswith(".py"):
            raise SamebitsError(f"-m {self.name}: no module of this name in {Path.cwd()}")
        return found

    def _codes(self, path: Path) -> Iterator[CodeType]:
        try:
            data = path.read_bytes()
        except OSError as error:
            raise SamebitsError(f"{self.name}: {error.strerror}; check the path") from error
        executed.note(f"program {self.name}", str(path), data)
        if self.kind != NOTEBOOK:
            yield compile(data, str(path), "exec", dont_inherit=True)
            return
        cells = list(_cells(data, self.name))
        problems = [f"{self.name}: {problem}" for _, found in cells for problem in found]
        if problems:
            raise SamebitsError(
                f"{all_problems(problems)}\nonly Python is run: take these lines out, or write "
                "them in Python"
            )
        for number, (text, _) in enumerate(cells, start=1):
            name = f"{path} cell {number}"  # where AutoGraph and tracebacks find its lines
            linecache.cache[name] = len(text), None, text.splitlines(keepends=True), name
            yield compile(text, name, "exec", dont_inherit=True)


def _cells(data: bytes, name: str) -> Iterator[tuple[str, list[str]]]:
    """The code cells of a notebook, each with what in it is not Python but IPython's."""
    try:
        cells = json.loads(data.decode("utf-8"))["cells"]
        texts = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
    except (ValueError, KeyError, TypeError) as error:
        raise SamebitsError(f"{name}: not a notebook of format 4: {error!r}") from error
    for number, text in enumerate(texts, start=1):
        lines = [_HARMLESS.sub("", line) for line in text.split("\n")]
        try:
            compile("\n".join(lines), name, "exec")
            found = []
        except SyntaxError:  # Python's own is raised where it runs
            found = [f"cell {number}: {line.strip()}" for line in lines if _MAGIC.match(line)]
        yield "\n".join(lines), found
