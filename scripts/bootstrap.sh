#!/usr/bin/env bash
# bootstrap.sh PYTHON FOLDER LOCK: a virtual environment from a lock, before anything else exists.
# FOLDER/ready is written last: without it the folder is not whole and is made again. A second
# bootstrap of the same folder waits for the first.
set -euo pipefail
python=$1 folder=$2 lock=$3

if ! command -v "$python" >/dev/null || ! "$python" -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))'; then
  echo "error: expected Python 3.11 as '$python', got: $("$python" --version 2>&1 || true)" >&2
  echo "install Python 3.11, or name it: make PYTHON=/path/to/python3.11 …" >&2
  exit 1
fi

exec 9>"$folder.lock"
flock 9
digest=$(sha256sum <"$lock")
if [ -e "$folder/ready" ] && [ "$(cat "$folder/ready")" = "$digest" ]; then
  touch "$folder/ready"
  exit 0
fi
echo "preparing $folder (once)"
rm -rf "$folder"
if ! "$python" -m venv "$folder"; then
  echo "error: Python's venv module failed; on Debian: apt-get install python3.11-venv" >&2
  exit 1
fi
# The few packages that were released as source archives are built by the pinned setuptools,
# which therefore comes first.
pip=("$folder/bin/python" -m pip --isolated --disable-pip-version-check install --quiet --no-input --no-deps --require-hashes)
tools=$(mktemp)
trap 'rm -f "$tools"' EXIT
grep -E '^(setuptools|wheel)==' "$lock" >"$tools" || true
"${pip[@]}" -r "$tools"
"${pip[@]}" --no-build-isolation -r "$lock"
echo "$digest" >"$folder/ready"
