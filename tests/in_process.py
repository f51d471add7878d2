"""Run a stage's script in this process: all of it but the second that its imports take."""

import contextlib
import io
import runpy
import subprocess
import sys
from unittest import mock

from pipeline import SCRIPTS


def stage(name: str, *arguments: object) -> "subprocess.CompletedProcess[str]":
    """``scripts/NAME.py`` with these flags."""
    script, code = str(SCRIPTS / f"{name}.py"), 0
    command, out, err = [script, *map(str, arguments)], io.StringIO(), io.StringIO()
    with (
        mock.patch.object(sys, "argv", command),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
    ):
        try:
            runpy.run_path(script, run_name="__main__")
        except SystemExit as ended:
            code = int(ended.code or 0)
    return subprocess.CompletedProcess(command, code, out.getvalue(), err.getvalue())
