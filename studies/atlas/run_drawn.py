#!/usr/bin/env python3
"""Compute cases of drawn shapes on the CPU that this runs on.

INPUTS      --threads   intra-op threads
            --seed      of the draw
            --count     how many cases; --first: the number of the first one
            --kind      of computation, all others are left out; may be repeated
            --disguise  another CPU model for which this one passes (see disguise.py)
            --replaced  as a training of the portable profile computes them, with its replacements
OUTPUTS     --output    or else standard output: JSON, one line about the process and then one per
                        case: the SHA-256 of each result (the value, and the gradient of each
                        input), how far it is from float64, what oneDNN made for it
GUARANTEES  oneDNN is on and capped at AVX2, ops are deterministic, inter-op parallelism is 1; a
            case is the same, whatever is computed beside it; one that ends its process, and does
            so again when it is alone, is reported with how

Under another CPU, emulated or passed for, nothing is computed in float64: that would be the same.
"""

import contextlib
import ctypes
import hashlib
import itertools
import json
import os
import tempfile
from collections.abc import Iterator
from typing import Any

import numpy as np

from atlas import battery, disguise, draw
from atlas.attempts import refusals
from samebits.arguments import parser
from samebits.errors import run
from samebits.experiment import pins
from samebits.observation import machine
from samebits.training import primitives, replaced_ops, settings, unsound

FORMAT = "samebits-drawn-1"
_PINS = {
    "TF_ENABLE_ONEDNN_OPTS": "1",
    "ONEDNN_MAX_CPU_ISA": "AVX2",
    "ONEDNN_VERBOSE": "profile_create",
    "TF_CPP_MIN_LOG_LEVEL": "3",
}
_ISA = "Intel AVX2"  # as oneDNN says it
_MARK = "samebits: case "
_AT_ONCE = 25  # cases of one process: a kernel that writes where it should not harms no others
_LONGEST = {False: 20, True: 600}  # seconds of a case; where the CPU is emulated


class _Computer:
    """Computes cases in this process, whose standard output is a file, its log."""

    def __init__(self, tf: Any, replaced: Any, reference: bool) -> None:
        self._tf, self._replaced, self._reference = tf, replaced, reference

    def answer(self, case: draw.Case) -> str:
        """A case's line."""
        try:
            return json.dumps(self._line(case))
        except (self._tf.errors.OpError, *battery.REFUSED) as error:
            return json.dumps({"refused": battery.first_reason(error)})

    def _line(self, case: draw.Case) -> dict[str, Any]:
        inputs = [case.values(number, shape) for number, shape in enumerate(case.inputs)]
        _mark(case.index)
        with self._replaced():
            results = self._computed(case, inputs)
        _mark(None)
        line: dict[str, Any] = {"digests": {n: _digest(v) for n, v in results.items()}}
        if self._reference:
            right = self._in_float64(case, inputs, results["value"])
            line["off"] = {name: _off(value, right[name]) for name, value in results.items()}
        return line

    def _computed(self, case: draw.Case, inputs: list[np.ndarray]) -> dict[str, np.ndarray]:
        tf = self._tf

        def back(made: Any) -> Any:
            with tf.init_scope():  # an input of the graph and no constant in it
                return tf.constant(case.values(len(inputs), made.shape), made.dtype)

        def step(*given: Any) -> Any:
            with tf.GradientTape() as tape:
                tape.watch(given)
                made = case.compute(tf, *given)
                if case.relu:
                    made = tf.nn.relu(made)
            return [made, *tape.gradient(made, given, back(made))]

        given = [tf.constant(value) for value in inputs]
        function = tf.function(step, autograph=False) if case.graph else step
        return _named([np.asarray(tf.convert_to_tensor(value)) for value in function(*given)])

    def _in_float64(
        self, case: draw.Case, inputs: list[np.ndarray], found: np.ndarray
    ) -> dict[str, np.ndarray]:
        """The same, with relu where the result in float32 has it: sums near 0 have any sign."""
        tf = self._tf
        given = [tf.constant(value, tf.float64) for value in inputs]
        with tf.GradientTape() as tape:
            tape.watch(given)
            made = case.compute(tf, *given)
            if case.relu:
                made = tf.where(found > 0, made, tf.zeros_like(made))
        back = tf.constant(case.values(len(inputs), made.shape), tf.float64)
        gradients = tape.gradient(made, given, back)
        return _named([np.asarray(tf.convert_to_tensor(v)) for v in [made, *gradients]])


def _mark(index: int | None) -> None:
    """Say in the log which case begins, or that it ended."""
    ctypes.CDLL(None).fflush(None)
    os.write(1, f"{_MARK}{index}\n".encode("ascii"))


def _made() -> dict[str, list[str]]:
    """What the log has of each case, the last time that it was computed."""
    found: dict[str, list[str]] = {}
    about: list[str] = []
    current = ""
    with open("/proc/self/fd/1", encoding="utf-8", errors="replace") as log:
        for line in log:
            if line.startswith(_MARK):
                current = line[len(_MARK) :].strip()
                found[current] = [*about]
            elif ",info,cpu," in line:
                about.append(line)
            found.get(current, []).append(line)
    return found


def _named(values: list[np.ndarray]) -> dict[str, np.ndarray]:
    return {f"gradient {n}" if n else "value": value for n, value in enumerate(values)}


def _digest(value: np.ndarray) -> str:
    return hashlib.sha256(np.ascontiguousarray(value).tobytes()).hexdigest()[:16]


def _off(value: np.ndarray, right: np.ndarray) -> float:
    """The largest deviation, relative to the largest of all values."""
    apart, largest = np.max(np.abs(value - right), initial=0.0), np.max(np.abs(right), initial=0.0)
    return float(apart / largest) if apart else 0.0


def _lines(options: Any, computer: _Computer, longest: int) -> Iterator[dict[str, Any]]:
    drawn = draw.cases(options.seed, options.first, options.count, options.kind)
    while cases := [*itertools.islice(drawn, _AT_ONCE)]:
        os.ftruncate(1, 0)
        attempts = [lambda case=case: computer.answer(case) for case in cases]
        answers = refusals(attempts, longest)
        logs = _made()
        for case, answer in zip(cases, answers, strict=True):
            how = {"relu": case.relu, "graph": case.graph}
            log = logs.get(str(case.index), [])
            line = {"index": case.index, "kind": case.kind, "drawn": dict(case.drawn, **how)}
            line["primitives"] = _primitives(log)
            died = {"died": answer, "last": _primitives([*log[:2], *_computing(log)[-1:]])}
            yield {**line, **(json.loads(answer) if answer[0] == "{" else died)}


def _computing(log: list[str]) -> list[str]:
    """Without what only moves numbers."""
    return [line for line in log if ",primitive,create" in line and ",reorder," not in line]


def _primitives(log: list[str]) -> list[dict[str, str]]:
    made = primitives.of_lines(log)
    return made["made"] if made else []


@contextlib.contextmanager
def _portable(tf: Any, threads: int) -> Iterator[None]:
    """What a training of the portable profile has replaced."""
    profile = {"replacements": [*replaced_ops.NAMES], "intra_op_threads": threads}
    replacements = pins.possible(profile, tf.__version__)["replacements"]
    found = [settings.Setting("oneDNN", True, True, "asked for"), settings.of_isa("AVX2", _ISA)]
    with replaced_ops.replaced(tf, replacements or ()), unsound.Guard(tf, found, True, "drawn"):
        yield


def main() -> int:
    """Draw, compute, write."""
    flags = parser(__doc__, optional=["output"])
    flags.add_argument("--threads", type=int, required=True)
    flags.add_argument("--seed", type=int, required=True)
    flags.add_argument("--count", type=int, required=True)
    flags.add_argument("--first", type=int, default=0)
    flags.add_argument("--kind", action="append", default=[], choices=draw.KINDS)
    flags.add_argument("--disguise", default="", metavar="MODEL")
    flags.add_argument("--replaced", action="store_true")
    options = flags.parse_args()
    os.environ.update(_PINS)
    if options.disguise:
        disguise.disguise(options.disguise)
    import tensorflow as tf

    tf.get_logger().setLevel("ERROR")  # each case is a function that is traced once
    tf.config.experimental.enable_op_determinism()
    tf.config.threading.set_intra_op_parallelism_threads(options.threads)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    cpu = machine.describe_cpu()
    emulated = machine.is_emulated(cpu)
    about = {"format": FORMAT, "cpu": cpu, "emulated": emulated, "tensorflow": tf.__version__}
    about.update(vars(options), output=None)
    replaced = (
        (lambda: _portable(tf, options.threads)) if options.replaced else contextlib.nullcontext
    )
    if options.replaced:
        replaced_ops.stop_rewriting(tf)
    target = options.output or os.dup(1)
    with open(target, "w", encoding="ascii") as output, tempfile.TemporaryFile("ab") as log:
        os.dup2(log.fileno(), 1)
        print(json.dumps(about), file=output, flush=True)
        for line in _lines(options, _Computer(tf, replaced, not emulated), _LONGEST[emulated]):
            print(json.dumps(line), file=output, flush=True)
    return 0


if __name__ == "__main__":
    run(main)
