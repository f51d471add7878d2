"""How each variation is made; their names are ``samebits.experiment.variations``.

A variation changes one thing about a process that is about to be started. A variation that this
machine cannot make is no error: it is recorded as not tried, with the reason in plain words.
Neither reasons nor values name a folder or the host. Nothing that a variation made outlives the
run.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from samebits.experiment.variations import TITLES, VARIABLE, of_environment, to_variable
from samebits.formats import files
from samebits.launch import disorderfs, faketime, namespaces
from samebits.launch.kill import Kill, last_epoch, value_after
from samebits.training import observation

_ZONES = Path("/usr/share/zoneinfo")
_SOURCES = "--source-path"  # the flag of a script for the folder of the user's own code
_CONFIG, _CHECKPOINTS = "--config", "--checkpoints"  # flags of train.py
_HOST_NAME = "samebits-varied"
_PADDING = 4099  # bytes that shift the stack by more than a page
# Ends with the launcher, whatever ended that: it then has another parent.
_BUSY = """
import os, sys
os.sched_setaffinity(0, {int(sys.argv[2])})
while os.getppid() == int(sys.argv[3]):
    for _ in range(100000):
        pass
"""


class NotTriedError(Exception):
    """This machine cannot do a variation; the message is the reason."""


@dataclass
class Start:
    """A process that is about to be started, as the variations change it."""

    python: Path  # the interpreter that is started
    command: list[str]
    environ: dict[str, str]
    ends: ExitStack  # called when the process has ended
    folder: Path = field(default_factory=Path.cwd)  # its working folder
    in_child: list[Callable[[], Any]] = field(default_factory=list)  # between fork and exec
    kill: Kill | None = None  # a script that it killed is started once more


def _time_zone(start: Start, _: str) -> str:
    name, rule = "Pacific/Kiritimati", "<+14>-14"
    if time.timezone == -14 * 3600:  # the user's own
        name, rule = "Pacific/Pago_Pago", "<-11>11"
    # Where the zone files are missing, the C library takes the rule itself.
    start.environ["TZ"] = name if (_ZONES / name).is_file() else rule
    return start.environ["TZ"]


def _locale(start: Start, _: str) -> str:
    installed = _words(_tool("locale", "libc-bin"), "-a")
    name = other_locale(observation.locale(start.environ), installed)
    if not name:
        raise NotTriedError("no other locale is installed")
    start.environ.update(LC_ALL=name, LANG=name, LANGUAGE=name.partition(".")[0])
    return name


def other_locale(present: str, installed: list[str]) -> str:
    """Another language if one is installed, else C or C.UTF-8; empty: no other locale.

    Only with UTF-8: the encoding decides whether a program can read its texts at all.
    """
    usable = [n for n in sorted(installed) if n == "C" or _plain(n).endswith(".utf8")]
    found = [n for n in usable if _plain(n) != _plain(present)]
    return min(found, key=lambda n: _language(n) in ("c", _language(present)), default="")


def _plain(name: str) -> str:
    """A locale's name as ``locale -a`` and users write it differently."""
    return "c" if name == "POSIX" else name.lower().replace("-", "")


def _language(name: str) -> str:
    return _plain(name).partition(".")[0].partition("_")[0]


def _home(start: Start, _: str) -> str:
    old, new = start.environ.get("HOME", ""), str(_temporary(start))
    for name, value in list(start.environ.items()):
        if name.startswith("XDG_") and old and Path(old) in [Path(value), *Path(value).parents]:
            del start.environ[name]
    start.environ["HOME"] = new
    return "an empty one"


def _folder(start: Start, _: str) -> str:
    real, new = start.folder, Path(tempfile.mkdtemp(prefix="samebits-"))
    start.ends.callback(_leave, new, real)
    for entry in real.iterdir():
        (new / entry.name).symlink_to(entry)
    start.command = from_elsewhere(start.command)
    start.folder = new
    return "a folder of links to its entries"


def from_elsewhere(command: list[str]) -> list[str]:
    """A command whose relative paths that leave the working folder are absolute."""
    here = Path.cwd()
    out = [os.path.normpath(word).split("/")[0] == ".." for word in command]
    pairs = zip(command, out, strict=True)
    return [os.path.normpath(here / word) if leaves else word for word, leaves in pairs]


def _leave(folder: Path, real: Path) -> None:
    move_back(folder, real)
    shutil.rmtree(folder)


def move_back(folder: Path, real: Path) -> None:
    """Move what a program made in a folder of links to where it would have been."""
    for made in list(folder.iterdir()):
        target = real / made.name
        if made.is_symlink():
            continue
        if made.is_dir() and target.is_dir():  # another run made it meanwhile
            move_back(made, target)
        else:
            shutil.move(made, target)


def _umask(start: Start, _: str) -> str:
    other = 0o022 if files.umask() == 0o027 else 0o027
    start.in_child.append(lambda: os.umask(other))
    return f"{other:03o}"


def _variables(start: Start, _: str) -> str:
    start.environ.update(SAMEBITS_EXTRA="1", SAMEBITS_PADDING="x" * _PADDING)
    return f"2 more, of {_PADDING} bytes"


def _host_name(start: Start, _: str) -> str:
    name = _HOST_NAME + ("-2" if os.uname().nodename == _HOST_NAME else "")
    _permit(lambda: namespaces.set_host_name(name), "a host name of its own")
    start.in_child.append(lambda: namespaces.set_host_name(name))
    return name


def _aslr(start: Start, _: str) -> str:
    if observation.aslr() != "on":
        raise NotTriedError("address space randomization is off on this machine")
    _permit(namespaces.fix_addresses, "fixed addresses")
    start.in_child.append(namespaces.fix_addresses)
    return "off"


def _cpus(start: Start, _: str) -> str:
    available = os.sched_getaffinity(0)
    if len(available) == 1:
        raise NotTriedError("only one CPU is available")
    start.in_child.append(lambda: os.sched_setaffinity(0, {max(available)}))
    return "1"


def _clock(start: Start, _: str) -> str:
    start.ends.callback(faketime.remove_shared, faketime.shared())
    found = faketime.variables(_tool("faketime", "faketime"), start.python, _temporary(start))
    if not found:
        raise NotTriedError("faketime does not work with this Python")
    start.environ.update(found)
    return faketime.SHIFT


def _contention(start: Start, _: str) -> str:
    available = sorted(os.sched_getaffinity(0))
    for cpu in available:
        command = [sys.executable, "-S", "-c", _BUSY, observation.BUSY, str(cpu), str(os.getpid())]
        busy = subprocess.Popen(command, start_new_session=True)  # Ctrl-C is for the script
        start.ends.callback(busy.wait)
        start.ends.callback(busy.kill)
    return f"{len(available)} busy processes"


def _directory_order(start: Start, _: str) -> str:
    tool = _tool("disorderfs", "disorderfs")
    # The environment's own files are left as they are: their digests are checked, and every
    # import would take twice as long.
    sources = Path(value_after(_SOURCES, start.command))  # none: the working folder
    folders = disorderfs.topmost([Path.cwd(), start.folder, sources])
    try:
        mounts = disorderfs.mount(tool, folders, start.ends)
    except OSError as error:
        raise NotTriedError(str(error)) from error
    user, environment = namespaces.ids(), prefix(start.python).resolve()
    # First: a host name of its own may take a user namespace, from which these cannot be joined.
    start.in_child.insert(0, lambda: disorderfs.join(mounts, user, environment, start.folder))
    return "reversed"


def prefix(python: Path) -> Path:
    """The environment of an interpreter, which lies in its folder bin."""
    return python.parent.parent


def _hash_seed(start: Start, _: str) -> str:
    given = start.environ.get("PYTHONHASHSEED", "")
    seed = (int(given) + 1) % 2**32 if given.isdigit() else 1
    start.environ["PYTHONHASHSEED"] = str(seed)
    return str(seed)


def _cpu(start: Start, model: str) -> str:
    qemu = _tool("qemu-x86_64", "qemu-user")
    if model not in _words(qemu, "-cpu", "help"):
        raise NotTriedError("qemu-x86_64 does not know this CPU")
    prefix = [qemu, "-cpu", model]
    preloaded = start.environ.pop("LD_PRELOAD", None)
    if preloaded:  # by the emulated program alone, or the clock is shifted twice
        prefix += ["-E", "LD_PRELOAD=" + preloaded]
    start.command = prefix + start.command
    return model


def _deployment(start: Start, _: str) -> str:
    """The caller chose the interpreter: uv's, although conda has activated its own."""
    found = observation.deployment(prefix(start.python))
    if "CONDA_PREFIX" not in start.environ or found == "conda":
        raise NotTriedError("uv alone made the environments; with --sdm conda there are two")
    return found


def _node(start: Start, _: str) -> str:
    """The scheduler was asked for nodes on which the control is not; the run sees which it got."""
    if "SLURM_JOB_ID" not in start.environ:
        raise NotTriedError("no scheduler chose a node; with --profile profiles/slurm Slurm does")
    return "another one"


def _interrupt(start: Start, _: str) -> str:
    config = Path(value_after(_CONFIG, start.command) or os.devnull)
    folder = value_after(_CHECKPOINTS, start.command)
    content = json.loads(config.read_text(encoding="utf-8") or "{}")
    if not folder or content.get("trainer", {}).get("checkpoint") != "epoch":
        raise NotTriedError("without trainer.checkpoint=epoch there is nothing to resume from")
    last = last_epoch(content, start.command)
    # From the launcher's own working folder, whatever the process has.
    start.kill = Kill(Path(folder).absolute(), last)
    return start.kill.describe()


# Named like its variation, each returns the new value and raises NotTriedError.
_MADE_BY: dict[str, Callable[[Start, str], str]] = {
    function.__name__[1:]: function
    for function in (
        _time_zone, _locale, _home, _folder, _umask, _variables, _host_name, _aslr, _cpus, _clock,
        _contention, _directory_order, _hash_seed, _cpu, _deployment, _node, _interrupt,
    )
}  # fmt: skip


def apply(start: Start, asked: Mapping[str, str]) -> None:
    """Change a start as asked, and describe to the process what was varied and what was not."""
    applied, not_tried = {}, {}
    for name in [name for name in TITLES if name in asked]:
        try:
            applied[name] = _MADE_BY[name](start, asked[name])
        except NotTriedError as reason:
            not_tried[name] = str(reason)
    start.environ[VARIABLE] = to_variable(applied, not_tried)


def describe_kill(start: Start) -> None:
    """Describe to the process that is started once more when it was killed."""
    varied = of_environment(start.environ)
    if start.kill is not None:
        varied["applied"]["interrupt"] = start.kill.describe()
    start.environ[VARIABLE] = to_variable(**varied)


def _tool(name: str, package: str) -> str:
    path = shutil.which(name)
    if path is None:
        raise NotTriedError(f"{name} is not installed (Debian package {package})")
    return path


def _words(*command: str) -> list[str]:
    """The words that a tool prints; none if it does not run. QEMU's help ends with exit code 1."""
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=False)
    return done.stdout.decode("utf-8", "replace").split()


def _permit(action: Callable[[], None], what: str) -> None:
    """Raise NotTriedError when the kernel refuses an action."""
    refused = namespaces.attempt(action)
    if refused:
        raise NotTriedError(f"{what} is not permitted here ({refused})")


def _temporary(start: Start) -> Path:
    """A fresh folder that is removed with all its contents when the process has ended."""
    folder = Path(tempfile.mkdtemp(prefix="samebits-"))
    start.ends.callback(shutil.rmtree, folder, ignore_errors=True)
    return folder
