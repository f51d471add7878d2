"""A process at a terminal of its own."""

import os
import pty
import select
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class AtTerminal:
    """What the terminal showed, and the code that the process left with."""

    code: int
    shown: bytes


def run(command: list[str], environ: Mapping[str, str], typed: str = "") -> AtTerminal:
    """Run a command; ``typed`` is typed when it asks for a key."""
    process, terminal = pty.fork()
    if process == 0:
        os.execve(command[0], command, environ)  # noqa: S606
    shown = b""
    try:
        while block := _read(terminal):
            shown += block
            if shown.endswith(b"key: "):
                os.write(terminal, typed.encode())
    finally:
        os.close(terminal)  # which ends a process that still waits
        code = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
    return AtTerminal(code, shown)


def _read(terminal: int) -> bytes:
    ready, _, _ = select.select([terminal], [], [], 60)
    assert ready, "expected a prompt or an end"
    try:
        return os.read(terminal, 4096)
    except OSError:  # Linux: the other side is closed
        return b""
