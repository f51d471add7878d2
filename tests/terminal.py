"""A process at a terminal of its own."""

import os
import pty
import select
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

CTRL_C = b"\x03"


def _never() -> bool:
    return False


@dataclass(frozen=True)
class AtTerminal:
    """What the terminal showed, and the code that the process left with."""

    code: int
    shown: bytes


def run(
    command: list[str],
    environ: Mapping[str, str],
    typed: str = "",
    when: Callable[[], bool] = _never,
) -> AtTerminal:
    """Run a command; ``typed`` is typed when it asks for a key, and Ctrl-C ``when`` it is time."""
    process, terminal = pty.fork()
    if process == 0:
        os.execve(command[0], command, environ)  # noqa: S606
    shown = b""
    try:
        while block := _read(terminal, when):
            if block is CTRL_C:
                os.write(terminal, CTRL_C)
                when = _never
                continue
            shown += block
            if shown.endswith(b"key: "):
                os.write(terminal, typed.encode())
    finally:
        os.close(terminal)  # which ends a process that still waits
        code = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
    return AtTerminal(code, shown)


def _read(terminal: int, interrupted: Callable[[], bool]) -> bytes:
    """What it shows next; CTRL_C when it is time to type that."""
    end = time.monotonic() + 60
    while not select.select([terminal], [], [], 0.1)[0]:
        assert time.monotonic() < end, "expected a prompt or an end"
        if interrupted():
            return CTRL_C
    try:
        return os.read(terminal, 4096)
    except OSError:  # Linux: the other side is closed
        return b""
