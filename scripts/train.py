#!/usr/bin/env python3
"""Train the experiment's model once.

INPUTS      --config       the resolved config; its digest names the experiment
            --data         the folder of arrays that load.py wrote
            --lock         the lock of the environment that this runs in
            --source-path  where the model's module is looked for
            --run          this run's name: control, replica, …
OUTPUTS     --output       a folder: history.json, weights/, optimizer/, record.json
GUARANTEES  the settings in force were probed and are what the config pins; the steps are the
            published ones and no random number is drawn beyond them; floats are stored with all
            their bits; what TensorFlow refuses to do deterministically is a result with the op
            named; the folder is there whole or not at all

Runs on Python 3.7 to 3.13, TensorFlow 2.1 to 2.21.
"""

import argparse
import datetime
import os
import resource
import time
import traceback
import uuid
from dataclasses import asdict
from pathlib import Path
from typing import Any, Dict, List, Optional, Tuple

from samebits import (
    arrays,
    canonical,
    environment_record,
    history,
    machine,
    settings,
    training,
    unsupported,
)
from samebits.errors import SamebitsError, run
from samebits.progress import say
from samebits.settings import Setting

FORMAT = "samebits-train-1"


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Train the experiment's model once.")
    for name in ("config", "data", "lock", "source-path", "output"):
        parser.add_argument("--" + name, required=True, type=Path)
    parser.add_argument("--run", required=True, help="control, replica, …")
    return parser.parse_args()


def _import_tensorflow() -> Tuple[Any, float]:
    started = time.monotonic()
    import tensorflow as tf

    return tf, round(time.monotonic() - started, 3)


def _framework(tf: Any, lock: Path) -> Dict[str, Any]:
    """The TensorFlow build, by version, compiler and the digest of its wheel."""
    wheels = environment_record.locked(lock)
    name = next(n for n in ("tensorflow-cpu", "tensorflow") if n in wheels)
    build = tf.sysconfig.get_build_info() if hasattr(tf.sysconfig, "get_build_info") else {}
    return {
        "tensorflow": tf.__version__,
        "keras": tf.keras.__version__,
        "git_version": tf.version.GIT_VERSION,
        "compiler": tf.version.COMPILER_VERSION,
        "build_info": {str(key): build[key] for key in sorted(build)},
        "wheel": {"name": name, "version": wheels[name][0], "sha256": wheels[name][1]},
    }


class _Training:
    """What a training leaves behind: completed with arrays, or refused by TensorFlow."""

    def __init__(self) -> None:
        self.history: Dict[str, Any] = {}
        self.refusal: Optional[unsupported.Unsupported] = None
        self.model: Any = None
        self.seconds = 0.0
        self.steps_per_execution = 1


def _train(tf: Any, config: Any, data: Path, source_path: Path, name: str) -> _Training:
    """Build, compile, fit. A refusal by TensorFlow is kept; every other failure is raised."""
    result, trainer, started = _Training(), config["trainer"], time.monotonic()
    stored = arrays.open_arrays(data)
    y = stored["y_train"]
    x = training.scaled(stored["x_train"], config["data"]["scale"])
    try:
        result.model = training.build(tf, config["model"], source_path)
        training.check_labels(result.model, trainer, y)
        result.steps_per_execution = training.compile_model(tf, result.model, trainer)
        result.history = training.fit(tf, result.model, trainer, x, y, name)
    except SamebitsError as error:
        result.refusal = unsupported.of_exception(tf, error.__context__ or error)
        if result.refusal is None:
            raise
    except Exception as error:
        traceback.print_exc()
        result.refusal = unsupported.of_exception(tf, error)
        if result.refusal is None:
            kind = type(error).__name__
            raise SamebitsError(
                "training failed with {}; see its message above".format(kind)
            ) from error
    result.seconds = round(time.monotonic() - started, 3)
    return result


def _write(folder: Path, result: _Training) -> Dict[str, str]:
    """The artefacts of a completed training; returns their digests."""
    if result.refusal is not None:
        return {}
    content = history.to_json(result.history)
    canonical.write_json(folder / "history.json", content)
    return {
        "history": history.digest(history.from_json(content)),
        "weights": arrays.save_arrays(folder / "weights", training.weights(result.model)),
        "optimizer": arrays.save_arrays(
            folder / "optimizer", training.optimizer_state(result.model)
        ),
    }


def _prepare(config: Any, options: argparse.Namespace) -> Tuple[Any, List[Setting], float]:
    """TensorFlow, imported and pinned; every setting as probed; seconds that the import took."""
    profile, framework = config["determinism"], config["framework"]
    found = settings.refuse_wrong(settings.of_process(profile))
    machine.require_gpu(framework["gpus"])
    tf, seconds = _import_tensorflow()
    settings.apply_to_tensorflow(tf, profile)
    found += settings.refuse_wrong(settings.of_tensorflow(tf, framework, profile))
    machine.require_visible_gpu(tf, framework["gpus"])
    found += settings.refuse_wrong(settings.seed_everything(tf, profile["seeding"], config["seed"]))
    say("{}: TensorFlow {} imported in {:.0f} s".format(options.run, tf.__version__, seconds))
    return tf, found, seconds


def _describe(tf: Any, result: _Training, options: argparse.Namespace) -> Dict[str, Any]:
    """The part of the record that says what was trained, how it ended and on what machine."""
    refusal = result.refusal
    return {
        "format": FORMAT,
        "run": options.run,
        "status": "unsupported" if refusal else "completed",
        "unsupported": asdict(refusal) if refusal else None,
        "process": {"id": str(uuid.uuid4()), "pid": os.getpid()},
        "framework": _framework(tf, options.lock),
        "machine": dict(machine.record(), gpu=machine.gpu(tf)),
        "source": training.source_files(options.source_path),
        "model": None if refusal else training.describe(result.model),
    }


def main() -> int:
    """Check, probe, train, record."""
    options = _arguments()
    started, clock = datetime.datetime.now(datetime.timezone.utc), time.monotonic()
    config = canonical.read_json(options.config)
    environment = environment_record.record(options.lock)
    dataset = arrays.check_arrays(options.data)
    tf, found, import_seconds = _prepare(config, options)
    result = _train(tf, config, options.data, options.source_path, options.run)
    how = "passed to compile(); this TensorFlow or this model may lack it"
    found.append(Setting("steps per execution", None, result.steps_per_execution, how))
    with canonical.whole_folder(options.output) as folder:
        record = dict(
            _describe(tf, result, options),
            experiment=canonical.file_digest(options.config),
            config=config,
            dataset=dataset,
            digests=_write(folder, result),
            settings=settings.as_json(found),
            timing={
                "started": started.strftime("%Y-%m-%dT%H:%M:%SZ"),
                "import_seconds": import_seconds,
                "fit_seconds": result.seconds,
                "seconds": round(time.monotonic() - clock, 3),
                "peak_memory_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
            },
            **environment,
        )
        canonical.write_json(folder / "record.json", record)
    outcome = result.refusal.reason if result.refusal else record["digests"]["weights"][:16]
    say("{}: {}, {:.1f} s".format(options.run, outcome, result.seconds))
    return 0


if __name__ == "__main__":
    run(main)
