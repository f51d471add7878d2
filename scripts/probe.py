#!/usr/bin/env python3
"""Compute the atlas's battery on the CPU that this runs on.

INPUTS      --battery  the folder that battery.py made with the same TensorFlow
            --lock     the lock of the environment that this runs in
            --threads  intra-op threads; may be repeated
            and from the environment TF_ENABLE_ONEDNN_OPTS (0 or 1) and ONEDNN_MAX_CPU_ISA
OUTPUTS     --output   a folder: probe.json (the CPU as varied and as seen, what was in force, the
                       digest of every result and the kernels behind it), one folder of results per
                       number of threads
GUARANTEES  op determinism is on and inter-op parallelism is 1; the instruction set that oneDNN
            reports is recorded, and has to be the cap where there is one; the graph is the one that
            TensorFlow would execute in training, and the kernels are those that were executed

Runs on Python 3.7 to 3.13, TensorFlow 2.8 to 2.21, natively and under qemu-x86_64.
"""

import argparse
import os
from pathlib import Path
from typing import Any, Dict, List

from samebits import (
    canonical,
    cpuid,
    environment_record,
    machine,
    packing,
    probing,
    settings,
    variations,
)
from samebits.errors import SamebitsError, run
from samebits.progress import say

FORMAT = "samebits-probe-1"
_ONEDNN, _ISA = "TF_ENABLE_ONEDNN_OPTS", "ONEDNN_MAX_CPU_ISA"


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Compute the battery on this CPU.")
    for name in ("battery", "lock", "output"):
        parser.add_argument("--" + name, required=True, type=Path)
    parser.add_argument("--threads", required=True, action="append", type=int)
    return parser.parse_args()


def _onednn() -> bool:
    """Set before the interpreter starts, because TensorFlow reads it while it is imported."""
    given = os.environ.get(_ONEDNN)
    if given not in ("0", "1"):
        raise SamebitsError("{}: expected 0 or 1, got {!r}; start with it".format(_ONEDNN, given))
    return given == "1"


def _battery(options: argparse.Namespace) -> Any:
    """The battery's description, if it is of this environment."""
    record = environment_record.record(options.lock)
    content = canonical.read_json(options.battery / "battery.json")
    if content["lock"] != record["lock"]:
        raise SamebitsError(
            "{}: expected a battery that was built with {}, got one of another lock; build it "
            "again".format(options.battery, options.lock)
        )
    return content


def _conditions(loaded: probing.Loaded, threads: List[int], folder: Path) -> List[Dict[str, Any]]:
    """Compute with each number of threads; what each gave."""
    found = []
    for count in threads:
        values, executed = probing.compute(loaded, count)
        entries = packing.save(folder / str(count), values)
        results = [dict(entry, kernels=executed[entry["name"]]) for entry in entries]
        found.append({"threads": count, "results": results})
        say("probe: {} threads: {} results".format(count, len(results)))
    return found


def main() -> int:
    """Load, compute, write."""
    options, onednn, isa = _arguments(), _onednn(), os.environ.get(_ISA)
    content = _battery(options)
    loaded = probing.load(options.battery, content)
    probing.pin()
    with canonical.whole_folder(options.output) as folder:
        with probing.onednn_report() as instruction_set:
            conditions = _conditions(loaded, options.threads, folder)
        in_force = instruction_set()
        if isa and in_force:
            settings.refuse_wrong([settings.of_isa(isa, in_force)])
        made = {
            "format": FORMAT,
            "framework": content["framework"],
            "battery": canonical.file_digest(options.battery / "battery.json"),
            "results": content["results"],
            "cpu": variations.of_environment(os.environ)["applied"].get("cpu"),
            "machine": dict(machine.record(), cpuid=cpuid.describe()),
            "onednn": onednn,
            "isa": isa,
            "isa_in_force": in_force,
            "conditions": conditions,
        }
        canonical.write_json(folder / "probe.json", made)
    return 0


if __name__ == "__main__":
    run(main)
