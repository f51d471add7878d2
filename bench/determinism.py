#!/usr/bin/env python3
"""What determinism costs: a fit under each profile, against one with nothing pinned.

Every model of conf/model and every profile of conf/determinism, on as many images of MNIST as take
some seconds; the seconds of the fit alone count, as the run records them. A profile
that the framework does not take is left out with its reason.
"""

from collections.abc import Iterator
from functools import partial
from pathlib import Path

from paired import ROOT, Line, attributes, figure, in_turn, main, ratio, skipped
from prepared import Prepared

from samebits.errors import SamebitsError

BASE = "none"
# Images and epochs: graphs are traced in the first call, which is to be a small part.
PARTS = {"mlp": (60_000, 2)}
REST = (10_000, 1)


def options(group: str) -> list[str]:
    """What there is in conf/ that needs nothing of the user's own."""
    paths = sorted((ROOT / "conf" / group).glob("*.yaml"))
    return [path.stem for path in paths if "???" not in path.read_text(encoding="utf-8")]


def lines(folder: Path, pairs: int) -> Iterator[Line]:
    """Ratios to nothing pinned, by model and profile."""
    prepared = Prepared(folder)
    for model in options("model"):
        samples, epochs = PARTS.get(model, REST)
        flags = "--samples", samples, "--epochs", epochs
        runs, refused = {}, {}
        for profile in options("determinism"):
            changes = {"model": model, "determinism": profile}
            try:
                prepared.training(changes)
            except SamebitsError as error:
                refused[profile] = str(error).splitlines()[0]
            else:
                runs[profile] = partial(prepared.fit, changes, *flags)
        seconds = attributes(in_turn(runs, pairs), "fit")
        yield figure(f"{model}, {BASE}: time of the fit", "s", seconds[BASE])
        for profile in runs:
            if profile != BASE:
                what = f"{model}, {profile}: time of the fit"
                yield ratio(what, seconds[profile], seconds[BASE])
        for profile, why in refused.items():
            yield skipped(f"{model}, {profile}: time of the fit", why)


if __name__ == "__main__":
    main(lines, pairs=3)
