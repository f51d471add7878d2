"""Whether the record of a program is of the program that its config names, and fits its files.

Checks as in checks.py: each yields problems as sentences.
"""

from collections.abc import Iterator

from samebits.certificate.checks import Check, twice, unequal
from samebits.certificate.evidence import Evidence
from samebits.certificate.types import Program, RunRecord
from samebits.experiment.protocol import CONTROL
from samebits.formats.names import COMPLETED

_IDLE = "no optimizer step was seen; hooks cover fit, train_on_batch, and any apply of an optimizer"


def untrained(evidence: Evidence) -> str:
    """Why a program that ran shows nothing; empty where it trained something."""
    control = evidence.records.get(CONTROL)
    if control is None or control["status"] != COMPLETED or control["program"] is None:
        return ""
    trace = control["trace"] or {}
    return "" if trace.get("steps") else _IDLE


def _programs(evidence: Evidence) -> Iterator[tuple[str, RunRecord, Program]]:
    """Of the runs that completed."""
    for name, record in evidence.records.items():
        if record["status"] == COMPLETED and record["program"] is not None:
            yield name, record, record["program"]


def _named(evidence: Evidence) -> Iterator[str]:
    """A run is of a program where its config names one, and of that one."""
    for name, record in evidence.records.items():
        wanted, program = record["config"].get("program"), record["program"]
        if record["status"] == COMPLETED and (wanted is None) != (program is None):
            yield f"{name}: {'no program ran' if wanted else 'its config names no program'}"
        elif wanted is not None and program is not None:
            yield from unequal(name, ("program", program["words"], wanted["words"]))


def _inputs(evidence: Evidence) -> Iterator[str]:
    """Every run had the declared inputs, with the digests of the load stage."""
    load = evidence.load.content
    if load is None:
        return
    where, config = evidence.load.name, evidence.config.content or {}
    if ("inputs" in load) != ("program" in config):
        yield f"{where}: is not of {'a program' if 'program' in config else 'a data set'}"
        return
    if "program" in config:
        wanted = {"inputs": config["program"]["inputs"]}
        yield from unequal(where, ("config", load["config"], wanted))
    listed = {i["path"]: i["sha256"] for i in load.get("inputs", ()) if i["path"] is not None}
    for name, _, program in _programs(evidence):
        found = {entry["path"]: entry["sha256"] for entry in program["inputs"]}
        yield from twice(name, "input", [entry["path"] for entry in program["inputs"]])
        yield from unequal(name, ("inputs, by digest", found, listed))


def _results(evidence: Evidence) -> Iterator[str]:
    """What calls returned and files held is what was compared."""
    for name, record, program in _programs(evidence):
        yield from twice(name, "output", [output["path"] for output in program["outputs"]])
        names = {tensor["name"] for tensor in record["tensors"]["predictions"]}
        for output in program["outputs"]:
            file = f"file {output['path']}"
            known = any(name == file or name.startswith(f"{file}/") for name in names)
            if known != output["compared"]:
                yield f"{name}: {output['path']} was {'' if output['compared'] else 'not '}compared"


CHECKS: tuple[Check, ...] = (_named, _inputs, _results)
