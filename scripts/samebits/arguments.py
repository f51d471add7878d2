"""The command line of a stage: which files and folders its script is given, by name."""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from pathlib import Path


def parser(
    contract: str | None, *required: str, several: Iterable[str] = (), optional: Iterable[str] = ()
) -> argparse.ArgumentParser:
    """A parser with one flag per path: each is required once, but for those named otherwise.

    ``contract``: the script's docstring, whose first line says what it does. ``several``: required,
    and may be repeated.
    """
    made = argparse.ArgumentParser(description=(contract or "").partition("\n")[0])
    for names, action, needed in (
        (required, "store", True),
        (several, "append", True),
        (optional, "store", False),
    ):
        for name in names:
            made.add_argument(f"--{name}", type=Path, action=action, required=needed)
    return made
