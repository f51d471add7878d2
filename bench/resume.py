#!/usr/bin/env python3
"""What checkpoints cost, and what being killed does.

The default experiment with `trainer.checkpoint=epoch` against `none`; and with it, killed as soon
as its first checkpoint is there and started again at once, against a run that nobody disturbed,
from the first start to the end.
"""

import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from paired import Line, attributes, figure, in_turn, main, ratio
from prepared import Fit, Prepared

import killing

CHANGES = {name: {"overrides": f"trainer.checkpoint={name}"} for name in ("none", "epoch")}
_RUN = "control"


def killed(prepared: Prepared) -> Fit:
    """A run that needed two processes."""
    made = prepared.training(CHANGES["epoch"])
    started = time.monotonic()
    with made.started(_RUN) as process:
        made.wait_for_checkpoint(1, _RUN)
        killing.kill(process)
    made.run(_RUN)
    whole = time.monotonic() - started
    return Fit(made.record()["timing"]["fit_seconds"], whole)


def lines(folder: Path, pairs: int) -> Iterator[Line]:
    """Ratios, and seconds per epoch and per kill."""
    prepared = Prepared(folder)
    runs = {name: partial(prepared.fit, changes) for name, changes in CHANGES.items()}
    found = in_turn(runs | {"killed": partial(killed, prepared)}, pairs)
    epochs = prepared.training({}).experiment.config["trainer"]["epochs"]
    fit, whole = attributes(found, "fit"), attributes(found, "whole")
    yield ratio("checkpoint=epoch: time of the fit", fit["epoch"], fit["none"])
    yield figure("checkpoint=epoch: longer per epoch", "s", _more(fit, "epoch", "none", epochs))
    yield ratio("killed once and resumed: time of all", whole["killed"], whole["epoch"])
    yield figure("killed once and resumed: longer", "s", _more(whole, "killed", "epoch"))


def _more(seconds: dict[str, list[float]], of: str, to: str, parts: int = 1) -> list[float]:
    return [(a - b) / parts for a, b in zip(seconds[of], seconds[to], strict=True)]


if __name__ == "__main__":
    main(lines, pairs=3)
