#!/usr/bin/env python3
"""The published experiment as a plain script, against the pipeline.

Both train the article's model twice on MNIST with the same TensorFlow; with experiment=article
they give the same history, float for float, or this fails. Certificates are signed; they come with
trace, canary and, but for the article's, every cheap variation. Memory is the peak of all processes
together.
"""

import json
import sys
from collections.abc import Iterator
from pathlib import Path

from paired import ROOT, Cost, Line, attributes, figure, in_turn, main, measure, ratio
from prepared import Prepared

_GOAL = 0.5  # of the plain script's time, for a certificate
_STORE = """
import sys, numpy
from pathlib import Path
from samebits.formats import dataset
stored = dataset.read(Path(sys.argv[1]))
numpy.savez(sys.argv[2], x=stored["x_train"], y=stored["y_train"])
"""
_HISTORY = "import sys, numpy; print(numpy.load(sys.argv[1])['history'])"
_FIGURES = {"wall": "time", "cpu": "CPU time", "memory": "memory"}


class Bench:
    """The plain script and the pipeline in one folder."""

    def __init__(self, folder: Path) -> None:
        """Write MNIST as one file for the plain script."""
        self.prepared, self.arrays = Prepared(folder), folder / "mnist.npz"
        where = f"import sys; sys.path.insert(0, {str(ROOT / 'scripts')!r})"
        self.prepared.said("load", where + _STORE, self.prepared.arrays, self.arrays)
        self.output = folder / "plain.npz"

    def plain(self) -> Cost:
        """The plain script, in the pipeline's own environment."""
        given = ["--data", self.arrays, "--recipe", "tf28", "--output", self.output]
        python = self.prepared.python("train-tf2.21")
        return measure([python, ROOT / "bench/article.py", *given], cwd=self.prepared.folder)

    def article(self) -> Cost:
        """The certificate of the same trainings."""
        cost = self.prepared.certificate("experiment=article")
        (path,) = self.prepared.folder.glob("results/*/train/control/history.json")
        plain = json.loads(self.prepared.said("load", _HISTORY, self.output))
        if json.loads(path.read_bytes())["metrics"] != plain:
            sys.exit("expected the plain script's history, float for float, got another")
        return cost

    def verify(self) -> float:
        """Seconds from the shell to the end of verify, of a certificate and its files."""
        (certificate,) = self.prepared.folder.glob("results/*/certificate.json")
        command = [self.prepared.python("certify"), ROOT / "scripts/verify.py"]
        return measure([*command, certificate, "--artifacts", certificate.parent]).wall


def lines(folder: Path, pairs: int) -> Iterator[Line]:
    """Ratios to the plain script, and its seconds."""
    bench = Bench(folder)
    runs = {"plain": bench.plain, "article": bench.article, "default": bench.prepared.certificate}
    bench.plain()  # the file cache is warm for all
    costs = in_turn(runs, pairs)
    yield figure("the plain script, two fits", "s", [cost.wall for cost in costs["plain"]])
    for name in ("default", "article"):
        for attribute, what in _FIGURES.items():
            of = attributes(costs, attribute)
            goal = _GOAL if (name, attribute) == ("default", "wall") else None
            yield ratio(f"certificate ({name}): {what}", of[name], of["plain"], goal)
    yield figure("verify a certificate and its files", "s", [bench.verify() for _ in range(pairs)])


if __name__ == "__main__":
    main(lines, pairs=3)
