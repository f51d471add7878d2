#!/usr/bin/env python3
"""What the trace costs: a fit of the default experiment with a fingerprint at every step.

Against the same fit with `trace=off`, each in a process of its own; the seconds of the fit alone
count, as the run records them.
"""

from collections.abc import Iterator
from functools import partial
from pathlib import Path

from paired import Line, attributes, in_turn, main, ratio
from prepared import Prepared

HOW = ("step", "epoch", "off")


def lines(folder: Path, pairs: int) -> Iterator[Line]:
    """Ratios to no trace."""
    prepared = Prepared(folder)
    runs = {how: partial(prepared.fit, {"trace": how}) for how in HOW}
    seconds = attributes(in_turn(runs, pairs), "fit")
    for how in HOW[:-1]:
        yield ratio(f"trace={how}: time of the fit", seconds[how], seconds["off"])


if __name__ == "__main__":
    main(lines, pairs=6)
