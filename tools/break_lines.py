#!/usr/bin/env python3
"""Break one line at a time and show that a test falls.

    break_lines.py [--seed N] [--count N] [--room NAME]

Half of the lines are drawn from the rooms that a certificate rests on, half from all rooms. Each
is broken in a clone of the checkout: a condition is negated, a returned or assigned value becomes
None, a call or a raise goes. Then the unit tests of the line's room run, and if none of them falls,
those of the other rooms, and the room's tests with environments. Exits with 1 when a broken line
goes unnoticed: it needs a test, or it is dead.
"""

import argparse
import ast
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = Path("scripts/samebits")
_CERTIFIED = ("formats", "experiment", "observation", "training", "comparison")
FOUNDATION = (*_CERTIFIED, "certificate", "verification")
_PYTHON = ROOT / ".venv-dev/bin/python"
_LONGEST = 900  # seconds for one call of pytest; a broken line may hang
_UNIT = ("-m", "not slow and not environment", "--ignore", "tests/studies")
_WITH_ENVIRONMENTS = ("-m", "not slow and environment")
_NO_TESTS = 5  # pytest's exit code where a room has no such tests


@dataclass(frozen=True)
class Break:
    """A line to break: its file below the checkout, its number from 1, the file's new text."""

    path: Path
    line: int
    before: str
    after: str
    source: str

    @property
    def room(self) -> str:
        """The folder under tests/ that tests the file."""
        inside = self.path.relative_to(PACKAGE)
        return inside.parts[0] if len(inside.parts) > 1 else ""


def breaks(path: Path) -> Iterator[Break]:
    """Every way to break one line of a file, at most one per line."""
    text = (ROOT / path).read_text(encoding="utf-8")
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            for inner in ast.walk(node):
                yield from _broken(inner, path, text)


def _broken(node: ast.AST, path: Path, text: str) -> Iterator[Break]:
    target, new = _replacement(node, text)
    if target is None or target.lineno != target.end_lineno:
        return
    lines = text.splitlines(keepends=True)
    old = lines[target.lineno - 1].encode()
    made = old[: target.col_offset] + new.encode() + old[target.end_col_offset :]
    lines[target.lineno - 1] = made.decode()
    yield Break(path, target.lineno, old.decode().strip(), made.decode().strip(), "".join(lines))


def _replacement(node: ast.AST, text: str) -> tuple[ast.expr | ast.stmt | None, str]:
    """The part of the source to replace, and by what."""
    if isinstance(node, ast.If | ast.IfExp | ast.While):
        return node.test, f"(not ({ast.get_source_segment(text, node.test)}))"
    if isinstance(node, ast.Return | ast.Assign | ast.AnnAssign) and node.value is not None:
        constant = isinstance(node.value, ast.Constant) and node.value.value is None
        return (None, "") if constant else (node.value, "None")
    if isinstance(node, ast.Raise):
        return node, "pass"
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call | ast.Yield | ast.YieldFrom):
        return node, "pass" if isinstance(node.value, ast.Call) else "yield from ()"
    return None, ""


def drawn(seed: int, count: int, room: str | None) -> list[Break]:
    """The lines to break, in the order in which they were drawn."""
    draw = random.Random(seed)  # noqa: S311 - to repeat a draw, not to hide it
    paths = sorted(p.relative_to(ROOT) for p in (ROOT / PACKAGE).glob("*/*.py"))
    found: dict[tuple[Path, int], Break] = {}
    for path in paths:
        found |= {(path, one.line): one for one in breaks(path)}
    everything = [one for one in found.values() if room in (None, one.room)]
    resting = [one for one in everything if one.room in FOUNDATION]
    half = min(len(resting), count // 2)
    first = draw.sample(resting, half)
    rest = [one for one in everything if one not in first]
    return first + draw.sample(rest, min(len(rest), count - half))


def _tests(room: str) -> Iterator[tuple[str, ...]]:
    """The arguments of pytest, the cheapest tests first."""
    yield *_UNIT, f"tests/{room}"
    yield _UNIT
    yield *_WITH_ENVIRONMENTS, f"tests/{room}"


def falls(one: Break, checkout: Path) -> str | None:
    """The first test that falls when the line is broken, run in a copy; None: no test does."""
    target = checkout / one.path
    sound = target.read_bytes()
    target.write_text(one.source, encoding="utf-8")
    try:
        for tests in _tests(one.room):
            if fallen := _fallen(tests, checkout):
                return fallen
        return None
    finally:
        target.write_bytes(sound)


def _fallen(tests: Iterable[str], checkout: Path) -> str | None:
    command = [str(_PYTHON), "-m", "pytest", "-x", "-q", "-n", "2", "--dist", "loadfile", *tests]
    try:
        done = subprocess.run(
            command, cwd=checkout, capture_output=True, text=True, timeout=_LONGEST
        )
    except subprocess.TimeoutExpired:
        return "(hangs)"
    if done.returncode in (0, _NO_TESTS):
        return None
    named = [line for line in done.stdout.splitlines() if line.startswith(("FAILED", "ERROR"))]
    return named[0].split(" - ")[0] if named else f"(pytest ends with {done.returncode})"


def main() -> int:
    """Draw, break, test, report."""
    parser = argparse.ArgumentParser(description="Break lines and show that a test falls.")
    parser.add_argument("--seed", type=int, default=time.time_ns() % 1_000_000)
    parser.add_argument("--count", type=int, default=40)
    parser.add_argument("--room")
    options = parser.parse_args()
    print(f"seed {options.seed}", flush=True)
    unnoticed = 0
    with tempfile.TemporaryDirectory() as folder:
        checkout = Path(folder, "checkout")
        subprocess.run(["git", "clone", "-q", ROOT, checkout], check=True)  # noqa: S607 - git as on PATH
        (checkout / ".samebits").symlink_to(ROOT / ".samebits")  # the tests' environments
        lines = drawn(options.seed, options.count, options.room)
        rooms = [f"tests/{room}" for room in sorted({one.room for one in lines})]
        for tests in (_UNIT, (*_WITH_ENVIRONMENTS, *rooms)):
            if fallen := _fallen(tests, checkout):
                raise SystemExit(f"expected tests that pass before a line is broken, got {fallen}")
        for one in lines:
            fallen = falls(one, checkout)
            unnoticed += fallen is None
            print(f"{one.path}:{one.line}: {one.before}  ->  {one.after}", flush=True)
            print(f"    {fallen or 'NO TEST FALLS'}", flush=True)
    print(f"{unnoticed} of {options.count} broken lines went unnoticed (seed {options.seed})")
    return 1 if unnoticed else 0


if __name__ == "__main__":
    sys.exit(main())
