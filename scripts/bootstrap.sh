#!/usr/bin/env bash
# bootstrap.sh PYTHON FOLDER LOCK: a virtual environment from a lock, before anything else exists.
#
# pip installs uv, locked by its hash, into FOLDER.tools; scripts/environment.py then builds FOLDER
# with it as it builds every environment: exactly the lock, complete or absent. FOLDER/ready is
# made last and is what make looks at. A second bootstrap of the same folder waits for the first.
set -euo pipefail
python=$1 folder=$2 lock=$3
scripts=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
tools=$folder.tools

# A user's settings may say where packages come from, not which, nor where they go.
unset "${!PYTHON@}" PIP_TARGET PIP_PREFIX PIP_ROOT PIP_CONSTRAINT PIP_REQUIREMENT PIP_NO_BINARY \
  PIP_DRY_RUN PIP_REPORT
export PIP_USER=0 # as some set in pip's configuration file, which a variable overrides

if ! "$python" -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' 2>/dev/null; then
  echo "error: expected Python 3.11 as '$python', got: $("$python" --version 2>&1 || true)" >&2
  echo "install Python 3.11, or name it: make PYTHON=/path/to/python3.11 …" >&2
  exit 1
fi

# Every process below inherits the lock: a pip that outlives a killed bootstrap is waited for too.
mkdir -p "$(dirname "$folder")"
exec 9>"$tools.lock"
flock 9

digest=$(sha256sum <"$lock" | cut -d' ' -f1)
if grep -qsF "\"lock\":\"$digest\"" "$folder/environment.json" && "$folder/bin/python" -c ''; then
  touch "$folder/ready"
  exit 0
fi

echo "preparing $folder (once)"
rm -rf "$tools"
trap 'rm -rf "$tools"' EXIT
if ! "$python" -m venv "$tools"; then
  echo "error: Python's venv module failed, see above; is the disk full? On Debian it is in a" >&2
  echo "package of its own: apt-get install python3.11-venv" >&2
  exit 1
fi
# Its own uv, or, where it has none, the driver's.
uv=$(grep -hs '^uv==' "$lock" "$(dirname "$lock")/driver.lock.txt" || true)
head -n 1 <<<"$uv" >"$tools/uv.txt"
install=(install --quiet --no-input --no-deps --require-hashes --only-binary :all:)
if ! "$tools/bin/python" -m pip --disable-pip-version-check "${install[@]}" -r "$tools/uv.txt" ||
  ! [ -x "$tools/bin/uv" ]; then
  echo "error: pip could not install $(cut -d' ' -f1 "$tools/uv.txt") into $tools; check the" >&2
  echo "network, and 'pip config list' for an index (PIP_INDEX_URL names one) or a target" >&2
  exit 1
fi
"$tools/bin/python" "$scripts/environment.py" --lock "$lock" --output "$folder"
touch "$folder/ready"
