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
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "scripts"))

from samebits.environments import uv as uv_tool
from samebits.environments.build import DEFINITION, python_minor, python_version
from samebits.environments.resolve import resolve
from samebits.errors import SamebitsError, all_problems, run
from samebits.formats import files, installed, lockfile
from samebits.formats.lockfile import Lock, LockedPackage

ENVS = Path(__file__).resolve().parents[1] / "envs"
_PINNED = re.compile(r"^\S+/python-(\d+\.\d+\.\d+)-\S+#[0-9a-f]{64}$", re.MULTILINE)
_DRIVER_PYTHON = "3.11"  # what `make` asks for; dev has no yaml
_FLAGS = ("--no-config",)  # a developer's own settings are not for everybody


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
    packages, from_sdist = resolve(uv, envs / f"{name}.in", python, preferred, _FLAGS)
    lone, alone = envs / f"{name}.no-deps.in", list[LockedPackage]()
    if lone.is_file():
        alone, _ = resolve(uv, lone, python, preferred, (*_FLAGS, "--no-deps"))
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
