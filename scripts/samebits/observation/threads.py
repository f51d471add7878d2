"""Python threads of a program: which ran, stalls that make their races show, shared generators.

Threads that share a generator get its numbers in the order in which they come, which is the same by
luck in most runs. Here of some threads that start together the last comes first, each waits now and
then between two lines, and they take turns five times as often. A program with one thread
does not notice. Runs on Python 3.7 to 3.13, TensorFlow 2.1 to 2.21.
"""

from __future__ import annotations

import hashlib
import random
import sys
import threading
import time
from collections import Counter
from contextlib import ExitStack
from typing import Any, Callable

import numpy as np

# Seconds between two turns; Python's own is 5 ms. With a microsecond, a program that forks a pool
# on one CPU did not end in 15 minutes.
_INTERVAL = 1e-3
_AT_START = 0.04, 0.02, 0.01, 0.0  # seconds before a thread's first step, in order of their starts
# Seconds before a thread's lines, or TensorFlow's calls, in turn.
_BETWEEN = 0.0, 0.0004, 0.0, 0.0001, 0.0008, 0.0, 0.0002
_MOST = 64, 3000  # threads, and lines or calls of each: no program must take minutes longer
_LONGEST = 5.0  # seconds in which a thread waits between lines: on one CPU each turn is slow
_OF_TENSORFLOW = "tf.py_function"  # Python code that TensorFlow's own threads call


class Watch:
    """Notes which Python threads run within the ``with`` block."""

    def __init__(self, stalled: bool) -> None:
        """``stalled``: races show there. TensorFlow's own threads are seen after ``follow``."""
        self._main, self._stalled = threading.get_ident(), stalled
        self._ends = ExitStack()
        self._names: list[str] = []
        self._foreign: Counter[int] = Counter()  # calls by TensorFlow's threads

    def __enter__(self) -> Watch:
        """From now on."""
        start = threading.Thread.start

        def noted(thread: threading.Thread) -> None:
            self._note(thread)
            start(thread)

        threading.Thread.start = noted  # type: ignore[method-assign, assignment]
        self._ends.callback(setattr, threading.Thread, "start", start)
        if self._stalled:
            self._ends.callback(sys.setswitchinterval, sys.getswitchinterval())
            sys.setswitchinterval(_INTERVAL)
        return self

    def follow(self, tf: Any) -> None:
        """Note the Python code that TensorFlow's own threads call, too. ``tf``: it, imported."""
        from tensorflow.python.ops import script_ops

        registries: Any = script_ops.FuncRegistry
        call = registries.__call__

        def called(registry: Any, *args: Any) -> Any:
            if threading.get_ident() != self._main:
                self._note_foreign(threading.get_ident())
            return call(registry, *args)

        registries.__call__ = called
        self._ends.callback(setattr, registries, "__call__", call)

    def __exit__(self, *_: Any) -> None:
        """Everything as it was."""
        self._ends.close()

    def _note(self, thread: threading.Thread) -> None:
        ran = getattr(thread, "_target", None) or type(thread)
        named = ran if hasattr(ran, "__qualname__") else type(ran)
        place = len(self._names)
        self._names.append(f"{named.__module__}.{named.__qualname__}")
        if self._stalled and place < _MOST[0]:
            thread.run = _Stalls(place, thread.run).run  # type: ignore[method-assign]

    def _note_foreign(self, thread: int) -> None:
        if not self._foreign[thread]:
            self._names.append(_OF_TENSORFLOW)
        self._foreign[thread] += 1
        if self._stalled and self._foreign[thread] <= _MOST[1]:
            time.sleep(_BETWEEN[(self._foreign[thread] + list(self._foreign).index(thread)) % 7])

    @property
    def found(self) -> list[str]:
        """What ran as threads beside the main one, by the names of the functions."""
        return sorted(set(self._names))

    @property
    def observed(self) -> str | None:
        """How the threads were timed; None: there was none."""
        if not self._names:
            return None
        return "stalled" if self._stalled else "as they came"


class _Stalls:
    """What a thread runs, with waits between its lines.

    A debugger is told of lines. A profiler is told of calls only, and of none to what Cython
    compiled: NumPy's generators since 2.0.
    """

    def __init__(self, place: int, run: Callable[[], None]) -> None:
        self._run, self._place, self._lines = run, place, 0

    def run(self) -> None:
        time.sleep(_AT_START[self._place % len(_AT_START)])
        self._end = time.monotonic() + _LONGEST
        sys.settrace(self._wait)  # of this thread alone
        self._run()

    def _wait(self, _: Any, event: str, __: Any) -> Any:
        self._lines += event == "line"
        if self._lines > _MOST[1] or time.monotonic() > self._end:
            sys.settrace(None)
            return None
        time.sleep(_BETWEEN[(self._lines + self._place) % len(_BETWEEN)])
        return self._wait


def generators(tf: Any) -> dict[str, str]:
    """SHA-256 of the states of the generators that all code of the process shares."""
    from tensorflow.python.eager import context
    from tensorflow.python.ops import stateful_random_ops

    shared = stateful_random_ops.global_generator  # asked for by its function, it would be made
    of_ops = getattr(context.context(), "_rng", None)
    states = {
        "Python": random.getstate(),
        "NumPy": [
            part.tolist() if hasattr(part, "tolist") else part for part in np.random.get_state()
        ],
        "TensorFlow": [
            shared is not None and shared.state.numpy().tolist(),
            of_ops is not None and of_ops.getstate(),
        ],
    }
    return {name: hashlib.sha256(repr(s).encode()).hexdigest() for name, s in states.items()}
