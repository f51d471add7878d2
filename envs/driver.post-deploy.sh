#!/usr/bin/env bash
# Made by tools/lock.py from driver.lock.txt; do not edit. Snakemake runs it in the conda prefix.
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
        echo "error: expected $line (in driver.linux-64.pin.txt), got another package or none" >&2
        wrong=1
      fi ;;
  esac
done < "$CONDA_PREFIX.pin.txt"
[ "$wrong" = 0 ] || { echo "check conda >= 24.9 and the channel, then start again" >&2; exit 1; }

lock="$CONDA_PREFIX/driver.lock.txt"
cat > "$lock" <<'LOCK'
# Locked for CPython 3.11 on Linux x86_64 by tools/lock.py; do not edit
# from: driver.in sha256:d309f1280b9cdb34e372898269436662e65dfed095826405601438a932a998e9
--only-binary :all:
--no-binary antlr4-python3-runtime
--no-binary connection-pool
annotated-types==0.8.0 --hash=sha256:f072f4d804ea359e4eaf198b1af7a8b0943881a87f31bb764f8bf219bb9419e0
antlr4-python3-runtime==4.9.3 --hash=sha256:f224469b4168294902bb1efa80a8bf7855f24c99aef99cbefc1bcd3cce77881b
argparse-dataclass==2.0.0 --hash=sha256:3ffc8852a88d9d98d1364b4441a712491320afb91fb56049afd8a51d74bb52d2
attrs==26.1.0 --hash=sha256:c647aa4a12dfbad9333ca4e71fe62ddc36f4e63b2d260a37a8b83d2f043ac309
certifi==2026.10.18 --hash=sha256:73191c47aaa79da394e8fee2dbc2ec827432cab56311122c9e47abf79e390f62
charset-normalizer==3.5.2 --hash=sha256:211d5a3eb6af8f513b8d4ca19a8c1b7accab1b5f0d3175f9826b03c1a920dc1f
conda-inject==1.3.2 --hash=sha256:6e641b408980c2814e3e527008c30749117909a21ff47392f07ef807da93a564
configargparse==1.9.0 --hash=sha256:e4ecc54d821ca97c43e6152403f40e158aff79d809c3447746fa92b136dc1e31
connection-pool==0.0.3 --hash=sha256:bf429e7aef65921c69b4ed48f3d48d3eac1383b05d2df91884705842d974d0dc
docutils==0.22.4 --hash=sha256:d0013f540772d1420576855455d050a2180186c91c15779301ac2ccb3eeb68de
dpath==2.2.0 --hash=sha256:b330a375ded0a0d2ed404440f6c6a715deae5313af40bbb01c8a41d891900576
fastjsonschema==2.22.3 --hash=sha256:f670b443830b75aca3f00b75949efa20f4b2a80302ec7a21505c28dd54cffd43
gitdb==4.0.12 --hash=sha256:67073e15955400952c6565cc3e707c554a4eea2e428946f7a4c162fab9bd9bcf
gitpython==3.2.1 --hash=sha256:d66b0832aa8755c1a84892937282df0befb16c97e5a64aeebd68be9c5e323f53
greenlet==3.5.6 --hash=sha256:1c20ea32a73d17b9b60e3371240e17b0068120c98a5ec01a224a7dd8c89733ba
humanfriendly==10.0 --hash=sha256:1697e1a8a8f550fd43c2865cd84542fc175a61dcb779b6fee18cf6b6ccba1477
hydra-core==1.3.8 --hash=sha256:d5f184c291691cba835c7f04bc4e36270ad88b1d7e394a3712f5af084c30b394
idna==3.20 --hash=sha256:ab7ae7122974553370f0bdb919e1a960b2cd1bc1ef0276416d896db81c14582c
immutables==0.21 --hash=sha256:d01497713e71509c4481ffccdbe3a47b94969345f4e92f814d6626f7c0a4c304
jinja2==3.1.6 --hash=sha256:85ece4451f492d0c13c5dd7c13a64681a86afae63a5f347908daf103ce6d2f67
jsonschema==4.26.0 --hash=sha256:d489f15263b8d200f8387e64b4c3a75f06629559fb73deb8fdfb525f2dab50ce
jsonschema-specifications==2025.9.1 --hash=sha256:98802fee3a11ee76ecaca44429fda8a41bff98b00a0f2838151b113f210cc6fe
jupyter-core==5.9.1 --hash=sha256:ebf87fdc6073d142e114c72c9e29a9d7ca03fad818c5d300ce2adc1fb0743407
markupsafe==3.0.4 --hash=sha256:6da83a088f8ef93b2d483a8232a4dbf4d69d3d8496b568a03c56becac43e1808
nbformat==5.11.1 --hash=sha256:cc6698fa75f4fab8755ead786317815f13a6fee3b53311c0abb1a8b51d52f7ec
numpy==2.4.6 --hash=sha256:89cd468399cfd2504718f0ba50e410dca55a170b61a02ad92bb18c8a65186e93
omegaconf==2.3.1 --hash=sha256:3d701d14e9a8828f1edd28bb70b725908b34277cdd72cf7d6a83f94dadc6b6a0
packaging==25.0 --hash=sha256:29572ef2b1f17581046b3a2227d5c611fb25ec70ca1ba8554b24b0e69331a484
pandas==3.1.1 --hash=sha256:4f1602f614bb83f443381dbcbb94c4ac764b2e50c8d6c965614c5cd83e328c47
platformdirs==4.14.7 --hash=sha256:391513b74707c42335fff3ea17eaac657a7ee9ffcadd809634d34ea594d0122c
psutil==7.2.2 --hash=sha256:076a2d2f923fd4821644f5ba89f059523da90dc9014e85f8e45a5774ca5bc6f9
pulp==3.3.2 --hash=sha256:631b166f72086971a9597f7a0233ababa99bb8d50a01cd543f7758be5a9f86c0
pydantic==2.14.3 --hash=sha256:3f7b347782ab7e4cf4c798496ae3a82787d9f21ec12676a9c564355eeef8daa8
pydantic-core==2.50.4 --hash=sha256:0574866e05f6adeecc520d87e87dd06210c0a51706341f6ef8421572f5a64444
pygments==2.21.0 --hash=sha256:2363c69b61c4a97c838da3b130dcd6468f4848992b21a82f2a63ec34377137d9
python-dateutil==4.0.0 --hash=sha256:a5e246f79eb80475e691bf93862cead98decd8a498cf53ba0516fcdc0f50dc1c
pyyaml==6.0.3 --hash=sha256:b8bb0864c5a28024fac8a632c443c87c5aa6f215c0b126c449ae1a150412f31d
referencing==0.37.0 --hash=sha256:381329a9f99628c9069361716891d34ad94af76e461dcb0335825aecc7692231
requests==2.34.2 --hash=sha256:2a0d60c172f83ac6ab31e4554906c0f3b3588d37b5cb939b1c061f4907e278e0
rpds-py==2026.9.1 --hash=sha256:136a1c3fe4402b7008bc81cb62ee538481795b61a7e83df88dff3b3f02b726ff
setuptools==84.2.1 --hash=sha256:ca140b45d5325a9478f880e351484f62fef15f336462e449ca0c03c873d589c2
smart-open==7.7.1 --hash=sha256:cb62dc45f519bf39b612564d326d2a17556f3a6056e3c3a86a07215d670d45bc
smmap==5.0.3 --hash=sha256:c106e05d5a61449cf6ba9a1e650227ecfb141590d2a98412103ff35d89fc7b2f
snakemake==9.27.1 --hash=sha256:cb8b9045c68d2d561520a92d78c8acb0e7383cd7958adde1efb68d97a0601a92
snakemake-executor-plugin-slurm==2.8.0 --hash=sha256:9b7fdb89261cee00a499d592f408d985ff64ae89916ece768d0506eb848ab58c
snakemake-executor-plugin-slurm-jobstep==0.6.1 --hash=sha256:120e122ee1317257bd9608a2a458527ad9fe4520aa1a86109e9ce2ac322321ef
snakemake-interface-common==1.23.0 --hash=sha256:43bb10102d07149f27787dfc65a7342b86ff772973e7f9ca4940c89cb412a11e
snakemake-interface-executor-plugins==9.4.0 --hash=sha256:d335c093185897e4e3654a39bab3a6f1c57dc1a54f998c92bd2d88640ab4a05e
snakemake-interface-logger-plugins==2.1.0 --hash=sha256:601e3e0770dd1b460c1dcb7bd33f4fc2eb8af5016634b80d985cb993f674ef46
snakemake-interface-report-plugins==1.3.0 --hash=sha256:78da3931f70e79eef51e5645a40b172929e555fe4d86ff45d6b856e521a379db
snakemake-interface-scheduler-plugins==2.0.2 --hash=sha256:b9ddfa508bd480711de1770dfb24f3b813cfa3cd0f862f0127ef721ae5346915
snakemake-interface-storage-plugins==4.4.1 --hash=sha256:6e075f448543cc3d0cb1ee5e6e5a83af9761e7085f3ce0922011685d098f231e
sqlalchemy==2.0.58 --hash=sha256:3be707b48a7aa68f987ed82b219dff32de67677402a0c05356a631ec0ed86e4d
sqlmodel==0.0.37 --hash=sha256:2137a4045ef3fd66a917a7717ada959a1ceb3630d95e1f6aaab39dd2c0aef278
tabulate==0.10.0 --hash=sha256:f0b0622e567335c8fabaaa659f1b33bcb6ddfe2e496071b743aa113f8774f2d3
tenacity==9.2.1 --hash=sha256:9e56f17539296baab7beabb08b92f6ee3d7be92d8be72d763360677c2ad6580e
throttler==1.2.3 --hash=sha256:241ea3e97438dec4dc2f31ddc56dbd96262787a9b1d0598adfcc0bada1134b66
traitlets==5.16.1 --hash=sha256:f775618166caa0396c8e337099240f2bd3e5e917d203b2e6fbe21a58d3cb1f6b
typing-extensions==4.16.0 --hash=sha256:481caa481374e813c1b176ada14e97f1f67a4539ce9cfeb3f350d78d6370c2e8
typing-inspection==0.4.5 --hash=sha256:bc210535442b39e1bf2805e0c7a17dfd6a4ace760c84c7f7d16245d23a6b1c39
tzdata==2026.6 --hash=sha256:0a10eec6e13ef16b627fabed9a5f2ba61a62b1c67f327305f4e7e412a70b4aec
urllib3==2.8.0 --hash=sha256:0cf3cae568d36aa9576b28dfb35f11328f1cb974ca7647d9475ebb86c75ac6e3
uv==0.13.9 --hash=sha256:d7f459fe4fd247d830351c75686d3996ace3c6f3f728eb0e85a30b7ada0cef19
wrapt==2.5.2 --hash=sha256:0743950d3dda9940e56f81f5334ba051c4fe2e1421e4e4a4ef8eb8fb86a90894
yte==1.9.4 --hash=sha256:5dac63303d3e6bc2ebadc36ece3c3fb09343772fe6e25e9356d9baf8f9dfaf6d
LOCK
pip=("$python" -m pip install --quiet --no-input --no-deps --require-hashes)
# antlr4-python3-runtime, connection-pool: released as source archives only, built by the pinned setuptools, which comes first.
tools=$(mktemp)
trap 'rm -f "$tools"' EXIT
grep -E '^(setuptools|wheel)==' "$lock" > "$tools"
"${pip[@]}" --only-binary :all: -r "$tools"
"${pip[@]}" --no-build-isolation -r "$lock"  # its options: wheels only, but for these
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
