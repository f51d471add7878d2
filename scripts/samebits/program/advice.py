"""What a user can do about the error that ended a program.

Runs on Python 3.7 to 3.13.
"""

from __future__ import annotations

import os
from pathlib import Path

# Modules whose distribution has another name.
_DISTRIBUTIONS = {
    "PIL": "pillow", "sklearn": "scikit-learn", "skimage": "scikit-image", "yaml": "pyyaml",
    "cv2": "opencv-python-headless", "bs4": "beautifulsoup4", "dateutil": "python-dateutil",
}  # fmt: skip


def advice(error: BaseException | None, project: Path, workspace: Path, python: str = "") -> str:
    """What to add to the config, after a semicolon; empty where nothing is known to help.

    ``python``: the interpreter of an environment that was there already.
    """
    if isinstance(error, ModuleNotFoundError) and error.name:
        top = error.name.partition(".")[0]
        if _is_there(project / top) or _is_there(project / f"{top}.py"):
            return f"; {top} is in the project and ignored by git: git add it"
        name = _DISTRIBUTIONS.get(top, top)
        added = f"run: {python} -m pip install {name}" if python else f"add: packages=[{name}]"
        return f"; to install it, {added}"
    if isinstance(error, FileNotFoundError) and isinstance(error.filename, str):
        path = os.path.relpath(os.path.abspath(error.filename), str(workspace))  # noqa: PTH100
        if not path.startswith("..") and _is_there(project / path):
            return f"; {path} is ignored by git: to have it in every run, add: inputs=[{path}]"
    return ""


def _is_there(path: Path) -> bool:
    return os.path.lexists(str(path))
