"""Experiments whose control keeps its states, and sampled replays of them: NumPy alone."""

import copy
from pathlib import Path
from typing import Any

import attacks
import factories
from factories import Workspace
from samebits.certificate import certificate, replays, statements
from samebits.formats import arrays, canonical, files, states
from samebits.signing.keys import Signer

EPOCHS = 3  # of factories.CONFIG


def config() -> Any:
    """The experiment of ``factories``, with checkpoints."""
    made = copy.deepcopy(factories.CONFIG)
    made["trainer"]["checkpoint"] = states.EPOCH
    return made


def write_state(folder: Path, epoch: int, weights: factories.Arrays) -> states.State:
    """Weights and optimizer after an epoch; after the last one those that a run ended with."""
    folder.mkdir(parents=True)
    first, *others = weights  # the first may be large
    parts = {
        "weights": [first, *_scaled(others, epoch)],
        "optimizer": _scaled(factories.optimizer(), epoch),
    }
    return {
        part: arrays.write(folder / f"{part}.safetensors", named).sha256
        for part, named in parts.items()
    }


def _scaled(named: factories.Arrays, epoch: int) -> factories.Arrays:
    return [(name, (values * (epoch / EPOCHS)).astype(values.dtype)) for name, values in named]


def workspace(folder: Path, weights: factories.Arrays | None = None) -> Workspace:
    """Two equal runs, and the states of the control."""
    weights = factories.weights() if weights is None else weights
    space = factories.workspace(folder, config=config(), weights=weights)
    run = files.digest(space.config), canonical.read_json(space.load_record)["digest"]
    factories.write_run(space.runs[0], *run, config=config(), weights=weights)
    kept = space.runs[0] / "checkpoints"
    digests = [
        write_state(kept / states.name(epoch), epoch, weights) for epoch in range(1, EPOCHS + 1)
    ]
    found = {"every": "epoch", "digests": digests, "root": states.root(digests), "resumed": []}
    for each in space.runs:
        factories.edit(each / "record.json", lambda record: record.update(checkpoints=found))
    return space.compare()


# --- sampled replays ------------------------------------------------------------------------------


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
    none: dict[str, Any] = {"digests": {}, "tensors": {}, "trace": None, "checkpoints": None}
    made = {"format": "samebits-sampled-1", "run": "sampled", "sampled": said, "process": process}
    return canonical.with_digest(control | none | made)


def replayed(content: Any, by: Signer | None, run: Any) -> Any:
    """The certificate with a sampled replay at its end, as replay.py adds it."""
    issue = replays.Issue(
        issued="2026-11-24T09:30:00Z",
        issuer={"keyid": by.keyid if by else None},
        source=attacks.SOURCE,
    )
    run = canonical.with_digest(run)
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
