"""Train drawn epochs of a certified experiment, each from the state that the certificate names.

The model is built as for any training, and followed by the same trace: what is in its graph may
matter to the bits. A stored state is used only when its arrays have the certified digest, and the
model is asked for it again before the epoch begins.

Runs on Python 3.7 to 3.13, TensorFlow 2.1 to 2.21.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Mapping

from samebits.errors import SamebitsError
from samebits.formats import arrays, canonical, history, states
from samebits.training import seeds as keyed
from samebits.training import task as training
from samebits.training.epochs import State
from samebits.training.trace import Trace

FORMAT = "samebits-spot-1"  # of the record: nothing takes it for one of a whole training


def beginning(admitted: Path) -> dict[str, Any]:
    """The part of the record that says what was drawn; nothing is trained yet."""
    asked = _asked(admitted)
    drawn = [epoch["epoch"] for epoch in asked["epochs"]]
    return dict(asked, drawn=drawn, epochs=[])


def _asked(admitted: Path) -> Mapping[str, Any]:
    found = canonical.read_json(admitted).get("spot")
    if not isinstance(found, dict):
        raise SamebitsError(f"{admitted}: expected epochs that were drawn, got none")
    return found


class Drawn:
    """The epochs that were drawn, of one model."""

    def __init__(
        self, task: training.Task, model: Any, seeds: keyed.Seeds, admitted: Path, folder: Path
    ) -> None:
        """Of a model as its function returned it. ``folder``: the states to begin from."""
        self._task, self._model, self._seeds, self._folder = task, model, seeds, folder
        self._epochs = _asked(admitted)["epochs"]
        self._state = State(task, model)
        if self._epochs[0]["from"] is not None:
            self._state.make()

    def fit(self, trace: Trace, callbacks: list[Any]) -> list[dict[str, Any]]:
        """Train them in their order; returns of each what it began from, and what came out."""
        return [self._fit(asked, trace, callbacks) for asked in self._epochs]

    def _fit(self, asked: Mapping[str, Any], trace: Trace, callbacks: list[Any]) -> dict[str, Any]:
        position = asked["epoch"] - 1
        begun = self._begin(asked["epoch"], asked["from"])
        self._seeds.set(position)
        trace.begin_at(position)
        trace.before_fit()
        values = self._task.fit(self._model, [self._seeds.callback(), *callbacks], position)
        return {
            "epoch": asked["epoch"],
            "from": begun,
            "to": self._digest(),
            "history": history.to_json(values),
        }

    def _begin(self, epoch: int, expected: str | None) -> str | None:
        """Give the model its state. The first epoch begins as the model is built."""
        if expected is None:
            return None
        folder = self._folder / states.name(epoch - 1)
        stored = arrays.check_arrays(folder)
        if stored == expected:
            self._state.set(arrays.open_arrays(folder))
            stored = self._digest()
        if stored != expected:
            raise SamebitsError(
                f"{folder}: expected the certified state {expected}, got {stored}; get the bundle again"
            )
        return stored

    def _digest(self) -> str:
        found = [arrays.entry_of(name, values) for name, values in self._state.values()]
        return arrays.set_digest(found)
