"""A folder of links that stands in for another one, so that a program can run elsewhere.

Relative paths go on working; what the program makes anew is moved to where it would have been.
Runs on Python 3.7 to 3.13.
"""

from __future__ import annotations

import os
import shutil


def make(real: str, folder: str) -> None:
    """Fill an empty folder with a link to every entry of the real one."""
    for name in os.listdir(real):
        os.symlink(os.path.join(real, name), os.path.join(folder, name))


def from_elsewhere(command: list[str]) -> list[str]:
    """A command whose relative paths that leave the working folder are absolute."""
    return [
        os.path.abspath(word) if os.path.normpath(word).split(os.sep)[0] == os.pardir else word
        for word in command
    ]


def leave(folder: str, real: str) -> None:
    """Remove the folder of links, after what the program made in it is in the real folder."""
    _bring_home(folder, real)
    shutil.rmtree(folder)


def _bring_home(folder: str, real: str) -> None:
    for name in os.listdir(folder):
        made, target = os.path.join(folder, name), os.path.join(real, name)
        if os.path.islink(made):
            continue
        if os.path.isdir(made) and os.path.isdir(target):  # another run made it meanwhile
            _bring_home(made, target)
        else:
            shutil.move(made, target)
