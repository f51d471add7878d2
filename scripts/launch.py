#!/usr/bin/env python3
"""Start a stage's script in a pinned environment, with a log, and stand by it until it ends.

    launch.py --python PATH --log FILE [--installed] [--isolated] [--signing] [--lease FILE]
              [--limit-minutes N] [--label TEXT] [--workspace FOLDER [--input PATH]...
              [--load-python PATH]] [--vary NAME[=VALUE]]... [NAME=VALUE ...]
              -- SCRIPT [FLAG ...]

INPUTS      variables to set before the interpreter starts, the script and its flags
            --python: the interpreter of the stage's own environment, a path or a name on PATH
            --installed: refuse an environment whose files are not those that were installed
            --isolated: hand on the given variables and the system's alone; KERAS_HOME and TMPDIR
            are folders of the script's own
            --signing: leave the variables that name the signing key to the script
            --lease: a file that exists while the script runs; no second one runs meanwhile
            --limit-minutes: how long the script may run; without it there is no limit
            --label: what lines of the script on the terminal begin with, up to its last slash
            left out
            --workspace: a project: the script gets a copy of it, with the declared inputs, and no
            network but what this process fetches for it (launch/workspace.py, launch/fetch.py)
            --load-python: the interpreter that loads the product's own data sets for it
            --vary: what to change about the process that must not matter (launch/variations.py)
OUTPUTS     --log: everything that the script and the libraries below it print, but, of a training,
            for what oneDNN reports: that is in the training's record
GUARANTEES  variables that affect results are taken from the command line and never from the
            user's shell; a script that does not sign, a user's model above all, does not receive
            the variables that name the signing key; progress goes to the terminal; the exit code
            is the script's; a signal to this process reaches the script; SAMEBITS_VARIATIONS
            describes to the script what was varied and what could not be varied and why; nothing
            that a variation made outlives the script, or, where this process was killed, the next
            start; a script that the kill variation ended is started once more with the same
            command; nothing that a script started outlives it; one that exceeds its time limit is
            stopped; the log
            of a script that failed ends with why, and the terminal shows that: the script's own
            explanation, the time limit, or the signal that ended it, its usual reason, and the last
            primitive that oneDNN had made
"""

import argparse
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import psutil

from samebits.arguments import parser
from samebits.errors import FAILED, SamebitsError, explain_os_error, run
from samebits.experiment import variables
from samebits.experiment.variations import parse
from samebits.formats import lockfile
from samebits.launch import lease, logs, namespaces, temporary, variations, workspace
from samebits.launch.kill import value_after
from samebits.launch.timeout import TimeLimit, stop_others
from samebits.text import VARIABLE

if TYPE_CHECKING:
    from samebits.launch.fetch import Desk

_LATER = 5.0  # minutes that a scheduler has before a job is ended here


def _arguments() -> argparse.Namespace:
    flags = parser(__doc__, "log", optional=["lease"])
    flags.add_argument("--python", required=True)
    flags.add_argument("--installed", action="store_true")
    flags.add_argument("--isolated", action="store_true")
    flags.add_argument("--signing", action="store_true")
    flags.add_argument("--limit-minutes", type=float)
    flags.add_argument("--label", default="")
    flags.add_argument("--workspace", type=Path)
    flags.add_argument("--load-python", type=Path)
    flags.add_argument("--input", action="append", default=[], metavar="PATH")
    flags.add_argument("--vary", action="append", default=[], metavar="NAME[=VALUE]")
    flags.add_argument("variables", nargs="*", metavar="NAME=VALUE")
    given = sys.argv[1:]
    split = given.index("--") if "--" in given else len(given)
    options = flags.parse_args(given[:split])
    options.script = given[split + 1 :]
    wrong = [v for v in options.variables if "=" not in v]
    if wrong or not options.script:
        flags.error(f"expected NAME=VALUE ... -- SCRIPT, got {' '.join(wrong) or 'none'}")
    python = shutil.which(options.python)
    if python is None:
        flags.error(f"--python: no program {options.python}")
    options.python = Path(python).absolute()  # unresolved: Python finds its environment by it
    try:
        options.vary = parse(options.vary)
    except ValueError as error:
        flags.error(f"--vary: {error}")
    return options


def environment(
    shell: Mapping[str, str], given: list[str], signing: bool = False, isolated: bool = False
) -> dict[str, str]:
    """The shell's variables without those that affect results, and the given ones.

    ``isolated``: of the shell's only those of the system.
    """
    kept = {
        name: value
        for name, value in shell.items()
        if not (variables.affects_results(name) or name == lease.OWNER)
        and (signing or not name.startswith(variables.SIGNING_PREFIX))
        and (not isolated or variables.is_of_system(name))
    }
    return kept | dict(variable.split("=", 1) for variable in given)


class _Script:
    """The script's process, and the signals that are meant for it."""

    def __init__(self, limit: TimeLimit) -> None:
        self.process: subprocess.Popen[bytes] | None = None
        self.limit = limit
        self.held: lease.Lease | None = None
        self.desk: Desk | None = None  # of a program of the user's
        self.lost = False  # the lease, and with it the log
        self.asked = 0  # the last of those signals
        wanted = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
        self.numbers = [n for n in wanted if signal.getsignal(n) is not signal.SIG_IGN]
        for number in self.numbers:
            signal.signal(number, self._receive)

    def _receive(self, number: int, _: Any) -> None:
        self.asked = number
        if self.process is not None:
            self.process.send_signal(number)

    def run(self, start: variations.Start, log: BinaryIO, terminal: int) -> int:
        """Start it and wait for its end; its exit code, negative: the signal that ended it.

        Once more when the variation killed it, and nothing else did.
        """
        code = self._run(start, log, terminal)
        killed = start.kill is not None and bool(start.kill.done)
        if code != -signal.SIGKILL or not killed or self.limit.exceeded:
            return code
        variations.describe_kill(start)
        self.process = None
        return self._run(start, log, terminal)

    def _run(self, start: variations.Start, log: BinaryIO, terminal: int) -> int:
        # A signal between the start and the assignment would miss it.
        signal.pthread_sigmask(signal.SIG_BLOCK, self.numbers)
        if self.asked:
            return -self.asked
        others = [child.pid for child in psutil.Process().children()]
        namespaces.adopt()
        try:
            self.process = subprocess.Popen(
                start.command,
                env=start.environ,
                stdout=log,
                stderr=subprocess.STDOUT,
                pass_fds=[
                    terminal,
                    *temporary.HELD,
                    *([self.held.descriptor] if self.held else []),
                    *(self.desk.descriptors if self.desk else []),
                ],
                preexec_fn=lambda: self._in_child(start),
            )
        except subprocess.SubprocessError:
            raise SamebitsError(
                "the kernel refused this combination of variations (each alone is allowed); "
                "start with fewer of them"
            ) from None
        signal.pthread_sigmask(signal.SIG_UNBLOCK, self.numbers)
        if self.held:
            self.held.keep(self._end)  # after the fork: a thread of its own
        if self.desk:
            self.desk.begin()  # likewise
        if start.kill is not None and not start.kill.done:
            start.kill.watch(self.process)
        code = self.limit.wait(self.process)
        stop_others(others)
        return code

    def _end(self) -> None:
        """The lease is lost: this machine was away for longer than another job waits."""
        self.lost = True
        sys.stderr.write("error: another job took over; stopping\n")
        if self.process is not None:
            self.process.kill()

    def _in_child(self, start: variations.Start) -> None:
        for number in self.numbers:
            signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, self.numbers)
        for action in start.in_child:
            action()


def _desk(start: variations.Start, options: argparse.Namespace) -> "Desk":
    """Who answers the downloads of a program."""
    from samebits.launch import fetch  # takes a while, which other stages need not wait

    data = Path(value_after("--data", start.command) or ".")
    desk = fetch.Desk(start.ends, data, options.workspace, options.load_python)
    start.environ.update(desk.environ)
    return desk


def _limit(options: argparse.Namespace) -> float | None:
    """A scheduler ends its job at the same limit, with a reason of its own: that comes first."""
    minutes: float | None = options.limit_minutes
    return minutes + _LATER if minutes is not None and lease.job(os.environ) else minutes


def _reason(code: int, limit: TimeLimit) -> str:
    """Why a script that did not say so itself has ended; empty for one that was asked to end."""
    number = -code if code < 0 else code - 128  # as a shell or an emulator between says it
    ended = f"was ended by {_CRASHES[number]}" if number in _CRASHES else ""
    return limit.exceeded or ended


_CRASHES: dict[int, str] = {
    signal.SIGKILL: "SIGKILL: most often the kernel sends it when memory runs out (dmesg says so)",
    **{
        crash: f"{crash.name}: a library that it uses crashed; its last output is in the log"
        for crash in (
            *(signal.SIGABRT, signal.SIGSEGV, signal.SIGBUS, signal.SIGILL, signal.SIGFPE),
            *(signal.SIGSYS, signal.SIGTRAP, signal.SIGXCPU, signal.SIGXFSZ),
        )
    },
}


def main() -> int:
    """Run the script; an error of this process itself is in the log too."""
    options = _arguments()
    options.log.parent.mkdir(parents=True, exist_ok=True)
    try:
        return _run(options)
    except (SamebitsError, OSError) as error:
        said = explain_os_error(error) if isinstance(error, OSError) else str(error)
        logs.append(options.log, f"{logs.ERROR}{said}")
        raise


def _run(options: argparse.Namespace) -> int:
    """Run the script; returns its exit code, or 128 + the signal that ended it."""
    if options.installed:
        lockfile.check_files(variations.prefix(options.python))
    limit = TimeLimit(_limit(options), options.log)
    script = _Script(limit)
    shell = environment(os.environ, options.variables, options.signing, options.isolated)
    terminal = os.dup(sys.stderr.fileno())
    shell[VARIABLE] = f"{terminal} {options.label.rpartition('/')[2]}".strip()
    # -s: packages in the user's home are not part of the environment
    command = [str(options.python), "-s", *options.script]
    with ExitStack() as ends:
        if options.lease:
            lease.require_living_owner(os.environ)
            script.held = ends.enter_context(lease.take(options.lease, os.environ))
        temporary.remove_abandoned()
        if options.isolated:
            shell |= temporary.own_folders(os.environ, ends, linked=not options.workspace)
        options.log.write_bytes(b"")
        log = ends.enter_context(options.log.open("ab"))  # one that is refused appends why
        start = variations.Start(options.python, command, shell, ends)
        if options.workspace:
            workspace.prepare(start, options.workspace, options.input)
            script.desk = _desk(start, options)
        variations.apply(start, options.vary)
        code = script.run(start, log, terminal)
    if options.workspace and script.asked:  # a program may catch it, and end as if it were complete
        code = -script.asked
    made = "" if script.lost or not options.lease else logs.take_out_primitives(options.log)
    if reason := _reason(code, limit):
        last = f"; the last primitive that oneDNN made: {made}" if made and code else ""
        logs.append(options.log, f"{logs.ENDED}{reason}{last}")
    asked = {-code, code - 128}.intersection(script.numbers)
    if limit.exceeded or (code and not asked):
        cause = logs.explained(options.log)[0] or f"exit code {code}, {logs.last_line(options.log)}"
        sys.stderr.write(f"error: {options.log}: {cause}\n")
    if limit.exceeded:
        return FAILED
    return code if code >= 0 else 128 - code


if __name__ == "__main__":
    run(main)
