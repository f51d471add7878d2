"""What the article of 2022 claims, each claim as small programs and the rule that judges them.

Each claim is defined here and nowhere else: a sentence, the programs that test it, and the
function that turns what they measured into an outcome. A program's lines are texts, which the
page shows; what runs is the function that ``LINES`` has for a text. Every program trains the
article's experiment: its model, its calls of ``compile`` and ``fit``, on the first ``SAMPLES`` of
MNIST's training images. Runs on Python 3.7 to 3.13, without TensorFlow.
"""

from __future__ import annotations

import os
import random
from dataclasses import dataclass
from typing import Any, Callable, Dict, List, Mapping, Tuple

SAMPLES = 6400  # of MNIST's 60,000, so that all claims take minutes; stated on the page
EPOCHS = 3

YES = "yes"
NO = "no"
NOT_APPLICABLE = "not applicable"  # the framework lacks what the claim is about
NOT_SHOWN = "not shown"  # it could not be tested here; the reason says why

Line = Callable[[Any, Any], Any]  # of NumPy and TensorFlow, which this module cannot import

NO_SEED = "random op without a seed"  # as samebits.training.refusals says it

Measured = List[Dict[str, Any]]  # one per program, as samebits.article measures it
Outcome = Tuple[str, str]  # one of the four words, and the reason


@dataclass(frozen=True)
class Program:
    """One interpreter's work, in the order of the fields. Its lines are keys of ``LINES``."""

    variables: Mapping[str, str]  # set before the interpreter starts
    imports: tuple[str, ...] = ("random", "numpy as np", "tensorflow as tf")
    needs: tuple[str, ...] = ()  # expressions; where one is false nothing below is run
    setup: tuple[str, ...] = ()  # statements
    values: tuple[str, ...] = ()  # expressions; their values, or errors, are measured
    before_each: tuple[str, ...] = ()  # statements before each model is built
    trainings: int = 0


@dataclass(frozen=True)
class Claim:
    """A sentence, the programs that test it, and how what they measured is judged."""

    key: str
    sentence: str
    programs: tuple[Program, ...]
    judge: Callable[[Measured], Outcome]


def outcome(claim: Claim, measured: Measured) -> Outcome:
    """The outcome of a claim's programs."""
    unmet = [need for program in measured for need in program["unmet"]]
    if unmet:
        return NOT_APPLICABLE, f"{unmet[0]} is false"
    return claim.judge(measured)


def _trainings(measured: Measured) -> list[dict[str, Any]]:
    return [training for program in measured for training in program["trainings"]]


def _error(measured: Measured) -> str | None:
    """The first error of a training, in words."""
    errors = [training["error"] for training in _trainings(measured) if training["error"]]
    return "{type}: {message}".format(**errors[0]) if errors else None


def _counted(measured: Measured) -> tuple[int, int, str]:
    """The number of trainings, of different histories, and both in words."""
    histories = [training["history"] for training in _trainings(measured)]
    different = len(set(histories))
    words = "{} trainings in {}: {}".format(
        len(histories),
        "one process" if len(measured) == 1 else f"{len(measured)} processes",
        "all histories equal" if different == 1 else f"{different} different histories",
    )
    return len(histories), different, words


def all_equal(measured: Measured) -> Outcome:
    """Yes when every training has the same history, bit for bit."""
    error = _error(measured)
    if error:
        return NO, f"a training stopped with {error}"
    _, different, words = _counted(measured)
    return (YES if different == 1 else NO), words


def all_differ(measured: Measured) -> Outcome:
    """Yes when no two trainings have the same history."""
    error = _error(measured)
    if error:
        return NOT_SHOWN, f"a training stopped with {error}"
    trainings, different, words = _counted(measured)
    return (YES if different == trainings else NO), words


def equal_although_hashes_differ(measured: Measured) -> Outcome:
    """Yes when all histories are equal although texts hashed differently in each process."""
    hashes = [program["values"][0]["value"] for program in measured]
    if len(set(hashes)) < len(hashes):
        return NOT_SHOWN, "texts hashed alike, so the hash seeds did not differ"
    word, reason = all_equal(measured)
    return word, f"{reason}; texts hashed differently in each"


def equal_without(generator: str) -> Callable[[Measured], Outcome]:
    """Yes when all histories are equal although a generator started each process differently."""

    def judge(measured: Measured) -> Outcome:
        starts = [program["trainings"][0]["generators"][generator] for program in measured]
        if len({start["before"] for start in starts}) < len(starts):
            return NOT_SHOWN, f"{generator}'s generator began alike, so it was seeded"
        word, reason = all_equal(measured)
        drawn = any(t["generators"][generator]["drawn"] for t in _trainings(measured))
        use = "draws from it" if drawn else "draws nothing from it"
        return (
            word,
            f"{reason}; {generator}'s generator began differently in each, and the training {use}",
        )

    return judge


def refused_without_seed(measured: Measured) -> Outcome:
    """Yes when TensorFlow refuses to train for want of a seed."""
    error = _trainings(measured)[0]["error"]
    if error is None:
        return NO, "the training ended without an error"
    said = "{type}: {message}".format(**error)
    return (YES if error["refusal"] == NO_SEED else NOT_SHOWN), said


def too_late(measured: Measured) -> Outcome:
    """Yes when a seed set inside changes no hash, and one set before the start makes them equal.

    The first two programs set it inside, between two looks at a hash; the others before.
    """
    inside = [[value["value"] for value in program["values"]] for program in measured[:2]]
    before = {program["values"][0]["value"] for program in measured[2:]}
    if len(before) != 1:
        return NOT_SHOWN, "hashes differ even with PYTHONHASHSEED set before the start"
    unchanged = all(first == last for first, _, last in inside)
    if unchanged and inside[0] != inside[1]:
        return YES, "set inside: the hash stays, and two processes differ; set before: equal"
    return NO, f"set inside: the hashes are {inside}"


def unimplemented(measured: Measured) -> Outcome:
    """Yes when an op raises UnimplementedError; otherwise not shown, for there may be others."""
    tried = measured[0]["values"]
    for value in tried:
        if value["error"] and value["error"]["type"] == "UnimplementedError":
            return YES, "{}: {}".format(value["expression"], value["error"]["message"])
    others = [
        "; {} is refused with {}".format(value["expression"], value["error"]["type"])
        for value in tried
        if value["error"]
    ]
    return NOT_SHOWN, "on a CPU none of the {} ops tried raises it{}".format(
        len(tried), "".join(others)
    )


def silent(measured: Measured) -> Outcome:
    """Yes when an op raises nothing and gives different values in each process all the same."""
    tried = [value for program in measured for value in program["values"]]
    errors = [value["error"]["type"] for value in tried if value["error"]]
    if errors:
        return NOT_SHOWN, f"the op tried is refused with {errors[0]}"
    found = {tuple(value["value"] for value in program["values"]) for program in measured}
    if len(found) < len(measured):
        return NOT_SHOWN, "the op tried gave equal values"
    return YES, "an op that leaves its memory as it found it gave different values, and no error"


# Ops that TensorFlow's documentation, its release notes or its RFC on determinism name as having
# had no deterministic version on some device, and the one that its CPU builds refuse.
_OPS: dict[str, Line] = {
    "tf.timestamp()": lambda np, tf: tf.timestamp(),
    "tf.image.adjust_contrast(tf.ones((1, 8, 8, 3)), 2.0)": lambda np, tf: tf.image.adjust_contrast(
        tf.ones((1, 8, 8, 3)), 2.0
    ),
    "tf.math.unsorted_segment_sum(tf.ones(8), tf.zeros(8, tf.int32), 2)": lambda np, tf: (
        tf.math.unsorted_segment_sum(tf.ones(8), tf.zeros(8, tf.int32), 2)
    ),
    "tf.scatter_nd(tf.zeros((8, 1), tf.int32), tf.ones(8), (2,))": lambda np, tf: tf.scatter_nd(
        tf.zeros((8, 1), tf.int32), tf.ones(8), (2,)
    ),
    "tf.raw_ops.CropAndResizeGradImage(grads=tf.ones((1, 2, 2, 1)), boxes=tf.ones((1, 4)),"
    " box_ind=[0], image_size=[1, 4, 4, 1], T=tf.float32)": lambda np, tf: (
        tf.raw_ops.CropAndResizeGradImage(
            grads=tf.ones((1, 2, 2, 1)),
            boxes=tf.ones((1, 4)),
            box_ind=[0],
            image_size=[1, 4, 4, 1],
            T=tf.float32,
        )
    ),
    "tf.raw_ops.SparseTensorDenseMatMul(a_indices=tf.zeros((1, 2), tf.int64),"
    " a_values=tf.ones(1), a_shape=[2, 2], b=tf.ones((2, 2)))": lambda np, tf: (
        tf.raw_ops.SparseTensorDenseMatMul(
            a_indices=tf.zeros((1, 2), tf.int64),
            a_values=tf.ones(1),
            a_shape=[2, 2],
            b=tf.ones((2, 2)),
        )
    ),
    "tf.raw_ops.ResizeNearestNeighborGrad(grads=tf.ones((1, 8, 8, 1)), size=[4, 4])": (
        lambda np, tf: tf.raw_ops.ResizeNearestNeighborGrad(
            grads=tf.ones((1, 8, 8, 1)), size=[4, 4]
        )
    ),
    "tf.math.bincount(tf.zeros(8, tf.int32), weights=tf.ones(8))": lambda np, tf: tf.math.bincount(
        tf.zeros(8, tf.int32), weights=tf.ones(8)
    ),
}

# What runs for each line: the same expression again. A test compares them.
LINES: dict[str, Line] = {
    "np.random.seed(1)": lambda np, tf: np.random.seed(1),
    "random.seed(1)": lambda np, tf: random.seed(1),
    "tf.random.set_seed(1)": lambda np, tf: tf.random.set_seed(1),
    "tf.keras.utils.set_random_seed(1)": lambda np, tf: tf.keras.utils.set_random_seed(1),
    "tf.config.experimental.enable_op_determinism()": lambda np, tf: (
        tf.config.experimental.enable_op_determinism()
    ),
    'hasattr(tf.config.experimental, "enable_op_determinism")': lambda np, tf: hasattr(
        tf.config.experimental, "enable_op_determinism"
    ),
    'hash("x")': lambda np, tf: hash("x"),
    'os.environ.setdefault("PYTHONHASHSEED", "0")': lambda np, tf: os.environ.setdefault(
        "PYTHONHASHSEED", "0"
    ),
    # Its documentation says that it returns memory as it is, unless init is true.
    "tf.raw_ops.Empty(shape=[8], dtype=tf.float32, init=False).numpy().tobytes().hex()": (
        lambda np, tf: (
            tf.raw_ops.Empty(shape=[8], dtype=tf.float32, init=False).numpy().tobytes().hex()
        )
    ),
    **_OPS,
}

_THREE_SEEDS = ("np.random.seed(1)", "random.seed(1)", "tf.random.set_seed(1)")
_ALL_SEEDS = "tf.keras.utils.set_random_seed(1)"
_OP_DETERMINISM = "tf.config.experimental.enable_op_determinism()"
_HASH = 'hash("x")'
_EMPTY = "tf.raw_ops.Empty(shape=[8], dtype=tf.float32, init=False).numpy().tobytes().hex()"
_TF21 = {"PYTHONHASHSEED": "0", "TF_DETERMINISTIC_OPS": "1"}


def _without(line: str) -> tuple[Program, ...]:
    """Two processes with the recipe for TensorFlow >= 2.1, one seed left out."""
    seeds = tuple(seed for seed in _THREE_SEEDS if seed != line)
    return (Program(_TF21, before_each=seeds, trainings=2),) * 2


def _tf28(variables: Mapping[str, str], **changed: Any) -> Program:
    """The recipe for TensorFlow >= 2.8."""
    parts: dict[str, Any] = {
        "needs": ('hasattr(tf.config.experimental, "enable_op_determinism")',),
        "setup": (_OP_DETERMINISM,),
        "before_each": (_ALL_SEEDS,),
        "trainings": 2,
    }
    return Program(variables, **dict(parts, **changed))


CLAIMS = (
    Claim(
        "recipe-2.1",
        "The recipe for TensorFlow ≥ 2.1 (hash seed and TF_DETERMINISTIC_OPS in the environment, "
        "three seeds before each model) makes two trainings in one program equal.",
        (Program(_TF21, before_each=_THREE_SEEDS, trainings=2),),
        all_equal,
    ),
    Claim(
        "recipe-2.8",
        "The recipe for TensorFlow ≥ 2.8 (op determinism once, set_random_seed before each "
        "model) makes two trainings in one program equal.",
        (_tf28({}),),
        all_equal,
    ),
    Claim(
        "hash-seed-not-needed",
        "With the recipe for TensorFlow ≥ 2.8, PYTHONHASHSEED does not have to be set.",
        tuple(_tf28({"PYTHONHASHSEED": seed}, values=(_HASH,)) for seed in ("1", "2")),
        equal_although_hashes_differ,
    ),
    Claim(
        "python-seed-not-needed",
        "In this experiment, Python's own generator does not have to be seeded.",
        _without("random.seed(1)"),
        equal_without("Python"),
    ),
    Claim(
        "numpy-seed-not-needed",
        "In this experiment, NumPy's generator does not have to be seeded.",
        _without("np.random.seed(1)"),
        equal_without("NumPy"),
    ),
    Claim(
        "seed-required",
        "Under op determinism, training without a seed is an error.",
        (_tf28({}, before_each=(), trainings=1),),
        refused_without_seed,
    ),
    Claim(
        "hash-seed-inside-too-late",
        "Setting the hash seed inside the program is too late: it counts only when set before "
        "the interpreter starts.",
        (
            Program(
                {},
                imports=("os",),
                values=(_HASH, 'os.environ.setdefault("PYTHONHASHSEED", "0")', _HASH),
            ),
        )
        * 2
        + (Program({"PYTHONHASHSEED": "0"}, imports=(), values=(_HASH,)),) * 2,
        too_late,
    ),
    Claim(
        "unimplemented-op-raises",
        "Under op determinism, an op without a deterministic version raises UnimplementedError.",
        (_tf28({}, values=tuple(_OPS), before_each=(), trainings=0),),
        unimplemented,
    ),
    Claim(
        "silent-op-exists",
        "Some ops are not deterministic under op determinism either, and raise nothing.",
        (
            _tf28(
                {},
                setup=(_OP_DETERMINISM, _ALL_SEEDS),
                values=(_EMPTY,) * 4,  # one may find zeros in both processes
                before_each=(),
                trainings=0,
            ),
        )
        * 2,
        silent,
    ),
    Claim(
        "nothing-pinned-differs",
        "Without any of this, no two trainings are equal.",
        (Program({}, trainings=2),) * 2,
        all_differ,
    ),
)

BY_KEY = {claim.key: claim for claim in CLAIMS}
