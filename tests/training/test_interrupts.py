"""An interrupt that Python loses."""

import signal
import subprocess
import sys

import pytest

from pipeline import SCRIPTS

PROGRAM = """
import os, signal, sys
sys.path.insert(0, sys.argv[1])
from samebits.training import task

class Finalized:
    def __del__(self):
        os.kill(os.getpid(), signal.SIGINT)
        for _ in range(1000):
            pass

{before}
task.raise_if_interrupted()
Finalized()  # what is raised in there goes no further
print("went on")
task.raise_if_interrupted()
print("was not interrupted")
"""


def run(before: str) -> "subprocess.CompletedProcess[str]":
    program = PROGRAM.format(before=before)
    command = [sys.executable, "-c", program, str(SCRIPTS)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_an_interrupt_in_a_finalizer_is_raised_at_the_next_look() -> None:
    done = run("task.install_handler()")
    assert done.stdout == "went on\n"
    assert done.stderr.endswith("KeyboardInterrupt\n")
    assert done.returncode == -signal.SIGINT


@pytest.mark.parametrize(
    "before", ["", "signal.signal(signal.SIGINT, signal.SIG_IGN); task.install_handler()"]
)
def test_where_nobody_listens_or_interrupts_are_ignored_it_goes_on(before: str) -> None:
    assert run(before).stdout == "went on\nwas not interrupted\n"
