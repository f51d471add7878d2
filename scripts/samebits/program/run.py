"""One run of a program: hooks before its first line, its exit as Python would have it, the results.

Runs on Python 3.7 to 3.13, TensorFlow 2.1 to 2.21.
"""

from __future__ import annotations

import atexit
import os
import signal
import sys
import threading
from contextlib import ExitStack, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Callable, Mapping, NoReturn

from samebits.errors import SamebitsError
from samebits.experiment import variations
from samebits.observation import threads
from samebits.program import hooks
from samebits.program.calls import Call, Calls
from samebits.program.follow import Steps, StepTrace
from samebits.program.pinned import BACKEND, Pins, require_backend
from samebits.program.source import Program
from samebits.text import plain, say
from samebits.training import graph_trace, task

_exit = os._exit
_SAID = 20  # calls that are told while the program runs
_CHECKOUT = str(Path(__file__).resolve().parents[2])


class Observed:
    """What is seen of a program while it runs. ``tf`` and ``steps``: None until it imports them."""

    def __init__(
        self,
        content: Mapping[str, Any],
        folder: Path,
        pins: Pins,
        begin: Callable[[list[Any]], None] = lambda variables: None,
        ended: Callable[[], None] = lambda: None,
        most: int | None = None,
    ) -> None:
        """Set the hooks. ``folder``: where rows lie meanwhile.

        ``begin`` is called with variables before their first update, ``ended`` after each call
        into a graph; ``most``: steps after which the program is ended. What a forked process does
        is not seen.
        """
        self._content, self._folder, self._pins = content, folder, pins
        self._begin, self._also_ended, self._most = begin, ended, most
        self.tf: Any = None
        self.steps: Any = None  # Steps
        self.trace: Any = None  # StepTrace
        self.made = hooks.Made()
        self.calls = Calls(lambda: self.steps.step if self.steps else 0, self._say)
        self.problem: Exception | None = None  # a pin that could not be set
        self.ends = ExitStack()
        # Before TensorFlow is imported: a program may read its data in threads first.
        stalled = variations.THREADS in content["variations"]["applied"]
        self.ran = self.ends.enter_context(threads.Watch(stalled))
        self.process = os.getpid()
        hooks.Imports(self._tensorflow, self._keras)

    def _tensorflow(self, tf: Any) -> None:
        with self._told():
            self.tf = tf
            self._pins.tensorflow(tf)
            self.steps = Steps(tf, self._begin)
            self.trace = StepTrace(self.steps, self._content["config"]["trace"], self._folder)
            self.made.follow_variables(tf)
            hooks.follow_functions(tf, self._ended)
            self.ran.follow(tf)

    def _ended(self) -> None:
        if os.getpid() == self.process:
            self.trace.ended()
            self._also_ended()
            main = threading.current_thread() is threading.main_thread()
            if main and self._most is not None and self.steps.step >= self._most:
                raise _LeftError(0)

    def _keras(self, keras: Any) -> None:
        with self._told():
            self._pins.keras(keras)
            if self.steps is not None:
                graph_trace.follow(keras, self.steps)
            self.made.follow(keras)
            self.calls.follow(keras.Model)

    def _told(self) -> Any:
        """Keep what is raised: a program may catch it where it imports."""
        return _Kept(self)

    def _say(self, call: Call) -> None:
        if self.calls.count <= _SAID:
            values = (f"{plain(str(k))} {v:.4f}" for k, v in call.last.items() if _is_float(v))
            epochs = f"{call.epochs} epochs" if call.epochs else ""
            told = ", ".join(filter(None, [epochs, *values]))
            name = f"{call.what} of {plain(call.model.name)}"
            say(f"{self._content['run']}: {name}{': ' * bool(told)}{told}")

    def run(self, program: Program) -> tuple[int, BaseException | None]:
        """Run it to its end; its exit code, and what it failed with. Raises KeyboardInterrupt."""
        code, error, left = 0, None, False
        leave, os._exit = os._exit, self._leave  # type: ignore[assignment]
        try:
            program.run()
        except SystemExit as ended:
            code = _exit_code(ended)
        except _LeftError as ended:
            code, left = ended.code, True
        except (SamebitsError, KeyboardInterrupt):
            raise
        except BaseException as failure:
            require_backend(os.environ.get("KERAS_BACKEND", BACKEND))
            error = failure.with_traceback(_without_ours(failure.__traceback__))
            sys.excepthook(type(error), error, error.__traceback__)  # it shows the error's own
            code = 1
        finally:
            os._exit = leave
        if os.getpid() != self.process:  # a child of the program's, which ends here as ever
            sys.exit(code)
        if not left:
            _import_keras()
            _end()
        _restore_signals()
        task.raise_if_interrupted()
        if self.problem is not None:
            raise self.problem
        return code, error

    def _leave(self, code: int) -> NoReturn:
        """In place of ``os._exit``: the program's process ends, and its record is made."""
        if os.getpid() == self.process and threading.current_thread() is threading.main_thread():
            raise _LeftError(code)
        _exit(code)


class _LeftError(BaseException):
    """The program has left its process at once, or was ended after its last step."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


class _Kept:
    """Keeps the first exception that is raised within this context, and lets it through."""

    def __init__(self, observed: Observed) -> None:
        self._observed = observed

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: Any, error: Any, traceback: Any) -> None:
        if isinstance(error, Exception) and self._observed.problem is None:
            self._observed.problem = error


def _is_float(value: Any) -> bool:
    return isinstance(value, (int, float)) or getattr(value, "shape", None) == ()


def _exit_code(ended: SystemExit) -> int:
    """As Python has it: none is success, a text is printed and is a failure."""
    if ended.code is None or isinstance(ended.code, int):
        return int(ended.code or 0)
    print(ended.code, file=sys.stderr)
    return 1


def _without_ours(traceback: TracebackType | None) -> TracebackType | None:
    """From the program's first line on."""
    while traceback and traceback.tb_frame.f_code.co_filename.startswith(_CHECKOUT):
        traceback = traceback.tb_next
    return traceback


def _import_keras() -> None:
    """The record needs it, and once threads have been shut down not every module can be imported:
    with scikit-learn Keras asks for concurrent.futures.process, which registers a function there.
    """
    import tensorflow as tf

    getattr(tf.keras, "backend")  # noqa: B009 (which imports it)


def _end() -> None:
    """What Python does when a program has ended: wait for its threads, call its exit functions."""
    shutdown: Callable[[], None] = getattr(threading, "_shutdown")  # noqa: B009 (no stub has it)
    shutdown()
    atexit._run_exitfuncs()


def _restore_signals() -> None:
    """What the program has set ends with it."""
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGALRM):
        with suppress(ValueError):
            signal.signal(number, signal.SIG_DFL)
    signal.alarm(0)
