#!/usr/bin/env python3
"""Compute the atlas's battery on the CPU that this runs on.

INPUTS      --battery  the folder that battery.py made with the same TensorFlow
            --lock     the lock of the environment that this runs in
            --threads  intra-op threads; may be repeated
            and from the environment TF_ENABLE_ONEDNN_OPTS (0 or 1), ONEDNN_MAX_CPU_ISA and, which
            earlier versions read, DNNL_MAX_CPU_ISA
OUTPUTS     --output   a folder: probe.json (the CPU as varied and as observed, settings in force,
                       the digest of every result and the kernels behind it), one file of results
                       per number of threads
GUARANTEES  op determinism is on and inter-op parallelism is 1; the instruction set that oneDNN
            reports is recorded, and has to be the cap where there is one; whether oneDNN is on is
            seen in the executed graph; on another CPU than was asked for nothing is computed; the
            graph is the one that TensorFlow would execute in training, and the kernels are those
            that were executed

Runs on Python 3.7 to 3.13, TensorFlow 2.8 to 2.21, natively and under qemu-x86_64.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np

from atlas import runtime
from samebits.arguments import parser
from samebits.errors import SamebitsError, run
from samebits.experiment import variations
from samebits.formats import canonical, files, lockfile
from samebits.observation import machine
from samebits.text import say
from samebits.training import settings

FORMAT = "samebits-probe-1"
_ONEDNN, _ISA, _OLD_ISA = "TF_ENABLE_ONEDNN_OPTS", "ONEDNN_MAX_CPU_ISA", "DNNL_MAX_CPU_ISA"


def _onednn() -> bool:
    """Set before the interpreter starts, because TensorFlow reads it while it is imported."""
    given = os.environ.get(_ONEDNN)
    if given not in ("0", "1"):
        raise SamebitsError(f"{_ONEDNN}: expected 0 or 1, got {given!r}; start with it")
    return given == "1"


def _isa() -> str | None:
    """The cap by its present name, which has to be that by its earlier one: either may be read."""
    isa, old = os.environ.get(_ISA), os.environ.get(_OLD_ISA)
    if isa != old:
        raise SamebitsError(
            f"{_OLD_ISA}: expected {isa!r} as in {_ISA}, got {old!r}; start with both or neither"
        )
    return isa


def _cpu() -> str | None:
    """The CPU that the launcher varied to; None is the native one."""
    varied = variations.of_environment(os.environ)
    if "cpu" in varied["not_tried"]:
        raise SamebitsError(f"the CPU could not be emulated: {varied['not_tried']['cpu']}")
    cpu, seen = varied["applied"].get("cpu"), machine.describe_cpu()
    if (cpu is not None) != machine.is_emulated(seen):
        raise SamebitsError(
            f"expected the CPU {cpu or 'native'}, got {seen}; start with --vary cpu=MODEL or "
            "without an emulator"
        )
    return cpu


def _compute(
    loaded: runtime.Loaded, threads: list[int], onednn: bool
) -> tuple[dict[int, runtime.Computed], str | None]:
    """The results with each number of threads, and the instruction set that oneDNN used."""
    found: dict[int, runtime.Computed] = {}
    with runtime.onednn_report() as instruction_set:
        for count in threads:
            found[count] = runtime.compute(loaded, count)
            say(f"probe: {count} threads: {len(found[count].values)} results")
    in_force = instruction_set()
    for computed in found.values():
        runtime.require_onednn(onednn, in_force, computed)
    return found, in_force


def _saved(folder: Path, threads: int, computed: runtime.Computed) -> dict[str, Any]:
    """Write the results of one condition."""
    path = folder / f"{threads}.npz"
    np.savez(str(path), **computed.values)
    return {"threads": threads, "sha256": files.digest(path), "kernels": computed.kernels}


def main() -> int:
    """Load, compute, write."""
    flags = parser(__doc__, "battery", "lock", "output")
    flags.add_argument("--threads", required=True, action="append", type=int)
    options, onednn, isa, cpu = flags.parse_args(), _onednn(), _isa(), _cpu()
    content = canonical.read_json(options.battery / "battery.json")
    if content["lock"] != lockfile.environment(options.lock)["lock"]:
        raise SamebitsError(f"{options.battery} was not built with {options.lock}; build it again")
    loaded = runtime.load(options.battery, content)
    runtime.pin()
    found, in_force = _compute(loaded, options.threads, onednn)
    if isa and in_force:  # None: oneDNN computed nothing
        settings.require_pinned([settings.of_isa(isa, in_force)])
    made = {
        "format": FORMAT,
        "framework": content["framework"],
        "battery": files.digest(options.battery / "battery.json"),
        "results": content["results"],
        "cpu": cpu,
        "machine": dict(machine.record(), cpuid=machine.describe_cpu()),
        "onednn": onednn,
        "isa": isa,
        "isa_in_force": in_force,
    }
    with files.atomic_folder(options.output) as folder:
        made["conditions"] = [_saved(folder, count, found[count]) for count in found]
        canonical.write_json(folder / "probe.json", made)
    return 0


if __name__ == "__main__":
    run(main)
