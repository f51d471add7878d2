#!/usr/bin/env python3
"""Train the experiment's model once.

INPUTS      --config       the resolved config; its digest names the experiment
            --data         the folder of arrays that load.py wrote
            --lock         the lock of the environment that this runs in
            --source-path  where the model's module is looked for
            --run          this run's name: control, replica, …
            --lift         a pin to set to another value; may be repeated
            --samples, --epochs  train on the first samples alone, that many epochs
            --canary       train a few steps with another seed after everything is saved
            --checkpoints  where a run with trainer.checkpoint=epoch is gone on from
            --spot, --states  train only the epochs that prepare_replay.py drew, each from its state
OUTPUTS     --output       a folder: record.json, history.json, weights/, optimizer/, trace/,
                           canary/, and checkpoints/ of the control; of drawn epochs
                           record.json alone, in a format of its own
GUARANTEES  the settings in force were probed and are what the config pins, but for what is lifted
            or varied on purpose; what a model's code could change was probed again at the end; the
            steps are the published ones and no random number is drawn beyond them; floats are
            stored with all their bits; what TensorFlow refuses to do deterministically is a result
            with the op named; a model that fails is a result too, except in the control; the folder
            is there whole or not at all

Runs on Python 3.7 to 3.13, TensorFlow 2.1 to 2.21.
"""

from __future__ import annotations

import argparse
import time
import traceback
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import Any, Mapping

from samebits.errors import SamebitsError, is_of_disk, run
from samebits.experiment import pins, variations
from samebits.formats import arrays, canonical, files, history, seal
from samebits.text import say
from samebits.training import (
    canary,
    checkpoints,
    exact_ops,
    kernels,
    machine,
    memory,
    refusals,
    settings,
    surroundings,
)
from samebits.training import epochs as resuming
from samebits.training import record as run_record
from samebits.training import seeds as keyed
from samebits.training import task as training
from samebits.training.settings import Setting
from samebits.training.trace import Trace

CONTROL = "control"


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Train the experiment's model once.")
    for name in ("config", "data", "lock", "source-path", "output"):
        parser.add_argument("--" + name, required=True, type=Path)
    parser.add_argument("--run", required=True, help="control, replica, …")
    parser.add_argument("--lift", action="append", default=[], choices=list(pins.TITLES))
    parser.add_argument("--samples", type=int, help="train on the first ones alone")
    parser.add_argument("--epochs", type=int, help="with --samples: instead of the config's")
    parser.add_argument("--canary", action="store_true", help="train with another seed, too")
    parser.add_argument("--checkpoints", type=Path, help="a folder of this run's own")
    parser.add_argument(
        "--spot", type=Path, help="what prepare_replay.py drew: train these epochs alone"
    )
    parser.add_argument("--states", type=Path, help="with --spot: what they begin from")
    options = parser.parse_args()
    if (options.spot is None) != (options.states is None):
        parser.error("expected --spot and --states together")
    if options.spot and (options.samples or options.canary or options.lift):
        parser.error("--spot: expected a run in which nothing is changed")
    if (options.samples is None) != (options.epochs is None):
        parser.error("expected --samples and --epochs together")
    return options


def _import_tensorflow() -> tuple[Any, float]:
    started = time.monotonic()
    import tensorflow as tf

    return tf, round(time.monotonic() - started, 3)


class _Training:
    """What a training leaves behind: completed with arrays, refused by TensorFlow, or failed."""

    def __init__(self) -> None:
        self.history: dict[str, Any] = {}
        self.refusal: refusals.Unsupported | None = None
        self.failure: dict[str, str] | None = None
        self.model: Any = None
        self.trace: Any = None
        self.executed: list[kernels.Entry] | None = None
        self.store: checkpoints.Store | None = None
        self.epochs: list[dict[str, Any]] | None = None  # those that were drawn
        self.seconds = 0.0
        self.steps_per_execution = 1

    @property
    def status(self) -> str:
        """How the training ended, as the record has it."""
        if self.failure is not None:
            return run_record.FAILED
        return run_record.COMPLETED if self.refusal is None else run_record.UNSUPPORTED


def _task(tf: Any, config: Any, options: argparse.Namespace) -> training.Task:
    """The experiment on its data, or on the first samples of it."""
    stored, trainer = arrays.open_arrays(options.data), config["trainer"]
    x, y = stored["x_train"], stored["y_train"]
    if options.samples is not None:
        if options.samples > len(x):
            raise SamebitsError(
                f"--samples: expected at most {len(x)}, as many as there are, got {options.samples}"
            )
        x, y = x[: options.samples], y[: options.samples]
        trainer = dict(trainer, epochs=options.epochs)
    x = memory.scaled(x, config["data"]["scale"], options.output.parent)
    x, y = memory.shared(x), memory.shared(y)
    return training.Task(tf, config["model"], trainer, x, y, options.source_path)


def _train(task: training.Task, record: Any, options: argparse.Namespace) -> _Training:
    """Build, compile, fit. A refusal by TensorFlow is kept; so is a failure but in the control."""
    result, started = _Training(), time.monotonic()
    try:
        result.model = task.compiled_model()
        result.steps_per_execution = training.steps_per_execution(result.model)
        _fit(task, result, record, options)
    except training.NotBuiltError as error:
        _keep(result, task.tf, error.__cause__ or error, error, options.run)
    except (SamebitsError, resuming.PreemptedError):
        raise
    except Exception as error:
        traceback.print_exc()
        kind = type(error).__name__
        said = SamebitsError(f"training failed with {kind}; see its message above")
        _keep(result, task.tf, error, said, options.run)
    result.seconds = round(time.monotonic() - started, 3)
    return result


def _fit(task: training.Task, result: _Training, record: Any, options: argparse.Namespace) -> None:
    """Train the model, in one piece or from checkpoint to checkpoint."""
    if options.spot is not None:
        result.epochs = _fit_drawn(task, result.model, record, options)
        return
    progress = training.progress(task.tf, options.run, task.trainer["epochs"])
    watch = kernels.Watch(task.tf, result.model)
    try:
        _fit_all(task, result, record, options, [watch.callback(), progress])
    finally:
        watch.restore()
    result.executed = watch.found


def _fit_all(
    task: training.Task,
    result: _Training,
    record: Any,
    options: argparse.Namespace,
    callbacks: list[Any],
) -> None:
    """Train all epochs, or those that its checkpoints leave."""
    config, rows = record["config"], options.output.parent
    if not resuming.is_wanted(task.trainer):
        result.trace = Trace(task, result.model, config["trace"], rows)
        result.history = task.fit(result.model, [result.trace.callback(), *callbacks])
        return
    seeds = _seeds(task, result.model, config, options)
    identity = resuming.identity(record, options.source_path)
    result.store = checkpoints.Store(options.checkpoints, identity, options.run == CONTROL)
    epochs = resuming.RemainingEpochs(task, result.model, seeds, result.store)
    result.trace = epochs.trace(config["trace"], rows)
    result.history = epochs.fit(result.trace, [result.trace.callback(), *callbacks])


def _fit_drawn(task: training.Task, model: Any, record: Any, options: argparse.Namespace) -> Any:
    """Train the epochs that were drawn; returns what became of each."""
    config = record["config"]
    if not resuming.is_wanted(task.trainer):
        raise SamebitsError("--spot: expected trainer.checkpoint=epoch, got none")
    seeds = _seeds(task, model, config, options)
    wanted = resuming.sampled(options.spot)["epochs"]
    drawn = resuming.SampledEpochs(task, model, seeds, wanted, options.states)
    trace = Trace(task, model, config["trace"], options.output.parent)
    epochs, count = task.trainer["epochs"], len(record["spot"]["drawn"])
    progress = training.progress(task.tf, options.run, epochs, count)
    return drawn.fit(trace, [trace.callback(), progress])


def _seeds(task: training.Task, model: Any, config: Any, options: argparse.Namespace) -> Any:
    seeding = config["determinism"]["seeding"]
    return keyed.Seeds(task.tf, model, seeding, config["seed"], options.lift)


def _keep(result: _Training, tf: Any, error: BaseException, said: SamebitsError, name: str) -> None:
    """How the training ended. Raises ``said`` when that is a failure of the control.

    A full or failing disk says nothing about the model: that is raised, whatever the run.
    """
    if is_of_disk(error):
        raise error
    result.refusal = refusals.of_exception(tf, error)
    if result.refusal is None:
        if name == CONTROL:
            raise said from error
        result.failure = {"error": type(error).__name__, "message": str(error)}


def _write(folder: Path, result: _Training) -> dict[str, str]:
    """The artefacts of a completed training; returns their digests."""
    if result.status != run_record.COMPLETED or result.epochs is not None:
        return {}
    content = history.to_json(result.history)
    canonical.write_json(folder / "history.json", content)
    optimizer = training.optimizer_state(result.model)
    if result.store is not None:
        result.store.publish(folder / "checkpoints")
    return {
        "history": history.digest(history.from_json(content)),
        "weights": arrays.save_arrays(folder / "weights", training.weights(result.model)),
        "optimizer": arrays.save_arrays(folder / "optimizer", optimizer),
        "trace": result.trace.save(folder / "trace"),
    }


def _refuse_unpinned(profile: Mapping[str, Any], lifted: list[str]) -> None:
    free = sorted(set(lifted) - set(pins.pinned(profile)))
    if free:
        raise SamebitsError(
            "--lift {}: expected what the determinism profile pins, got what it leaves free; "
            "lift one of: {}".format(", ".join(free), ", ".join(pins.pinned(profile)) or "none")
        )


def _prepare(
    config: Any, lifted: list[str], applied: Mapping[str, str], name: str, ends: ExitStack
) -> tuple[Any, list[Setting], float]:
    """TensorFlow, imported and pinned; every setting as probed; seconds that the import took.

    ``ends``: called when the run has ended, so that replaced ops are what they were.
    """
    _refuse_unpinned(config["determinism"], lifted)
    profile, framework = pins.lift(config["determinism"], lifted), config["framework"]
    found = settings.refuse_wrong(settings.of_process(profile, variations.variables(applied)))
    machine.require_gpu(framework["gpus"])
    tf, seconds = _import_tensorflow()
    settings.apply_to_tensorflow(tf, profile)
    found += settings.refuse_wrong(settings.of_tensorflow(tf, framework, profile))
    machine.require_visible_gpu(tf, framework["gpus"])
    ends.enter_context(exact_ops.replaced(tf, profile.get("replacements", ())))
    found += settings.refuse_wrong(settings.of_exact(tf, profile))
    seeds = settings.seed_everything(tf, profile["seeding"], config["seed"], lifted)
    found += settings.refuse_wrong(seeds)
    say(f"{name}: TensorFlow {tf.__version__} imported in {seconds:.0f} s")
    return tf, found, seconds


def _describe(tf: Any, result: _Training, options: argparse.Namespace) -> dict[str, Any]:
    """The part of the record that says how the training ended, and with what it was done."""
    completed = result.status == run_record.COMPLETED
    return {
        "status": result.status,
        "unsupported": asdict(result.refusal) if result.refusal else None,
        "failure": result.failure,
        "framework": run_record.framework(tf, options.lock),
        "machine": dict(machine.record(), gpu=machine.gpu(tf)),
        "source": training.source_files(options.source_path),
        "model": _model(result) if completed else None,
        "trace": result.trace.describe() if completed and result.trace else None,
        "checkpoints": result.store.describe() if completed and result.store else None,
    }


def _model(result: _Training) -> dict[str, Any]:
    """The model, and what its first batch executed; epochs that were drawn are not watched."""
    described = training.describe(result.model)
    return described if result.epochs is not None else dict(described, executed=result.executed)


def _run(
    record: dict[str, Any], options: argparse.Namespace, clock: run_record.Clock, ends: ExitStack
) -> str:
    """Train and write the folder; returns how it ended, for the user."""
    config, lifted = record["config"], options.lift
    applied = record["variations"]["applied"]
    tf, found, import_seconds = _prepare(config, lifted, applied, options.run, ends)
    task = _task(tf, config, options)
    result = _train(task, record, options)
    settings.refuse_changed(tf, pins.lift(config["determinism"], lifted))
    how = "passed to compile(); this TensorFlow or this model may lack it"
    found.append(Setting("steps per execution", None, result.steps_per_execution, how))
    with files.atomic_folder(options.output) as folder:
        record.update(_describe(tf, result, options), settings=settings.as_json(found))
        if options.spot is not None:
            record["spot"]["epochs"] = result.epochs or []
        record["surroundings"]["interrupt"] = surroundings.interruption(record["checkpoints"])
        record["digests"] = _write(folder, result)
        if options.canary and result.status == run_record.COMPLETED:
            seed, seeding = canary.seed_of(config["seed"]), config["determinism"]["seeding"]
            record["canary"] = canary.train(task, seeding, seed, folder / "canary")
        record["timing"] = clock.timing(import_seconds, result.seconds)
        canonical.write_json(folder / "record.json", seal.sealed(record))
    if result.store is not None:
        result.store.remove()
    outcome = record["digests"].get("weights", result.status)[:16]
    if result.epochs is not None:
        outcome = "epochs {}".format(", ".join(map(str, record["spot"]["drawn"])))
    return f"{result.refusal.reason if result.refusal else outcome}, {result.seconds:.1f} s"


def main() -> int:
    """Check, probe, train, record."""
    training.install_handler()
    options, clock = _arguments(), run_record.Clock()
    record = run_record.beginning(options)
    if options.spot is not None:
        spot = resuming.not_trained(resuming.sampled(options.spot))
        record.update(format=resuming.SAMPLED_FORMAT, spot=spot)
    options.output.parent.mkdir(parents=True, exist_ok=True)
    if resuming.is_wanted(record["config"]["trainer"]) and options.checkpoints is None:
        raise SamebitsError("--checkpoints: trainer.checkpoint=epoch expects a folder, got none")
    files.remove_partial(options.output)
    try:
        outcome = _made(record, options, clock)
    except resuming.PreemptedError as error:
        say(f"{options.run}: {error}")
        return resuming.PREEMPTED
    say(f"{options.run}: {outcome}")
    return 0


def _made(record: dict[str, Any], options: argparse.Namespace, clock: run_record.Clock) -> str:
    """The run, unless there is nothing to make; returns how it ended, for the user."""
    # A replica is needed even where nothing can be varied: that is what `twice` makes.
    if not run_record.could_not_vary(record) or options.canary:
        with ExitStack() as ends:
            return _run(record, options, clock, ends)
    record["timing"] = clock.timing(0.0, 0.0)
    with files.atomic_folder(options.output) as folder:
        canonical.write_json(folder / "record.json", seal.sealed(record))
    (reason,) = record["variations"]["not_tried"].values()
    return f"not tried: {reason}"


if __name__ == "__main__":
    run(main)
