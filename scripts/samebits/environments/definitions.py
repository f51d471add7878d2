"""The definition of an environment: ``envs/X.yaml``, which both deployments read."""

import re
from pathlib import Path

import yaml

from samebits.errors import SamebitsError
from samebits.formats.lockfile import PINS

SUFFIX = ".yaml"
_PYTHON = re.compile(r"python=(\d+\.\d+\.\d+)$")  # conda's form; a space before = is a trap
_PINNED = re.compile(r"^\S+/python-(\d+\.\d+\.\d+)-\S+#[0-9a-f]{64}$", re.MULTILINE)


def python_version(path: Path) -> str:
    """Which Python an environment asks for, such as ``3.11.15``."""
    content = yaml.safe_load(path.read_text(encoding="utf-8"))
    dependencies = content.get("dependencies") if isinstance(content, dict) else None
    for dependency in dependencies or []:
        found = _PYTHON.match(str(dependency))
        if found:
            return found.group(1)
    raise SamebitsError(
        f"{path}: expected a dependency python=X.Y.Z, got {dependencies!r}; name the exact version"
    )


def python_minor(path: Path) -> str:
    """The same without the last number: what both deployments agree on."""
    return python_version(path).rpartition(".")[0]


def pin_problems(path: Path) -> list[str]:
    """What is wrong with the pin file beside a definition: it must pin the same Python."""
    pins = path.with_name(path.name.removesuffix(SUFFIX) + PINS)
    pinned = _PINNED.findall(pins.read_text(encoding="utf-8")) if pins.is_file() else []
    wanted = [python_version(path)]
    if pinned == wanted:
        return []
    return [f"{pins}: expected python {wanted}, as {path.name} says, got {pinned}; pin it again"]
