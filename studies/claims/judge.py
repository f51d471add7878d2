"""What the article of 2022 claims: how each claim's program is started and its output judged.

A claim's sentence is the docstring of its program. A process that ran it left the lines that it
printed, ``history: {...}`` above all, and the error that ended it. Floats are printed so that
equal text means equal bits. Runs on Python 3.7 to 3.13, without TensorFlow.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Callable, Dict, List, Mapping, Tuple

PROGRAMS = Path(__file__).with_name("programs")
SAMPLES = 6400  # of MNIST's 60,000, so that all claims take minutes; stated on the page
YES, NO = "yes", "no"
NOT_APPLICABLE = "not applicable"  # the framework lacks the feature in question
NOT_SHOWN = "not shown"  # it could not be tested here; the reason says why

Processes = List[Dict[str, Any]]  # command, lines, error; as run.py has them
Outcome = Tuple[str, str]  # one of the four words, and the reason

_LACKING = "has no attribute 'enable_op_determinism'"
_NO_SEED = re.compile(r"(RuntimeError|ValueError): .*seed.*when determinism is enabled")
_TF21 = "PYTHONHASHSEED=0 TF_DETERMINISTIC_OPS=1"


def printed(process: Mapping[str, Any], name: str) -> list[str]:
    """What a process printed under a name."""
    split = (line.partition(": ") for line in process["lines"])
    return [value for label, _, value in split if label == name]


def _errors(processes: Processes) -> list[str]:
    return [process["error"] for process in processes if process["error"]]


def _compared(processes: Processes, holds: Callable[[int, int], bool], stopped: str) -> Outcome:
    """The outcome by the numbers of trainings and of different histories.

    ``stopped``: the outcome when a training stopped with an error.
    """
    for error in _errors(processes):
        return stopped, f"a training stopped with {error}"
    histories = [history for process in processes for history in printed(process, "history")]
    count, different = len(histories), len(set(histories))
    where = "one process" if len(processes) == 1 else f"{len(processes)} processes"
    found = "all histories equal" if different == 1 else f"{different} different histories"
    outcome = NOT_SHOWN if count < 2 else YES if holds(count, different) else NO
    return outcome, f"{count} trainings in {where}: {found}"


def all_equal(processes: Processes) -> Outcome:
    """Yes when every training has the same history, bit for bit."""
    return _compared(processes, lambda trainings, different: different == 1, NO)


def all_differ(processes: Processes) -> Outcome:
    """Yes when no two trainings have the same history."""
    return _compared(processes, lambda trainings, different: different == trainings, NOT_SHOWN)


def equal_under_other_hashes(processes: Processes) -> Outcome:
    """Yes when all histories are equal although text hashed differently in each process."""
    if len({tuple(printed(process, "hash")) for process in processes}) < len(processes):
        return NOT_SHOWN, "text hashed alike, so the hash seeds did not differ"
    word, reason = all_equal(processes)
    return word, f"{reason}; text hashed differently in each"


def equal_without_seed(processes: Processes) -> Outcome:
    """Yes when all histories are equal although a generator started each process differently."""
    before = [printed(process, "before") for process in processes]
    after = [printed(process, "after") for process in processes]
    if len({states[0] for states in before if states}) < len(processes):
        return NOT_SHOWN, "the generator began alike in each process, so it was seeded"
    word, reason = all_equal(processes)
    use = "draws nothing from it" if before == after else "draws from it"
    return word, f"{reason}; the generator began differently in each, and the training {use}"


def refused_without_seed(processes: Processes) -> Outcome:
    """Yes when TensorFlow refuses to train for want of a seed."""
    for error in _errors(processes):
        return (YES if _NO_SEED.match(error) else NOT_SHOWN), error
    return NO, "the training ended without an error"


def too_late(processes: Processes) -> Outcome:
    """Yes when a seed set inside changes no hash, and one set before the start makes them equal.

    It is set before the start of the last two processes.
    """
    inside = [printed(process, "hash") for process in processes[:2]]
    if len({hash for process in processes[2:] for hash in printed(process, "hash")}) != 1:
        return NOT_SHOWN, "hashes differ even with PYTHONHASHSEED set before the start"
    if all(len(set(hashes)) == 1 for hashes in inside) and inside[0] != inside[1]:
        return YES, "set inside: the hash stays, and two processes differ; set before: equal"
    return NO, f"set inside: the hashes are {inside}"


def unimplemented(processes: Processes) -> Outcome:
    """Yes when an op raises UnimplementedError; otherwise not shown: other ops may."""
    lines = [line for process in processes for line in process["lines"]]
    refused = [line for line in lines if not line.endswith(": computed")]
    for line in refused:
        if ": UnimplementedError" in line:
            return YES, line
    others = "".join(f"; refused: {line}" for line in refused)
    return NOT_SHOWN, f"on a CPU none of the {len(lines)} ops tried raises it{others}"


def silent(processes: Processes) -> Outcome:
    """Yes when an op raises nothing and still gives different values in each process."""
    for error in _errors(processes):
        return NOT_SHOWN, f"the op tried is refused with {error}"
    if len({tuple(printed(process, "memory")) for process in processes}) < len(processes):
        return NOT_SHOWN, "the op tried gave equal values"
    return YES, "an op that leaves its memory as it found it gave different values, and no error"


# By the name of the program: the variables that each of its processes is started with, as a person
# would type them, and the judge of all.
CLAIMS: dict[str, tuple[list[str], Callable[[Processes], Outcome]]] = {
    "recipe_2_1": ([_TF21], all_equal),
    "recipe_2_8": ([""], all_equal),
    "hash_seed_not_needed": (["PYTHONHASHSEED=1", "PYTHONHASHSEED=2"], equal_under_other_hashes),
    "python_seed_not_needed": ([_TF21] * 2, equal_without_seed),
    "numpy_seed_not_needed": ([_TF21] * 2, equal_without_seed),
    "seed_required": ([""], refused_without_seed),
    "hash_seed_inside_too_late": (["", "", *["PYTHONHASHSEED=0"] * 2], too_late),
    "unimplemented_op_raises": ([""], unimplemented),
    "silent_op_exists": (["", ""], silent),
    "nothing_pinned_differs": (["", ""], all_differ),
}


def outcome(claim: str, processes: Processes) -> Outcome:
    """The outcome of a claim's processes."""
    if any(_LACKING in error for error in _errors(processes)):
        return NOT_APPLICABLE, "this TensorFlow has no enable_op_determinism"
    return CLAIMS[claim][1](processes)
