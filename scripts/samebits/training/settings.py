"""Apply the pins of an experiment, then probe the settings that the process really has.

A setting that is not what the config says stops the run, before any training. Runs on
Python 3.7 to 3.13 and TensorFlow 2.1 to 2.21; TensorFlow is imported only where it is probed.
"""

from __future__ import annotations

import os
import random
import re
import subprocess
import sys
import tempfile
from dataclasses import asdict, dataclass
from typing import AbstractSet, Any, Iterable, Mapping

import numpy as np

from samebits.errors import SamebitsError, all_problems
from samebits.experiment import pins, variables
from samebits.observation import environment
from samebits.training import replaced_ops

_HASH_SEED = "PYTHONHASHSEED"
_THREADS = ("intra", "inter")
_NOT_PINNED = (
    "the run is not pinned as the config says; start it through Snakemake or scripts/launch.py, "
    "or choose another determinism profile"
)
_CHANGED = (
    "after training the run is no longer pinned as the config says; have the model's code leave "
    "the pinned settings alone"
)
_PROBE_SECONDS = 30  # a forked probe takes 0.1 s; a hung one must not hang the run
# oneDNN's own names of the caps that ONEDNN_MAX_CPU_ISA takes (its documentation, "CPU Dispatcher
# Control"); versions write the same ISA a little differently.
_ISA_NAMES = {
    "SSE41": ("Intel SSE4.1",),
    "AVX": ("Intel AVX",),
    "AVX2": ("Intel AVX2",),
    "AVX512_CORE": (
        "Intel AVX-512 with AVX512BW, AVX512VL, and AVX512DQ extensions",
        "Intel AVX-512 with Intel DL Boost",
    ),
}


@dataclass(frozen=True)
class Setting:
    """A pinned value (None: not pinned), the effective one, and how it was probed."""

    name: str
    expected: Any
    effective: Any
    how: str

    def holds(self) -> bool:
        """Whether the setting is as pinned; one that is not pinned always is."""
        return self.expected in (None, self.effective)


def require_pinned(settings: list[Setting], message: str = _NOT_PINNED) -> list[Setting]:
    """The settings, unless one is not as pinned: then SamebitsError that lists all such."""
    wrong = [
        f"{s.name}: expected {s.expected!r}, got {s.effective!r} ({s.how})"
        for s in settings
        if not s.holds()
    ]
    if wrong:
        raise SamebitsError(f"{message}\n{all_problems(wrong)}")
    return settings


def as_json(settings: list[Setting]) -> list[dict[str, Any]]:
    """The form in records, in the order in which they were probed."""
    return [asdict(setting) for setting in settings]


def of_process(
    profile: Mapping[str, Any],
    declared: Mapping[str, str],
    varied: AbstractSet[str] = frozenset(),
) -> list[Setting]:
    """The settings that must be made before Python starts: hash seed and environment variables.

    ``declared``: variables that the experiment declares; ``varied``: that a variation of this run
    sets on purpose.
    """
    at_start = environment.at_start()
    found = [_hash_seed(None if _HASH_SEED in varied else profile["hash_seed"])]
    for name, value in sorted({**profile["environment"], **declared}.items()):
        how = "the environment this process was started with"
        found.append(Setting(name, value, at_start.get(name), how))
    known = set(profile["environment"]) | {_HASH_SEED, variables.KERAS_HOME} | varied
    unnamed = {k: v for k, v in variables.present(at_start).items() if k not in known}
    how = "variables that change results and that the experiment does not name"
    found.append(Setting("other variables", {}, unnamed, how))
    return found


def _hash_seed(expected: int | None) -> Setting:
    name, how = "hash seed", "hash of a text, here and in a new interpreter with that seed"
    if not sys.flags.hash_randomization:
        return Setting(name, expected, 0, "sys.flags.hash_randomization")
    if expected is None:
        return Setting(name, None, os.environ.get(_HASH_SEED, "random"), _HASH_SEED)
    command, environ = [sys.executable, "-S", "-c", "print(hash('samebits'))"], dict(os.environ)
    environ["PYTHONHASHSEED"] = str(expected)
    reference = subprocess.check_output(command, env=environ)
    same = int(reference) == hash("samebits")
    return Setting(name, expected, expected if same else "another", how)


def apply_to_tensorflow(tf: Any, profile: Mapping[str, Any]) -> None:
    """Set threads and op determinism; must come before the first op."""
    for kind in _THREADS:
        count = profile[f"{kind}_op_threads"]
        if count is not None:
            getattr(tf.config.threading, f"set_{kind}_op_parallelism_threads")(count)
    if profile["op_determinism"] and "TF_DETERMINISTIC_OPS" not in profile["environment"]:
        tf.config.experimental.enable_op_determinism()
    if profile.get("rewriting") is False:
        replaced_ops.stop_rewriting(tf)


def of_tensorflow(
    tf: Any, framework: Mapping[str, Any], profile: Mapping[str, Any]
) -> list[Setting]:
    """The settings that TensorFlow reports after ``apply_to_tensorflow``, before the first op."""
    onednn, isa = _onednn()
    return [
        Setting("TensorFlow", framework["tensorflow"], tf.__version__, "tensorflow.__version__"),
        *of_threads(tf, profile),
        Setting("oneDNN", profile["onednn"], onednn, "whether a convolution went through it"),
        of_isa(profile["isa"], isa),
    ]


def of_primitives(profile: Mapping[str, Any], report: Mapping[str, Any] | None) -> list[Setting]:
    """The pins as oneDNN told them in the process that trained; none where it told nothing.

    It tells the threads of its first primitive, and TensorFlow gives a small one a single thread.
    """
    if report is None:
        return []
    how, isa = "oneDNN's own report while it trained", of_isa(profile["isa"], report["isa"])
    threads = profile["intra_op_threads"]
    if threads != 1 and report["threads"] == 1:
        threads = None  # no word about the pin
    return [
        Setting("oneDNN ISA, in the training", profile["isa"], isa.effective, how),
        Setting("oneDNN threads, in the training", threads, report["threads"], how),
    ]


def of_threads(tf: Any, profile: Mapping[str, Any]) -> list[Setting]:
    """Threads and op determinism: a program can change both before its first op."""
    threads = (_threads(tf, kind, profile[f"{kind}_op_threads"]) for kind in _THREADS)
    return [_op_determinism(tf, profile["op_determinism"]), *threads]


def of_keras(keras: Any) -> list[Setting]:
    """What Keras took from a keras.json, probed before the user's code can change it."""
    backend = keras.backend
    named = getattr(backend, "backend", lambda: "tensorflow")  # Keras 2 has no other
    found = (named(), backend.epsilon(), backend.floatx(), backend.image_data_format())
    how = "tf.keras.backend, before the user's code"
    return [Setting(name, value, got, how) for (name, value), got in zip(pins.KERAS.items(), found)]


def _threads(tf: Any, kind: str, expected: int | None) -> Setting:
    count = getattr(tf.config.threading, f"get_{kind}_op_parallelism_threads")()
    how = "tf.config.threading; 0: TensorFlow chooses"
    return Setting(f"{kind}-op threads", expected, count, how)


def _op_determinism(tf: Any, expected: bool) -> Setting:
    from tensorflow.python.framework import config

    name = "op determinism"
    if hasattr(config, "is_op_determinism_enabled"):
        return Setting(name, expected, config.is_op_determinism_enabled(), "TensorFlow's own state")
    effective = os.environ.get("TF_DETERMINISTIC_OPS") in ("1", "true")
    return Setting(name, expected, effective, "TF_DETERMINISTIC_OPS; this TensorFlow cannot tell")


def of_exact(tf: Any, profile: Mapping[str, Any]) -> list[Setting]:
    """The replaced ops and rewritings; nothing of what a profile leaves out."""
    return [*of_replacements(tf, profile), *of_rewriting(tf, profile)]


def of_replacements(tf: Any, profile: Mapping[str, Any]) -> list[Setting]:
    """The replaced ops, probed by computing with them.

    The first ops that the process itself executes: after all that is asked of forked ones.
    """
    wanted = profile.get("replacements")
    return [] if wanted is None else [_replacements(tf, list(wanted))]


def of_rewriting(tf: Any, profile: Mapping[str, Any]) -> list[Setting]:
    """Whether graphs are rewritten, or compiled by XLA."""
    if profile.get("rewriting") is None:
        return []
    how = "tf.config.optimizer: " + ", ".join(replaced_ops.PASSES)
    return [Setting("graph rewriting", profile["rewriting"], replaced_ops.rewriting(tf), how)]


def require_unpinnable(profile: Mapping[str, Any], unpinned: Iterable[str]) -> None:
    """Raise SamebitsError that lists what is to be unpinned and is not pinned."""
    pinned = pins.pinned(profile)
    free = sorted(set(unpinned) - set(pinned))
    if free:
        raise SamebitsError(
            f"--unpin {', '.join(free)}: not pinned by this determinism profile; "
            f"unpin one of: {', '.join(pinned) or 'none'}"
        )


def require_unchanged(
    tf: Any, profile: Mapping[str, Any], report: Mapping[str, Any] | None
) -> list[Setting]:
    """Probe again, after training, the settings that a model's own code could have changed.

    Threads cannot be changed after the first op, and the environment was read long before. Returns
    what oneDNN told while it trained. Raises SamebitsError.
    """
    told, found = of_primitives(profile, report), of_exact(tf, profile)
    if profile["op_determinism"]:
        found.append(_op_determinism(tf, True))
    require_pinned([*told, *found], _CHANGED)
    return told


def _replacements(tf: Any, wanted: list[str]) -> Setting:
    how = "the functions that make them; rounded ones compared with float64"
    found = replaced_ops.in_force(tf)
    ordered = [name for name in wanted if name in found]
    ordered += [name for name in found if name not in wanted]
    return Setting("replaced ops", wanted, ordered, how)


def of_isa(expected: str | None, reported: str | None) -> Setting:
    """oneDNN's own word for the instruction set it uses, in the words of the cap."""
    how = f"oneDNN's verbose report in a forked process: {reported}"
    name = next((cap for cap, names in _ISA_NAMES.items() if reported in names), reported)
    return Setting("oneDNN ISA", expected, name, how)


def _onednn() -> tuple[bool, str | None]:
    """Whether a convolution is oneDNN's, and the ISA that it says it uses (None: it is silent).

    With oneDNN off, TensorFlow 2.21 still calls its matrix product, and the ISA cap still counts.
    Asked of a forked process, so that the run itself executes no op for it: oneDNN says it
    once, at its first primitive, and its verbosity cannot be taken back.
    """
    with tempfile.TemporaryFile() as report:
        child = os.fork()
        if child == 0:
            _report_isa(report.fileno())
        os.waitpid(child, 0)  # the child ends by itself: by alarm at the latest
        report.seek(0)
        text = report.read().decode("ascii", "replace")
    match = re.search(r"info,cpu,isa:(.*)", text)
    return "exec,cpu,convolution" in text, match.group(1).strip() if match else None


def _report_isa(descriptor: int) -> None:
    """In the forked process: one small convolution with oneDNN's report on. Never returns."""
    import ctypes
    import signal

    import tensorflow as tf

    try:
        signal.alarm(_PROBE_SECONDS)
        os.environ["ONEDNN_VERBOSE"] = os.environ["DNNL_VERBOSE"] = "1"
        os.dup2(descriptor, 1)
        tf.nn.conv2d(tf.ones((1, 8, 8, 1)), tf.ones((3, 3, 1, 4)), 1, "SAME")
        ctypes.CDLL(None).fflush(None)  # os._exit does not flush C's buffers
    finally:
        os._exit(0)  # an op that fails reports nothing, which the parent then says


def seed_everything(
    tf: Any, seeding: str | None, seed: int, unpinned: Iterable[str] = ()
) -> list[Setting]:
    """Seed as the profile says and probe each generator without drawing from it.

    The generators whose pins are unpinned are seeded by the system afterwards.
    """
    if seeding == "keras":
        tf.keras.utils.set_random_seed(seed)
    shared = seed_shared(seeding, seed, unpinned)
    return [*shared, seed_tensorflow(tf, seeding, seed, unpinned)]


def seed_shared(seeding: str | None, seed: int, unpinned: Iterable[str] = ()) -> list[Setting]:
    """The same of Python's and NumPy's generators alone."""
    if seeding is not None:
        np.random.seed(seed)
        random.seed(seed)
    if "python_seed" in unpinned:  # Keras 3 takes its seeds from there, not from the one it keeps
        random.seed()
    if "numpy_seed" in unpinned:
        np.random.seed()
    known = seeding is not None
    effective = {"python_seed": _python_seed(seed), "numpy_seed": _numpy_seed(seed)}
    how = {"python_seed": "state of random", "numpy_seed": "state of numpy.random"}
    return [
        Setting(pins.TITLES[pin], seed if known and pin not in unpinned else None, found, how[pin])
        for pin, found in effective.items()
    ]


def seed_tensorflow(
    tf: Any, seeding: str | None, seed: int, unpinned: Iterable[str] = ()
) -> Setting:
    """The same of TensorFlow's global seed; executes no operation."""
    from tensorflow.python.eager import context

    pin = "tensorflow_seed"
    if pin in unpinned:
        tf.random.set_seed(random.SystemRandom().randrange(2**31))
    elif seeding is not None:
        tf.random.set_seed(seed)
    expected = None if pin in unpinned or seeding is None else seed
    how = "TensorFlow's global seed"
    return Setting(pins.TITLES[pin], expected, context.global_seed(), how)


def _python_seed(seed: int) -> int | None:
    fresh = random.Random(seed)  # noqa: S311 - compared with, not used for secrets
    return seed if random.getstate() == fresh.getstate() else None


def _numpy_seed(seed: int) -> int | None:
    ours: Any = np.random.get_state(legacy=False)
    fresh: Any = np.random.RandomState(seed).get_state(legacy=False)
    same = np.array_equal(ours["state"].pop("key"), fresh["state"].pop("key")) and ours == fresh
    return seed if same else None
