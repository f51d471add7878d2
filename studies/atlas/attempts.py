"""Why attempts fail, each tried in a forked process: some kernels end theirs, and some hang.

One process works through all attempts, because a process for each would take minutes. Where it
ends early, the current attempt is repeated in a process of its own, since a hang can be chance; if
that process ends too, the attempt is refused, and a new process continues after it.

Runs on Python 3.7 to 3.13.
"""

from __future__ import annotations

import json
import os
import signal
import traceback
from typing import Callable, Sequence

from samebits.errors import SamebitsError

Attempt = Callable[[], str]  # why it fails, in words; empty where it does not

_LONGEST = 20  # seconds for one attempt, which takes some milliseconds
_BROKEN = 70  # the exit code of a process in which an attempt raised (EX_SOFTWARE)


def refusals(attempts: Sequence[Attempt], longest: int = _LONGEST) -> list[str]:
    """The answer of each attempt, or how it ended its process.

    Raises SamebitsError where an attempt raises: that is a fault of the attempt.
    """
    found: list[str] = []
    while len(found) < len(attempts):
        answers, _ = _in_child(attempts[len(found) :], longest)
        found += answers
        if len(found) < len(attempts):
            found.append(_alone(attempts[len(found)], longest))
    return found


def _alone(attempt: Attempt, longest: int) -> str:
    answers, status = _in_child([attempt], longest)
    return answers[0] if answers else _ended(status, longest)


def _ended(status: int, longest: int) -> str:
    """How a process ended, in words."""
    if not os.WIFSIGNALED(status):
        return f"it ends its process (exit code {os.WEXITSTATUS(status)})"
    number = os.WTERMSIG(status)
    if number == signal.SIGALRM:
        return f"it takes longer than {longest} s"
    return f"it ends its process ({signal.Signals(number).name})"


def _in_child(attempts: Sequence[Attempt], longest: int) -> tuple[list[str], int]:
    """The answers as far as a process came, and how it ended."""
    answer, told = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(answer)
        _work_through(attempts, told, longest)
    os.close(told)
    with os.fdopen(answer, "rb") as file:
        # A killed process may leave half a line.
        lines = [line for line in file if line.endswith(b"\n")]
    _, status = os.waitpid(child, 0)
    if os.WIFEXITED(status) and os.WEXITSTATUS(status) == _BROKEN:
        raise SamebitsError(
            f"expected attempt {len(lines) + 1} to answer, got an exception; its traceback is above"
        )
    return list(map(json.loads, lines)), status


def _work_through(attempts: Sequence[Attempt], told: int, longest: int) -> None:
    """In the forked process: tell every answer. Never returns: above are the parent's functions."""
    try:
        for attempt in attempts:
            signal.alarm(longest)
            os.write(told, json.dumps(attempt()).encode("ascii") + b"\n")
        os._exit(0)
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(_BROKEN)
