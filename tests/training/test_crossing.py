"""The bits of models under determinism=portable: natively and on emulated CPUs.

One process trains several models, because an emulated import takes as long as they do. Here each
model is tried on one CPU at least; SAMEBITS_ALL_CPUS=1 tries all on all, in half an hour.
"""

import json
import os
import shutil
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from pipeline import ROOT, Workspace, command, configure

PROGRAM = Path(__file__).with_name("crossing_program.py")
SAMPLES = "96"
PLAIN = "attention, nothing replaced"
MODELS = ("mlp", "cnn", "normalized_cnn", "lstm", "gru", "attention", "embedding")
ALL = bool(os.environ.get("SAMEBITS_ALL_CPUS"))
CPUS: dict[str, Sequence[str]] = {  # and which models are tried on each
    "native": MODELS,
    "Haswell": MODELS if ALL else ("mlp", "normalized_cnn", "embedding"),
    "Skylake-Client": MODELS if ALL else ("gru", "cnn"),
    "EPYC": MODELS if ALL else ("attention", "lstm"),
}
LONGEST = 3600 if ALL else 600  # seconds for one CPU
needs_qemu = pytest.mark.skipif(
    shutil.which("qemu-x86_64") is None, reason="qemu-x86_64 (Debian: qemu-user) is not installed"
)


def _train(python: Path, folder: Path, profile: Any, cpu: str) -> dict[str, str]:
    """Digests of the models' final weights."""
    emulator = [] if cpu == "native" else ["qemu-x86_64", "-cpu", cpu]
    variables = profile["environment"] | {"PYTHONHASHSEED": "0", "TF_CPP_MIN_LOG_LEVEL": "3"}
    done = command(
        *emulator, python, "-s", PROGRAM, json.dumps(profile), SAMPLES, *CPUS[cpu],
        cwd=folder, variables=variables, longest=LONGEST,
    )  # fmt: skip
    (said,) = (line for line in done.stdout.splitlines() if line.startswith("{"))
    found: dict[str, str] = json.loads(said)
    return found


@pytest.mark.slow
@needs_qemu
def test_under_portable_all_models_have_the_same_bits_on_other_cpus(
    workspace: Workspace, tmp_path: Path
) -> None:
    profile = configure({"determinism": "portable"}, ROOT / "conf").config["determinism"]
    train = partial(_train, workspace.python("train-tf2.21"), tmp_path, profile)
    order = sorted(CPUS, key=lambda cpu: cpu == "native")  # the slowest first
    with ThreadPoolExecutor(2) as pool:
        found = dict(zip(order, pool.map(train, order), strict=True))
    # Else this could not fail: without replacements one of them has other bits elsewhere.
    plain = {cpu: digests.pop(PLAIN) for cpu, digests in found.items() if PLAIN in digests}
    assert len(plain) > 1
    assert plain.pop("native") not in plain.values()
    assert set(found["native"]) == set(MODELS)
    for cpu, digests in found.items():
        assert set(digests) == set(CPUS[cpu])
        assert digests == {name: found["native"][name] for name in digests}, cpu
