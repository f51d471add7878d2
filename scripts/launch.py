#!/usr/bin/env python3
"""Start a stage's script in a pinned environment, with a log, and stand by it until it ends.

    launch.py --log FILE [--run NAME] [NAME=VALUE ...] -- SCRIPT [FLAG ...]

INPUTS      variables to set before the interpreter starts, the script and its flags
OUTPUTS     --log: everything that the script and the libraries below it print
GUARANTEES  variables that change what Python or TensorFlow compute are taken from the command
            line and never from the user's shell; progress goes to the terminal, the end of the
            log too when the script fails; the exit code is the script's; a signal to this
            process reaches the script

Runs on Python 3.7 to 3.13 with the standard library alone: it starts each stage with the
interpreter of the stage's own environment.
"""

import argparse
import os
import signal
import subprocess
import sys
from collections import deque
from pathlib import Path
from typing import Dict, List

from samebits import strays
from samebits.progress import VARIABLE

_TAIL = 20  # lines of a failed script's log that the terminal shows


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Start a script in a pinned environment.")
    parser.add_argument("--log", required=True, type=Path)
    parser.add_argument("variables", nargs="*", metavar="NAME=VALUE")
    own, script = sys.argv[1:], []
    if "--" in own:
        split = own.index("--")
        own, script = own[:split], own[split + 1 :]
    options = parser.parse_args(own)
    options.script = script
    wrong = [v for v in options.variables if "=" not in v]
    if wrong or not script:
        parser.error("expected NAME=VALUE ... -- SCRIPT, got {}".format(" ".join(wrong) or "none"))
    return options


def environment(shell: Dict[str, str], variables: List[str]) -> Dict[str, str]:
    """The shell's variables without those that change results, and the given ones."""
    kept = {name: value for name, value in shell.items() if not strays.is_stray(name)}
    for variable in variables:
        name, _, value = variable.partition("=")
        kept[name] = value
    return kept


def _show_end(log: Path) -> None:
    with open(str(log), encoding="utf-8", errors="replace") as file:
        for line in deque(file, _TAIL):
            sys.stderr.write("    " + line)
    sys.stderr.write("    (the end of {})\n".format(log))


def main() -> int:
    """Run the script; returns its exit code, or 128 + the signal that ended it."""
    options = _arguments()
    variables = environment(dict(os.environ), options.variables)
    options.log.parent.mkdir(parents=True, exist_ok=True)
    terminal = os.dup(sys.stderr.fileno())
    variables[VARIABLE] = str(terminal)
    # -s: packages in the user's home are not part of the environment
    command = [sys.executable, "-s", *options.script]
    with open(str(options.log), "wb") as log:
        child = subprocess.Popen(
            command, env=variables, stdout=log, stderr=subprocess.STDOUT, pass_fds=[terminal]
        )
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, lambda received, _: child.send_signal(received))
        code = child.wait()
    if code:
        _show_end(options.log)
    return code if code >= 0 else 128 - code


if __name__ == "__main__":
    sys.exit(main())
