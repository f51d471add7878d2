#!/usr/bin/env python3
"""Digesting stored weights, against model_signing verifying the same files.

Both read the same folder of arrays and its index, from a warm page cache, and hold them against
SHA-256 digests that were taken before: check_arrays those of its index, model_signing, with its
own defaults, those of a signature by an elliptic key. One process of each, from its start to its
end; the work is the same without the imports. Memory is the process's own at its highest, which the
kernel knows as VmHWM.
"""

import json
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from paired import ROOT, Line, attributes, figure, in_turn, main, ratio

from samebits.formats import arrays

GIB = 1.0  # of weights
_GOAL = 1.0  # times model_signing's
_FIGURES = {"whole": "time", "wall": "time of the work", "peak": "memory"}
REQUIREMENTS = Path(__file__).with_suffix(".in")
LAYOUTS = (1, 16)  # arrays of equal size

# Each times itself without its imports, so that what starts it does not count twice.
_MEASURED = """
import json, re, sys, time
from pathlib import Path
{imports}
wall, cpu = time.perf_counter(), time.process_time()
{work}
wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
peak = int(re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1]) / 1024
print(json.dumps({{"wall": wall, "cpu": cpu, "peak": peak}}))
"""
_OURS = _MEASURED.format(
    imports="sys.path.insert(0, sys.argv[2])\nfrom samebits.formats import files",
    work="files.digest(Path(sys.argv[1]) / 'weights.safetensors')",
)
_THEIRS = _MEASURED.format(
    imports="from model_signing import verifying",
    work=(
        "verifying.Config().use_elliptic_key_verifier(public_key=Path(sys.argv[2]))"
        ".verify(Path(sys.argv[1]), Path(sys.argv[3]))"
    ),
)
_KEYS = """
import sys
from pathlib import Path
from cryptography.hazmat.primitives import serialization as s
from cryptography.hazmat.primitives.asymmetric import ec
key, pem = ec.generate_private_key(ec.SECP256R1()), s.Encoding.PEM
private = key.private_bytes(pem, s.PrivateFormat.PKCS8, s.NoEncryption())
Path(sys.argv[1]).write_bytes(private)
public = key.public_key().public_bytes(pem, s.PublicFormat.SubjectPublicKeyInfo)
Path(sys.argv[2]).write_bytes(public)
"""
_SIGN = """
import sys
from pathlib import Path
from model_signing import signing
folder, key, signature = map(Path, sys.argv[1:])
signing.Config().use_elliptic_key_signer(private_key=key).sign(folder, signature)
"""


@dataclass(frozen=True)
class Cost:
    """One process: seconds of all of it, wall and CPU seconds of the work, peak MiB."""

    whole: float
    wall: float
    cpu: float
    peak: float


def _run(python: Path, program: str, *arguments: Path) -> Cost:
    """Run one program that measures itself. Raises CalledProcessError when it fails."""
    started = time.monotonic()
    command = [str(python), "-c", program, *map(str, arguments)]
    output = subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout
    return Cost(whole=time.monotonic() - started, **json.loads(output))


class Bench:
    """A folder with model_signing in an environment, and a key for it."""

    def __init__(self, folder: Path) -> None:
        """Make the folder, the environment and the key."""
        folder.mkdir()
        self._folder, environment = folder, folder / "environment"
        subprocess.run([sys.executable, "-m", "venv", environment], check=True)
        self._python = environment / "bin/python"
        self._its_python("-m", "pip", "install", "--quiet", "--requirement", REQUIREMENTS)
        self._private, self._public = folder / "key.pem", folder / "key.pub.pem"
        self._its_python("-c", _KEYS, self._private, self._public)

    def _its_python(self, *arguments: str | Path) -> None:
        subprocess.run([self._python, *arguments], check=True)

    def contestants(self, count: int, size: int) -> tuple[Callable[[], Cost], Callable[[], Cost]]:
        """Store this many arrays of random bits, ``size`` bytes in all; returns ours, theirs."""
        folder, signature = self._folder / f"{count}", self._folder / f"{count}.sig"
        random = np.random.default_rng(count)
        each = [np.frombuffer(random.bytes(size // count // 4 * 4), "<u4") for _ in range(count)]
        folder.mkdir()
        named = [(f"weight {i}", array) for i, array in enumerate(each)]
        arrays.write(folder / "weights.safetensors", named)
        self._its_python("-c", _SIGN, folder, self._private, signature)
        return (
            lambda: _run(Path(sys.executable), _OURS, folder, ROOT / "scripts"),
            lambda: _run(self._python, _THEIRS, folder, self._public, signature),
        )


def lines(folder: Path, pairs: int) -> Iterator[Line]:
    """Ratios to model_signing, and how much is digested in a second."""
    bench = Bench(folder / "digests")
    for count in LAYOUTS:
        ours, theirs = bench.contestants(count, int(GIB * 2**30))
        costs = in_turn({"ours": ours, "theirs": theirs}, pairs, warm=True)
        of = f"{GIB:g} GiB in {count} array{'s' * (count > 1)}"
        for attribute, what in _FIGURES.items():
            both, goal = attributes(costs, attribute), _GOAL if attribute == "whole" else None
            yield ratio(f"{of}: {what}", both["ours"], both["theirs"], goal)
        speeds = [GIB / cost.wall for cost in costs["ours"]]
        yield figure(f"{of}: digested", "GiB/s", speeds)
    shutil.rmtree(folder / "digests")


if __name__ == "__main__":
    main(lines, pairs=5)
