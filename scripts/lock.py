#!/usr/bin/env python3
"""Make the locks of all environments, and what is made from them.

INPUTS      envs/X.in (what is wanted), envs/X.no-deps.in (likewise, without dependencies),
            envs/X.yaml (which Python), envs/X.linux-64.pin.txt
OUTPUTS     envs/X.lock.txt, envs/X.post-deploy.sh
GUARANTEES  versions that are locked stay while they fit; one digest per package; with --check
            nothing is written and every file that would change is an error
"""

import argparse
import re
import sys
from collections.abc import Iterator
from pathlib import Path

from samebits import post_deploy, resolution
from samebits.environments import uv as uv_tool
from samebits.environments.build import DEFINITION, python_minor, python_version
from samebits.errors import SamebitsError, all_problems, run
from samebits.formats import files, lockfile
from samebits.formats.lockfile import Lock, LockedPackage

ENVS = Path(__file__).resolve().parents[1] / "envs"
_PINNED = re.compile(r"^\S+/python-(\d+\.\d+\.\d+)-\S+#[0-9a-f]{64}$", re.MULTILINE)
_DRIVER_PYTHON = "3.11"  # what `make` asks for; dev has no yaml


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Make the locks of all environments.")
    parser.add_argument("--envs", type=Path, default=ENVS)
    parser.add_argument("--check", action="store_true", help="write nothing, refuse a difference")
    parser.add_argument("--offline", action="store_true", help="do not resolve again")
    parser.add_argument(
        "--upgrade",
        nargs="*",
        metavar="PACKAGE",
        help="forget the locked versions of these packages; of all when none is named",
    )
    return parser.parse_args()


def _names(envs: Path) -> list[str]:
    """Every environment; the driver first, since dev is constrained by its lock."""
    names = [p.name.removesuffix(".in") for p in envs.glob("*.in") if ".no-deps" not in p.name]
    return sorted(names, key=lambda name: (name != "driver", name))


def _sources(envs: Path, name: str) -> dict[str, str]:
    """What a lock is made from, by digest."""
    inputs = [envs / f"{name}.in", envs / f"{name}.no-deps.in"]
    inputs += [envs / "driver.in", envs / "driver.lock.txt"] if name == "dev" else []
    return {path.name: files.digest(path) for path in inputs if path.is_file()}


def _python(envs: Path, name: str) -> str:
    definition = envs / f"{name}{DEFINITION}"
    return python_minor(definition) if definition.is_file() else _DRIVER_PYTHON


def _pin_problems(definition: Path) -> list[str]:
    """What is wrong with the pin file beside a definition: it must pin the same Python."""
    pins = definition.with_name(definition.name.removesuffix(DEFINITION) + lockfile.PINS)
    pinned = _PINNED.findall(pins.read_text(encoding="utf-8")) if pins.is_file() else []
    wanted = [python_version(definition)]
    if pinned == wanted:
        return []
    return [
        f"{pins}: expected python {wanted}, as in {definition.name}, got {pinned}; pin it again"
    ]


def _resolve(envs: Path, name: str, preferred: Lock | None) -> Lock:
    uv, python = uv_tool.beside_python(), _python(envs, name)
    packages, from_sdist = resolution.resolve(uv, envs / f"{name}.in", python, preferred)
    lone = envs / f"{name}.no-deps.in"
    alone: list[LockedPackage] = []
    if lone.is_file():
        alone, _ = resolution.resolve(uv, lone, python, preferred, alone=True)
    return Lock(
        python,
        _sources(envs, name),
        tuple(packages + alone),
        tuple(from_sdist),
        tuple(package.name for package in alone),
    )


def _preferred(old: Lock | None, upgrade: list[str] | None) -> Lock | None:
    """The lock whose versions stay."""
    if old is None or upgrade is None:
        return old
    return old.without(tuple(upgrade)) if upgrade else None


def _lock(envs: Path, name: str, options: argparse.Namespace) -> Lock:
    path = envs / f"{name}{lockfile.SUFFIX}"
    old = lockfile.read(path) if path.is_file() else None
    if not options.offline:
        return _resolve(envs, name, _preferred(old, options.upgrade))
    if old is None or (old.sources, old.python) != (_sources(envs, name), _python(envs, name)):
        raise SamebitsError(f"{path} was made from other files; run: make locks")
    return old


def _made(envs: Path, name: str, options: argparse.Namespace) -> Iterator[tuple[Path, str]]:
    """The files of one environment and their content."""
    lock = _lock(envs, name, options)
    yield envs / f"{name}{lockfile.SUFFIX}", lock.text()
    if (envs / f"{name}{DEFINITION}").is_file():
        yield envs / f"{name}.post-deploy.sh", post_deploy.script(name, lock)


def _update(envs: Path, name: str, options: argparse.Namespace) -> list[str]:
    """Write the files of one environment that differ; with --check, say which do."""
    differing = []
    for path, content in _made(envs, name, options):
        if path.is_file() and path.read_text(encoding="utf-8") == content:
            continue
        if options.check:
            differing.append(f"{path}: is not what scripts/lock.py makes; run: make locks")
        else:
            files.write_bytes(path, content.encode())
            print(path, file=sys.stderr)
    return differing


def main() -> int:
    """Bring every environment up to date; report all that is wrong at the end."""
    options = _arguments()
    problems = []
    for name in _names(options.envs):
        definition = options.envs / f"{name}{DEFINITION}"
        try:
            problems += _pin_problems(definition) if definition.is_file() else []
            problems += _update(options.envs, name, options)
        except SamebitsError as error:
            problems.append(str(error))
    if problems:
        raise SamebitsError(all_problems(problems))
    return 0


if __name__ == "__main__":
    run(main)
