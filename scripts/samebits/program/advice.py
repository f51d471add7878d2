"""What a user can do about the error that ended a program.

Runs on Python 3.7 to 3.13.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Sequence

# Modules whose distribution has another name.
_DISTRIBUTIONS = {
    "PIL": "pillow", "sklearn": "scikit-learn", "skimage": "scikit-image", "yaml": "pyyaml",
    "cv2": "opencv-python-headless", "bs4": "beautifulsoup4", "dateutil": "python-dateutil",
    "TensorBoard": "tensorboard",
}  # fmt: skip
# What Keras and TensorFlow say of a package that they can do without.
_OPTIONAL = re.compile(r"pip install ([\w-]+)|requires `?(\w+)|(TensorBoard) is not installed")


def advice(
    error: BaseException | None,
    project: Path,
    workspace: Path,
    python: str = "",
    packages: str | Sequence[str] | None = None,
) -> str:
    """What to add to the config, after a semicolon; empty where nothing is known to help.

    ``python``: the interpreter of an environment that was there already; ``packages``: those that
    the config names, or the file that does.
    """
    top = _missing(error)
    if top:
        if _is_there(project / top) or _is_there(project / f"{top}.py"):
            return f"; {top} is in the project and ignored by git: git add it"
        name = _DISTRIBUTIONS.get(top, top)
        if python:
            return f"; to install it, run: {python} -m pip install {name}"
        if isinstance(packages, str):
            return f"; to install it, add {name} to {packages}"
        return f"; to install it, give: packages=[{','.join([*(packages or ()), name])}]"
    if isinstance(error, FileNotFoundError) and isinstance(error.filename, str):
        path = os.path.relpath(os.path.abspath(error.filename), str(workspace))  # noqa: PTH100
        if not path.startswith("..") and _is_there(project / path):
            return f"; {path} is ignored by git: to have it in every run, add: inputs=[{path}]"
    return ""


def _missing(error: BaseException | None) -> str:
    """The module, or the distribution, that an error is about; empty where it is about none."""
    if isinstance(error, ModuleNotFoundError) and error.name:
        return error.name.partition(".")[0]
    if isinstance(error, ImportError) or type(error).__name__ == "TBNotInstalledError":
        named = _OPTIONAL.search(str(error))
        return next(filter(None, named.groups())) if named else ""
    return ""


def _is_there(path: Path) -> bool:
    return os.path.lexists(str(path))
