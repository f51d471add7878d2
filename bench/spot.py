#!/usr/bin/env python3
"""A replay of one epoch of many, against one of all.

A certificate with checkpoints is made once, of MNIST with the default model. Both replays of its
bundle run in turn, each without earlier results. The time of all holds what any replay costs
(Snakemake, the import of TensorFlow, verifying), so the fit alone is told as well, as the runs
record it.
"""

import json
import shutil
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from paired import Line, attributes, figure, in_turn, main, ratio
from prepared import Fit, Prepared

EPOCHS = 20


def replay(prepared: Prepared, bundle: Path, run: str, *config: str) -> Fit:
    """Replay the bundle, by a run of this name."""
    shutil.rmtree(prepared.folder / "results/again", ignore_errors=True)
    given = f"certificate={bundle}", "name=again", *config
    cost = prepared.snakemake("--cores", "all", "replay", "--config", *given)
    record = prepared.folder / "results/again/train" / run / "record.json"
    return Fit(json.loads(record.read_bytes())["timing"]["fit_seconds"], cost.wall)


def lines(folder: Path, pairs: int) -> Iterator[Line]:
    """Ratios to a replay of all epochs."""
    prepared, bundle = Prepared(folder), folder / "spot.zip"
    own = f"overrides=trainer.checkpoint=epoch trainer.epochs={EPOCHS}"
    prepared.snakemake("--cores", "all", "all", "bundle", "--config", "name=made", own)
    (folder / "results/made/certificate.zip").rename(bundle)
    runs = {
        "all": partial(replay, prepared, bundle, "replay"),
        "one": partial(replay, prepared, bundle, "spot", "epochs=1"),
    }
    found = in_turn(runs, pairs)
    for attribute, what in (("whole", "time of all"), ("fit", "time of the fit")):
        seconds = attributes(found, attribute)
        yield ratio(f"1 of {EPOCHS} epochs: {what}", seconds["one"], seconds["all"])
        yield figure(f"all {EPOCHS} epochs: {what}", "s", seconds["all"])


if __name__ == "__main__":
    main(lines, pairs=3)
