"""PLACEHOLDER, replaced at merge: the atlas of kernels whose results depend on the CPU.

Only what the diagnosis needs of it: the format, and which kernels are listed for a TensorFlow.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from samebits import canonical
from samebits.errors import SamebitsError

FORMAT = "samebits-atlas-1"


@dataclass(frozen=True)
class Distance:
    """How far the results of a kernel are apart at most."""

    elements: int
    ulp: int | None


def read(path: Path) -> Any:
    """An atlas. Raises SamebitsError when the file is none."""
    content = canonical.read_json(path)
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise SamebitsError(f"{path}: expected an atlas, {FORMAT}, got something else")
    return content


def listed(atlas: Any, tensorflow: str, profile: Mapping[str, Any]) -> dict[str, Distance] | None:
    """Kernels that depend on the CPU under a profile; None: the atlas has no such TensorFlow."""
    if tensorflow not in [framework["tensorflow"] for framework in atlas["frameworks"]]:
        return None
    found: dict[str, Distance] = {}
    for op in atlas["ops"]:
        for different in op["different"].values():
            for kernel in op["kernels"].get(tensorflow, ()):
                found[kernel] = Distance(different["elements"], different["ulp"])
    return found
