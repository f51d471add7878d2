#!/usr/bin/env python3
"""Run a user's program once, unchanged, and record what it trains.

INPUTS      --config       the resolved config; its digest names the experiment
            --data         the folder whose inputs.json lists the program's declared inputs
            --lock         the lock of the environment that this runs in
            --source-path  the project's folder, of which the workspace is a copy
            --workspace    where the program runs
            --run          this run's name: control, replica, …
            --unpin        a pin to set to another value; may be repeated
            --samples, --epochs  end the program after so many batches of 32 and epochs of them
            --canary       run it once more to its first step, with flipped bits
OUTPUTS     --output       a folder: record.json, history.json, and weights, optimizer, state,
                           predictions, trace and canary.safetensors
GUARANTEES  the program is run as Python does: __main__, arguments, working folder, exit functions;
            what is seen of it changes no bit that it computes; seeds of Python and NumPy are set
            before its first line, the pins of TensorFlow when it imports that; the record names,
            by digest, each module that was executed and each file that was read; settings that the
            program itself changes are in the record; its failure is a result, except in the
            control; the folder is complete or absent

Runs on Python 3.7 to 3.13, TensorFlow 2.1 to 2.21.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from samebits.observation import executed

if __name__ == "__main__":
    executed.install(sys._getframe().f_code)

import json
import time
from argparse import SUPPRESS, Namespace
from contextlib import ExitStack
from typing import Any, Sequence

from samebits.errors import SamebitsError, leave_at_once, run
from samebits.experiment import variations
from samebits.formats import canonical, files, lockfile
from samebits.formats.arrays import SUFFIX
from samebits.formats.names import COMPLETED
from samebits.observation import environment, lookups, threads
from samebits.program import again, declared, outputs, served
from samebits.program.advice import advice
from samebits.program.collect import Collected
from samebits.program.pinned import Pins
from samebits.program.run import Observed
from samebits.program.source import Program
from samebits.text import brief
from samebits.training import primitives, record, settings, task

_BATCH = 32  # samples, as Keras has it where a program says nothing
_GIVEN = ("config", "data", "lock", "source-path", "output", "run")  # to the canary as well
_ISOLATION = "SAMEBITS_ISOLATION"  # what the launcher did, as JSON

if __name__ == "__main__":  # a user's module may be named like one of our scripts
    executed.hide(Path(__file__).resolve().parent)


def _arguments() -> Namespace:
    flags = record.flags("Run a user's program once, record what it trains.", executed.as_named)
    flags.add_argument("--workspace", type=executed.as_named, required=True)
    flags.add_argument(again.FLAG, type=executed.as_named, help=SUPPRESS)
    flags.set_defaults(sampled_epochs=None)
    return flags.parse_args()


def _run(content: dict[str, Any], options: Namespace, clock: record.Clock, ends: ExitStack) -> str:
    """Run the program and write the folder; returns how it ended, for the user."""
    config, workspace = content["config"], options.workspace
    watch = record.watch(options, Path(__file__).parent)
    program = Program.of(config["program"]["words"])
    copy = again.Copy(workspace, options.output.parent) if options.canary else None
    chosen, before = config["program"]["outputs"], outputs.stamps(workspace)
    stdout = outputs.Stdout() if outputs.STDOUT in (chosen or ()) else None
    report = primitives.Report()
    pinned = Pins(content, options.unpin, ends)
    most = options.epochs * -(-options.samples // _BATCH) if options.samples else None
    seen = Observed(content, options.output.parent, pinned, most=most)
    served.begin()
    watch.begin()
    lookups.install()
    started = time.monotonic()
    code, error = seen.run(program)
    outcome = record.Outcome(options.run, seconds=round(time.monotonic() - started, 3))
    os.chdir(str(workspace))
    import tensorflow as tf

    seen.ends.close()
    if code:
        _fail(outcome, program, code, error, tf, pinned, options)
    content.update(threads=seen.ran.found, generators=threads.generators(tf))
    content["observed"][variations.THREADS] = seen.ran.observed
    content["wrong_kernels"] = pinned.guard.describe() if pinned.guard else []
    content["primitives"] = report.describe()
    changed = pinned.at_end(tf, content["primitives"])
    content["files"] = watch.report(workspace)  # before its files are looked through
    with files.atomic_folder(options.output) as folder:
        content.update(outcome.describe(), settings=settings.as_json(pinned.found))
        content.update(record.process(tf, options), variables=lookups.found())
        busy = environment.busy()
        content["observed"]["contention"] = min(content["observed"]["contention"], busy)
        content["program"] = _described(program, options, config, code, changed)
        if outcome.status == COMPLETED:
            collected = Collected(seen.made, seen.steps, seen.calls.made)
            listed, compared = outputs.written(before, workspace, chosen, stdout)
            content.update(collected.write(folder, seen.trace, compared))
            content["program"].update(collected.describe(), lost=seen.trace.lost, outputs=listed)
        content["source"] = executed.modules(workspace)
        names = [entry["path"] for entry in content["program"]["inputs"]]
        found = declared.undeclared(content["files"]["read"], names, workspace)
        content["program"]["undeclared"] = found
        if config["program"]["strict"]:
            declared.require_declared(content["program"])
        if copy is not None and outcome.status == COMPLETED:
            given = {name: getattr(options, name.replace("-", "_")) for name in _GIVEN}
            more = [str(Path(__file__)), *(f"--unpin={pin}" for pin in options.unpin)]
            path = folder / f"canary{SUFFIX}"
            content["canary"] = copy.train(dict(given, workspace=copy.folder), more, path)
        record.write(folder, content, options, clock.timing(0.0, outcome.seconds))
    steps = (content["trace"] or {"steps": 0})["steps"]
    return f"{outcome.said(content)}, {steps:,} steps, {outcome.seconds:.1f} s"


def _flipped(options: Namespace) -> None:
    """The canary's process. Returns only if the program took no step."""
    config = canonical.read_json(options.config)
    content = {"config": config, "run": options.run}
    content["variations"] = variations.of_environment(os.environ)
    with ExitStack() as ends:
        stop = again.Stop(options.flipped)
        pinned = Pins(content, options.unpin, ends)
        folder = options.flipped.parent
        served.begin()
        stop.observed = Observed(content, folder, pinned, stop.begin, stop.ended)
        stop.observed.run(Program.of(config["program"]["words"]))


def _described(
    program: Program, options: Namespace, config: Any, code: int, changed: Sequence[Any]
) -> dict[str, Any]:
    """The part of the record that a program has whether or not it completed."""
    inputs = [
        {"path": entry["path"], "sha256": entry["sha256"]}
        for entry in canonical.read_json(options.data / "inputs.json")
        if entry["path"] is not None
    ]
    empty: dict[str, Any] = {name: [] for name in ("calls", "models", "optimizers", "untraced")}
    return dict(
        empty,
        words=config["program"]["words"],
        kind=program.kind,
        lost=0,
        pins=list(changed),
        exit=code,
        inputs=inputs,
        outputs=[],
        fetched=served.fetched(),
        isolation=json.loads(os.environ.get(_ISOLATION, "{}")),
        connections=served.connections(),
    )


def _fail(
    outcome: record.Outcome,
    program: Program,
    code: int,
    error: BaseException | None,
    tf: Any,
    pinned: Pins,
    options: Namespace,
) -> None:
    """The program failed: a result, or raises SamebitsError in the control."""
    if error is None:
        message = SamebitsError(f"{program.name}: ended with exit code {code}")
        outcome.end(tf, SystemExit(code), message)
        return
    said = f"{program.name}: failed with {type(error).__name__}: {brief(error)}"
    python = sys.executable if lockfile.read(options.lock).as_installed else ""
    packages = canonical.read_json(options.config)["program"]["packages"]
    what = advice(error, options.source_path, options.workspace, python, packages)
    message = SamebitsError(said + what)
    outcome.end(tf, error, message, pinned.guard.refusal if pinned.guard else None)


def main() -> int:
    """Check, run, record."""
    task.install_handler()
    options, clock = _arguments(), record.Clock()
    os.chdir(str(options.workspace))
    if options.flipped is not None:
        _flipped(options)
        return 0
    content = record.beginning(options, files.digest(options.data / "inputs.json"))
    content["observed"] = environment.observe(options.workspace)
    record.make(content, options, clock, lambda ends: _run(content, options, clock, ends))
    return 0


if __name__ == "__main__":
    run(main, leave=leave_at_once)
