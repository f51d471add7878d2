"""A test of the unit tier starts no process and uses no network: it fails where it does."""

import sys
from typing import Any

import pytest

_MARKS = ("environment", "process", "slow")
_STARTS = {"subprocess.Popen", "os.fork", "os.forkpty", "os.exec", "os.posix_spawn", "os.system"}
# By Python's platform and Snakemake's plugin for Slurm, once, in whichever test is the first.
_ASKED = {("uname",), ("which",), ("scontrol",)}
_running: list[pytest.Item] = []  # the test of the unit tier that runs now


def is_unit(item: pytest.Item) -> bool:
    """Whether a test is one of the unit tier."""
    return "studies" not in item.path.parts and not any(map(item.get_closest_marker, _MARKS))


def begin(item: pytest.Item) -> None:
    """From now on, this is the test that runs."""
    _running[:] = [item] if is_unit(item) else []


def _refuse(event: str, arguments: tuple[Any, ...]) -> None:
    """Python tells of all that happens, whichever module of the product or of a library does it."""
    network = event in ("socket.bind", "socket.connect") and isinstance(arguments[1], tuple)
    if _running and (network or event in _STARTS) and arguments[:1] not in _ASKED:
        pytest.fail(f"{event} {arguments}: mark this test `process`, or `environment`")


sys.addaudithook(_refuse)
