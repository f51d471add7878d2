"""The variations by name: what may differ between two runs and must not matter.

How each is made is the launcher's part (``samebits.launch.variations``). It describes to the
process, in one variable, what it varied and what this machine could not do.
"""

from __future__ import annotations

import json
from typing import Any, Iterable, Mapping

VARIABLE = "SAMEBITS_VARIATIONS"
ROOT = "SAMEBITS_ROOT"  # where a run sees all folders a second time, if it does
THREADS = "threads"
UNKNOWN = "unknown"  # what a run observes where the system does not say: evidence of nothing
# The kernel's own folders: in these the order of entries is never varied.
KERNEL_FOLDERS = ("dev", "proc", "run", "sys")

# In this order they are made: directory_order comes after folder, cpu after clock.
TITLES: dict[str, str] = {
    "time_zone": "time zone",
    "locale": "locale",
    "home": "home folder",
    "folder": "path to the working folder",
    "umask": "umask",
    "variables": "extra environment variables",
    "host_name": "host name",
    "aslr": "address space randomization",
    "cpus": "number of CPUs",
    "clock": "clock",
    "threads": "timing of Python threads",
    "contention": "CPU contention",
    "directory_order": "order of directory entries",
    "hash_seed": "hash seed",
    "cpu": "CPU",
    "deployment": "deployment",
    "node": "node",
    "interrupt": "kill and resume",
}
_WITH_VALUE = ("cpu",)
# What no variation changes, or only the one that is named.
_NOT_VARIED = {
    "other files": "",
    "environment variables that the experiment declares": "",
    "PATH, USER, SHELL and other variables of the system": "",
    "user and group": "",
    "network": "",
    "devices": "",
    "terminal": "",
    "state of git": "",
    "load of the machine": "contention",
    "kernel": "",
    "amount of memory": "",
    "name of the working folder": "",
    "order of entries in the environment and in /dev, /proc, /run and /sys": "",
}
# Variables that a variation sets, beside the system's and samebits' own.
_FAKETIME = ("FAKETIME", "FAKETIME_DONT_FAKE_MONOTONIC", "FAKETIME_SHARED")
_VARIABLES = {"clock": ("LD_PRELOAD", *_FAKETIME), "hash_seed": ("PYTHONHASHSEED",)}


def parse(given: Iterable[str]) -> dict[str, str]:
    """``NAME[=VALUE]`` as name: value. Raises ValueError with the reason."""
    asked = {}
    for text in given:
        name, _, value = text.partition("=")
        if name not in TITLES:
            raise ValueError(f"expected one of {', '.join(TITLES)}, got {name!r}")
        if bool(value) != (name in _WITH_VALUE):
            form = f"{name}=MODEL" if name in _WITH_VALUE else f"{name} without a value"
            raise ValueError(f"expected {form}, got {text!r}")
        asked[name] = value
    return asked


def to_variable(applied: Mapping[str, str], not_tried: Mapping[str, str]) -> str:
    """The value of ``VARIABLE``: names with their new values, and with the reasons why not."""
    return json.dumps({"applied": applied, "not_tried": not_tried}, sort_keys=True)


def of_environment(environ: Mapping[str, str]) -> dict[str, dict[str, Any]]:
    """What the launcher varied: ``applied`` and ``not_tried``, each name: text."""
    found = json.loads(environ.get(VARIABLE, "{}"))
    return {key: dict(found.get(key, {})) for key in ("applied", "not_tried")}


def variables(applied: Iterable[str]) -> set[str]:
    """The variables that these variations set, beside the system's and samebits' own."""
    return {variable for name in applied for variable in _VARIABLES.get(name, ())}


def not_varied(tried: Iterable[str]) -> list[str]:
    """What stayed as it was in all runs, beside what the protocol would have varied."""
    known = set(tried)
    return [what for what, by in _NOT_VARIED.items() if by not in known]
