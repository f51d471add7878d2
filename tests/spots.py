"""Experiments whose control keeps its states, and spot replays of them: NumPy alone."""

import copy
from pathlib import Path
from typing import Any

import attacks
import factories
from factories import Workspace
from samebits.certificate import certificate, replays, statements
from samebits.formats import arrays, canonical, files, merkle, states
from samebits.signing.keys import Signer

EPOCHS = 3  # of factories.CONFIG


def config() -> Any:
    """The experiment of ``factories``, with checkpoints."""
    made = copy.deepcopy(factories.CONFIG)
    made["trainer"]["checkpoint"] = states.EPOCH
    return made


def state(epoch: int, weights: factories.Arrays) -> factories.Arrays:
    """Weights and optimizer after an epoch; after the last one those that a run ended with."""
    found = [(states.WEIGHTS + name, values) for name, values in weights]
    found += [(states.OPTIMIZER + name, values) for name, values in factories.optimizer()]
    part = [(name, (values * (epoch / EPOCHS)).astype(values.dtype)) for name, values in found[1:]]
    return [found[0], *part]  # the first may be large


def workspace(folder: Path, weights: factories.Arrays | None = None) -> Workspace:
    """Two equal runs, and the states of the control."""
    weights = factories.weights() if weights is None else weights
    space = factories.workspace(folder, config=config(), weights=weights)
    run = files.digest(space.config), canonical.read_json(space.load_record)["digest"]
    factories.write_run(space.runs[0], *run, config=config(), weights=weights)
    kept = space.runs[0] / "checkpoints"
    digests = [
        arrays.save_arrays(kept / states.name(epoch), state(epoch, weights))
        for epoch in range(1, EPOCHS + 1)
    ]
    found = {"every": "epoch", "digests": digests, "root": merkle.root(digests), "resumed": []}
    for each in space.runs:
        record = canonical.read_json(each / "record.json")
        canonical.write_json(each / "record.json", record | {"checkpoints": found})
    return space.compare()


# --- spot replays ------------------------------------------------------------------------------


def record(content: Any, count: int = 1, number: int = 1, draw: str = "") -> Any:
    """What a run records that trained epochs of a certificate and found the same."""
    report, of = content["report"], statements.of(content)
    control = copy.deepcopy(report["records"]["runs"]["control"])
    draw = draw or canonical.digest({"draw": number})
    drawn = replays.drawn(of, draw, EPOCHS, count)
    digests, metrics = control["checkpoints"]["digests"], report["histories"]["control"]["metrics"]
    epochs = [
        {
            "epoch": epoch,
            "from": digests[epoch - 2] if epoch > 1 else None,
            "to": digests[epoch - 1],
            "history": {
                "format": "samebits-history-1",
                "metrics": {name: [values[epoch - 1]] for name, values in metrics.items()},
            },
        }
        for epoch in drawn
    ]
    said = {"certificate": of, "draw": draw, "drawn": drawn, "epochs": epochs}
    process = {"id": f"{number:08d}-0000-5000-8000-000000000000", "pid": 1}
    none: dict[str, Any] = {"digests": {}, "trace": None, "checkpoints": None}
    return control | none | {
        "format": "samebits-spot-1", "run": "spot", "spot": said, "process": process
    }  # fmt: skip


def replayed(content: Any, by: Signer | None, run: Any) -> Any:
    """The certificate with a spot replay at its end, as replay.py adds it."""
    issue = replays.Issue("2026-11-24T09:30:00Z", attacks.SOURCE, by.keyid if by else None)
    made = replays.build(content["report"], statements.of(content), run, None, issue)
    return certificate.with_replay(content, made, by)


def signed_again(content: Any, said: Any, by: Signer) -> Any:
    """The certificate with what a dishonest signer says in its only replay, and signs.

    Where no statement can be made of it, an empty one.
    """
    try:
        payload = statements.replayed(content["report"], said)
    except Exception:
        payload = b"{}"
    added = {"report": said, "statement": certificate.envelope(payload, by)}
    return content | {"replays": [added]}
