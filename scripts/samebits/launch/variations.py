"""How each variation is made; their names are ``samebits.experiment.variations``.

A variation changes one thing about a process that is about to be started. A variation that this
machine cannot make is no error: it is recorded as not tried, with the reason in plain words.
Neither reasons nor values name a folder or the host. Nothing that a variation made outlives the
run.
"""

import json
import os
import pwd
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from samebits.experiment.variations import (
    KERNEL_FOLDERS,
    ROOT,
    TITLES,
    VARIABLE,
    of_environment,
    to_variable,
)
from samebits.formats import files
from samebits.launch import disorderfs, faketime, namespaces, temporary
from samebits.launch.kill import Kill, last_epoch, value_after
from samebits.observation import environment

_ZONES = Path("/usr/share/zoneinfo")
_LOCAL_TIME, _PASSWORDS, _HOSTS = Path("/etc/localtime"), Path("/etc/passwd"), Path("/etc/hosts")
_CPUINFO, _STATISTICS = Path("/proc/cpuinfo"), Path("/proc/stat")
_CPUS = Path("/sys/devices/system/cpu")
_PROCESSOR, _CPU = r"^(processor\s*: )\d+(\n.*?\n\n)", r"^(cpu)\d+( [^\n]*\n)"
_SOURCES = "--source-path"  # the flag of a script for the folder of the user's own code
WORKSPACE = "--workspace"  # likewise, for the folder in which a program of the user's runs
_CONFIG, _CHECKPOINTS = "--config", "--checkpoints"  # flags of train.py
_TEMPORARY = Path("/tmp")  # noqa: S108 - a folder of its own is made in it
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
    view: namespaces.View = field(default_factory=namespaces.View)
    moved: dict[Path, Path] = field(default_factory=dict)  # folders, and where it sees them
    in_child: list[Callable[[], Any]] = field(default_factory=list)  # between fork and exec
    kill: Kill | None = None  # a script that it killed is started once more


def _time_zone(start: Start, _: str) -> str:
    name, rule = "Pacific/Kiritimati", "<+14>-14"
    if time.timezone == -14 * 3600:  # the user's own
        name, rule = "Pacific/Pago_Pago", "<-11>11"
    # Where the zone files are missing, the C library takes the rule itself.
    start.environ["TZ"] = name if (_ZONES / name).is_file() else rule
    if start.environ["TZ"] == name:
        link = temporary.folder(start.ends) / "localtime"
        link.symlink_to(_ZONES / name)
        _show(start, link if _LOCAL_TIME.is_symlink() else _ZONES / name, _LOCAL_TIME)
        _show_text(start, f"{name}\n", Path("/etc/timezone"))
    return start.environ["TZ"]


def _locale(start: Start, _: str) -> str:
    installed = _words(_tool("locale", "libc-bin"), "-a")
    name = other_locale(environment.locale(start.environ), installed)
    if not name:
        raise NotTriedError("no other locale is installed")
    start.environ.update({n: name for n in start.environ if n.startswith("LC_")})
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
    old, new = start.environ.get("HOME", ""), str(temporary.folder(start.ends))
    for name, value in list(start.environ.items()):
        if name.startswith("XDG_") and old and Path(old) in [Path(value), *Path(value).parents]:
            del start.environ[name]
    start.environ["HOME"] = new
    with suppress(KeyError):  # a user without an entry
        user = pwd.getpwuid(os.getuid())
        entry = user.pw_name, user.pw_passwd, str(user.pw_uid), str(user.pw_gid), user.pw_gecos
        others = _PASSWORDS.read_text(encoding="utf-8", errors="surrogateescape")
        text = ":".join([*entry, new, user.pw_shell])
        _show_text(start, f"{text}\n{others}", _PASSWORDS)  # the first entry counts
    return "an empty one"


def _folder(start: Start, _: str) -> str:
    """All folders at a second place, by a mount and not by links: what a program finds there it may
    remove, rename and make anew, and what lies above is where it was."""
    short = _TEMPORARY if os.access(_TEMPORARY, os.W_OK) else None  # as paths of sockets must be
    new = temporary.mount_point(start.ends, short).resolve()
    refused = _show(start, Path("/"), new)
    if refused:
        raise NotTriedError(f"mounts of its own are not permitted here ({refused})")
    named = (value_after(flag, start.command) or "." for flag in (_SOURCES, WORKSPACE))
    folders = (Path.cwd(), *(Path(name).resolve() for name in named))
    start.moved = {old: new / old.relative_to("/") for old in folders}
    start.view.folder = start.moved[Path.cwd()]
    start.environ.update({"PWD": str(start.view.folder), ROOT: str(new)})
    # Beside it: between two mounts no file can be renamed.
    usual = Path(start.environ.get("TMPDIR") or tempfile.gettempdir()).resolve()
    start.environ["TMPDIR"] = str(new / usual.relative_to("/"))
    return "another one, with the same files"


def elsewhere(word: str, moved: Mapping[Path, Path]) -> str:
    """A word of a command, where folders have moved. A relative path leads where it led."""
    for old, new in moved.items():
        if Path(word).is_relative_to(old):
            return str(new / Path(word).relative_to(old))
    return word


def _umask(start: Start, _: str) -> str:
    other = 0o022 if files.umask() == 0o027 else 0o027
    start.in_child.append(lambda: os.umask(other))
    return f"{other:03o}"


def _variables(start: Start, _: str) -> str:
    start.environ.update(SAMEBITS_EXTRA="1", SAMEBITS_PADDING="x" * _PADDING)
    return f"2 more, of {_PADDING} bytes"


def _host_name(start: Start, _: str) -> str:
    name = _HOST_NAME + ("-2" if os.uname().nodename == _HOST_NAME else "")
    _permit(namespaces.View(host_name=name).enter, "a host name of its own")
    # First what a program needs that asks for the address of its host.
    known = _HOSTS.read_text(encoding="utf-8") if _HOSTS.is_file() else ""
    if refused := _show_text(start, f"127.0.1.1 {name}\n{known}", _HOSTS):
        raise NotTriedError(f"a list of hosts of its own is not permitted here ({refused})")
    start.view.host_name = name
    if "HOSTNAME" in start.environ:
        start.environ["HOSTNAME"] = name
    _show_text(start, f"{name}\n", Path("/etc/hostname"))
    return name


def _aslr(start: Start, _: str) -> str:
    if environment.aslr() != "on":
        raise NotTriedError("address space randomization is off on this machine")
    _permit(namespaces.fix_addresses, "fixed addresses")
    start.in_child.append(namespaces.fix_addresses)
    return "off"


def _cpus(start: Start, _: str) -> str:
    """Fewer for the run, and more in the machine: nothing can be pinned to one that is hidden, and
    a sum in parts finds a dependence on their number unless it is a power of two."""
    available, count = os.sched_getaffinity(0), os.cpu_count() or 1
    if len(available) == 1:
        raise NotTriedError("only one CPU is available")
    start.in_child.append(lambda: os.sched_setaffinity(0, {max(available)}))
    wanted = count + (1 if count & (count + 1) else 2)
    last = max((int(path.name[3:]) for path in _CPUS.glob("cpu[0-9]*")), default=count - 1)
    added = range(last + 1, last + 1 + wanted - count)
    _show_text(start, with_cpus(_CPUINFO.read_text(encoding="utf-8"), _PROCESSOR, added), _CPUINFO)
    _show_text(start, with_cpus(_STATISTICS.read_text(encoding="utf-8"), _CPU, added), _STATISTICS)
    if _CPUS.is_dir():
        _show(start, _with_cpus(added, start), _CPUS)
    return f"1 of {wanted}"


def with_cpus(text: str, pattern: str, added: Iterable[int]) -> str:
    """A text with more CPUs like its last one. ``pattern``: one of them, around its number."""
    found = [*re.finditer(pattern, text, re.MULTILINE | re.DOTALL)]
    if not found:  # a system that numbers none
        return text
    more = "".join(f"{found[-1][1]}{number}{found[-1][2]}" for number in added)
    return text[: found[-1].end()] + more + text[found[-1].end() :]


def _with_cpus(added: Sequence[int], start: Start) -> Path:
    """The system's folder of CPUs with more of them, each a core like the first."""
    folder, real = temporary.folder(start.ends), temporary.mount_point(start.ends)
    _show(start, _CPUS, real)
    for entry in _CPUS.iterdir():
        (folder / entry.name).symlink_to(real / entry.name)
    for path in (p for p in _CPUS.iterdir() if p.name in ("online", "present", "possible")):
        (folder / path.name).unlink()
        numbers = [path.read_text().strip(), *map(str, added)]
        (folder / path.name).write_text(",".join(numbers) + "\n")
    for number in added:
        topology = folder / f"cpu{number}" / "topology"
        topology.parent.mkdir()
        if (_CPUS / "cpu0" / "topology").is_dir():
            shutil.copytree(_CPUS / "cpu0" / "topology", topology)
        for path in (*topology.glob("core_cpus_list"), *topology.glob("thread_siblings_list")):
            path.chmod(0o644)
            path.write_text(f"{number}\n")
    return folder


def _clock(start: Start, _: str) -> str:
    start.ends.callback(faketime.remove_shared, faketime.shared())
    found = faketime.variables(
        _tool("faketime", "faketime"), start.python, temporary.folder(start.ends)
    )
    if not found:
        raise NotTriedError("faketime does not work with this Python")
    start.environ.update(found)
    if not namespaces.attempt(namespaces.View(monotonic=faketime.SECONDS).enter):
        start.view.monotonic = faketime.SECONDS
        _shift_start(start, faketime.SECONDS * namespaces.SHIFTS_START)
    return f"{faketime.SECONDS // 60} minutes ahead"


def _shift_start(start: Start, seconds: int) -> None:
    """The date of the machine's start, where a text stands for the kernel's own."""
    for path in (path for path, shown in start.view.shown if shown == _STATISTICS):
        parts = re.split(r"^btime (\d+)", path.read_text(encoding="utf-8"), flags=re.MULTILINE)
        parts[1:2] = [f"btime {int(found) - seconds}" for found in parts[1:2]]
        path.write_text("".join(parts), encoding="utf-8")


def _threads(_: Start, __: str) -> str:
    return "starts delayed, and turns of a millisecond"  # which the process itself does


def _contention(start: Start, _: str) -> str:
    available = sorted(os.sched_getaffinity(0))
    for cpu in available:
        command = [sys.executable, "-S", "-c", _BUSY, environment.BUSY, str(cpu), str(os.getpid())]
        busy = subprocess.Popen(command, start_new_session=True)  # Ctrl-C is for the script
        start.ends.callback(busy.wait)
        start.ends.callback(busy.kill)
    return f"{len(available)} busy processes"


def _directory_order(start: Start, _: str) -> str:
    tool = _tool("disorderfs", "disorderfs")
    try:
        start.view.root = disorderfs.mount(tool, start.ends)
    except OSError as error:
        raise NotTriedError(str(error)) from error
    # The environment's own files are left as they are: their digests are checked, and every
    # import would take twice as long.
    own = [prefix(start.python).resolve(), prefix(start.python.resolve())]
    kernel = [path for name in KERNEL_FOLDERS if (path := Path("/", name)).is_dir()]
    found = [*kernel, *own]
    start.view.unchanged = [
        f for f in found if not any(f != o and f.is_relative_to(o) for o in found)
    ]
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
    found = environment.deployment(prefix(start.python))
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
    if "program" in content:
        raise NotTriedError("a program is trained in one piece")
    if not folder or content["trainer"]["checkpoint"] != "epoch":
        raise NotTriedError("without trainer.checkpoint=epoch there is nothing to resume from")
    last = last_epoch(content, start.command)
    if last == 1:
        raise NotTriedError("after the only epoch there is nothing to resume")
    # From the launcher's own working folder, whatever the process has.
    start.kill = Kill(Path(folder).absolute(), last)
    return start.kill.describe()


# Named like its variation, each returns the new value and raises NotTriedError.
_MADE_BY: dict[str, Callable[[Start, str], str]] = {
    function.__name__[1:]: function
    for function in (
        _time_zone, _locale, _home, _folder, _umask, _variables, _host_name, _aslr, _cpus, _clock,
        _threads, _contention, _directory_order, _hash_seed, _cpu, _deployment, _node, _interrupt,
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
    start.command = [
        w if w == str(start.python) else elsewhere(w, start.moved) for w in start.command
    ]
    start.in_child.insert(0, start.view.enter)


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


def _show(start: Start, source: Path, target: Path) -> str:
    """Show it a file or a folder at another place; why not, if the kernel refuses."""
    pair = source, target
    refused = namespaces.attempt(namespaces.View(shown=[*start.view.shown, pair]).enter)
    if not refused:
        start.view.shown.append(pair)
    return refused


def _show_text(start: Start, text: str, target: Path) -> str:
    """Show it a file with another text, where there is one; why not, if the kernel refuses."""
    source = temporary.folder(start.ends) / target.name
    source.write_text(text, encoding="utf-8", errors="surrogateescape")
    source.chmod(0o644)
    return _show(start, source, target)
