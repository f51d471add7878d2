"""A program's own packages: resolved once upon a framework's lock, installed from then on.

INPUTS      ``packages`` of the config: a requirements file or requirements; the framework's lock
OUTPUTS     requirements.samebits.lock in the project, to be committed: one lock of the framework
            and of the packages
GUARANTEES  the framework's packages are those of its own lock; a lock that was made from the same
            requirements and framework is left as it is, and needs no network
"""

import hashlib
import re
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from packaging.requirements import InvalidRequirement, Requirement

from samebits.environments.resolve import resolve
from samebits.environments.uv import beside_python
from samebits.errors import SamebitsError, require_none
from samebits.formats import files, lockfile
from samebits.formats.lockfile import TENSORFLOW, Lock, normal

NAME = "requirements.samebits.lock"
_WANTED = "requirements"  # what a lock calls the text that it was resolved from
_FURTHER = re.compile(r"^\s*(?:-r|--requirement|-c|--constraint)[ =]*(\S+)", re.MULTILINE)


def lock(wanted: str | list[str], project: Path, framework: Path) -> tuple[Path, bool]:
    """The lock of a framework with a program's packages, and whether it was made now.

    ``framework``: its own lock. Raises SamebitsError that names the requirement in conflict.
    """
    base, path = lockfile.read(framework), place(project, framework.name)
    text = "\n".join(_texts(project / wanted) if isinstance(wanted, str) else wanted)
    sources = {framework.name: files.digest(framework)}
    sources[_WANTED] = hashlib.sha256(text.encode()).hexdigest()
    old = lockfile.read(path) if path.is_file() else None
    if old is not None and (old.sources, old.python) == (sources, base.python):
        return path, False
    require_none(_of_another(text, base, framework))
    with tempfile.NamedTemporaryFile("w", suffix=".in") as file:
        file.write(text)
        file.flush()
        given = project / wanted if isinstance(wanted, str) else Path(file.name)
        found = _resolved(given, base, old)
    files.write_bytes(path, replace(found, sources=sources).text("by samebits; commit it").encode())
    return path, True


def place(project: Path, framework: str) -> Path:
    """The file of the lock; one with the framework's name where the plain one is of another."""
    plain, option = project / NAME, framework.removesuffix(lockfile.SUFFIX).partition("-")[2]
    of_another = plain.is_file() and framework not in lockfile.read(plain).sources
    return project / f"requirements.{option}.samebits.lock" if of_another else plain


def _texts(path: Path) -> Iterator[str]:
    """A requirements file, and those that it names."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise SamebitsError(f"packages: {path} cannot be read: {error}") from None
    yield text
    for name in _FURTHER.findall(text):
        yield from _texts(path.parent / name)


def _of_another(text: str, base: Lock, framework: Path) -> Iterator[str]:
    """Requirements of another TensorFlow than that of the framework, whatever its distribution."""
    (version,) = (p.version for p in base.packages if p.name in TENSORFLOW)
    for line in text.splitlines():
        with suppress(InvalidRequirement):  # an option, or a comment: uv reads it
            wanted = Requirement(line.partition(" #")[0])
            if normal(wanted.name) in TENSORFLOW and version not in wanted.specifier:
                yield (
                    f"packages: {line.strip()} conflicts with TensorFlow {version} of "
                    f"{framework.name}; leave it out, or choose another framework"
                )


def _resolved(wanted: Path, base: Lock, old: Lock | None) -> Lock:
    """The framework's packages as they are, and what else is wanted, in versions that fit them."""
    names = {package.name for package in base.packages}
    others = (f"{name}; python_version < '0'" for name in TENSORFLOW if name not in names)
    with tempfile.TemporaryDirectory() as folder:
        held, dropped = Path(folder, "framework.txt"), Path(folder, "never.txt")
        held.write_text("\n".join(f"{p.name}=={p.version}" for p in base.packages))
        dropped.write_text("\n".join(others))
        flags = ["--constraint", str(held), "--override", str(dropped)]
        try:
            found, from_sdist = resolve(beside_python(), wanted, base.python, old or base, flags)
        except SamebitsError as error:
            raise SamebitsError(
                f"packages: cannot be had beside the framework's: {error}"
            ) from None
    return replace(
        base,
        packages=(*base.packages, *(p for p in found if p.name not in names)),
        from_sdist=tuple(dict.fromkeys((*base.from_sdist, *from_sdist))),
    )
