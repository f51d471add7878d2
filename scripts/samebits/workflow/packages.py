"""The locks of environments that are not ours: with a program's packages, or there already.

INPUTS      ``packages`` of each experiment, its framework's lock in envs/; an environment as it was
            found when the experiment was composed
OUTPUTS     requirements.samebits.lock in the project, if there is none yet;
            .samebits/locks/ENVIRONMENT.lock.txt, whose name says its content
GUARANTEES  such an environment has a name of its own; the others have theirs
"""

import hashlib
import os
from dataclasses import replace
from pathlib import Path

from samebits.config.experiment import Experiment
from samebits.config.installed import LOCKS
from samebits.config.program import PACKAGES
from samebits.environments import packages
from samebits.formats import files, lockfile
from samebits.text import say
from samebits.workflow.plan import Plan

_OLD = 315_532_800  # seconds: 1980, as its path says what such a file holds


def locked(made: Plan, envs: Path) -> Plan:
    """A plan whose experiments know their locks."""
    return replace(made, experiments={n: _locked(e, envs) for n, e in made.experiments.items()})


def lock_of(made: Experiment, envs: Path) -> Path:
    """The lock of the environment that an experiment is trained in."""
    folder = LOCKS.absolute() if made.locked else envs
    return folder / f"{made.environment}{lockfile.SUFFIX}"


def _locked(made: Experiment, envs: Path) -> Experiment:
    if made.installed:
        return _kept(made, made.installed.lock.encode(), envs)
    wanted = made.program.part[PACKAGES] if made.program else None
    if made.program is None or not wanted:
        return made
    framework = made.config["framework"]["environment"]
    base = envs / f"{framework}{lockfile.SUFFIX}"
    path, is_new = packages.lock(wanted, Path(made.program.project), base)
    if is_new:
        added = len(lockfile.read(path).packages) - len(lockfile.read(base).packages)
        say(f"{path}: {added} packages locked beside those of {framework}; commit it")
    return _kept(made, path.read_bytes(), envs)


def _kept(made: Experiment, lock: bytes, envs: Path) -> Experiment:
    """The experiment with a lock, of which a copy is kept under a name that says its content."""
    found = replace(made, locked=hashlib.sha256(lock).hexdigest())
    kept = lock_of(found, envs)
    if not kept.is_file() or files.digest(kept) != found.locked:
        files.write_bytes(kept, lock)
        os.utime(kept, (_OLD, _OLD))
    return found
