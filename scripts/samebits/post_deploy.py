"""The script that Snakemake runs in a conda prefix that it made: install the lock, or refuse.

The lock is inside the script, because Snakemake's environment hash covers the bytes of the yaml,
the pin file and this script, and nothing that they point to.
"""

from samebits.formats.lockfile import Lock

# Two refusals matter. Snakemake only warns when the pin file cannot be installed and builds from
# the yaml instead; and pip would take packages from the user's home for installed ones.
_TEMPLATE = """\
#!/usr/bin/env bash
# Made by scripts/lock.py from {name}.lock.txt; do not edit. Snakemake runs it in the conda prefix.
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


def script(name: str, lock: Lock) -> str:
    """The text of ``envs/NAME.post-deploy.sh``."""
    names = ", ".join(lock.from_sdist)
    install = _TWO_PASSES.format(names=names) if names else _ONE_PASS
    alone = ", ".join(lock.without_dependencies)
    check = _NO_CHECK.format(names=alone) if alone else _CHECK
    return _TEMPLATE.format(name=name, lock=lock.text(), install=install, check=check)
