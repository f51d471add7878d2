#!/usr/bin/env python3
"""Train the experiment's model once.

INPUTS      --config       the resolved config; its digest names the experiment
            --data         the folder of arrays that load.py wrote
            --lock         the lock of the environment that this runs in
            --source-path  where the model's module is looked for
            --run          this run's name: control, replica, …
            --unpin         a pin to set to another value; may be repeated
            --samples, --epochs  train on the first samples alone, that many epochs
            --canary       train a few steps with flipped bits after everything is saved
            --gradients    a file: write the gradients of one step there, and no results
            --checkpoints  where a run with trainer.checkpoint=epoch resumes from
            --sampled-epochs, --states  train only the epochs that this replay plan samples, each
                           from its stored state
OUTPUTS     --output       a folder: record.json, history.json, and weights, optimizer, state,
                           predictions, trace and canary.safetensors, and
                           checkpoints/ of the control; of sampled epochs record.json alone, in a
                           format of its own
GUARANTEES  the record names, by digest, each module that was executed and each file that was read,
            and a run during which one changed fails; the effective settings were probed and are as
            pinned, except those unpinned or varied on purpose; those that a model's code can change
            were probed again at the end; the steps are the published ones and draw no further
            random number; floats are stored with all their bits; a refusal of TensorFlow to compute
            deterministically is a result that names the op; a model that fails is a result too,
            except in the control; the importable files of the environment are those that were
            installed from the lock, or found, before and after; the folder is complete or absent

Runs on Python 3.7 to 3.13, TensorFlow 2.1 to 2.21.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))  # multiprocessing's children lack it

from samebits.observation import executed

if __name__ == "__main__":
    executed.install(sys._getframe().f_code)

import time
import traceback
from argparse import Namespace
from contextlib import ExitStack
from typing import Any, Mapping

from samebits.errors import SamebitsError, leave_at_once, run
from samebits.experiment import pins, variations
from samebits.experiment.protocol import CONTROL
from samebits.formats import arrays, dataset, files
from samebits.formats.arrays import SUFFIX
from samebits.formats.names import COMPLETED
from samebits.observation import environment, lookups, machine, threads
from samebits.text import brief, say
from samebits.training import (
    another,
    canary,
    checkpoints,
    epochs,
    kernels,
    memory,
    predictions,
    primitives,
    record,
    replaced_ops,
    seeds,
    settings,
    state,
    task,
    unsound,
)
from samebits.training.settings import Setting
from samebits.training.trace import Trace

if __name__ in ("__main__", "__mp_main__"):  # a user's module may be named like one of our scripts
    executed.hide(Path(__file__).resolve().parent)


def _arguments() -> Namespace:
    flags = record.flags("Train the experiment's model once.", Path)
    for name in ("checkpoints", "sampled-epochs", "states"):
        flags.add_argument(f"--{name}", type=Path)
    flags.add_argument(f"--{another.FLAG}", type=Path, help="write those of one step, and no more")
    return flags.parse_args()


def _prepare(
    config: Any, unpinned: list[str], applied: Mapping[str, str], name: str, ends: ExitStack
) -> tuple[Any, list[Setting], float]:
    """TensorFlow, imported and pinned; every setting as probed; seconds that the import took.

    ``ends``: called when the run has ended, so that replaced ops are what they were.
    """
    settings.require_unpinnable(config["determinism"], unpinned)
    profile, framework = pins.unpin(config["determinism"], unpinned), config["framework"]
    varied = variations.variables(applied)
    found = settings.require_pinned(settings.of_process(profile, config["environment"], varied))
    machine.require_gpu(framework["gpus"])
    started = time.monotonic()
    import tensorflow as tf

    seconds = round(time.monotonic() - started, 3)
    settings.apply_to_tensorflow(tf, profile)
    found += settings.require_pinned(settings.of_tensorflow(tf, framework, profile))
    found += settings.require_pinned(settings.of_keras(tf.keras))
    machine.require_visible_gpu(tf, framework["gpus"])
    ends.enter_context(replaced_ops.replaced(tf, profile["replacements"] or ()))
    found += settings.require_pinned(settings.of_exact(tf, profile))
    seeded = settings.seed_everything(tf, profile["seeding"], config["seed"], unpinned)
    found += settings.require_pinned(seeded)
    say(f"{name}: TensorFlow {tf.__version__} imported in {seconds:.0f} s")
    return tf, found, seconds


def _task(tf: Any, config: Any, options: Namespace) -> task.Task:
    """The experiment on its data, or on the first samples of it."""
    stored, trainer = dataset.read(options.data), config["trainer"]
    x, y = stored["x_train"], stored["y_train"]
    if options.samples is not None:
        if options.samples > len(x):
            raise SamebitsError(
                f"--samples: expected at most {len(x)}, the size of the data, got {options.samples}"
            )
        x, y = x[: options.samples], y[: options.samples]
        trainer = dict(trainer, epochs=options.epochs)
    x = memory.scaled(x, config["data"]["scale"], options.output.parent)
    x, y = memory.shared(x), memory.shared(y)
    return task.Task(tf, config["model"], trainer, x, y, options.source_path)


def _train(
    training: task.Task, content: Any, options: Namespace, guard: unsound.Guard
) -> record.Outcome:
    """Build, compile, fit. A refusal, by TensorFlow or ``guard``, is a result; so is a replica's
    failure."""
    outcome, started = record.Outcome(options.run), time.monotonic()
    try:
        outcome.model = training.compiled_model()
        guard.trained = lambda: task.trainable_variables(outcome.model)
        outcome.steps_per_execution = task.steps_per_execution(outcome.model)
        if options.sampled_epochs is None:
            _fit(training, outcome, content, options)
        else:
            _fit_sampled(training, outcome, content, options)
    except task.NotBuiltError as error:
        outcome.end(training.tf, error.__cause__ or error, error, guard.refusal)
    except (SamebitsError, epochs.PreemptedError):
        raise
    except Exception as error:
        traceback.print_exc()
        message = f"training failed with {type(error).__name__}: {brief(error)}"
        outcome.end(training.tf, error, SamebitsError(message), guard.refusal)
    outcome.seconds = round(time.monotonic() - started, 3)
    return outcome


def _fit(training: task.Task, outcome: record.Outcome, content: Any, options: Namespace) -> None:
    """Train in one piece, or epoch by epoch from the last checkpoint."""
    model, every, rows = outcome.model, content["config"]["trace"], options.output.parent
    progress = task.progress(training.tf, options.run, training.trainer["epochs"])
    with kernels.Watch(training.tf, model) as watch:
        callbacks = [watch.callback(), state.rehearsal(training.tf, model), progress]
        if epochs.is_wanted(training.trainer):
            identity = epochs.identity(content, options.source_path)
            outcome.store = checkpoints.Store(options.checkpoints, identity, options.run == CONTROL)
            seeding = _seeds(training, model, content, options)
            remaining = epochs.RemainingEpochs(training, model, seeding, outcome.store)
            outcome.trace = remaining.trace(every, rows)
            outcome.history = remaining.fit(outcome.trace, [outcome.trace.callback(), *callbacks])
        else:
            outcome.trace = Trace(training, model, every, rows)
            outcome.history = training.fit(model, [outcome.trace.callback(), *callbacks])
    outcome.executed = watch.found


def _fit_sampled(
    training: task.Task, outcome: record.Outcome, content: Any, options: Namespace
) -> None:
    """Train sampled epochs, each from its stored state."""
    wanted = content["sampled"]["epochs"]
    seeding = _seeds(training, outcome.model, content, options)
    sampled = epochs.SampledEpochs(training, outcome.model, seeding)
    trace = Trace(training, outcome.model, content["config"]["trace"], options.output.parent)
    progress = task.progress(training.tf, options.run, training.trainer["epochs"], len(wanted))
    outcome.sampled = [*sampled.fit(wanted, options.states, trace, [trace.callback(), progress])]


def _seeding(content: Any) -> tuple[str | None, int]:
    return content["config"]["determinism"]["seeding"], content["config"]["seed"]


def _another(training: task.Task, content: Any, options: Namespace) -> Any:
    """How far the gradients of one step are from those with, or without, oneDNN."""
    try:
        ours = another.gradients(training, *_seeding(content))
    except Exception as error:  # no fault of the run, which is complete
        say(f"{options.run}: the gradients of one step are unknown: {error!r}")
        return None
    names = ("config", "data", "lock", "source-path", "run")
    given = [f"--{name}={getattr(options, name.replace('-', '_'))}" for name in names]
    start = [str(Path(__file__).resolve()), *given]
    return another.compare(ours, content["config"], start, options.output.parent)


def _seeds(training: task.Task, model: Any, content: Any, options: Namespace) -> seeds.Seeds:
    config, seeding = content["config"], content["config"]["determinism"]["seeding"]
    return seeds.Seeds(training.tf, model, seeding, config["seed"], options.unpin)


def _predict(
    training: task.Task, model: Any, content: dict[str, Any], options: Namespace, folder: Path
) -> None:
    """Store what the trained model answers, and name it in the record."""
    _seed(training, content, options)
    path = folder / f"{predictions.NAME}{SUFFIX}"
    stored, content[predictions.NAME] = predictions.write(training, model, path)
    content["digests"][predictions.NAME] = stored.sha256
    content["tensors"][predictions.NAME] = stored.as_json()


def _again(
    training: task.Task, store: checkpoints.Store, trained: Any, content: Any, options: Namespace
) -> Any:
    """Whether the last epoch has the same bits when its checkpoint alone is known."""

    def rebuild() -> tuple[Any, seeds.Seeds]:
        training.tf.keras.backend.clear_session()
        state.forget_modules()
        _seed(training, content, options)
        model = training.compiled_model()
        return model, _seeds(training, model, content, options)

    every, ended = content["config"]["trace"], epochs.Trained(trained, content["tensors"])
    return epochs.again(training, rebuild, store, ended, (every, options.output.parent))


def _seed(training: task.Task, content: Any, options: Namespace) -> None:
    config, seeding = content["config"], content["config"]["determinism"]["seeding"]
    settings.seed_everything(training.tf, seeding, config["seed"], options.unpin)


def _run(content: dict[str, Any], options: Namespace, clock: record.Clock, ends: ExitStack) -> str:
    """Train and write the folder; returns how it ended, for the user."""
    given = options.checkpoints, options.states, options.sampled_epochs
    watch = record.watch(options, Path(__file__).parent, *filter(None, given))
    config, profile = content["config"], content["config"]["determinism"]
    applied = content["variations"]["applied"]
    report = primitives.Report()
    tf, found, import_seconds = _prepare(config, options.unpin, applied, options.run, ends)
    training = _task(tf, config, options)
    watch.begin()
    lookups.install()
    guard = ends.enter_context(unsound.Guard(tf, found, profile["isa"] is not None, options.run))
    if options.gradients:
        arrays.write(options.gradients, another.gradients(training, *_seeding(content)))
        return "the gradients of one step"
    with threads.Watch(variations.THREADS in applied) as ran:
        ran.follow(tf)
        outcome = _train(training, content, options, guard)
    content.update(threads=ran.found, generators=threads.generators(tf))
    content["observed"][variations.THREADS] = ran.observed
    content["wrong_kernels"] = guard.describe()
    content["primitives"] = report.describe()
    unpinned = pins.unpin(profile, options.unpin)
    found += settings.require_unchanged(tf, unpinned, content["primitives"])
    how = "passed to compile(); this TensorFlow or this model may lack it"
    found.append(Setting("steps per execution", None, outcome.steps_per_execution, how))
    with files.atomic_folder(options.output) as folder:
        content.update(outcome.describe(), settings=settings.as_json(found))
        content.update(record.process(tf, options), variables=lookups.found())
        if options.sampled_epochs is not None:
            content["sampled"]["epochs"] = outcome.sampled or []
        content["observed"].update(
            interrupt=environment.interruption(content["checkpoints"], training.trainer["epochs"]),
            contention=min(content["observed"]["contention"], environment.busy()),
        )
        content.update(outcome.write(folder))
        if outcome.status == COMPLETED and outcome.sampled is None:
            _predict(training, outcome.model, content, options, folder)
        if options.canary and outcome.status == COMPLETED:
            path, seeding = folder / f"canary{SUFFIX}", profile["seeding"]
            content["canary"] = canary.train(training, seeding, config["seed"], path)
            if outcome.store is not None:
                again = _again(training, outcome.store, outcome.model, content, options)
                content["checkpoints"]["again"] = again
        if "onednn" in options.unpin and outcome.status == COMPLETED:
            content["another"] = _another(training, content, options)
        content["source"] = executed.modules(options.source_path)  # the canary may load some
        content["files"] = watch.report(options.source_path)
        record.write(folder, content, options, clock.timing(import_seconds, outcome.seconds))
    if outcome.store is not None:
        outcome.store.remove()
    return f"{outcome.said(content)}, {outcome.seconds:.1f} s"


def main() -> int:
    """Check, probe, train, record."""
    task.install_handler()
    options, clock = _arguments(), record.Clock()
    content = record.beginning(options, dataset.check(options.data))
    try:
        record.make(content, options, clock, lambda ends: _run(content, options, clock, ends))
    except epochs.PreemptedError as error:
        say(f"{options.run}: {error}")
        return epochs.PREEMPTED
    return 0


if __name__ == "__main__":
    run(main, leave=leave_at_once)
