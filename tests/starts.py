"""Starts of Snakemake out of one process that has imported it, which takes longer than a start."""

import multiprocessing
import os
import sys
from pathlib import Path

_SERVER = multiprocessing.get_context("forkserver")
_SERVER.set_forkserver_preload(["snakemake.cli", "snakemake.report.html_reporter", "smart_open"])
_LONGEST = 600  # seconds


def run(folder: Path, words: list[str], expected: list[str], shown: Path) -> int:
    """The exit code of a start in a folder; ``shown``: what it writes to both streams."""
    process = _SERVER.Process(target=_start, args=(folder, words, expected, shown))
    process.start()
    process.join(_LONGEST)
    assert process.exitcode is not None, shown.read_text()
    return process.exitcode


def _start(folder: Path, words: list[str], expected: list[str], shown: Path) -> None:
    with shown.open("wb") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    os.chdir(folder)
    sys.argv = ["samebits", *words]
    from samebits.workflow import outcome

    sys.exit(outcome.run(words, expected))
