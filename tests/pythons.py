"""The Pythons of this machine."""

import os
import shutil
from collections.abc import Iterable
from pathlib import Path


def installed(minors: Iterable[str]) -> dict[str, str]:
    """A Python of each of these versions that is here; none is started to find them."""
    home = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    found = {}
    for minor in minors:
        named = [*home.glob(f"versions/{minor}.*/bin/python")]
        named += [Path(path) for path in [shutil.which(f"python{minor}")] if path]
        usable = [str(path) for path in named if path.parent.name != "shims"]
        if usable:
            found[minor] = usable[-1]
    return found
