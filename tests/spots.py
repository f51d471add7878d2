"""Experiments whose control keeps its states, and spot replays of them: NumPy alone."""

import copy
from pathlib import Path
from typing import Any

import factories
from factories import Workspace
from samebits import arrays, canonical, merkle, states

EPOCHS = 3  # of factories.CONFIG


def config() -> Any:
    """The experiment of ``factories``, with checkpoints."""
    made = copy.deepcopy(factories.CONFIG)
    made["trainer"]["checkpoint"] = states.EPOCH
    return made


def state(epoch: int, of: int = EPOCHS) -> factories.Arrays:
    """Weights and optimizer after an epoch; after the last one those that ``factories`` has."""
    found = [(states.WEIGHTS + name, values) for name, values in factories.weights()]
    found += [(states.OPTIMIZER + name, values) for name, values in factories.optimizer()]
    return [(name, (values * (epoch / of)).astype(values.dtype)) for name, values in found]


def workspace(folder: Path) -> Workspace:
    """Two equal runs, and the states of the control."""
    space = factories.workspace(folder, config=config())
    kept = space.runs[0] / "checkpoints"
    digests = [
        arrays.save_arrays(kept / states.name(epoch), state(epoch))
        for epoch in range(1, EPOCHS + 1)
    ]
    found = {"every": "epoch", "digests": digests, "root": merkle.root(digests), "resumed": []}
    for run in space.runs:
        record = canonical.read_json(run / "record.json")
        canonical.write_json(run / "record.json", record | {"checkpoints": found})
    return space.compare()
