"""The one base class of expected failures, the one place that catches it, and all exit codes.

docs/usage.md says which program ends with which code; 0 is success everywhere. A program that a
signal ended early has 128 and the number of the signal, as shells report it: 130 for Ctrl-C, 143
for SIGTERM (train.py, too, which goes on from a checkpoint when it is started again).
"""

from __future__ import annotations

import errno
import io
import os
import sys
from typing import Any, Callable, Iterable

FAILED = 1  # an expected failure, explained; verify: the certificate does not hold
USAGE = 2  # wrong usage, as argparse has it; verify: malformed
NOT_TRUSTED = 3  # valid, but signed by nobody whom the user trusts
OTHER = 4  # another verdict than expected, or other bits
SIGNALED = 128  # and the signal's number
INTERRUPTED = SIGNALED + 2

_NEXT_STEP = {
    errno.ENOSPC: "free some space and start the same command again",
    errno.EDQUOT: "free some of your quota and start the same command again",
    errno.EFBIG: "raise the limit on a file's size (ulimit -f) and start the same command again",
    errno.EIO: "check the disk, then start the same command again",
    errno.EACCES: "check who may read and write there",
    errno.EROFS: "choose a folder on a writable file system (call ./samebits there)",
    errno.ENOENT: "check the path",
}


_OF_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EROFS)


class SamebitsError(Exception):
    """A failure that the user can act on: expected, got, next step."""

    code: int | None = None  # with which a program ends, where not with its usual one


def all_problems(problems: Iterable[str]) -> str:
    """One message for several problems, sorted, so that no run shows only the first."""
    return "\n".join(sorted(problems))


def require_none(problems: Iterable[str]) -> None:
    """Raise SamebitsError that lists all problems, if there are any."""
    found = list(problems)
    if found:
        raise SamebitsError(all_problems(found))


def is_of_disk(error: BaseException) -> bool:
    """Whether a disk is the cause: full, over a quota or a limit, read-only or broken."""
    return isinstance(error, OSError) and error.errno in _OF_DISK


def explain_os_error(error: OSError) -> str:
    """What the system refused, on which file, and what to do."""
    where = f" {str(error.filename)!r}" if error.filename else ""
    hint = _NEXT_STEP.get(error.errno or 0)
    return "{}{}{}".format(error.strerror or error, where, "; " + hint if hint else "")


def open_streams() -> None:
    """Give this process the standard streams that its starter closed, or files are taken for them.

    Python has None for such a stream, which is no file to write to. Of what standard output
    cannot encode the escape is shown, as standard error does.
    """
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest free number
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(number, "w" if number else "r", closefd=False))
    if isinstance(sys.stdout, io.TextIOWrapper):  # a terminal that is not UTF-8 has no "…"
        sys.stdout.reconfigure(errors="backslashreplace")


def _shown(text: str) -> str:
    """Text that may quote anybody, without anything that steers a terminal."""
    return "".join(c if c.isprintable() or c == "\n" else " " for c in text)


def leave_at_once(code: int) -> None:
    """End the process without taking TensorFlow apart, which costs a second: all is stored."""
    import ctypes  # which programs that end as usual need not load

    sys.stdout.flush()
    sys.stderr.flush()
    ctypes.CDLL(None).fflush(None)  # what C libraries print
    os._exit(code)


def run(
    main: Callable[[], int], failed: int = FAILED, leave: Callable[[int], Any] = sys.exit
) -> None:
    """Run ``main`` and leave the process with its exit code; explain expected failures.

    ``failed``: the exit code after one of these, unless it has its own.
    """
    open_streams()
    try:
        code = main()
    except SamebitsError as error:
        print(f"error: {_shown(str(error))}", file=sys.stderr)
        code = failed if error.code is None else error.code
    except OSError as error:
        print(f"error: {_shown(explain_os_error(error))}", file=sys.stderr)
        code = FAILED if is_of_disk(error) else failed
    except KeyboardInterrupt:
        print("interrupted; start the same command again to go on", file=sys.stderr)
        code = INTERRUPTED
    leave(code)
