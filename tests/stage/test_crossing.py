"""The bits of models under determinism=exact: natively and on emulated CPUs.

One process trains all models, because an emulated import takes longer than they do.
"""

import json
import shutil
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from pipeline import ROOT, Workspace, command
from samebits.configure import configure

PROGRAM = Path(__file__).with_name("crossing_program.py")
SAMPLES = "96"
PLAIN = "attention, nothing replaced"
NORMALIZED = ("normalized_cnn", "attention")  # those that portable does not carry across
CPUS: dict[str, Sequence[str]] = {  # and which models are tried on each; none: all
    "native": (),
    "Haswell": (),
    "Skylake-Client": NORMALIZED,
    "EPYC": NORMALIZED,
}
needs_qemu = pytest.mark.skipif(
    shutil.which("qemu-x86_64") is None, reason="qemu-x86_64 (Debian: qemu-user) is not installed"
)


def _train(python: Path, folder: Path, profile: Any, cpu: str) -> dict[str, str]:
    """Digests of the models' final weights."""
    emulator = [] if cpu == "native" else ["qemu-x86_64", "-cpu", cpu]
    variables = profile["environment"] | {"PYTHONHASHSEED": "0", "TF_CPP_MIN_LOG_LEVEL": "3"}
    done = command(
        *emulator, python, "-s", PROGRAM, json.dumps(profile), SAMPLES, *CPUS[cpu],
        cwd=folder, variables=variables,
    )  # fmt: skip
    (said,) = (line for line in done.stdout.splitlines() if line.startswith("{"))
    found: dict[str, str] = json.loads(said)
    return found


@pytest.mark.slow
@needs_qemu
def test_under_exact_all_models_have_the_same_bits_on_other_cpus(
    workspace: Workspace, tmp_path: Path
) -> None:
    profile = configure({"determinism": "exact"}, ROOT / "conf").config["determinism"]
    train = partial(_train, workspace.python("train-tf2.21"), tmp_path, profile)
    order = sorted(CPUS, key=lambda cpu: (cpu == "native", bool(CPUS[cpu])))  # the slowest first
    with ThreadPoolExecutor(2) as pool:
        found = dict(zip(order, pool.map(train, order), strict=True))
    # Else this could not fail: without replacements one of them has other bits elsewhere.
    plain = {cpu: digests.pop(PLAIN) for cpu, digests in found.items()}
    assert plain["native"] not in [plain[cpu] for cpu in CPUS if cpu != "native"]
    assert len(found["native"]) == len(found["Haswell"]) == 7
    for cpu, digests in found.items():
        assert digests == {name: found["native"][name] for name in digests}, cpu
