#!/usr/bin/env bash
# Made by tools/lock.py from train-tf2.21-gpu.lock.txt; do not edit. Snakemake runs it in the conda prefix.
set -euo pipefail
# Of a user's own settings those stay that say where packages come from, not which or where to.
unset "${!PYTHON@}" "${!PIP_CONSTRAINT@}" "${!PIP_REQUIRE@}" "${!PIP_NO_BINARY@}" \
  "${!PIP_TARGET@}" "${!PIP_PREFIX@}" "${!PIP_ROOT@}" "${!PIP_USER@}"
export PYTHONNOUSERSITE=1 PIP_USER=0 PIP_REQUIRE_VIRTUALENV=0
python="$CONDA_PREFIX/bin/python"

# Snakemake warns and goes on from the yaml when the pin file cannot be installed: refuse that.
wrong=0
while IFS= read -r line || [ -n "$line" ]; do
  case "$line" in
    http*|file:*)
      archive="${line%%#*}"; archive="${archive##*/}"
      record="$CONDA_PREFIX/conda-meta/${archive%.conda}"
      if ! grep -qs "\"${line##*#}\"" "${record%.tar.bz2}.json"; then
        echo "error: expected $line (in train-tf2.21-gpu.linux-64.pin.txt), got another package or none" >&2
        wrong=1
      fi ;;
  esac
done < "$CONDA_PREFIX.pin.txt"
[ "$wrong" = 0 ] || { echo "check conda >= 24.9 and the channel, then start again" >&2; exit 1; }

lock="$CONDA_PREFIX/train-tf2.21-gpu.lock.txt"
cat > "$lock" <<'LOCK'
# Locked for CPython 3.11 on Linux x86_64 by tools/lock.py; do not edit
# from: train-tf2.21-gpu.in sha256:78b9fec538b9fda2647b0da245275c20571bf35ca0998ea0f3a30e22a2d0dc24
--only-binary :all:
absl-py==2.5.1 --hash=sha256:721200f2f0e9960f2ca9dc3a2a706b201f5f75d812c158f059cbbe29eeafbdb8
astunparse==1.6.3 --hash=sha256:c2652417f2c8b5bb325c885ae329bdf3f86424075c4fd1a128674bc6fba4b8e8
certifi==2026.10.18 --hash=sha256:73191c47aaa79da394e8fee2dbc2ec827432cab56311122c9e47abf79e390f62
charset-normalizer==3.5.2 --hash=sha256:211d5a3eb6af8f513b8d4ca19a8c1b7accab1b5f0d3175f9826b03c1a920dc1f
flatbuffers==25.12.19 --hash=sha256:7634f50c427838bb021c2d66a3d1168e9d199b0607e6329399f04846d42e20b4
gast==0.7.0 --hash=sha256:99cbf1365633a74099f69c59bd650476b96baa5ef196fec88032b00b31ba36f7
google-pasta==0.2.0 --hash=sha256:b32482794a366b5366a32c92a9a9201b107821889935a02b3e51f6b432ea84ed
grpcio==1.85.1 --hash=sha256:83aced2a1c05648cee0de34e531351118b14c58238f0a61b43559ac8851647a8
h5py==3.14.0 --hash=sha256:723a40ee6505bd354bfd26385f2dae7bbfa87655f4e61bab175a49d72ebfc06b
idna==3.20 --hash=sha256:ab7ae7122974553370f0bdb919e1a960b2cd1bc1ef0276416d896db81c14582c
keras==3.15.1 --hash=sha256:836460e480930acbd19bb7a17e62f9ecad40e8a9af9a651fc8d0586a96d27e20
libclang==18.1.1 --hash=sha256:c533091d8a3bbf7460a00cb6c1a71da93bffe148f172c7d03b1c31fbf8aa2a0b
markdown-it-py==4.3.0 --hash=sha256:7aa1511a46c39138de78d9eba92ce47e63124d8003fc98b3a351909e04239efa
mdurl==0.1.2 --hash=sha256:84008a41e51615a49fc9966191ff91509e3c40b939176e643fd50a5c2196b8f8
ml-dtypes==0.6.0 --hash=sha256:6c8e39b53e90afda8ce52859c93de4dba3e02b76d85dcf091cc469f9184c6dae
namex==0.1.0 --hash=sha256:e2012a474502f1e2251267062aae3114611f07df4224b6e06334c57b0f2ce87c
numpy==2.4.6 --hash=sha256:89cd468399cfd2504718f0ba50e410dca55a170b61a02ad92bb18c8a65186e93
nvidia-cublas-cu12==12.9.3.13 --hash=sha256:d7d51055f161b317c7105ddaae90e71eda059026074ffef93cf7cde2886bfe72
nvidia-cuda-cupti-cu12==12.9.79 --hash=sha256:096bcf334f13e1984ba36685ad4c1d6347db214de03dbb6eebb237b41d9d934f
nvidia-cuda-nvcc-cu12==12.9.86 --hash=sha256:5d6a0d32fdc7ea39917c20065614ae93add6f577d840233237ff08e9a38f58f0
nvidia-cuda-nvrtc-cu12==12.9.86 --hash=sha256:210cf05005a447e29214e9ce50851e83fc5f4358df8b453155d5e1918094dcb4
nvidia-cuda-runtime-cu12==12.9.79 --hash=sha256:25bba2dfb01d48a9b59ca474a1ac43c6ebf7011f1b0b8cc44f54eb6ac48a96c3
nvidia-cudnn-cu12==9.28.0.42 --hash=sha256:9ff58b7f36dacd0a93e89f8f2957b52466889217963701daa15e577317cfa375
nvidia-cufft-cu12==11.4.1.4 --hash=sha256:c67884f2a7d276b4b80eb56a79322a95df592ae5e765cf1243693365ccab4e28
nvidia-curand-cu12==10.3.10.19 --hash=sha256:49b274db4780d421bd2ccd362e1415c13887c53c214f0d4b761752b8f9f6aa1e
nvidia-cusolver-cu12==11.7.5.82 --hash=sha256:15da72d1340d29b5b3cf3fd100e3cd53421dde36002eda6ed93811af63c40d88
nvidia-cusparse-cu12==12.5.10.65 --hash=sha256:73060ce019ac064a057267c585bf1fd5a353734151f87472ff02b2c5c9984e78
nvidia-nccl-cu12==2.32.3 --hash=sha256:bb94b2348e4861d5e8aa00b36c3d12d9bdf9c6369b82cbb723de0b582280a21c
nvidia-nvjitlink-cu12==12.9.86 --hash=sha256:e3f1171dbdc83c5932a45f0f4c99180a70de9bd2718c1ab77d14104f6d7147f9
opt-einsum==3.4.0 --hash=sha256:69bb92469f86a1565195ece4ac0323943e83477171b91d24c35afe028a90d7cd
optree==0.20.0 --hash=sha256:cd49b5a6066ebb027b37afa19f02d77e33067f33b0d5b7602b537e6892789d00
packaging==26.3 --hash=sha256:d7193f7c8e4e93f444fde0262bf90af30e16fa0ad0ad44cb553c87339b23cd1c
protobuf==7.36.2 --hash=sha256:89f23aa53c24553a2416fd4fd1ec06f74fa42b14b546d8883128813f775bbfd2
pygments==2.21.0 --hash=sha256:2363c69b61c4a97c838da3b130dcd6468f4848992b21a82f2a63ec34377137d9
requests==2.34.2 --hash=sha256:2a0d60c172f83ac6ab31e4554906c0f3b3588d37b5cb939b1c061f4907e278e0
rich==15.0.0 --hash=sha256:33bd4ef74232fb73fe9279a257718407f169c09b78a87ad3d296f548e27de0bb
setuptools==84.2.1 --hash=sha256:ca140b45d5325a9478f880e351484f62fef15f336462e449ca0c03c873d589c2
six==1.17.0 --hash=sha256:4721f391ed90541fddacab5acf947aa0d3dc7d27b2e1e8eda2be8970586c3274
tensorflow==2.21.0 --hash=sha256:9056fbc9ba04235810b71ae6cbd958a196e8804fb53bbcffbf3e23b56155f124
termcolor==3.3.0 --hash=sha256:cf642efadaf0a8ebbbf4bc7a31cec2f9b5f21a9f726f4ccbb08192c9c26f43a5
typing-extensions==4.16.0 --hash=sha256:481caa481374e813c1b176ada14e97f1f67a4539ce9cfeb3f350d78d6370c2e8
urllib3==2.8.0 --hash=sha256:0cf3cae568d36aa9576b28dfb35f11328f1cb974ca7647d9475ebb86c75ac6e3
wheel==0.48.0 --hash=sha256:3217dcc807155e45db462d7ef2431f5ddda0d7273b700d05a67b271ceb1287ab
wrapt==2.5.2 --hash=sha256:0743950d3dda9940e56f81f5334ba051c4fe2e1421e4e4a4ef8eb8fb86a90894
LOCK
pip=("$python" -m pip install --quiet --no-input --no-deps --require-hashes)
"${pip[@]}" --only-binary :all: -r "$lock"
"$python" -m pip check --quiet
"$python" - <<'PROGRAM'
"""The files of an environment that Python can import: as they were installed, and as they are.

INPUTS      ``take``: an environment whose packages were just unpacked from hashed files
OUTPUTS     ``take``: PREFIX/installed.json, which lists them; ``problems``: what differs from it
GUARANTEES  a file that was changed, added or removed since is found and named: Python source,
            shared objects, .pth, bytecode, pyvenv.cfg, a link to a folder

A file is read again unless its size, its two dates and its number are those that it had when it
was read last: no program can set the second date, which the kernel changes with every write.
Bytecode is compiled with the list and is listed as well. Python takes it whatever the dates of the
source, so that bytecode is never written again, and bytecode that is not listed is refused.

Runs on Python 3.7 to 3.13 with the standard library alone, since tools/lock.py copies this text
into the scripts that conda runs.
"""

from __future__ import annotations

import base64
import compileall
import csv
import hashlib
import json
import os
import py_compile
import re
import sys
from pathlib import Path
from typing import Any, Iterator

LIST = "installed.json"
_IMPORTABLE = re.compile(r"\.(py|pth|so(\.\d+)*)$")
_SETTINGS = ("pyvenv.cfg", "bin/pyvenv.cfg")  # where Python looks for packages, in both places
_CACHE = "__pycache__"


def take(prefix: Path) -> None:
    """Compile and list the importable files of an environment; its own Python has to do it."""
    for site in _sites(prefix):
        compileall.compile_dir(
            str(site),
            maxlevels=99,
            quiet=2,  # a template that is no Python cannot be imported either
            force=True,
            workers=os.cpu_count() or 1,
            invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH,
        )
    tag = str(sys.implementation.cache_tag)
    found = {name: [_digest(prefix / name), *state] for name, state in _files(prefix, tag)}
    (prefix / LIST).write_text(json.dumps({"bytecode": tag, "files": found}, sort_keys=True))


def read(prefix: Path) -> dict[str, Any]:
    """The list of an environment. Raises FileNotFoundError where it has none."""
    return dict(json.loads((prefix / LIST).read_text()))


def problems(prefix: Path) -> list[str]:
    """Every importable file that is not as it was installed, in words, sorted."""
    try:
        listed = read(prefix)
    except (FileNotFoundError, NotADirectoryError):
        return [f"{LIST}: missing, so that nothing is known of the files"]
    known, found = listed["files"], dict(_files(prefix, listed["bytecode"]))
    return [
        f"{name}: {problem}"
        for name in sorted({*known, *found})
        for problem in [_problem(prefix, name, known.get(name), found.get(name))]
        if problem
    ]


def _problem(prefix: Path, name: str, known: list[Any] | None, state: list[int] | None) -> str:
    if known is None:
        return "was not installed from the lock"
    if state is None:
        return "is missing"
    same = known[1:] == state or known[0] == _digest(prefix / name)
    return "" if same else "was changed after it was installed"


def summary(prefix: Path) -> dict[str, Any]:
    """How many files of the locked packages are listed, and one digest of all.

    Without bytecode, which names folders of this machine, and without pip, which conda adds.
    """
    listed = read(prefix)["files"]
    names = [name for name in sorted(listed) if "/site-packages/" in name]
    names = [n for n in names if _CACHE not in n and "/site-packages/pip/" not in n]
    lines = "".join(f"{listed[name][0]}  {name}\n" for name in names)
    return {"files": len(names), "sha256": hashlib.sha256(lines.encode()).hexdigest()}


def unlike_wheels(prefix: Path) -> list[str]:
    """Every listed file that is not as a wheel's own RECORD says, in words, sorted.

    An installer takes files from its cache without looking at them again.
    """
    listed, known = read(prefix)["files"], {}
    for record in (path for site in _sites(prefix) for path in site.glob("*.dist-info/RECORD")):
        with record.open(newline="", encoding="utf-8") as file:
            for name, digest, _ in csv.reader(file):
                below = (record.parents[1] / name).relative_to(prefix)
                known[below.as_posix()] = digest
    return [
        f"{name}: expected what the RECORD of its wheel says, got another content or no entry"
        for name in sorted(set(listed) - set(_SETTINGS))
        if _CACHE not in name and known.get(name) != _of_wheel(listed[name][0])
    ]


def _of_wheel(sha256: str) -> str:
    """A digest as RECORD has it (PEP 376)."""
    text = base64.urlsafe_b64encode(bytes.fromhex(sha256)).rstrip(b"=").decode()
    return f"sha256={text}"


def _sites(prefix: Path) -> list[Path]:
    """The folders with packages; lib64 and conda's python3.1 are links to one of them."""
    found = sorted(prefix.glob("lib*/python*/site-packages"))
    return [f for f in found if not any(p.is_symlink() for p in (f, f.parent, f.parent.parent))]


def _files(prefix: Path, tag: str) -> Iterator[tuple[str, list[int]]]:
    """Name below the prefix, and state, of every importable file."""
    below = len(str(prefix)) + 1
    for name in _SETTINGS:
        if (prefix / name).exists():
            yield name, _state((prefix / name).stat())
    folders = [str(site) for site in _sites(prefix)]
    while folders:
        folder = folders.pop()
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    folders.append(entry.path)
                elif _is_importable(entry, folder, tag):
                    yield entry.path[below:], _state(entry.stat(follow_symlinks=False))


def _is_importable(entry: os.DirEntry[str], folder: str, tag: str) -> bool:
    if entry.name.endswith(".pyc"):  # of another Python, or of -O: never read by this one
        return not folder.endswith(_CACHE) or entry.name.endswith(f".{tag}.pyc")
    return bool(_IMPORTABLE.search(entry.name)) or entry.is_symlink()


def _state(found: os.stat_result) -> list[int]:
    return [found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino]


def _digest(path: Path) -> str:
    """SHA-256 of a file's bytes; of a link the place that it names, too, so that none is missed."""
    sha = hashlib.sha256()
    if path.is_symlink():
        sha.update(os.readlink(str(path)).encode("utf-8", "surrogateescape") + b"\0")
    if path.is_file():
        with path.open("rb") as file:
            for block in iter(lambda: file.read(1 << 20), b""):
                sha.update(block)
    return sha.hexdigest()

take(Path(sys.prefix))
PROGRAM
mkdir -p "$CONDA_PREFIX/etc/conda/activate.d"
echo 'export PYTHONNOUSERSITE=1' > "$CONDA_PREFIX/etc/conda/activate.d/no-user-site.sh"
