#!/usr/bin/env bash
# bootstrap.sh NAME [--offline]: the environment of envs/NAME.lock.txt, before anything else exists;
# prints its folder, and nothing else, to standard output. --offline: where it is not built, exit code 2.
#
# The folder lies in the checkout, or, where that is read-only, in the user's cache. With any Python from
# 3.9 on, pip installs uv, locked by its hash, into FOLDER.tools; scripts/environment.py then builds FOLDER
# with it as it builds every environment: exactly the lock, complete or absent, with the Python of the lock,
# which uv downloads where there is none. One that was built from this very lock is taken as it is, and
# nothing is written. A second bootstrap of the same folder waits for the first.
set -euo pipefail
scripts=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
checkout=${scripts%/*}
lock=$checkout/envs/$1.lock.txt
case $1 in
driver) folder=$checkout/.venv ;;
certify) folder=$checkout/.venv-verify ;;
*) folder=$checkout/.venv-$1 ;;
esac

digest=$(sha256sum <"$lock" | cut -d' ' -f1)
is_ready() { [ -x "$1/bin/python" ] && grep -qsF "\"lock\":\"$digest\"" "$1/environment.json"; }

if ! is_ready "$folder" && ! [ -w "$checkout" ]; then
  case ${XDG_CACHE_HOME-} in /*) cache=$XDG_CACHE_HOME ;; *) cache=$HOME/.cache ;; esac
  folder=$cache/samebits/$1-${digest:0:12}
fi
echo "$folder"
if is_ready "$folder"; then exit 0; fi
exec >&2
if [ "${2-}" = --offline ]; then
  echo "error: $folder is not built; where packages can be downloaded, run: '$scripts/bootstrap.sh' $1"
  exit 2
fi
tools=$folder.tools

# A user's settings may say where packages come from, not which, nor where they go.
unset "${!PYTHON@}" PIP_TARGET PIP_PREFIX PIP_ROOT PIP_CONSTRAINT PIP_REQUIREMENT PIP_NO_BINARY \
  PIP_DRY_RUN PIP_REPORT
export PIP_USER=0 # as some set in pip's configuration file, which a variable overrides

# Names lie: pyenv's shims exist for versions that they then refuse to start.
for python in "${SAMEBITS_PYTHON_3_11:-python3.11}" python3 python python3.{14,13,12,10,9} ""; do
  if "${python:-true}" -c 'import sys; sys.exit(sys.version_info < (3, 9))' 2>/dev/null; then break; fi
done
if [ -z "$python" ]; then
  echo "error: expected Python 3.9 or newer on PATH, got none; install one, on Debian and Ubuntu with:"
  echo "apt-get install python3 python3-venv"
  exit 1
fi

# Every process below inherits the lock: a pip that outlives a killed bootstrap is waited for too.
mkdir -p "$(dirname "$folder")"
exec 9>"$tools.lock"
flock 9

if is_ready "$folder"; then exit 0; fi

echo "preparing $folder (once)"
rm -rf "$tools"
trap 'rm -rf "$tools"' EXIT
if ! "$python" -m venv "$tools"; then
  echo "error: Python's venv module failed, see above; is the disk full? On Debian it is in a"
  echo "package of its own: apt-get install python3-venv"
  exit 1
fi
# Its own uv, or, where it has none, the driver's.
uv=$(grep -hs '^uv==' "$lock" "$checkout/envs/driver.lock.txt" || true)
head -n 1 <<<"$uv" >"$tools/uv.txt"
install=(install --quiet --no-input --no-deps --require-hashes --only-binary :all:)
if ! "$tools/bin/python" -m pip --disable-pip-version-check "${install[@]}" -r "$tools/uv.txt" ||
  ! [ -x "$tools/bin/uv" ]; then
  echo "error: pip could not install $(cut -d' ' -f1 "$tools/uv.txt") into $tools; check the"
  echo "network, and 'pip config list' for an index (PIP_INDEX_URL names one) or a target"
  exit 1
fi
"$tools/bin/python" "$scripts/environment.py" --lock "$lock" --output "$folder"
