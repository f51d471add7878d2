#!/usr/bin/env python3
"""Measure the digesting of stored arrays against model_signing verifying the same files.

Both read the same folder of arrays and its index, from a warm page cache, and hold them against
SHA-256 digests that were taken before: check_arrays those of its index, model_signing, with its
own defaults, those of a signature by an elliptic key. A pair is one process of each, and who is
first alternates, so that a drift of the machine's speed hits both; ratios are taken pair by pair
and the median is quoted. Whole: from the start of the process to its end, imports included.
Peak: the process's resident memory at its highest, which the kernel knows as VmHWM.

    digest.py [--pairs N] [--gib SIZE]
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "scripts"))

from samebits import arrays  # noqa: E402

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
    imports="sys.path.insert(0, sys.argv[2])\nfrom samebits import arrays",
    work="arrays.check_arrays(Path(sys.argv[1]))",
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
        """Make the environment and the key."""
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
        arrays.save_arrays(folder, [(f"weight {i}", array) for i, array in enumerate(each)])
        self._its_python("-c", _SIGN, folder, self._private, signature)
        return (
            lambda: _run(Path(sys.executable), _OURS, folder, ROOT / "scripts"),
            lambda: _run(self._python, _THEIRS, folder, self._public, signature),
        )


def _paired(
    ours: Callable[[], Cost], theirs: Callable[[], Cost], pairs: int
) -> tuple[list[Cost], list[Cost]]:
    """Costs of both, the first pair left out: it warms the page cache."""
    both: tuple[list[Cost], list[Cost]] = [], []
    for number in range(pairs + 1):
        for which in (0, 1) if number % 2 else (1, 0):
            both[which].append((ours, theirs)[which]())
    return both[0][1:], both[1][1:]


def _row(label: str, costs: list[Cost], base: list[Cost]) -> str:
    """Medians of one contestant and of its ratios to the other, pair by pair."""
    cells = []
    for figure, unit in (("whole", "s"), ("wall", "s"), ("cpu", "s"), ("peak", "MiB")):
        values = [getattr(cost, figure) for cost in costs]
        ratios = [v / getattr(b, figure) for v, b in zip(values, base, strict=True)]
        cells.append(f"{statistics.median(values):7.2f} {unit:3} {statistics.median(ratios):5.2f}")
    return f"{label:36}" + "  ".join(cells)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--gib", type=float, default=1)
    options = parser.parse_args()
    size = int(options.gib * 2**30)
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(Path(folder))
        cpus = len(os.sched_getaffinity(0))
        print(f"{platform.machine()}, {cpus} CPUs, {options.pairs} pairs; median, ratio")
        print(f"{'':36}{'whole':>17}{'verifying: wall':>19}{'CPU':>19}{'peak memory':>19}")
        for count in LAYOUTS:
            ours, theirs = _paired(*bench.contestants(count, size), options.pairs)
            of = f"{count} x {1024 * options.gib / count:.4g} MiB"
            print(_row(f"{of}: model_signing 1.1.1", theirs, theirs))
            print(_row(f"{of}: check_arrays", ours, theirs), flush=True)


if __name__ == "__main__":
    main()
