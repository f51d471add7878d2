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
SAMPLES = "82"  # 65 to train on: the last batch has one
# What differs between CPUs where nothing is replaced, by the number of threads.
PLAIN = {1: "attention, nothing replaced", 4: "wide, nothing replaced"}
MODELS = ("mlp", "wide", "cnn", "normalized_cnn", "lstm", "gru", "attention", "embedding")
ALL = bool(os.environ.get("SAMEBITS_ALL_CPUS"))
CPUS: dict[str, Sequence[str]] = {  # and which models are tried on each
    "native": MODELS,
    "Haswell": MODELS if ALL else ("mlp", "normalized_cnn", "embedding"),
    "Skylake-Client": MODELS if ALL else ("gru", "cnn"),
    "EPYC": MODELS if ALL else ("attention", "lstm", "wide"),
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
@pytest.mark.parametrize("threads", [1, 4])
def test_under_portable_all_models_have_the_same_bits_on_other_cpus(
    workspace: Workspace, tmp_path: Path, threads: int
) -> None:
    config = {"determinism": "portable", "threads": threads}
    profile = configure(config, ROOT / "conf").config["determinism"]
    train = partial(_train, workspace.python("train-tf2.21"), tmp_path, profile)
    order = sorted(CPUS, key=lambda cpu: cpu == "native")  # the slowest first
    with ThreadPoolExecutor(2) as pool:
        found = dict(zip(order, pool.map(train, order), strict=True))
    plain = {cpu: _plain(digests) for cpu, digests in found.items()}
    assert set(found["native"]) == set(MODELS)
    for cpu, digests in found.items():
        assert set(digests) == set(CPUS[cpu])
        assert digests == {name: found["native"][name] for name in digests}, cpu
    # Else this could not fail: without replacements one of them has other bits elsewhere.
    elsewhere = {digests.get(PLAIN[threads]) for cpu, digests in plain.items() if cpu != "native"}
    assert elsewhere - {None, plain["native"][PLAIN[threads]]}


def _plain(digests: dict[str, str]) -> dict[str, str]:
    names = [name for name in digests if name.endswith("nothing replaced")]
    return {name: digests.pop(name) for name in names}
