#!/usr/bin/env python3
"""Make the locks of all environments, and the scripts that install them with conda.

INPUTS      envs/X.in (requirements), envs/X.no-deps.in (likewise, without dependencies),
            envs/X.yaml (which Python), envs/X.linux-64.pin.txt
OUTPUTS     envs/X.lock.txt, envs/X.post-deploy.sh
GUARANTEES  versions that are locked stay while they fit; one digest per package; with --check
            nothing is written and every file that would change is an error
"""

import argparse
import re
import sys
import tempfile
import tomllib
from collections.abc import Iterator, Sequence, Set
from pathlib import Path
from typing import Any

from packaging.tags import Tag, compatible_tags, cpython_tags
from packaging.utils import parse_wheel_filename

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "scripts"))

from samebits.environments import uv as uv_tool
from samebits.environments.build import DEFINITION, python_minor, python_version
from samebits.errors import SamebitsError, all_problems, run
from samebits.formats import files, installed, lockfile
from samebits.formats.lockfile import Lock, LockedPackage

ENVS = Path(__file__).resolve().parents[1] / "envs"
_PINNED = re.compile(r"^\S+/python-(\d+\.\d+\.\d+)-\S+#[0-9a-f]{64}$", re.MULTILINE)
_DRIVER_PYTHON = "3.11"  # what `make` asks for; dev has no yaml
_PLATFORM = "x86_64-manylinux_2_28"  # glibc 2.28: Debian 10, RHEL 8 and later
_GLIBC_MINORS = range(28, 4, -1)
_LEGACY = {17: "manylinux2014", 12: "manylinux2010", 5: "manylinux1"}
_FLAGS = ("--no-config", "--quiet", "--no-header", "--no-annotate", "--emit-build-options")
_NO_BINARY = re.compile(r"^--no-binary (\S+)$", re.MULTILINE)
_HINT = "check envs/*.in and the network"


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Make the locks of all environments.")
    parser.add_argument("--envs", type=Path, default=ENVS)
    parser.add_argument("--check", action="store_true", help="write nothing, refuse a difference")
    parser.add_argument("--offline", action="store_true", help="do not resolve again")
    words = "forget the locked versions of these packages; of all when none is named"
    parser.add_argument("--upgrade", nargs="*", metavar="PACKAGE", help=words)
    return parser.parse_args()


def _names(envs: Path) -> list[str]:
    """Every environment; the driver first, since dev is constrained by its lock."""
    names = [p.name.removesuffix(".in") for p in envs.glob("*.in") if ".no-deps" not in p.name]
    return sorted(names, key=lambda name: (name != "driver", name))


def _sources(envs: Path, name: str) -> dict[str, str]:
    """The files that a lock is made from, by digest."""
    inputs = [envs / f"{name}.in", envs / f"{name}.no-deps.in"]
    inputs += [envs / "driver.in", envs / "driver.lock.txt"] if name == "dev" else []
    return {path.name: files.digest(path) for path in inputs if path.is_file()}


def _python(envs: Path, name: str) -> str:
    definition = envs / f"{name}{DEFINITION}"
    return python_minor(definition) if definition.is_file() else _DRIVER_PYTHON


def _pin_problems(definition: Path) -> list[str]:
    """Problems of the pin file beside a definition: it must pin the same Python."""
    pins = definition.with_name(definition.name.removesuffix(DEFINITION) + lockfile.PINS)
    pinned = _PINNED.findall(pins.read_text(encoding="utf-8")) if pins.is_file() else []
    wanted = [python_version(definition)]
    said = f"{pins}: expected python {wanted}, as in {definition.name}, got {pinned}; pin it again"
    return [] if pinned == wanted else [said]


def _resolve(envs: Path, name: str, preferred: Lock | None) -> Lock:
    uv, python = uv_tool.beside_python(), _python(envs, name)
    packages, from_sdist = resolve(uv, envs / f"{name}.in", python, preferred)
    lone, alone = envs / f"{name}.no-deps.in", list[LockedPackage]()
    if lone.is_file():
        alone, _ = resolve(uv, lone, python, preferred, alone=True)
    names = tuple(package.name for package in alone)
    return Lock(python, _sources(envs, name), (*packages, *alone), tuple(from_sdist), names)


def _preferred(old: Lock | None, upgrade: list[str] | None) -> Lock | None:
    """The lock whose versions stay."""
    if old is None or upgrade is None:
        return old
    return old.keep(lambda name: name not in upgrade) if upgrade else None


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
        yield envs / f"{name}.post-deploy.sh", post_deploy(name, lock)


def _update(envs: Path, name: str, options: argparse.Namespace) -> list[str]:
    """Write the files of one environment that differ; with --check, say which do."""
    differing = []
    for path, content in _made(envs, name, options):
        if path.is_file() and path.read_text(encoding="utf-8") == content:
            continue
        if options.check:
            differing.append(f"{path}: is not what tools/lock.py makes; run: make locks")
        else:
            files.write_bytes(path, content.encode())
            print(path, file=sys.stderr)
    return differing


# --- resolve with uv, to one file per package ----------------------------------------------------


def resolve(
    uv: Path, requirements: Path, python: str, preferred: Lock | None, alone: bool = False
) -> tuple[list[LockedPackage], list[str]]:
    """The packages for a requirements file, and which of them are built from a source archive.

    ``preferred``: versions to keep where they still fit. ``alone``: without dependencies.
    Raises SamebitsError with uv's message when there is no solution.
    """
    with tempfile.TemporaryDirectory() as folder:
        pins, files = Path(folder, "pins.txt"), Path(folder, "pylock.toml")
        if preferred:  # uv prefers the versions that its output file names
            pins.write_text("".join(f"{p.name}=={p.version}\n" for p in preferred.packages))
        only = [f"--python-version={python}", f"--python-platform={_PLATFORM}"]
        compile_ = ["pip", "compile", *_FLAGS, *only]
        form = ["--only-binary", ":all:", *["--no-deps"] * alone, "-o", str(pins)]
        uv_tool.run(uv, [*compile_, str(requirements), *form], _HINT)
        form = ["--no-deps", "--format", "pylock.toml", "-o", str(files)]
        uv_tool.run(uv, [*compile_, str(pins), *form], _HINT)
        found = tomllib.loads(files.read_text())["packages"]
        from_sdist = _NO_BINARY.findall(pins.read_text())
    known = {package.sha256 for package in preferred.packages} if preferred else set()
    names = {package["name"] for package in found}
    packages = [_locked(package, python, package["name"] in from_sdist, known) for package in found]
    return packages, [name for name in from_sdist if name in names]


def _locked(package: dict[str, Any], python: str, sdist: bool, known: Set[str]) -> LockedPackage:
    file = package["sdist"] if sdist else _best(package["wheels"], _tags(python), known)
    if file is None:
        raise SamebitsError(
            f"{package['name']}=={package['version']}: expected a wheel for CPython {python} on "
            "Linux x86_64, got none; choose another version, or add --no-binary with the reason"
        )
    return LockedPackage(package["name"], package["version"], file["hashes"]["sha256"])


def _best(
    wheels: Sequence[dict[str, Any]], tags: list[Tag], known: Set[str] = frozenset()
) -> dict[str, Any] | None:
    """The wheel that an installer prefers: the most specific of its tags comes first.

    One that is ``known`` stays, even when a release got a better wheel afterwards.
    """
    rank = {tag: position for position, tag in enumerate(tags)}

    def position(wheel: dict[str, Any]) -> int:
        name = wheel.get("name") or wheel["url"].rpartition("/")[2]
        return min(rank.get(tag, len(rank)) for tag in parse_wheel_filename(name)[3])

    fitting = [wheel for wheel in wheels if position(wheel) < len(rank)]
    locked = [wheel for wheel in fitting if wheel["hashes"]["sha256"] in known]
    return min(locked or fitting, key=position, default=None)


def _tags(python: str) -> list[Tag]:
    """The tags that CPython of a minor version accepts on Linux x86_64, the most specific first."""
    version = tuple(map(int, python.split(".")))
    name = f"cp{version[0]}{version[1]}"
    abi = name + ("m" if version < (3, 8) else "")  # the suffix ended with Python 3.8
    platforms = []
    for minor in _GLIBC_MINORS:
        platforms.append(f"manylinux_2_{minor}_x86_64")
        platforms += [f"{_LEGACY[minor]}_x86_64"] if minor in _LEGACY else []
    platforms.append("linux_x86_64")
    specific = list(cpython_tags(version, [abi], platforms))
    return specific + list(compatible_tags(version, name, platforms))


# --- the script that Snakemake runs in a conda prefix: install the lock, or refuse --------------

# The lock is inside the script, because Snakemake's environment hash covers the bytes of the yaml,
# the pin file and this script, and nothing that they point to.
#
# So is the program that lists the files, which a run compares with those that it finds.
#
# Two refusals matter. Snakemake only warns when the pin file cannot be installed and builds from
# the yaml instead; and pip would take packages from the user's home for installed ones.
_TEMPLATE = """\
#!/usr/bin/env bash
# Made by tools/lock.py from {name}.lock.txt; do not edit. Snakemake runs it in the conda prefix.
set -euo pipefail
# Of a user's own settings those stay that say where packages come from, not which or where to.
unset "${{!PYTHON@}}" "${{!PIP_CONSTRAINT@}}" "${{!PIP_REQUIRE@}}" "${{!PIP_NO_BINARY@}}" \\
  "${{!PIP_TARGET@}}" "${{!PIP_PREFIX@}}" "${{!PIP_ROOT@}}" "${{!PIP_USER@}}"
export PYTHONNOUSERSITE=1 PIP_USER=0 PIP_REQUIRE_VIRTUALENV=0
python="$CONDA_PREFIX/bin/python"

# Snakemake warns and goes on from the yaml when the pin file cannot be installed: refuse that.
wrong=0
while IFS= read -r line || [ -n "$line" ]; do
  case "$line" in
    http*|file:*)
      archive="${{line%%#*}}"; archive="${{archive##*/}}"
      record="$CONDA_PREFIX/conda-meta/${{archive%.conda}}"
      if ! grep -qs "\\"${{line##*#}}\\"" "${{record%.tar.bz2}}.json"; then
        echo "error: expected $line (in {name}.linux-64.pin.txt), got another package or none" >&2
        wrong=1
      fi ;;
  esac
done < "$CONDA_PREFIX.pin.txt"
[ "$wrong" = 0 ] || {{ echo "check conda >= 24.9 and the channel, then start again" >&2; exit 1; }}

lock="$CONDA_PREFIX/{name}.lock.txt"
cat > "$lock" <<'LOCK'
{lock}LOCK
pip=("$python" -m pip install --quiet --no-input --no-deps --require-hashes)
{install}
{check}
"$python" - <<'PROGRAM'
{listing}
take(Path(sys.prefix))
PROGRAM
mkdir -p "$CONDA_PREFIX/etc/conda/activate.d"
echo 'export PYTHONNOUSERSITE=1' > "$CONDA_PREFIX/etc/conda/activate.d/no-user-site.sh"
"""

_CHECK = '"$python" -m pip check --quiet'
_NO_CHECK = "# No pip check: the dependencies of {names} are left out on purpose."
_ONE_PASS = '"${pip[@]}" --only-binary :all: -r "$lock"'  # noqa: S105 - a pass over the lock
_TWO_PASSES = """\
# {names}: released as source archives only, built by the pinned setuptools, which comes first.
tools=$(mktemp)
trap 'rm -f "$tools"' EXIT
grep -E '^(setuptools|wheel)==' "$lock" > "$tools"
"${{pip[@]}}" --only-binary :all: -r "$tools"
"${{pip[@]}}" --no-build-isolation -r "$lock"  # its options: wheels only, but for these"""


def post_deploy(name: str, lock: Lock) -> str:
    """The text of ``envs/NAME.post-deploy.sh``."""
    names = ", ".join(lock.from_sdist)
    install = _TWO_PASSES.format(names=names) if names else _ONE_PASS
    alone = ", ".join(lock.without_dependencies)
    check = _NO_CHECK.format(names=alone) if alone else _CHECK
    listing = Path(installed.__file__).read_text(encoding="utf-8")
    values = {"lock": lock.text(), "install": install, "check": check, "listing": listing}
    return _TEMPLATE.format(name=name, **values)


def main() -> int:
    """Bring every environment up to date; report all problems at the end."""
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
