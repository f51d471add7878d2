"""Which commit of the source ran, as far as git can tell."""

import os
import subprocess
from pathlib import Path

from samebits.certificate.report import Source

# git status would otherwise refresh the index, a write that races with a person's own git
_ENVIRONMENT = {"GIT_OPTIONAL_LOCKS": "0"}


def source(folder: Path | None) -> Source:
    """The commit of a checkout; unknown without git, outside a repository, before a commit."""
    commit = _git(folder, "rev-parse", "--verify", "HEAD") if folder else None
    if commit is None:
        return Source(None, None)
    changes = _git(folder, "status", "--porcelain")
    return Source(commit, None if changes is None else bool(changes))


def _git(folder: Path | None, *command: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), *command],  # noqa: S607 (whichever git the user has)
            env=os.environ | _ENVIRONMENT,
            capture_output=True,
            text=True,
            check=True,
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return done.stdout.strip()
