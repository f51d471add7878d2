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


def lines(folder: Path, pairs: int) -> Iterator[Line]:
    """The ratio to no trace."""
    prepared = Prepared(folder)
    runs = {how: partial(prepared.fit, {"trace": how}) for how in ("step", "off")}
    seconds = attributes(in_turn(runs, pairs), "fit")
    yield ratio("trace=step: time of the fit", seconds["step"], seconds["off"])


if __name__ == "__main__":
    main(lines, pairs=6)
