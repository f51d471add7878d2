"""What a program did, as tables of the page."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from samebits.certificate.types import Program, ProgramCall, Report
from samebits.experiment.protocol import CONTROL
from samebits.formats import history
from samebits.text import few, quoted

_NO_TRACE = "loaded, or updated by hand; without a trace, compared at the end"
MOST_ROWS = 100  # of a table; the rest is in certificate.json


def of(report: Report | dict[str, Any]) -> Program | None:
    """What the control recorded of its program; None: a model was trained."""
    control: Mapping[str, Any] = report["records"]["runs"].get(CONTROL) or {}
    found: Program | None = control.get("program")
    return found


def described(report: Report) -> dict[str, Any] | None:
    """The tables about a program; None: a model was trained."""
    program = of(report)
    if program is None:
        return None
    tables: dict[str, Sequence[Any]] = {
        "calls": [_call(call, program) for call in program["calls"]],
        "models": program["models"],
        "optimizers": program["optimizers"],
        "outputs": program["outputs"],
        "fetched": program["fetched"],
    }
    shown = {name: rows[:MOST_ROWS] for name, rows in tables.items()}
    more = {name: len(rows[MOST_ROWS:]) for name, rows in tables.items() if rows[MOST_ROWS:]}
    return {"command": command(program), "more": more, **shown}


def command(program: Program) -> str:
    """The program as a person types it."""
    return " ".join(map(quoted, program["words"]))


def _model(call: ProgramCall, program: Program) -> str:
    names = [model["name"] for model in program["models"]]
    return dict(enumerate(names)).get(call["model"], "unknown")


def _call(call: ProgramCall, program: Program) -> dict[str, Any]:
    values = history.from_json({"format": history.FORMAT, "metrics": _listed(call["metrics"])})
    return {
        "n": call["n"],
        "what": call["what"],
        "times": call["times"],
        "model": _model(call, program),
        "epochs": call["epochs"],
        "steps": call["steps"],
        "metrics": [(name, repr(found[0])) for name, found in values.items()],
    }


def _listed(metrics: Mapping[str, Any]) -> dict[str, list[Any]]:
    return {name: [value] for name, value in metrics.items()}


def standing(report: Report) -> Iterator[tuple[str, str]]:
    """What a reader of the first page has to know of a program."""
    program = of(report)
    if program is None:
        return
    if program["pins"]:
        changed = [f"{pin['name']}: {pin['effective']}" for pin in program["pins"]]
        yield "Set by the program itself", few(changed)
    if program["untraced"]:
        yield "Changed by no optimizer", f"{few(program['untraced'])}: {_NO_TRACE}"
    unknown = [
        f"{call['n']} {call['what']} {_model(call, program)}: {part}"
        for call in program["calls"]
        for part in call["uncompared"]
    ]
    if unknown:
        yield "Returned and not compared", few(unknown)
    if program["lost"]:
        yield "Trace", f"{program['lost']:,} rows were summed up, between the first and the last"
    if program["undeclared"]:
        yield "Files that inputs do not name", few(program["undeclared"])
    first = [entry["url"] for entry in program["fetched"] if not entry["pinned"]]
    if first:
        yield "Downloads without a known digest", few(first)
    if program["connections"]:
        yield "Connections", few(program["connections"])
    others = [f"{what}: {how}" for what, how in program["isolation"].items() if ": " in how]
    if others:
        yield "Not kept apart", few(others)
