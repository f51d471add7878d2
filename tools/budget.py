#!/usr/bin/env python3
"""Count the code lines of each room and compare them with its budget in pyproject.toml.

A code line holds a token that is neither a comment nor part of a docstring. Exits with 1 when a
room exceeds its budget, and lists all that do. ``--list`` shows every room.
"""

import argparse
import ast
import sys
import tokenize
import tomllib
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
_LAYOUT = {
    tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT,
    tokenize.ENCODING, tokenize.ENDMARKER,
}  # fmt: skip
_DOCUMENTED = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef


def code_lines(path: Path) -> int:
    """How many lines of a Python file hold code."""
    with tokenize.open(path) as file:
        source = file.read()
    with open(path, "rb") as binary:
        tokens = [t for t in tokenize.tokenize(binary.readline) if t.type not in _LAYOUT]
    lines = {line for t in tokens for line in range(t.start[0], t.end[0] + 1)}
    return len(lines - set(_docstring_lines(ast.parse(source))))


def _docstring_lines(tree: ast.Module) -> Iterator[int]:
    for node in ast.walk(tree):
        if isinstance(node, _DOCUMENTED) and ast.get_docstring(node, clean=False) is not None:
            text = node.body[0]
            yield from range(text.lineno, (text.end_lineno or text.lineno) + 1)


def main() -> int:
    """Count, compare, list."""
    parser = argparse.ArgumentParser(description="Compare each room with its budget.")
    parser.add_argument("--list", action="store_true", help="show every room")
    options = parser.parse_args()
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    over = []
    for name, budget in settings["tool"]["samebits"]["budget"].items():
        patterns = budget["files"]
        lines = sum(code_lines(path) for pattern in patterns for path in ROOT.glob(pattern))
        if options.list:
            print(f"{name:<14} {lines:>6} of {budget['lines']:>6}")
        if lines > budget["lines"]:
            over.append(f"{name}: expected at most {budget['lines']} code lines, got {lines}")
    print("\n".join(over), file=sys.stderr, end="\n" if over else "")
    return 1 if over else 0


if __name__ == "__main__":
    sys.exit(main())
