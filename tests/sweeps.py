"""Sweeps of made-up certificates, and their index."""

from pathlib import Path
from typing import Any

import certificates
import factories
from samebits.formats import canonical, names
from samebits.pages import index


def certified(kind: str = "Reproducible", *, signed: bool = True, **config: Any) -> Any:
    """A certificate of some kind, of an experiment with these values."""
    report = factories.copied(certificates.KINDS[kind]())
    report["experiment"]["config"] |= config
    report["experiment"]["digest"] = canonical.digest(report["experiment"]["config"])
    return certificates.certificate(report, signed)


def with_accuracy(accuracy: float, **config: Any) -> Any:
    """A certificate with this accuracy in the last epoch."""
    made = certified(**config)
    history = made["report"]["histories"]["control"]["metrics"]
    history.clear()
    history |= {"loss": [2.0, 1.0], "accuracy": [0.1, accuracy]}
    return made


def write_sweep(folder: Path, *made: Any, keys: tuple[str, ...] = ("seed",)) -> Path:
    """A sweep's folder with these certificates; returns the file that lists them."""
    listed = []
    for number, content in enumerate(made):
        name = f"seed={content['report']['experiment']['config']['seed']},{number}"
        canonical.write_json(folder / name / "certificate.json", content)
        listed.append({"name": name, "digest": content["report"]["experiment"]["digest"]})
    content = {"format": names.SWEEP_FORMAT, "name": "mine", "keys": keys, "combinations": listed}
    canonical.write_json(folder / "sweep.json", content)
    return folder / "sweep.json"


def write_index(folder: Path, *made: Any, keys: tuple[str, ...] = ("seed",)) -> Path:
    """The index of such a sweep, as a page; the table lies beside it."""
    sweep, page = write_sweep(folder, *made, keys=keys), folder / "index.html"
    index.write(sweep, page, folder / "index.csv")
    return page
