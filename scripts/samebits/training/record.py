"""What a run's record says beside its results: what was asked for, changed, used and seen.

Runs on Python 3.7 to 3.13.
"""

from __future__ import annotations

import argparse
import datetime
import os
import resource
import time
import uuid
from pathlib import Path
from typing import Any, Mapping

from samebits.experiment import variations
from samebits.formats import arrays, canonical, files, lockfile
from samebits.training import machine, surroundings

FORMAT = "samebits-train-1"
COMPLETED, UNSUPPORTED, FAILED, NOT_TRIED = "completed", "unsupported", "failed", "not tried"


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


def beginning(options: argparse.Namespace) -> dict[str, Any]:
    """All that is known without TensorFlow. Raises SamebitsError when an input is not as it was.

    The status is that of a run that was to vary one thing alone and could not; its reason is in
    ``variations``. A run that trains replaces it.
    """
    subset = {"samples": options.samples, "epochs": options.epochs}
    return dict(
        lockfile.environment(options.lock),
        format=FORMAT,
        run=options.run,
        status=NOT_TRIED,
        unsupported=None,
        failure=None,
        process={"id": str(uuid.uuid4()), "pid": os.getpid()},
        machine=machine.record(),
        experiment=files.digest(options.config),
        config=canonical.read_json(options.config),
        dataset=arrays.check_arrays(options.data),
        variations=variations.of_environment(os.environ),
        lifted=options.lift,
        subset=subset if options.samples else None,
        surroundings=surroundings.observe(options.source_path),
        model=None,
        digests={},
        trace=None,
        checkpoints=None,
        canary=None,
    )


def could_not_vary(record: Mapping[str, Any]) -> bool:
    """Whether the run was to vary one thing alone, and this machine cannot."""
    changed = record["variations"]
    return not changed["applied"] and len(changed["not_tried"]) == 1


def framework(tf: Any, lock: Path) -> dict[str, Any]:
    """The TensorFlow build, by version, compiler and the digest of its wheel."""
    wheels = lockfile.locked(lock)
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
