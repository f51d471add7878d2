#!/usr/bin/env bash
# Made by tools/lock.py from train-tf2.8.lock.txt; do not edit. Snakemake runs it in the conda prefix.
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
        echo "error: expected $line (in train-tf2.8.linux-64.pin.txt), got another package or none" >&2
        wrong=1
      fi ;;
  esac
done < "$CONDA_PREFIX.pin.txt"
[ "$wrong" = 0 ] || { echo "check conda >= 24.9 and the channel, then start again" >&2; exit 1; }

lock="$CONDA_PREFIX/train-tf2.8.lock.txt"
cat > "$lock" <<'LOCK'
# Locked for CPython 3.7 on Linux x86_64 by tools/lock.py; do not edit
# from: train-tf2.8.in sha256:456b515e7323650ecff688e9a542aa81257137eb85671e67bc22d3092be5c1b2
--only-binary :all:
absl-py==2.1.0 --hash=sha256:526a04eadab8b4ee719ce68f204172ead1027549089702d99b9059f129ff1308
astunparse==1.6.3 --hash=sha256:c2652417f2c8b5bb325c885ae329bdf3f86424075c4fd1a128674bc6fba4b8e8
cachetools==5.5.2 --hash=sha256:d26a22bcc62eb95c3beabd9f1ee5e820d3d2704fe2967cbe350e20c8ffcd3f0a
certifi==2026.10.18 --hash=sha256:73191c47aaa79da394e8fee2dbc2ec827432cab56311122c9e47abf79e390f62
charset-normalizer==3.5.2 --hash=sha256:1c50fe28bbc2ced33386f298650d91218076c05420e6cbd790b913adc41659e7
flatbuffers==25.12.19 --hash=sha256:7634f50c427838bb021c2d66a3d1168e9d199b0607e6329399f04846d42e20b4
gast==0.7.0 --hash=sha256:99cbf1365633a74099f69c59bd650476b96baa5ef196fec88032b00b31ba36f7
google-auth==2.45.0 --hash=sha256:82344e86dc00410ef5382d99be677c6043d72e502b625aa4f4afa0bdacca0f36
google-auth-oauthlib==0.4.6 --hash=sha256:3f2a6e802eebbb6fb736a370fbf3b055edcb6b52878bf2f26330b5e041316c73
google-pasta==0.2.0 --hash=sha256:b32482794a366b5366a32c92a9a9201b107821889935a02b3e51f6b432ea84ed
grpcio==1.62.3 --hash=sha256:c118cfc80e2402a5595be36e9245ffd9b0e146f426cc40bdf60015bf183f8373
h5py==3.8.0 --hash=sha256:377865821fe80ad984d003723d6f8890bd54ceeb5981b43c0313b9df95411b30
idna==3.10 --hash=sha256:946d195a0d259cbba61165e88e65941f16e9b36ea6ddb97f00452bae8b1287d3
importlib-metadata==6.7.0 --hash=sha256:cb52082e659e97afc5dac71e79de97d8681de3aa07ff18578330904a9d18e5b5
keras==2.8.0 --hash=sha256:744d39dc6577dcd80ff4a4d41549e92b77d6a17e0edd58a431d30656e29bc94e
keras-preprocessing==1.1.2 --hash=sha256:7b82029b130ff61cc99b55f3bd27427df4838576838c5b2f65940e4fcec99a7b
libclang==18.1.1 --hash=sha256:c533091d8a3bbf7460a00cb6c1a71da93bffe148f172c7d03b1c31fbf8aa2a0b
markdown==3.4.4 --hash=sha256:a4c1b65c0957b4bd9e7d86ddc7b3c9868fb9670660f6f99f6d1bca8954d5a941
markupsafe==2.1.5 --hash=sha256:a549b9c31bec33820e885335b451286e2969a2d9e24879f83fe904a5ce59d70a
numpy==1.21.6 --hash=sha256:a6be4cb0ef3b8c9250c19cc122267263093eee7edd4e3fa75395dfda8c17a8e2
oauthlib==3.2.2 --hash=sha256:8139f29aac13e25d502680e9e19963e83f16838d48a0d71c287fe40e7067fbca
opt-einsum==3.3.0 --hash=sha256:2455e59e3947d3c275477df7f5205b30635e266fe6dc300e3d9f9646bfcea147
protobuf==3.20.3 --hash=sha256:74480f79a023f90dc6e18febbf7b8bac7508420f2006fabd512013c0c238f454
pyasn1==0.5.1 --hash=sha256:4439847c58d40b1d0a573d07e3856e95333f1976294494c325775aeca506eb58
pyasn1-modules==0.3.0 --hash=sha256:d3ccd6ed470d9ffbc716be08bd90efbd44d0734bc9303818f7336070984a162d
requests==2.31.0 --hash=sha256:58cd2187c01e70e6e26505bca751777aa9f2ee0b7f4300988b709f44e013003f
requests-oauthlib==2.0.0 --hash=sha256:7dd8a5c40426b779b0868c404bdef9768deccf22749cde15852df527e6269b36
rsa==4.9.1 --hash=sha256:68635866661c6836b8d39430f97a996acbd61bfa49406748ea243539fe239762
setuptools==68.0.0 --hash=sha256:11e52c67415a381d10d6b462ced9cfb97066179f0e871399e006c4ab101fc85f
six==1.17.0 --hash=sha256:4721f391ed90541fddacab5acf947aa0d3dc7d27b2e1e8eda2be8970586c3274
tensorboard==2.8.0 --hash=sha256:65a338e4424e9079f2604923bdbe301792adce2ace1be68da6b3ddf005170def
tensorboard-data-server==0.6.1 --hash=sha256:d8237580755e58eff68d1f3abefb5b1e39ae5c8b127cc40920f9c4fb33f4b98a
tensorboard-plugin-wit==1.8.1 --hash=sha256:ff26bdd583d155aa951ee3b152b3d0cffae8005dc697f72b44a8e8c2a77a8cbe
tensorflow-cpu==2.8.0 --hash=sha256:a0cf3a5dd40f056a5a4f3f7be0b616c5bdfbf850e4782f2467f9e16d4144eadb
tensorflow-io-gcs-filesystem==0.34.0 --hash=sha256:44ad387a812a78e7424bb8bee3820521ae1c044bddf72b1e163e8df95c124a74
termcolor==2.3.0 --hash=sha256:3afb05607b89aed0ffe25202399ee0867ad4d3cb4180d98aaf8eefa6a5f7d475
tf-estimator-nightly==2.8.0.dev2021122109 --hash=sha256:0065a04e396b2890bd19761fc1de7559ceafeba12839f8db2c7e7473afaaf612
typing-extensions==4.7.1 --hash=sha256:440d5dd3af93b060174bf433bccd69b0babc3b15b1a8dca43789fd7f61514b36
urllib3==2.0.7 --hash=sha256:fdb6d215c776278489906c2f8916e6e7d4f5a9b602ccbcfdf7f016fc8da0596e
werkzeug==2.2.3 --hash=sha256:56433961bc1f12533306c624f3be5e744389ac61d722175d543e1751285da612
wheel==0.42.0 --hash=sha256:177f9c9b0d45c47873b619f5b650346d632cdc35fb5e4d25058e09c9e581433d
wrapt==1.16.0 --hash=sha256:a86373cf37cd7764f2201b76496aba58a52e76dedfaa698ef9e9688bfd9e41cf
zipp==3.15.0 --hash=sha256:48904fc76a60e542af151aded95726c1a5c34ed43ab4134b597665c86d7ad556
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
