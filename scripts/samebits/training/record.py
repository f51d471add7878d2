"""A run's record, and how its training ended.

The record says what was asked for, changed, used and observed, and names the results by digest.
Runs on Python 3.7 to 3.13.
"""

from __future__ import annotations

import argparse
import datetime
import os
import resource
import sys
import time
import uuid
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Callable, Iterable, Mapping

import numpy as np

from samebits.errors import SamebitsError, all_problems, is_of_disk
from samebits.experiment import pins, variables, variations
from samebits.experiment.protocol import CONTROL
from samebits.formats import arrays, as_installed, canonical, files, history, lockfile, names
from samebits.formats.arrays import SUFFIX
from samebits.observation import checkout, environment, executed, machine, opened
from samebits.text import say
from samebits.training import checkpoints, kernels, refusals, state, task
from samebits.training.trace import Prints, Trace


class Clock:
    """Started with the process."""

    def __init__(self) -> None:
        """Start counting."""
        self._started = datetime.datetime.now(datetime.timezone.utc)
        self._clock = time.monotonic()

    def timing(self, import_seconds: float, fit_seconds: float) -> dict[str, Any]:
        """When the run started, how long it took, and the most memory that it used."""
        return {
            "started": self._started.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "import_seconds": import_seconds,
            "fit_seconds": fit_seconds,
            "seconds": round(time.monotonic() - self._clock, 3),
            "peak_memory_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
        }


def flags(description: str, path: Callable[[str], Path]) -> argparse.ArgumentParser:
    """The flags of every training. ``path``: makes one of a word.

    Not by samebits.arguments: its change for another script would refuse every replay.
    """
    made = argparse.ArgumentParser(description=description)
    for name in ("config", "data", "lock", "source-path", "output"):
        made.add_argument(f"--{name}", type=path, required=True)
    made.add_argument("--run", required=True, help="control, replica, …")
    made.add_argument("--unpin", action="append", default=[], choices=list(pins.TITLES))
    made.add_argument("--samples", type=int, help="train on this many samples, the first ones")
    made.add_argument("--epochs", type=int, help="with --samples: so many epochs of them")
    made.add_argument("--canary", action="store_true", help="train with flipped bits, too")
    return made


def beginning(options: argparse.Namespace, data: str) -> dict[str, Any]:
    """The record before TensorFlow is imported. ``data``: the digest of the data.

    Its status is that of a run that should vary one thing and cannot; the reason is in
    ``variations``. A run that trains replaces it.
    """
    subset = {"samples": options.samples, "epochs": options.epochs}
    config = canonical.read_json(options.config)
    described = as_installed if lockfile.is_as_installed(config) else lockfile
    content = dict(
        described.environment(options.lock),
        format=names.TRAIN_FORMAT,
        run=options.run,
        status=names.NOT_TRIED,
        process={"id": str(uuid.uuid4()), "pid": os.getpid()},
        machine=machine.record(),
        experiment=canonical.digest(config),
        config=config,
        dataset=data,
        variations=variations.of_environment(os.environ),
        unpinned=options.unpin,
        subset=subset if options.samples else None,
        repositories=checkout.repositories(options.source_path, _target(config)),
        observed=environment.observe(options.source_path),
        digests={},
        tensors={},
        **dict.fromkeys(("unsupported", "failure", "model", "trace", "checkpoints", "canary")),
        **dict.fromkeys(("threads", "generators", "predictions", "data", "nan", "program")),
        primitives=None,
        another=None,
        wrong_kernels=[],
    )
    if options.sampled_epochs is not None:
        plan = canonical.read_json(options.sampled_epochs).get("sampled")
        if plan is None:
            raise SamebitsError(f"{options.sampled_epochs}: a replay plan that samples no epochs")
        drawn = [epoch["epoch"] for epoch in plan["epochs"]]
        content.update(format=names.SAMPLED_FORMAT, sampled=dict(plan, drawn=drawn))
    return content


def _target(config: Mapping[str, Any]) -> str:
    return str(config["model"]["_target_"]) if "model" in config else ""


def _require_unchanged(content: Mapping[str, Any], options: argparse.Namespace) -> None:
    """Raise SamebitsError that names every file that changed since this run read it.

    Of the modules it is the bytes that were executed; of config and lock, those that were read; of
    the environment all files that can be imported.
    """
    if lockfile.is_as_installed(content["config"]):
        as_installed.check(options.lock)
    else:
        lockfile.check_files(Path(sys.prefix))
    read = {options.config: content["experiment"], options.lock: content["lock"]}
    wrong = [path for path, sha256 in read.items() if files.digest(path) != sha256]
    changes = [f"{path}: was changed while this run used it" for path in wrong]
    problems = [*changes, *executed.changes()]
    if problems:
        raise SamebitsError(f"{all_problems(problems)}\nstart the same command again")


def make(
    content: dict[str, Any],
    options: argparse.Namespace,
    clock: Clock,
    run: Callable[[ExitStack], str],
) -> None:
    """Write a run's folder. ``run``: does so, and returns how it ended, for the user."""
    options.output.parent.mkdir(parents=True, exist_ok=True)
    files.remove_partial(options.output)
    # A replica is needed even where nothing can be varied: that is what `twice` makes.
    if _could_not_vary(content) and not options.canary:
        with files.atomic_folder(options.output) as folder:
            write(folder, content, options, clock.timing(0.0, 0.0))
        (reason,) = content["variations"]["not_tried"].values()
        said = f"not tried: {reason}"
    else:
        with ExitStack() as ends:
            said = run(ends)
    say(f"{options.run}: {said}")


def _could_not_vary(record: Mapping[str, Any]) -> bool:
    """Whether the run should vary one thing, and this machine cannot."""
    changed = record["variations"]
    return not changed["applied"] and len(changed["not_tried"]) == 1


def write(
    folder: Path, content: dict[str, Any], options: argparse.Namespace, timing: dict[str, Any]
) -> None:
    """Write the record, the last file of a run."""
    content["repositories"] = checkout.tell_inputs(content, options.source_path)
    _require_unchanged(content, options)
    content["timing"] = timing
    canonical.write_json(folder / "record.json", canonical.with_digest(content))


def watch(options: argparse.Namespace, *own: Path) -> opened.Watch:
    """A watcher of files, but of ``own``, those that the flags name, and the launcher's folders."""
    made = [os.environ.get(name, "") for name in (variables.KERAS_HOME, variables.TEMPORARY)]
    made = [folder for folder in made if "/samebits-" in folder]
    given = options.config, options.data, options.lock, options.output.parent
    return opened.Watch([*own, *given, as_installed.kept(options.lock), *map(Path, made)])


def process(tf: Any, options: argparse.Namespace) -> dict[str, Any]:
    """The parts that are known once TensorFlow and the model's code are imported."""
    return {
        "framework": framework(tf, options.lock),
        "machine": dict(machine.record(), gpu=machine.gpu(tf)),
        "source": executed.modules(options.source_path),
    }


def framework(tf: Any, lock: Path) -> dict[str, Any]:
    """The TensorFlow build, by version, compiler and the digest of its wheel."""
    locked = lockfile.read(lock)
    if locked.tensorflow is None:
        raise SamebitsError(f"{lock}: expected a lock with TensorFlow, got none in it")
    build = tf.sysconfig.get_build_info() if hasattr(tf.sysconfig, "get_build_info") else {}
    return {
        "tensorflow": tf.__version__,
        "keras": tf.keras.__version__,
        "git_version": tf.version.GIT_VERSION,
        "compiler": tf.version.COMPILER_VERSION,
        "build_info": {str(key): build[key] for key in sorted(build)},
        "wheel": asdict(locked.tensorflow),
        "libraries": as_installed.libraries(lock) if locked.as_installed else {},
    }


@dataclass
class Outcome:
    """How a training ended: completed with results, refused by TensorFlow, or failed."""

    run: str
    model: Any = None
    steps_per_execution: int = 1
    trace: Trace | None = None
    history: dict[str, Any] = field(default_factory=dict)
    executed: list[kernels.Entry] | None = None  # kernels of the first batch
    store: checkpoints.Store | None = None
    sampled: list[dict[str, Any]] | None = None  # the sampled epochs, where these alone are trained
    refusal: refusals.Unsupported | None = None
    failure: dict[str, str] | None = None
    seconds: float = 0.0

    @property
    def status(self) -> str:
        """As the record has it."""
        if self.failure is not None:
            return names.FAILED
        return names.COMPLETED if self.refusal is None else names.REFUSED

    def end(
        self,
        tf: Any,
        error: BaseException,
        message: SamebitsError,
        refusal: refusals.Unsupported | None = None,
    ) -> None:
        """The training raised an exception. Raises ``message`` if a control failed.

        ``refusal``: the one behind it, where that is known. A full or failing disk says nothing
        about the model: its error is raised in any run.
        """
        if is_of_disk(error):
            raise error
        self.refusal = refusal or refusals.of_exception(tf, error)
        if self.refusal is None:
            if self.run == CONTROL:
                raise message from error
            self.failure = {"error": type(error).__name__, "message": str(error)}

    def describe(self) -> dict[str, Any]:
        """The parts of the record that say how it ended, and what was trained."""
        done = self.status == names.COMPLETED and self.model is not None  # a program has many
        model = task.describe(self.model) if done else None
        if model and self.sampled is None:  # whose kernels are not watched
            model["executed"] = self.executed
        return {
            "status": self.status,
            "unsupported": asdict(self.refusal) if self.refusal else None,
            "failure": self.failure,
            "model": model,
            "trace": self.trace.describe() if model and self.trace else None,
            "checkpoints": self.store.describe() if model and self.store else None,
        }

    def write(self, folder: Path) -> dict[str, Any]:
        """Write the results of a completed training; returns their digests, and their tensors."""
        if self.status != names.COMPLETED or self.trace is None:
            return {}
        if self.store is not None:
            self.store.publish(folder / "checkpoints")
        stored = write_state(folder, state.arrays(self.model))
        stored["trace"] = self.trace.save(folder / f"trace{SUFFIX}")
        weights = task.values(task.named(self.model.weights))
        found = nan(weights, (array for _, array in task.trainable(self.model)), self.trace)
        written = canonical.write_json(folder / "history.json", history.to_json(self.history))
        return dict(digests_of(written, stored), data=self.trace.data(), nan=found)

    def said(self, content: Mapping[str, Any]) -> str:
        """For the user, in a few words."""
        if self.refusal is not None:
            return self.refusal.reason
        if self.sampled is not None:
            return "epochs {}".format(", ".join(map(str, content["sampled"]["drawn"])))
        return str(content["digests"].get("weights", self.status))[:16]


def write_state(folder: Path, parts: Mapping[str, task.Named]) -> dict[str, arrays.Stored]:
    """Write each part of the state as a file of arrays."""
    return {part: arrays.write(folder / f"{part}{SUFFIX}", named) for part, named in parts.items()}


def digests_of(history: str, stored: Mapping[str, arrays.Stored]) -> dict[str, Any]:
    """The results of a completed training by digest, and their tensors."""
    return {
        "digests": {"history": history, **{name: one.sha256 for name, one in stored.items()}},
        "tensors": {name: one.as_json() for name, one in stored.items()},
    }


def nan(weights: task.Named, trained: Iterable[np.ndarray], trace: Prints) -> dict[str, Any]:
    """The final weights that hold a NaN, and since when, where the trace saw it.

    ``numbers``: how many elements of the trainable ones are neither NaN nor infinite.
    """
    tensors = []
    for name, array in weights:
        count = int(np.isnan(array).sum()) if array.dtype.kind not in "biuSUO" else 0
        if count:
            after, since = trace.nan_since(name) or (None, None)
            tensors.append({"name": name, "count": count, "after": after, "since": since})
    return {"tensors": tensors, "numbers": sum(int(np.isfinite(one).sum()) for one in trained)}
