#!/usr/bin/env python3
"""Compare, certify, verify and bundle on big weights: memory, and time per GiB.

Evidence of two runs is made up, once with small weights and once with 1 GiB in each run; what is
more in time is what the two times 1 GiB take. Weights are equal, or a third of them differs. Memory
is that of the stage's process at its highest, which the kernel knows as VmHWM.
"""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from paired import Line, attributes, figure, in_turn, main

import factories
import peak
from samebits.formats import files
from samebits.signing import keys

GIB = 1.0  # of weights in each run
_GOAL = 300.0  # MiB


class Evidence:
    """Two runs with weights of some size, and the stages over them."""

    def __init__(self, folder: Path, size: int) -> None:
        """Write the runs; ``size``: bytes of the weights of each, 0: a few."""
        self._size, self._space = size, factories.workspace(folder)
        self._certificate, self._bundle = folder / "certificate.json", folder / "certificate.zip"
        self.write(0)
        self.write(1, canary=factories.canary(), change=factories.vary)

    def write(self, number: int, different: bool = False, **more: Any) -> None:
        """Write a run, in which a third of the weights may be different ones."""
        values = np.arange(max(self._size // 4, 8), dtype="<u4").view("<f4")
        if different:
            values[::3] = 1
        weights = [("dense/kernel", values), ("dense/bias", np.zeros(4, "<f4"))]
        ids = files.digest(self._space.config), factories.load_record()["digest"]
        factories.write_run(self._space.runs[number], *ids, weights=weights, **more)

    def compare(self) -> peak.Cost:
        """Both runs, bit for bit."""
        control, replica = self._space.runs
        flags = ["--replica", replica, "--output", self._space.comparison]
        return peak.run("compare", "--control", control, *flags)

    def certify(self) -> peak.Cost:
        """What is graded is small: arrays are looked at again by their index alone."""
        name = ["--name", "big", "--output", self._certificate]
        return peak.run("certify", *self._evidence(), *name)

    def bundle(self) -> peak.Cost:
        """Both runs in one file."""
        given = ["--certificate", self._certificate, "--output", self._bundle]
        return peak.run("bundle", *self._evidence(), *given)

    def verify(self) -> peak.Cost:
        """Both runs, beside the certificate."""
        return self._verify(self._certificate, "--artifacts", self._space.folder)

    def verify_bundle(self) -> peak.Cost:
        """Both runs, in the bundle."""
        return self._verify(self._bundle)

    def _verify(self, *what: object) -> peak.Cost:
        return peak.run("verify", *what, "--key", keys.folder(os.environ) / "key.pub")

    def _evidence(self) -> list[object]:
        space = self._space
        control, replica = space.runs
        return [
            "--config", space.config, "--lock", space.lock, "--load-record", space.load_record,
            "--run", control, "--run", replica, "--comparison", space.comparison,
        ]  # fmt: skip


STAGES = ("compare", "certify", "bundle", "verify", "verify_bundle")


def lines(folder: Path, pairs: int) -> Iterator[Line]:
    """Time per GiB and memory of each stage."""
    sizes = {"small": 0, "big": int(GIB * 2**30)}
    evidence = {name: Evidence(folder / "weights" / name, size) for name, size in sizes.items()}
    for stage in STAGES:
        yield from _of(stage.replace("_b", " a b"), stage, evidence, pairs)
    for made in evidence.values():
        made.write(1, different=True)
    yield from _of("compare, a third differs", "compare", evidence, pairs)
    shutil.rmtree(folder / "weights")


def _of(what: str, stage: str, evidence: dict[str, Evidence], pairs: int) -> Iterator[Line]:
    runs = {name: getattr(made, stage) for name, made in evidence.items()}
    costs = in_turn(runs, pairs)
    took = attributes(costs, "wall")
    more = [(a - b) / GIB for a, b in zip(took["big"], took["small"], strict=True)]
    yield figure(f"{what}: time", "s/GiB", more)
    yield figure(f"{what}: memory", "MiB", attributes(costs, "memory")["big"], _GOAL)


if __name__ == "__main__":
    main(lines, pairs=3)
