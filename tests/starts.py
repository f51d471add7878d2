"""Starts of Snakemake out of one process that has imported it, which takes longer than a start."""

import atexit
import multiprocessing
import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

_SERVER = multiprocessing.get_context("forkserver")
_SERVER.set_forkserver_preload(["snakemake.cli", "snakemake.report.html_reporter", "smart_open"])
_LONGEST = 600  # seconds


def samebits(folder: Path, words: list[str], expected: list[str], shown: Path) -> int:
    """The exit code of ``samebits`` in a folder; ``shown``: what it writes to both streams."""
    return _ended(shown, _LONGEST, _samebits, folder, dict(os.environ), words, expected)


def snakemake(
    folder: Path, words: list[str], environ: Mapping[str, str], shown: Path, longest: float
) -> int:
    """The exit code of ``snakemake`` in a folder, with these variables."""
    return _ended(shown, longest, _snakemake, folder, dict(environ), words)


def _ended(shown: Path, longest: float, start: Callable[..., int], *how: object) -> int:
    process = _SERVER.Process(target=_start, args=(shown, start, *how))
    process.start()
    process.join(longest)
    if process.exitcode is None:
        process.terminate()
        pytest.fail(f"it took more than {longest} s: {shown.read_text()}")
    return process.exitcode


def _start(
    shown: Path, start: Callable[..., int], folder: Path, environ: dict[str, str], *words: list[str]
) -> None:
    with open(os.devnull, "rb") as nothing, shown.open("wb") as file:
        for number, stream in enumerate((nothing, file, file)):
            os.dup2(stream.fileno(), number)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environ)
    try:
        sys.exit(start(*words))
    finally:
        atexit._run_exitfuncs()  # as Python does at the end of a program, but not of a process here


def _samebits(words: list[str], expected: list[str]) -> int:
    sys.argv = ["samebits", *words]
    from samebits.workflow import outcome

    return outcome.run(words, expected)


def _snakemake(words: list[str]) -> int:
    sys.argv = ["snakemake", *words]
    from snakemake import cli

    return int(cli.main())
