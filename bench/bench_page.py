"""The figures as one HTML page, which is printed and read without a network."""

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Template
from paired import Line, digits, verdict

from samebits.pages import templates
from samebits.text import duration

TEMPLATE = Path(__file__).with_name("bench_page.html.j2")

# Whether a goal is met: its style and its sign, as on a certificate.
_FACES = {True: ("good", "✓"), False: ("bad", "✗"), None: ("open", "?")}


@dataclass(frozen=True)
class Part:
    """What one measurement came to."""

    name: str
    title: str
    how: str
    lines: tuple[Line, ...]
    seconds: float
    failure: str | None = None


@dataclass(frozen=True)
class Bench:
    """All parts, and where and when they were measured."""

    started: str
    seconds: float
    load: float  # how many processes wanted to run in the minute before
    machine: dict[str, Any]
    versions: dict[str, str]
    commit: str | None
    dirty: bool | None
    parts: tuple[Part, ...] = ()


def render(bench: Bench) -> str:
    """The page. What is quoted is escaped."""
    return _template().render(
        bench=bench,
        summary=summary(bench),
        faces=_FACES,
    )


@cache
def _template() -> Template:
    filters = {"digits": digits, "spent": duration, "verdict": verdict}
    return templates.template(TEMPLATE, filters)


def summary(bench: Bench) -> str:
    """How many goals are met, which are not, and what could not be measured."""
    lines = [line for part in bench.parts for line in part.lines]
    goals = [line for line in lines if line.goal is not None]
    said = [f"{_count(goals, True)} of {len(goals)} goals are met"]
    said += [f"not met: {line.what}" for line in goals if line.met is False]
    skipped = sum(line.reason is not None for line in lines)
    said += [f"not measured here: {skipped}"] if skipped else []
    failed = [part.name for part in bench.parts if part.failure]
    said += [f"FAILED: {', '.join(failed)}"] if failed else []
    return "; ".join(said)


def _count(lines: list[Line], met: bool) -> int:
    return sum(line.met is met for line in lines)
