#!/usr/bin/env python3
"""What the same bits on every CPU cost: fits under `portable` against fits with nothing pinned.

Both on as many threads as `portable` pins: what more threads save is another question. Models of
tests/zoo/crossing.py, whose bits are the same on all CPUs that were tried, each for one epoch
on 10,000 images of MNIST; the seconds of the fit alone count, as the run records them.
"""

from collections.abc import Iterator
from functools import partial
from pathlib import Path

from paired import ROOT, Line, attributes, in_turn, main, ratio
from prepared import Prepared

MODELS = ("mlp", "cnn", "normalized_cnn", "lstm", "gru", "attention", "embedding")
SAMPLES = 10_000
_GOAL = 1.05
_ZOO = ROOT / "tests" / "zoo"


def lines(folder: Path, pairs: int) -> Iterator[Line]:
    """The ratio of each model."""
    prepared = Prepared(folder)
    pinned = prepared.training({"determinism": "portable"}).experiment.config["determinism"]
    for model in MODELS:
        asked = {
            "model": {"_target_": f"crossing.{model}"},
            "source_path": str(_ZOO),
            "threads": pinned["intra_op_threads"],
        }
        runs = {
            profile: partial(
                prepared.fit,
                asked | {"determinism": profile},
                *("--samples", SAMPLES, "--epochs", 1),
            )
            for profile in ("portable", "none")
        }
        seconds = attributes(in_turn(runs, pairs), "fit")
        yield ratio(f"{model}: time of the fit", seconds["portable"], seconds["none"], _GOAL)


if __name__ == "__main__":
    main(lines, pairs=3)
