"""The definition of an environment: ``envs/X.yaml``, which both deployments read."""

import re
from pathlib import Path

import yaml

from samebits.errors import SamebitsError

SUFFIX = ".yaml"
_PYTHON = re.compile(r"python=(\d+\.\d+)\.\d+$")  # conda's form; a space before = is a trap


def python_minor(path: Path) -> str:
    """Which Python an environment asks for, such as ``3.11``."""
    content = yaml.safe_load(path.read_text(encoding="utf-8"))
    dependencies = content.get("dependencies") if isinstance(content, dict) else None
    for dependency in dependencies or []:
        found = _PYTHON.match(str(dependency))
        if found:
            return found.group(1)
    raise SamebitsError(
        f"{path}: expected a dependency python=X.Y.Z, got {dependencies!r}; name the exact version"
    )
